"""Whether a branch can be pushed into the user's repository, found out without touching it."""

import re
import tempfile
from pathlib import Path

from infra.git.command import GitCommand, GitError
from infra.store.served import allowed_configuration
from infra.store.transport import RECEIVE

_REJECTED = re.compile(r"^ ! \[[^\]]*\] .*\((?P<why>.*)\)$", re.MULTILINE)


async def why_not_pushed(git_dir: Path, branch: str) -> str:
    """Return why the repository's configuration refuses a branch, "" when it takes it.

    The branch is pushed from one empty repository into another that has what counts of this
    configuration.

    Raises:
        GitError: the trial itself failed.
    """
    with tempfile.TemporaryDirectory(prefix="orchestcode-trial-") as folder:
        source, target = Path(folder) / "source.git", Path(folder) / "target.git"
        _create(source)
        _create(target, await allowed_configuration(git_dir))
        git = GitCommand(source)
        tree = (await git("mktree", stdin=b"")).text
        commit = (await git("commit-tree", tree, "-m", "A trial")).text
        try:
            await git(
                "push", "--no-verify", RECEIVE, "--", str(target), f"{commit}:refs/heads/{branch}"
            )
        except GitError as failed:
            rejected = _REJECTED.search(failed.stderr)
            if rejected is None or failed.code < 0:
                raise
            return rejected["why"]
    return ""


def _create(folder: Path, config: str = "") -> None:
    for name in ("objects", "refs/heads"):
        (folder / name).mkdir(parents=True)
    (folder / "HEAD").write_text("ref: refs/heads/orchestcode-none\n")
    own = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
    (folder / "config").write_text(config + own, errors="surrogateescape")
