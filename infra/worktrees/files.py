"""File operations on a worktree that git leaves undone: removal and permissions."""

import contextlib
import errno
import os
import secrets
import shutil
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

from infra.ownership import run_on_tree
from infra.worktrees.layout import CONTROL_FOLDER, Layout

_LONG_PATH = 4_000  # the kernel takes 4,095 bytes
_LONG_DEPTH = 10  # a name has at most 255


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
    """Create an empty scratch folder in place of what is there; open to its one user.

    What was written over folders that are the person's goes with it.
    """
    remove_scratch(layout)
    layout.scratch.mkdir()
    layout.scratch.chmod(0o700)
    if uid is not None:
        os.chown(layout.scratch, uid, uid)


def remove_scratch(layout: Layout) -> None:
    """Remove all that a lease keeps beside its worktree."""
    for folder in (layout.scratch, layout.changes):
        remove(folder)


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


def paths_too_long(top: Path) -> tuple[bytes, ...]:
    """Return the paths below `top` that are too long to be opened, sorted; none below another.

    find goes on where a name for the kernel ends.
    """
    test = ("-mindepth", str(_LONG_DEPTH), "-path", "?" * _LONG_PATH + "*")
    words = ("/usr/bin/find", "-P", str(top), *test, "-prune", "-printf", r"%P\0")
    found = subprocess.run(words, capture_output=True, check=False, env={}, cwd="/")
    return tuple(sorted(path for path in found.stdout.split(b"\0") if path))


def remove_stale_locks(layout: Layout) -> None:
    """Remove the lock files of killed git processes; the caller holds the worktree's lock."""
    for file in layout.admin.glob("*.lock"):
        file.unlink(missing_ok=True)
    layout.index.with_name(f"{layout.index.name}.lock").unlink(missing_ok=True)
    # The sandbox's user owns this folder and may have put links in it: none is followed.
    if not layout.private_git.is_dir():
        return
    # It may be of any depth, too: find goes folder by folder.
    words = ("/usr/bin/find", "-P", str(layout.private_git), "-name", "*.lock", "!", "-type", "d")
    subprocess.run((*words, "-delete"), capture_output=True, check=False, env={}, cwd="/")


def remove(path: bytes | Path) -> None:
    """Remove a file, link or folder with any permissions; nothing when it does not exist."""
    name = os.fsencode(path)
    try:
        mode = os.lstat(name).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        unlock(name)
        try:
            shutil.rmtree(name)
        except (OSError, RecursionError):
            run_on_tree("/bin/rm", "-rf", "--", os.fsdecode(name))
    else:
        os.unlink(name)  # noqa: PTH108


def unlock(top: bytes | Path) -> None:
    """Let the owner use every folder and read every file below `top` again."""
    try:
        _unlock(os.fsencode(top))
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        run_on_tree("/bin/chmod", "-R", "u+rwX", "--", os.fsdecode(top))


def _unlock(top: bytes) -> None:
    waiting = [top]
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
