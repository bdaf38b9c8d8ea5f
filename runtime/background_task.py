"""Two things that asyncio leaves to write: a task beside a block, and the loop's clock."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine


@contextlib.asynccontextmanager
async def background_task(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Let something run as long as a block does."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def now() -> float:
    """Return the running loop's time in seconds, which no clock that is set makes jump."""
    return asyncio.get_running_loop().time()
