"""What happens around every activity of a process: heartbeats, and an end for errors of ours."""

import asyncio
import datetime as dt
import math
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

from contracts.failures import FailureKind
from runtime.oom import end_if_out_of_memory

BEAT_SECONDS = 0.5
"""Between heartbeats; the server misses a killed worker after the activity's heartbeat time-out."""
_STOOD_STILL = "the worker's process stood still; another attempt has this work by now"
_WAKING_SECONDS = 10.0
"""For so long after a freeze, tasks that were handed out meanwhile may still arrive."""
BUG_ATTEMPTS = 5
"""An error that nobody classed is tried this often, then it ends what it belongs to."""


class OrchestInterceptor(Interceptor):
    """Installed on every worker."""

    def __init__(self) -> None:
        self._freezes = _Freezes()

    @override
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Around(super().intercept_activity(next), self._freezes)


class _Freezes:
    """Knows whether this process stood still a moment ago (stopped, or its machine suspended)."""

    def __init__(self) -> None:
        self._ticks: asyncio.Task[None] | None = None
        self._seen = 0.0
        self._woke = -math.inf

    def woke(self, longest: float) -> bool:
        """Return whether the process stood still for longer than this, just now or moments ago."""
        now = asyncio.get_running_loop().time()
        if self._ticks is None or self._ticks.done():
            self._seen = now
            self._ticks = asyncio.create_task(self._tick())
        # On waking, a task may start before the tick that would notice.
        if now - self._seen > longest:
            self._woke = now
        return now - self._woke < _WAKING_SECONDS

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            now = loop.time()
            if now - self._seen > _WAKING_SECONDS / 2:
                self._woke = now
            self._seen = now


class _Around(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, freezes: _Freezes) -> None:
        super().__init__(following)
        self._freezes = freezes

    @override
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: ANN401, RUF100
        if _is_stale(self._freezes):
            raise ApplicationError(_STOOD_STILL, type=FailureKind.BUSY)
        async with _beating() as beats:
            try:
                return await self.next.execute_activity(input)
            except asyncio.CancelledError as error:
                if not beats.done():
                    raise
                _take_back_cancellation()
                raise ApplicationError(_STOOD_STILL, type=FailureKind.BUSY) from error
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


def _is_stale(freezes: _Freezes) -> bool:
    """
    Return whether this task was handed to the process while it stood still, too long ago.

    The server has given it to another attempt by then. The two hosts' clocks are compared only
    after a freeze, so that a clock that is wrong refuses nothing.
    """
    info = activity.info()
    patience = info.heartbeat_timeout
    if patience is None or not freezes.woke(patience.total_seconds()):
        return False
    return dt.datetime.now(dt.UTC) - info.started_time > patience


@asynccontextmanager
async def _beating() -> AsyncIterator[asyncio.Task[None]]:
    """
    Beat while the block runs, and give the beats; they end only when they have cancelled the block.

    The beats say only that this process lives: what bounds the work is its start-to-close limit.
    """
    main = asyncio.current_task()
    assert main is not None  # noqa: S101 - activities are coroutines of a loop
    beats = asyncio.create_task(_beat(main))
    try:
        yield beats
    finally:
        beats.cancel()
        with suppress(asyncio.CancelledError):
            await beats


async def _beat(main: asyncio.Task[object]) -> None:
    """
    Beat; cancel the activity once this process has stood still for longer than the server waits.

    By then its work is another attempt's, and whatever it did now would be done twice.
    """
    timeout = activity.info().heartbeat_timeout
    patience = timeout.total_seconds() if timeout else math.inf
    loop = asyncio.get_running_loop()
    while True:
        before = loop.time()
        await asyncio.sleep(BEAT_SECONDS)
        if loop.time() - before > patience:
            main.cancel()
            return
        activity.heartbeat()


def _take_back_cancellation() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
