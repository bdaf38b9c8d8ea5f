"""File operations on a worktree that git leaves undone: removal and permissions."""

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from infra.worktrees.layout import CONTROL_FOLDER, Layout


def tidy(layout: Layout, *, folders: Iterable[bytes], links: Iterable[bytes]) -> None:
    """Remove what `git clean` leaves: nested repositories, special files, content of submodules.

    Given are the tracked folders and links to other repositories.
    """
    root = os.fsencode(layout.path)
    for folder in (b"", *folders):
        inner = os.path.join(root, folder)  # noqa: PTH118 - Path knows no bytes
        allow_owner(inner)
        with os.scandir(inner) as entries:
            left = [each.path for each in entries if _never_tracked(each, top=not folder)]
        for path in left:
            remove(path)
    for link in links:
        inner = os.path.join(root, link)  # noqa: PTH118
        remove(inner)
        os.makedirs(inner)  # noqa: PTH103
    layout.path.chmod(0o700)  # closed to the users of other worktrees
    if not layout.linked():
        gitfile = layout.path / ".git"
        remove(os.fsencode(gitfile))
        gitfile.write_text(f"gitdir: {layout.admin}\n")


def _never_tracked(entry: os.DirEntry[bytes], *, top: bool) -> bool:
    if entry.name == b".git":
        return not top
    file = entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)
    return not file and not entry.is_symlink()


def create_scratch(layout: Layout, uid: int | None) -> None:
    """Create an empty scratch folder in place of what is there; open to its one user."""
    remove(layout.scratch)
    layout.scratch.mkdir()
    layout.scratch.chmod(0o700)
    if uid is not None:
        os.chown(layout.scratch, uid, uid)


def discard(layout: Layout) -> None:
    """Remove the working directory; what cannot be removed is moved out of the way.

    It is renamed first: an interrupted removal would leave something that looks like a worktree.
    """
    trash = layout.pool / CONTROL_FOLDER / f"{layout.name}.trash-{secrets.token_hex(4)}"
    with contextlib.suppress(FileNotFoundError):
        allow_owner(layout.path)  # a folder closed to its owner cannot be moved
        layout.path.rename(trash)
    for leftover in trash.parent.glob(f"{layout.name}.trash-*"):
        with contextlib.suppress(OSError, RecursionError):
            remove(leftover)


def remove_stale_locks(layout: Layout) -> None:
    """Remove the lock files of killed git processes; the caller holds the worktree's lock."""
    for file in layout.admin.glob("*.lock"):
        file.unlink(missing_ok=True)
    layout.index.with_name(f"{layout.index.name}.lock").unlink(missing_ok=True)
    # The sandbox's user owns this folder and may have put links in it: none is followed.
    if not layout.private_git.is_dir():
        return
    for _, _, files, folder in os.fwalk(layout.private_git, follow_symlinks=False):
        for name in files:
            if name.endswith(".lock"):
                os.unlink(name, dir_fd=folder)


def remove(path: bytes | Path) -> None:
    """Remove a file, link or folder with any permissions; nothing when it does not exist."""
    name = os.fsencode(path)
    try:
        mode = os.lstat(name).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        unlock(name)
        shutil.rmtree(name)
    else:
        os.unlink(name)  # noqa: PTH108


def unlock(top: bytes | Path) -> None:
    """Let the owner use every folder and read every file below `top` again."""
    waiting = [os.fsencode(top)]
    while waiting:
        folder = waiting.pop()
        allow_owner(folder)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    _allow_reading(entry)


def allow_owner(folder: bytes | Path) -> None:
    """Let the owner use a folder again, should a command have closed it."""
    mode = os.lstat(folder).st_mode
    if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
        os.chmod(folder, stat.S_IMODE(mode) | 0o700)  # noqa: PTH101


def _allow_reading(entry: os.DirEntry[bytes]) -> None:
    mode = entry.stat(follow_symlinks=False).st_mode
    if not mode & 0o400:
        os.chmod(entry.path, stat.S_IMODE(mode) | 0o600)  # noqa: PTH101
