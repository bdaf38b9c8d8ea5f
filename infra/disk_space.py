"""Room on the disk: how much is left, and which errors mean that there is none."""

import errno
import os
import re
from pathlib import Path
from typing import Final

from infra.git.command import GitError
from infra.store import StoreError
from infra.store.git_processes import ChildDiedError

LEAST_BYTES: Final = 50_000_000
"""Nothing begins with less room; what is left is for the work at hand, the database and the logs.
"""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_MESSAGE = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|write error"
    r"|unable to write (?:loose object file|new index file|file|sha1 file)",
    re.IGNORECASE,
)


class LowSpaceError(Exception):
    """A disk has too little room to go on; the text names the folder and the amount."""


def free_bytes(folder: Path) -> int | None:
    """Return the room left on the disk of a folder, None when it cannot be told."""
    try:
        state = os.statvfs(folder)
    except OSError:
        return None
    return state.f_bavail * state.f_frsize


def low_space_reason(*folders: Path) -> str | None:
    """Return which folder is on a disk with too little room, and how much is needed, or None."""
    for folder in folders:
        free = free_bytes(folder)
        if free is not None and free < LEAST_BYTES:
            return (
                f"the disk of {folder} is full: {free // 1_000_000} MB are free, at least "
                f"{LEAST_BYTES // 1_000_000} MB are needed"
            )
    return None


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, means a disk without room."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return True
        if _FULL_MESSAGE.search(_message(cause)):
            return True
        cause = cause.__cause__
    return False


def _message(error: BaseException) -> str:
    """Return what git printed, without the words that it was given; "" for other errors."""
    if isinstance(error, GitError | ChildDiedError):
        return error.stderr
    return str(error) if isinstance(error, StoreError) and error.__cause__ is None else ""
