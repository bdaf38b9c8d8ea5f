"""Ownership of a worktree and its private git directory: given to the payload's user."""

import contextlib
import os
import subprocess

from infra.sandbox.argv import payload_uid
from infra.sandbox.types import Mounts


def hand_over(mounts: Mounts) -> None:
    """Give worktree, private git directory and git file to the payload, following no link.

    git refuses to work in a worktree whose `.git` file belongs to another user. All names
    are used relative to an open folder, so that a command that runs meanwhile cannot redirect them.
    """
    uid = payload_uid(mounts)
    if mounts.gitfile.stat().st_uid != uid:
        os.chown(mounts.gitfile, uid, uid, follow_symlinks=False)
    if not _holds_foreign(mounts, uid):
        return
    for root in (mounts.worktree, mounts.private_git):
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(descriptor).st_uid != uid:
                os.fchown(descriptor, uid, uid)
            _hand_over_entries(descriptor, uid)
        finally:
            os.close(descriptor)


def _holds_foreign(mounts: Mounts, uid: int) -> bool:
    """Return whether any file belongs to another user; find is ten times faster than Python."""
    roots = (str(mounts.worktree), str(mounts.private_git))
    search = ("/usr/bin/find", "-P", *roots, "!", "-uid", str(uid), "-print", "-quit")
    try:
        found = subprocess.run(search, capture_output=True, check=False, env={}, cwd="/")
    except OSError:
        return True
    return found.returncode != 0 or bool(found.stdout)


def _hand_over_entries(folder: int, uid: int) -> None:
    """Give everything below an open folder to a user, depth first."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if entry.stat(follow_symlinks=False).st_uid != uid:
                    os.chown(entry.name, uid, uid, dir_fd=folder, follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    for name in folders:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            inner = os.open(name, flags, dir_fd=folder)
            try:
                _hand_over_entries(inner, uid)
            finally:
                os.close(inner)
