"""The interceptor of every activity: heartbeats, freeze detection, a limit for bugs."""

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
from runtime.background_task import loop_time, uncancel
from runtime.oom import end_if_out_of_memory

HEARTBEAT_SECONDS = 0.5
"""Between heartbeats; the server misses a killed worker after the activity's heartbeat time-out."""
_FROZEN = "the worker's process was frozen; another attempt has taken this work over"
_THAW_SECONDS = 10.0
"""For so long after a freeze, tasks that were assigned during it may still arrive."""
BUG_ATTEMPTS = 5
"""After so many attempts an error without a failure kind fails the activity for good."""


class OrchestInterceptor(Interceptor):
    """Intercepts the activities of one worker."""

    def __init__(self) -> None:
        self._freezes = _FreezeDetector()

    @override
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _ActivityInterceptor(super().intercept_activity(next), self._freezes)


class _FreezeDetector:
    """Detects that this process was frozen: stopped, or its machine suspended."""

    def __init__(self) -> None:
        self._ticks: asyncio.Task[None] | None = None
        self._last_tick = 0.0
        self._thawed = -math.inf

    def recently_frozen(self, seconds: float) -> bool:
        """Return whether the process was frozen for longer than this, just now or recently."""
        now = loop_time()
        if self._ticks is None or self._ticks.done():
            self._last_tick = now
            self._ticks = asyncio.create_task(self._tick())
        # After a freeze an activity may start before the next tick.
        if now - self._last_tick > seconds:
            self._thawed = now
        return now - self._thawed < _THAW_SECONDS

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            now = loop_time()
            if now - self._last_tick > _THAW_SECONDS / 2:
                self._thawed = now
            self._last_tick = now


class _ActivityInterceptor(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, freezes: _FreezeDetector) -> None:
        super().__init__(following)
        self._freezes = freezes

    @override
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: ANN401, RUF100
        if _is_stale(self._freezes):
            raise ApplicationError(_FROZEN, type=FailureKind.BUSY)
        async with _heartbeats() as heartbeats:
            try:
                return await self.next.execute_activity(input)
            except asyncio.CancelledError as error:
                if not heartbeats.done():
                    raise
                uncancel()
                raise ApplicationError(_FROZEN, type=FailureKind.BUSY) from error
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


def _is_stale(freezes: _FreezeDetector) -> bool:
    """Return whether the task was assigned during a freeze, longer than its heartbeat time-out ago.

    The server has started another attempt by then. The two hosts' clocks are compared only after
    a freeze, so that otherwise a wrong clock refuses no task.
    """
    info = activity.info()
    timeout = info.heartbeat_timeout
    if timeout is None or not freezes.recently_frozen(timeout.total_seconds()):
        return False
    return dt.datetime.now(dt.UTC) - info.started_time > timeout


@asynccontextmanager
async def _heartbeats() -> AsyncIterator[asyncio.Task[None]]:
    """Send heartbeats while the block runs; yield their task, which is done only after a freeze.

    Heartbeats show only that this process lives; the start-to-close time-out bounds the work.
    """
    main = asyncio.current_task()
    assert main is not None  # noqa: S101 - activities are coroutines of a loop
    heartbeats = asyncio.create_task(_send_heartbeats(main))
    try:
        yield heartbeats
    finally:
        heartbeats.cancel()
        with suppress(asyncio.CancelledError):
            await heartbeats


async def _send_heartbeats(main: asyncio.Task[object]) -> None:
    """Send heartbeats; cancel the activity once this process was frozen beyond the time-out.

    By then another attempt has the work, and all further work here would be done twice.
    """
    timeout = activity.info().heartbeat_timeout
    limit = timeout.total_seconds() if timeout else math.inf
    while True:
        before = loop_time()
        await asyncio.sleep(HEARTBEAT_SECONDS)
        if loop_time() - before > limit:
            main.cancel()
            return
        activity.heartbeat()
