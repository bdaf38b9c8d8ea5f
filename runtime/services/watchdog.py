"""
Signs of life, and what their absence means: a process that lives but does not move is of no use.

A stopped or hanging worker still holds its connections, its leases and its locks, and the server
goes on giving it work. Dead, it is replaced within seconds.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable

BEAT_SECONDS = 1.0
_ASK_SECONDS = 5.0


class HeartbeatPipe:
    """
    A parent's end of a pipe on which a child says that it moves.

    Attributes:
        number: the descriptor for the child, to be inherited.
    """

    def __init__(self) -> None:
        self._end, self.number = os.pipe()
        os.set_blocking(self._end, False)

    def given(self) -> None:
        """Close the child's end here: the child has its own by now."""
        os.close(self.number)
        self.number = -1

    def heard(self) -> bool:
        """Return whether the child beat since this was asked last."""
        with contextlib.suppress(BlockingIOError):
            return bool(os.read(self._end, 65_536))
        return False

    def close(self) -> None:
        """Hear no more."""
        os.close(self._end)
        if self.number >= 0:
            os.close(self.number)


async def beat(number: int | None) -> None:
    """Say again and again on a descriptor that this event loop moves; nothing without one."""
    if number is None:
        return
    os.set_blocking(number, False)
    os.set_inheritable(number, False)  # only this process speaks for itself
    while True:
        try:
            os.write(number, b".")
        except BlockingIOError:
            pass  # the parent stands still itself
        except OSError:
            return
        await asyncio.sleep(BEAT_SECONDS)


async def until_still(heard: Callable[[], bool], *, seconds: int) -> None:
    """
    Return when a child that has beaten once did not beat for so long; 0: never.

    Only time in which this process moves itself is counted: after a whole machine's sleep nobody
    is to blame.
    """
    missed, begun = 0, False
    while not seconds or missed * BEAT_SECONDS < seconds:
        await asyncio.sleep(BEAT_SECONDS)
        beats = heard()
        begun = begun or beats
        missed = missed + 1 if begun and not beats else 0


async def until_silent(answers: Callable[[], Awaitable[bool]], *, seconds: int) -> None:
    """
    Return when a service that was asked every few seconds did not answer for so long; 0: never.
    """
    missed = 0
    while not seconds or missed * _ASK_SECONDS < seconds:
        await asyncio.sleep(_ASK_SECONDS)
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                well = await answers()
        except (OSError, RuntimeError):  # a TimeoutError is an OSError
            well = False
        missed = 0 if well else missed + 1
