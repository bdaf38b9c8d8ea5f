"""Execute an activity; the server retries briefly, then the workflow waits visibly and retries.

What is waited for, and how long, is recorded with the failure as RetryAdvice.
"""

import asyncio
import contextlib
import datetime as dt
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutType
from temporalio.exceptions import TimeoutError as TimedOut
from temporalio.workflow import ActivityConfig

with workflow.unsafe.imports_passed_through():
    from contracts.failures import RetryAdvice
    from contracts.visibility import Blocker, RunState
    from domain import retries, wire
    from workflows.signals import signal_if_running
    from workflows.visibility import show

_LOST = (TimeoutType.HEARTBEAT, TimeoutType.START_TO_CLOSE)
_SHUTDOWN = "WorkerShutdown"
"""The SDK's error type for an activity that ended with its worker."""
_NOT_TAKEN = RetryAdvice(
    waits=True, state=RunState.WAITING_INFRA, longest_pause_seconds=1, most_pauses=1_000_000
)
_NOT_TAKEN_SAYS = "no worker has taken it: none runs that has a model key, or all are busy"
"""Of a call that waited for a worker for as long as its options say."""

Request = TypeVar("Request")
Result = TypeVar("Result")


@runtime_checkable
class ReportsBlocker(Protocol):
    """A workflow that shows what it waits for."""

    async def report_blocker(self, blocker: Blocker) -> None:
        """Show a blocker, or that it is gone (state RUNNING)."""


class Wakeable:
    """A workflow whose waits for host or service end at once when what they wait for is mended."""

    _wakes = 0

    @workflow.signal(description="What this waits for may be mended: try again now")
    def wake(self) -> None:
        """End the pause before the next try."""
        self._wakes += 1

    async def rest(self, seconds: float, why: str) -> None:
        """Wait until it is woken, at most some seconds."""
        wakes = self._wakes
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._wakes > wakes,
                timeout=dt.timedelta(seconds=seconds),
                timeout_summary=why,
            )


class ChildOfRequest(Wakeable):
    """A child of a request: it shows a blocker itself and passes it on.

    A workflow that inherits this keeps the request's workflow id in `_request_id`.
    """

    _request_id: str

    async def report_blocker(self, blocker: Blocker) -> None:
        """Show a blocker, or that it is gone, here and on the request."""
        show(blocker.state, 0)
        await signal_if_running(self._request_id, "obstacle", blocker)


class ShowsBlockers(Wakeable, ABC):
    """A workflow that shows what it, or a child of it, cannot go on without.

    A workflow that inherits this keeps them in `_blockers`, by sender, and shows them by `_show`.
    """

    _blockers: dict[str, Blocker]

    @workflow.signal(description="What a child cannot go on without")
    def obstacle(self, blocker: Blocker) -> None:
        """Keep what keeps a child waiting."""
        self._blockers.pop(blocker.sender, None)
        if blocker.state is not RunState.RUNNING:
            self._blockers[blocker.sender] = blocker
        self._show()

    async def report_blocker(self, blocker: Blocker) -> None:
        """Show a blocker of its own."""
        self.obstacle(blocker)

    @abstractmethod
    def _show(self) -> None:
        """Show them."""


async def execute(
    method: Callable[[Any, Request], Awaitable[Result]],
    request: Request,
    config: ActivityConfig,
    *,
    following: Callable[[Request, RetryAdvice], Request | None] | None = None,
) -> Result:
    """Return the result of an activity.

    `following` is told what is recorded with each failure, and returns what to try next, None to
    give up.

    Raises:
        ActivityError: non-retryable failure, or retries exhausted.
        asyncio.CancelledError: the caller was cancelled, and it failed in another way.
    """
    tries, alike, told, stops = 0, Counter[str | None](), "", _stops()
    while True:
        try:
            result = await workflow.execute_activity_method(method, request, **config)
        except ActivityError as error:
            kind, advice = kind_of(error), _advice(error)
            again = following(request, advice) if following else request
            pause = _pause(error, advice, tries=tries, alike=alike[kind])
            if pause is None or again is None:
                raise
            if _stops() > stops and workflow.patched("stopped-once-2026-11"):
                # It was asked to end, and could not say that it had: it is not begun again.
                raise asyncio.CancelledError from error
            request = again
            tries += not advice.free
            alike[kind] += 1
            if pause:
                told = await _wait(error, advice, pause, told)
            continue
        if tries or told:
            await _show(RunState.RUNNING, "")
        return result


async def _wait(error: ActivityError, advice: RetryAdvice, pause: float, told: str) -> str:
    """Wait before the next try, visibly; return what was told, to be told once."""
    key = f"{_said(error)} {pause:.0f}"
    # Once a minute for days would fill a history with the same sentence.
    often = key == told and pause <= advice.longest_pause_seconds
    if not often or not workflow.patched("obstacle-told-once-2026-11"):
        until = retries.until(workflow.now(), pause, often=pause >= advice.longest_pause_seconds)
        await _show(advice.state, f"{_said(error)}; {until}")
    await _rest(pause, _said(error)[:150])
    return key


async def _rest(pause: float, why: str) -> None:
    instance = workflow.instance()
    if isinstance(instance, Wakeable):
        await instance.rest(pause, why)
    else:
        await workflow.sleep(dt.timedelta(seconds=pause), summary=why)


def _stops() -> int:
    """Return how often the task that runs was told to stop."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def _pause(error: ActivityError, advice: RetryAdvice, *, tries: int, alike: int) -> float | None:
    """Return how long to wait before the next try, 0 for at once, None to give up."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type != _SHUTDOWN:
        return retries.pause_seconds(advice, tries, alike)
    if _was_not_taken(error):
        return retries.pause_seconds(advice, tries)
    timed_out = isinstance(cause, TimedOut) and cause.type in _LOST
    died = timed_out or isinstance(cause, ApplicationError)
    return 0.0 if died and tries < retries.MOST_DEATHS else None


def _was_not_taken(error: ActivityError) -> bool:
    cause = error.cause
    return isinstance(cause, TimedOut) and cause.type is TimeoutType.SCHEDULE_TO_START


def _advice(error: ActivityError) -> RetryAdvice:
    """Return what is recorded with a failure; what old histories went by, where nothing is."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.details and cause.type != _SHUTDOWN:
        return RetryAdvice.model_validate(cause.details[0])
    if _was_not_taken(error):
        return _NOT_TAKEN
    return wire.advice(kind_of(error))


def kind_of(error: ActivityError) -> str | None:
    """Return the FailureKind's value of an activity's failure, None when it has none."""
    cause = error.cause
    return cause.type if isinstance(cause, ApplicationError) else None


def _said(error: ActivityError) -> str:
    if _was_not_taken(error):
        return _NOT_TAKEN_SAYS
    return str(getattr(error.cause, "message", "") or error.cause)[:800]


async def _show(state: RunState, reason: str) -> None:
    instance = workflow.instance()
    if isinstance(instance, ReportsBlocker):
        sender = workflow.info().workflow_id
        await instance.report_blocker(Blocker(sender=sender, state=state, reason=reason))
