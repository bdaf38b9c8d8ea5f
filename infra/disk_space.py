"""Free disk space: how much there is, and which errors mean that there is none."""

import errno
import os
import re
from pathlib import Path
from typing import Final

from infra.git.command import GitError
from infra.store import StoreError
from infra.store.git_processes import ChildDiedError

LEAST_BYTES: Final = 50_000_000
"""No activity begins with less; the rest is for running work, the database and the logs."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_MESSAGE = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|write error"
    r"|unable to write (?:loose object file|new index file|file|sha1 file)",
    re.IGNORECASE,
)


class LowSpaceError(Exception):
    """A disk has too little free space to go on; the text names the folder and the amount."""


def free_bytes(folder: Path) -> int | None:
    """Return the free bytes on the disk of a folder; None = unknown."""
    try:
        state = os.statvfs(folder)
    except OSError:
        return None
    return state.f_bavail * state.f_frsize


def low_space_reason(*folders: Path) -> str | None:
    """Return which folder's disk has too little free space, and how much it needs; None = none."""
    for folder in folders:
        free = free_bytes(folder)
        if free is not None and free < LEAST_BYTES:
            return (
                f"the disk of {folder} is full: {free // 1_000_000} MB are free, at least "
                f"{LEAST_BYTES // 1_000_000} MB are needed"
            )
    return None


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, means a full disk."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return True
        if _FULL_MESSAGE.search(_message(cause)):
            return True
        cause = cause.__cause__
    return False


def _message(error: BaseException) -> str:
    """Return what git printed, without its arguments; "" for other errors."""
    if isinstance(error, GitError | ChildDiedError):
        return error.stderr
    return str(error) if isinstance(error, StoreError) and error.__cause__ is None else ""
