"""Whether a branch can be pushed into the user's repository, found out without touching it."""

import errno
import os
import re
import tempfile
from pathlib import Path

from infra.git.command import GitCommand, GitError
from infra.store.transport import RECEIVE

_WRITTEN = ("objects", "refs/heads", "logs/refs/heads", ".")
"""Where a push writes, below the git directory: objects, the branch, its log, locks."""
_NO_TEMPORARY_FILES = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})
_REJECTED = re.compile(r"^ ! \[[^\]]*\] .*\((?P<why>.*)\)$", re.MULTILINE)


def why_not_writable(git_dir: Path) -> str:
    """Return why nothing can be written into a repository and what helps, "" when it can be."""
    for name in _WRITTEN:
        folder = git_dir / name
        while not folder.exists() and folder != git_dir:
            folder = folder.parent
        if problem := _problem(folder):
            return problem
    return ""


def _problem(folder: Path) -> str:
    try:
        _write_unseen(folder)
    except OSError as error:
        if error.errno == errno.EROFS:
            return (
                f"{folder} lies on a read-only file system: mount it writable, or name a clone "
                "elsewhere with --repo"
            )
        return (
            f"{folder} cannot be written ({error.strerror}): let the worker's user write there, "
            "or name a clone of your own with --repo"
        )
    return ""


def _write_unseen(folder: Path) -> None:
    """Make a file without a name, which leaves no trace in its folder.

    Raises:
        OSError: files cannot be made there.
    """
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if error.errno not in _NO_TEMPORARY_FILES:
            raise
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder)) from None


async def why_not_pushed(git_dir: Path, branch: str) -> str:
    """Return why the repository's configuration refuses a branch, "" when it takes it.

    The branch is pushed from one empty repository into another that has this configuration.

    Raises:
        GitError: the trial itself failed.
    """
    with tempfile.TemporaryDirectory(prefix="orchestcode-trial-") as folder:
        source, target = Path(folder) / "source.git", Path(folder) / "target.git"
        _create(source)
        _create(target, include=git_dir / "config")
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


def _create(folder: Path, *, include: Path | None = None) -> None:
    for name in ("objects", "refs/heads"):
        (folder / name).mkdir(parents=True)
    (folder / "HEAD").write_text("ref: refs/heads/orchestcode-none\n")
    config = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
    if include is not None:
        path = str(include).replace("\\", "\\\\").replace('"', '\\"')
        config += f'[include]\n\tpath = "{path}"\n'
    (folder / "config").write_text(config)
