"""
The end of a process that ran out of memory: at once, so that a fresh one takes over.

After a failed allocation nobody knows which task, lock or reply was lost with it; a process that
limps on looks alive and is not. Nothing is lost by the end, since every step can be repeated.
"""

import asyncio
import os
import signal
from typing import Any, NoReturn

_WORDS = b"orchestcode: out of memory; this process ends, and is started again by its supervisor\n"


def end_without_memory() -> NoReturn:
    """
    Say so on standard error and end the process, without allocating anything.
    """
    try:
        os.write(2, _WORDS)
    finally:
        os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit(1)  # never reached: for the reader, and the type


def watch_memory(loop: asyncio.AbstractEventLoop) -> None:
    """
    End the process when a callback of the loop, or a task nobody waits for, found no memory.
    """
    loop.set_exception_handler(_handle)


def _handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if isinstance(context.get("exception"), MemoryError):
        end_without_memory()
    loop.default_exception_handler(context)
