"""Helpers for asyncio: a task that runs as long as a block, its cancellation, the clock."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine


@contextlib.asynccontextmanager
async def background_task(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run a coroutine in the background until the block ends, then cancel it."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def uncancel() -> None:
    """Take back the cancellation of the current task, which goes on and ends normally."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


def loop_time() -> float:
    """Return the running loop's monotonic time in seconds."""
    return asyncio.get_running_loop().time()
