"""A process that runs out of memory ends at once, so that a new one takes over.

After a failed allocation it is unknown which task, lock or reply was lost; a process that continued
would look healthy without being so. Ending it loses nothing, since every step can be repeated.
"""

import asyncio
import errno
import os
import signal
from typing import Any

_MESSAGE = b"orchestcode: out of memory; this process ends, its supervisor starts another\n"


def end_if_out_of_memory(error: BaseException) -> None:
    """Kill this process when an error or one of its causes is a lack of memory."""
    cause: BaseException | None = error
    while cause is not None:
        if _is_out_of_memory(cause):
            os.write(2, _MESSAGE)
            os.kill(os.getpid(), signal.SIGKILL)
        cause = cause.__cause__


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # A thread needs memory for its stack; Python has no error class for this.
    return isinstance(error, RuntimeError) and "can't start new thread" in str(error)


def install_oom_handler(loop: asyncio.AbstractEventLoop) -> None:
    """Also end the process when a callback of the loop, or a task that is not awaited, runs out."""
    loop.set_exception_handler(_handle_exception)


def _handle_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, BaseException):
        end_if_out_of_memory(error)
    loop.default_exception_handler(context)
