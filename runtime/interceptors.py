"""
What happens around every activity of a process: heartbeats, and an end for errors of ours.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)
from typing_extensions import override

from contracts.failure import FailureKind
from runtime.memory import end_if_out_of_memory

BEAT_SECONDS = 0.5
"""Between heartbeats; the server misses a killed worker after the activity's heartbeat time-out."""
BUG_ATTEMPTS = 5
"""An error that nobody classed is tried this often, then it ends what it belongs to."""


class OrchestInterceptor(Interceptor):
    """
    Installed on every worker.
    """

    @override
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Around(super().intercept_activity(next))


class _Around(ActivityInboundInterceptor):
    @override
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: ANN401, RUF100
        async with _beating():
            try:
                return await self.next.execute_activity(input)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                end_if_out_of_memory(error)
                if isinstance(error, ApplicationError):
                    raise
                attempt = activity.info().attempt
                activity.logger.exception(
                    "activity.bug", extra={"error_class": type(error).__name__}
                )
                if attempt < BUG_ATTEMPTS:
                    raise
                text = f"{type(error).__name__}: {error}"[:2_000]
                raise ApplicationError(text, type=FailureKind.BUG, non_retryable=True) from error


@asynccontextmanager
async def _beating() -> AsyncIterator[None]:
    """
    Beat while the block runs.

    The beats say only that this process lives: what bounds the work is its start-to-close limit.
    """
    beats = asyncio.create_task(_beat())
    try:
        yield
    finally:
        beats.cancel()
        with suppress(asyncio.CancelledError):
            await beats


async def _beat() -> None:
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        activity.heartbeat()
