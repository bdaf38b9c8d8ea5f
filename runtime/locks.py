"""Locks between processes; the kernel releases them when their holder ends, even if killed."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """Take a lock without waiting and return its open descriptor; None when another process has it.

    Closing the descriptor releases the lock, unless a child inherited the descriptor.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock exclusively."""
    if not path.exists():
        return False
    descriptor = try_lock(path, shared=True)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


@contextlib.contextmanager
def releasing(descriptor: int) -> Iterator[None]:
    """Release a lock at the end of the block."""
    try:
        yield
    finally:
        os.close(descriptor)
