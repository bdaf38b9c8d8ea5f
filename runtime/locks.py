"""Locks between processes, kept by the kernel: they end with their holder, however it ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """
    Take a lock without waiting and return its open descriptor, None when another holds it.

    Closing the descriptor gives the lock back; a child that inherits it keeps the lock alive.
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
    """Say whether some process holds the lock exclusively."""
    if not path.exists():
        return False
    descriptor = try_lock(path, shared=True)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


@contextlib.contextmanager
def given_back(descriptor: int) -> Iterator[None]:
    """Give a lock back at the end of the block."""
    try:
        yield
    finally:
        os.close(descriptor)
