"""`policy show` and `policy explain` on a real checkout: which rule decides, what is idle."""

import io
import json
from pathlib import Path

import pytest

from cli.command import run_command
from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError
from tests.local_deployment import commit, git

BASE = {
    "permissions": {
        "deny": [{"rule": "Bash(git push:*)", "reason": "the request delivers"}, "WebFetch"],
        "allow": ["Bash(make:*)"],
    }
}
OWN = {"permissions": {"ask": ["Edit(docs/**)"]}}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with rules, of a person who has some too."""
    shop = tmp_path / "shop"
    (shop / ".orchestcode").mkdir(parents=True)
    (shop / ".orchestcode/settings.json").write_text(json.dumps(BASE))
    git(shop, "init", "-q", "-b", "main")
    commit(shop, "begin")
    (shop / ".orchestcode/settings.json").write_text("{}")
    (tmp_path / "settings.json").write_text(json.dumps(OWN))
    return shop


async def _printed(folder: Path, *words: str) -> list[str]:
    out = io.StringIO()
    context = CliContext(
        environ={
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder.parent),
            "ORCHESTCODE_HOME": str(folder.parent),
        },
        folder=folder,
        now=lambda: 0.0,
        program="orchestcode",
        stdout=out,
        stderr=io.StringIO(),
    )
    code = await run_command(("policy", words[0]), words[1:], context)
    assert code is ExitCode.DELIVERED
    return out.getvalue().splitlines()


async def test_the_rule_and_the_file_that_decide_are_named(checkout: Path) -> None:
    """Of the base commit, not of the working folder; each command of a line is judged."""
    base = git(checkout, "rev-parse", "HEAD")

    assert await _printed(checkout, "explain", "Bash(npm test && git push origin)") == [
        "deny  Bash(npm test && git push origin)",
        "  rule: Bash(git push:*) (.orchestcode/settings.json)",
        (
            "  why:  Bash(git push:*) of .orchestcode/settings.json denies "
            "`npm test && git push origin`: the request delivers"
        ),
        "  part: npm test  allow, runs in the sandbox",
        "  part: git push origin  deny, Bash(git push:*) (.orchestcode/settings.json)",
        f"By what holds at {base[:12]}; `policy show` lists it.",
    ]
    asked = json.loads((await _printed(checkout, "explain", "Edit(docs/a.md)", "--json"))[0])
    assert (asked["permission"], asked["rule"]) == (
        "ask",
        f"Edit(docs/**) ({checkout.parent}/settings.json)",
    )
    assert (await _printed(checkout, "explain", "Read(src/a.py)"))[0] == "allow  Read(src/a.py)"


async def test_what_holds_is_listed_and_what_does_not_count(checkout: Path) -> None:
    """The user's rules first; a rule without a tool and a repository's allowance are warnings."""
    base, own = git(checkout, "rev-parse", "HEAD"), f"{checkout.parent}/settings.json"

    printed = await _printed(checkout, "show")

    assert printed[:3] == [
        f"What agents may do at {base[:12]}:",
        f"  ask    Edit(docs/**)  ({own}, yours)",
        (
            "  deny   Bash(git push:*)  (.orchestcode/settings.json, the repository's)  "
            "the request delivers"
        ),
    ]
    file = ".orchestcode/settings.json"
    tool = "WebFetch is a tool of Claude Code that is not here: its rule matches nothing"
    allowance = "Bash(make:*) does not count: a repository cannot allow, its user can"
    idle = [line for line in printed if line.startswith("  ! ")]
    assert idle == [f"  ! {file}: {tool}", f"  ! {file}: {allowance}"]
    assert len(json.loads((await _printed(checkout, "show", "--json"))[0])["rules"]) == 2


async def test_what_is_no_call_is_refused_with_an_example(checkout: Path) -> None:
    """A wrong settings file is said as well."""
    with pytest.raises(UsageError, match="git push origin"):
        await _printed(checkout, "explain", "Fetch(x)")
    (checkout.parent / "settings.json").write_text("[]")
    with pytest.raises(UsageError, match="must be a JSON object"):
        await _printed(checkout, "show")
