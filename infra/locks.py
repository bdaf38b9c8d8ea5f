"""File locks between the processes of a host; a stopped process that holds one is killed.

A lock belongs to an open file: a child that shares the file, as git's do, holds the lock too, and
the kernel frees it when the last of them has ended. So a dead process never keeps one, but a
stopped process (SIGSTOP, Ctrl-Z) would keep it for ever. It is killed: a worker's death costs no
finished work, and the next worker repairs what it left.

`runtime/locks.py` takes the same kind of lock in another way: it never waits, kills or names a
holder, and the two lines that both share are not worth a layer that both could import.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

_FIRST_PAUSE_SECONDS: Final = 0.001
_LONGEST_PAUSE_SECONDS: Final = 0.02
LOOK_SECONDS: Final = 0.75
"""Seconds between looks at the holder; one that is stopped at two looks is killed."""

_STOPPED = "T"
"""The state of a process after SIGSTOP; one that a debugger holds is in state t."""

_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def locked(file: Path) -> AsyncIterator[int]:
    """Hold the lock of a file against all other processes of this host and holders in this one.

    A child that inherits the descriptor holds the lock, too, and keeps it after its parent's death.
    """
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        await take_lock(handle)
        yield handle
    finally:
        os.close(handle)  # never LOCK_UN: a living child keeps its hold


async def take_lock(handle: int) -> None:
    """Take the exclusive lock of an open file, waiting without blocking the event loop.

    A holder that stays stopped (about two seconds) is killed, if this user may see and signal it.
    """
    loop = asyncio.get_running_loop()
    pause, look = _FIRST_PAUSE_SECONDS, loop.time() + LOOK_SECONDS
    file, stopped = os.fstat(handle), frozenset[int]()
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        else:
            return
        if loop.time() >= look:
            stopped = await asyncio.to_thread(_end_stopped, file, stopped)
            look = loop.time() + LOOK_SECONDS


def holder(file: Path) -> str:
    """Return which process holds the lock of a file, in words."""
    pid = next(_holders(file.stat()), None)
    return "a process that cannot be seen from here" if pid is None else f"process {pid}"


def _end_stopped(file: os.stat_result, before: frozenset[int]) -> frozenset[int]:
    """Kill the holders that were stopped before and still are; return those stopped now."""
    now = set()
    for pid in _holders(file):
        with contextlib.suppress(OSError):
            # Opened before the last look, so that the signal reaches the process looked at.
            process = os.pidfd_open(pid)
            try:
                if _state(pid) != _STOPPED or not _holds(pid, file):
                    continue
                now.add(pid)
                if pid in before:
                    _log.warning(
                        "process %d was stopped while it held a lock that is needed: killed", pid
                    )
                    signal.pidfd_send_signal(process, signal.SIGKILL)
            finally:
                os.close(process)
    return frozenset(now)


def _holders(file: os.stat_result) -> Iterator[int]:
    """Yield the processes that took the lock and still have the file open, as far as visible."""
    inode = str(file.st_ino)
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:  # not Linux, or hidden
        return
    for line in lines:
        # 1: FLOCK  ADVISORY  WRITE 3773 fe:00:9978016 0 EOF, one that waits has an arrow
        words = line.split()
        if "FLOCK" in words[1:2] and words[5].rpartition(":")[2] == inode:
            pid = int(words[4])
            if _holds(pid, file):
                yield pid


def _holds(pid: int, file: os.stat_result) -> bool:
    """Return whether a process has the file open with the lock on it.

    The process id in the list of locks is not enough: that process may be dead by now while its
    child has the lock, or the id may have been reused since.
    """
    with contextlib.suppress(OSError):
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if not os.path.samestat(each.stat(), file):
                    continue
                if "lock:" in Path(f"/proc/{pid}/fdinfo/{each.name}").read_text():
                    return True
    return False


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
