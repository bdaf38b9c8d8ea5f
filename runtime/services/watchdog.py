"""Heartbeats of child processes and probes of services: both notice a process that no longer runs.

A stopped or hanging worker still holds its connections, leases and locks, and the server keeps
giving it tasks. Once it is killed, a new one takes over within seconds.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable

HEARTBEAT_SECONDS = 1.0
_PROBE_SECONDS = 5.0


class HeartbeatPipe:
    """A parent's end of a pipe into which a child writes heartbeats.

    Attributes:
        child_fd: the write descriptor, which the child inherits; -1 once closed here.
    """

    def __init__(self) -> None:
        self._parent_fd, self.child_fd = os.pipe()
        os.set_blocking(self._parent_fd, False)

    def close_child_end(self) -> None:
        """Close the write descriptor in this process; call it once the child has inherited it."""
        os.close(self.child_fd)
        self.child_fd = -1

    def received(self) -> bool:
        """Return whether the child sent a heartbeat since the last call."""
        with contextlib.suppress(BlockingIOError):
            return bool(os.read(self._parent_fd, 65_536))
        return False

    def close(self) -> None:
        """Close the descriptors that this process still holds."""
        os.close(self._parent_fd)
        if self.child_fd >= 0:
            os.close(self.child_fd)


async def send_heartbeats(descriptor: int | None) -> None:
    """Write a heartbeat each second while this event loop runs; return at once without one."""
    if descriptor is None:
        return
    os.set_blocking(descriptor, False)
    os.set_inheritable(descriptor, False)  # no child may send heartbeats for this process
    while True:
        try:
            os.write(descriptor, b".")
        except BlockingIOError:
            pass  # the pipe is full: the parent itself is frozen
        except OSError:
            return
        await asyncio.sleep(HEARTBEAT_SECONDS)


async def wait_for_missed_heartbeats(received: Callable[[], bool], *, seconds: int) -> None:
    """Return once a child that has sent heartbeats sends none for so long; never with 0 seconds.

    Only time in which this process itself runs is counted: after the machine was suspended no
    child is blamed.
    """
    missed, begun = 0, False
    while not seconds or missed * HEARTBEAT_SECONDS < seconds:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        alive = received()
        begun = begun or alive
        missed = missed + 1 if begun and not alive else 0


async def wait_for_failed_probes(probe: Callable[[], Awaitable[bool]], *, seconds: int) -> None:
    """Return once a service, probed every few seconds, fails for so long; never with 0 seconds."""
    missed = 0
    while not seconds or missed * _PROBE_SECONDS < seconds:
        await asyncio.sleep(_PROBE_SECONDS)
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                healthy = await probe()
        except (OSError, RuntimeError):  # a TimeoutError is an OSError
            healthy = False
        missed = 0 if healthy else missed + 1
