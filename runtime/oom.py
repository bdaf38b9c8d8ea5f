"""
The end of a process that ran out of memory: at once, so that a fresh one takes over.

After a failed allocation nobody knows which task, lock or reply was lost with it; a process that
limps on looks alive and is not. Nothing is lost by the end, since every step can be repeated.
"""

import asyncio
import errno
import os
import signal
from typing import Any

_WORDS = b"orchestcode: out of memory; this process ends, its supervisor starts another\n"


def end_if_out_of_memory(error: BaseException) -> None:
    """End the process when an error, or what caused it, is a lack of memory; else do nothing."""
    cause: BaseException | None = error
    while cause is not None:
        if _no_memory(cause):
            os.write(2, _WORDS)
            os.kill(os.getpid(), signal.SIGKILL)
        cause = cause.__cause__


def _no_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # A thread needs memory for its stack; Python has no class of its own for this.
    return isinstance(error, RuntimeError) and "can't start new thread" in str(error)


def watch_memory(loop: asyncio.AbstractEventLoop) -> None:
    """End the process when a callback of the loop, or a task nobody waits for, found no memory."""
    loop.set_exception_handler(_handle)


def _handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, BaseException):
        end_if_out_of_memory(error)
    loop.default_exception_handler(context)
