"""Ownership of folders and everything in them."""

import contextlib
import errno
import os
import subprocess
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def own(top: Path, uid: int) -> None:
    """Give a folder and everything below it to a user and the group of the same number.

    What has that owner already is not touched: a change of owner makes an index stale. No link is
    followed, and all names are used relative to an open folder, so that a command that runs
    meanwhile cannot redirect them.
    """
    try:
        _own(top, uid)
    except (RecursionError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EMFILE:
            raise
        owner = f"{uid}:{uid}"
        change = ("-execdir", "/bin/chown", "-h", "--", owner, "{}", "+")
        run_on_tree("/usr/bin/find", "-P", str(top), "!", "-uid", str(uid), *change)


def run_on_tree(*words: str) -> None:
    """Run a program that goes through folders of any depth, as Python cannot.

    Raises:
        OSError: it cannot be run, or did not succeed.
    """
    done = subprocess.run(words, capture_output=True, check=False, env={}, cwd="/")
    if done.returncode:
        message = done.stderr.decode("utf-8", "replace").strip()[:500]
        raise OSError(f"{words[0]} failed: {message}")


def _own(top: Path | str, uid: int, *, inside: int | None = None) -> None:
    """Give a folder, relative to the open folder `inside`, and all below it to a user."""
    folder = os.open(top, _FOLDER, dir_fd=inside)
    try:
        if os.fstat(folder).st_uid != uid:
            os.fchown(folder, uid, uid)
        with os.scandir(folder) as entries:
            for entry in tuple(entries):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    if entry.is_dir(follow_symlinks=False):
                        _own(entry.name, uid, inside=folder)
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
