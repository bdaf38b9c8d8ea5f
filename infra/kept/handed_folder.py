"""A folder in which a person works on a task's files: a git repository of its own.

It is the person's: made once, never deleted or changed by us but for the commit of what they made.
"""

from pathlib import Path
from typing import Final

from contracts.base import ObjectId
from infra.git.command import GitCommand, GitError
from infra.store import Store
from infra.store.fetching import fetch_whole
from infra.store.served import served

_SECONDS: Final = 600.0


class FolderError(Exception):
    """The folder cannot be used; the text is one sentence that says what to do."""


async def hand_out(store: Store, commit: ObjectId, folder: Path, branch: str) -> None:
    """Make a folder with a commit's files, on a branch of its own; `base` names the commit.

    One that holds this commit already stays as it is.

    Raises:
        FolderError: something else is there, or git failed.
    """
    git = _git(folder)
    if (folder / ".git").is_dir():
        await _refuse_other(git, commit, folder)
        return
    _make_empty(folder)
    try:
        await git("init", "--quiet", f"--initial-branch={branch}")
        async with served(store.path) as there:
            await fetch_whole(git, there, commit)
        _copy_excludes(store.path, folder / ".git")
        await git("tag", "base", commit)
        await git("reset", "--quiet", "--hard", commit, timeout_seconds=_SECONDS)
    except (GitError, OSError) as problem:
        raise FolderError(f"{folder} cannot be made: {problem}") from problem


def _make_empty(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise FolderError(f"{folder} is not empty: name another folder with --to")
    folder.mkdir(parents=True, exist_ok=True)


def _copy_excludes(store: Path, git_dir: Path) -> None:
    """Have git ignore what it ignores in the person's repository beside its .gitignore files."""
    excludes = store / "info" / "exclude"
    if excludes.is_file():
        (git_dir / "info").mkdir(exist_ok=True)
        (git_dir / "info" / "exclude").write_bytes(excludes.read_bytes())


async def _refuse_other(git: GitCommand, commit: ObjectId, folder: Path) -> None:
    found = await git("rev-parse", "--verify", "--quiet", "base^{commit}", ok=(0, 1, 128))
    if found.out.decode().strip() != commit:
        raise FolderError(
            f"{folder} has an older state of the task: move it away, or name another folder with "
            "--to"
        )


async def taken_in(folder: Path, message: str, person: str) -> ObjectId:
    """Commit what is in a folder, and return the commit; its HEAD where nothing is new.

    What git ignores stays out. `person`: its author, "Name <mail>".

    Raises:
        FolderError: there is no such folder, or git failed.
    """
    if not (folder / ".git").is_dir():
        raise FolderError(f"{folder} is no folder of `hand-off`: name it with --from")
    git = _git(folder)
    try:
        await git("add", "--all", "--", ".", timeout_seconds=_SECONDS)
        new = await git("diff", "--cached", "--quiet", "HEAD", "--", ok=(0, 1))
        if new.code:
            author = f"--author={person}"
            await git("commit", "--quiet", "--no-verify", author, "-m", message)
        return (await git("rev-parse", "HEAD")).out.decode().strip()
    except GitError as problem:
        raise FolderError(f"what is in {folder} cannot be committed: {problem}") from problem


def _git(folder: Path) -> GitCommand:
    return GitCommand(folder / ".git", work_tree=folder)
