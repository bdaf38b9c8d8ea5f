"""The splitter beside bash itself: what bash runs, the judgement has seen."""

import subprocess
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contracts.verdicts import Permission
from tests.domain.policy.build import policy, run

RULES = policy("deny Bash(git push:*)", "allow Bash")
_PIECES = st.sampled_from(
    [
        *("git push", "git", "push", "git pu''sh", 'g"i"t push', "git\\\n push", "a", "true"),
        *(" ", "\n", ";", "&&", "||", "|", "&", "!", "#", "$(", ")", "`", '"', "'", "\\", "{", "}"),
        *("(", "$X", "${X:-git}", "$'git'", "<<E\n", "\nE\n", "<(", ">f", "2>&1", "if ", "then "),
        *("fi", "for i in a;do ", "done", "case a in a)", ";;", "esac", "[[ a ]]", "$((1))", "*"),
        *("eval ", "X=git ", "A=1 ", "env ", "bash -c ", "command ", "exec ", "time ", "\t", "~"),
    ]
)


def _is_run(line: str) -> bool:
    """Return whether bash runs `git push` for a line, with nothing else on its PATH."""
    with tempfile.TemporaryDirectory() as place:
        tool = Path(place, "bin", "git")
        tool.parent.mkdir()
        tool.write_text('#!/bin/sh\n[ "$1" = push ] && : > "$MARK"\n')
        tool.chmod(0o755)
        for name, target in (("env", "/usr/bin/env"), ("bash", "/bin/bash")):
            (tool.parent / name).symlink_to(target)
        mark = Path(place, "mark")
        subprocess.run(
            ["/bin/bash", "-o", "pipefail", "-c", line],
            cwd=place,
            env={"PATH": str(tool.parent), "MARK": str(mark), "FUNCNEST": "3"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
        )
        return mark.exists()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_PIECES, max_size=9).map("".join))
@example("git push")
@example("X=git; $X push")
@example('bash -c "git push"')
@example("eval git push")
@example("cat <<E\n$(git push)\nE\n")
@example("echo ${X:-$(git push)}")
def test_what_bash_runs_is_never_allowed_unseen(line: str) -> None:
    """Wherever a line really runs the denied command, it is denied or a person is asked."""
    if run(RULES, line).permission is Permission.ALLOW:
        assert not _is_run(line)
