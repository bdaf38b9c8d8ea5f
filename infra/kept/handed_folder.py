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

_MARKER: Final = "orchestcode-handed"
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
    if (folder / ".git").exists():
        _refuse_other(folder, commit)
        return
    _make_empty(folder)
    try:
        await git("init", "--quiet", f"--initial-branch={branch}")
        async with served(store.path) as there:
            await fetch_whole(git, there, commit)
        _copy_excludes(store.path, folder / ".git")
        await git("reset", "--quiet", "--hard", commit, timeout_seconds=_SECONDS)
        await git("tag", "base", commit)
        _mark(folder, commit)
    except (GitError, OSError) as problem:
        raise FolderError(f"{folder} cannot be made: {problem}") from problem


def _make_empty(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise FolderError(f"{folder} is not empty: name another folder with --to")
    folder.mkdir(parents=True, exist_ok=True)


def _mark(folder: Path, commit: ObjectId) -> None:
    """Note that a folder is whole; without the note nothing is ever committed in it."""
    (folder / ".git" / _MARKER).write_text(f"{commit}\n")


def _copy_excludes(store: Path, git_dir: Path) -> None:
    """Have git ignore what it ignores in the person's repository beside its .gitignore files."""
    excludes = store / "info" / "exclude"
    if excludes.is_file():
        (git_dir / "info").mkdir(exist_ok=True)
        (git_dir / "info" / "exclude").write_bytes(excludes.read_bytes())


def _refuse_other(folder: Path, commit: ObjectId) -> None:
    """Refuse a repository that is not one of ours at this commit, whole."""
    if _handed_at(folder) != commit:
        raise FolderError(
            f"{folder} is another repository, or has an older state of the task: move it away, or "
            "name another folder with --to"
        )


def _handed_at(folder: Path) -> str:
    """Return the commit at which a folder was handed out, "" for any other."""
    marker = folder / ".git" / _MARKER
    return marker.read_text().strip() if marker.is_file() else ""


async def taken_in(folder: Path, message: str, person: str) -> ObjectId:
    """Commit what is in a folder, and return the commit; its HEAD where nothing is new.

    What git ignores stays out. `person`: its author, "Name <mail>".

    Raises:
        FolderError: there is no such folder, or git failed.
    """
    if not _handed_at(folder):
        raise FolderError(
            f"{folder} is no folder that `hand-off` has made: name that one with --from"
        )
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
