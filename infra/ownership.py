"""Ownership of folders and everything in them."""

import contextlib
import os
import subprocess
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def own(top: Path | str, uid: int, *, inside: int | None = None) -> None:
    """Give a folder and everything below it to a user and the group of the same number.

    What has that owner already is not touched: a change of owner makes an index stale. No link is
    followed, and all names are used relative to an open folder, so that a command that runs
    meanwhile cannot redirect them; `inside` is the one that `top` is in.
    """
    folder = os.open(top, _FOLDER, dir_fd=inside)
    try:
        if os.fstat(folder).st_uid != uid:
            os.fchown(folder, uid, uid)
        with os.scandir(folder) as entries:
            for entry in tuple(entries):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    if entry.is_dir(follow_symlinks=False):
                        own(entry.name, uid, inside=folder)
                    elif entry.stat(follow_symlinks=False).st_uid != uid:
                        os.chown(entry.name, uid, uid, dir_fd=folder, follow_symlinks=False)
    finally:
        os.close(folder)


def holds_foreign(*roots: Path, uid: int) -> bool:
    """Return whether any file belongs to another user; find is ten times faster than Python."""
    search = ("/usr/bin/find", "-P", *map(str, roots), "!", "-uid", str(uid), "-print", "-quit")
    try:
        found = subprocess.run(search, capture_output=True, check=False, env={}, cwd="/")
    except OSError:
        return True
    return found.returncode != 0 or bool(found.stdout)
