"""Watch a request until it ends: poll it, show each snapshot, report the end.

While the server or every worker is unavailable it waits and says so; it never changes the request.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

from rich.console import Console

from cli import hints
from cli.client import RequestClient, RequestOutcome, RequestSummary
from cli.client.connection import Service
from cli.client.rpc import raise_if_cancelled
from cli.context import CliContext
from cli.exit_codes import ExitCode, ServiceUnavailable, UsageError
from cli.formatting import clean
from cli.snapshot import Snapshot, ended, starting, take_snapshot
from cli.views.report import closing
from cli.views.screen import View, shown_on

POLL_SECONDS = 0.3
"""Between two snapshots."""
UNAVAILABLE_SECONDS = 3.0
"""How long a worker may be unavailable before it is reported: a restart takes less."""
_FORGOTTEN = (
    "The Temporal server does not know the request. If it lost its database, it starts again."
)


async def watch_to_end(request: RequestSummary, service: Service, context: CliContext) -> ExitCode:
    """Show a request until it ends, or until the person interrupts the command."""
    watcher = Watcher(service.requests, request, now=context.now)
    first = starting(request.id, link=service.link(request))
    try:
        with shown_on(Console(file=context.stdout), program=context.program) as view:
            outcome, last = await watcher.until_ended(first, view)
    except asyncio.CancelledError:
        _end_in_order()
        if context.lasting:
            context.print_err("", *come_back(request, service, context))
        return ExitCode.WAITING
    if outcome.refused:
        context.print_out("", f"Refused: {clean(last.status.reason, 1_000)}")
    else:
        context.print_out("", *closing(last.status, seconds=last.seconds, link=last.link))
    return outcome.exit_code


def come_back(request: RequestSummary, service: Service, context: CliContext) -> list[str]:
    """Return how to come back to a request that this command leaves."""
    return hints.detached_hints(context.program, request.id, stops=service.started)


def _end_in_order() -> None:
    """Accept the cancellation: the command ends normally and stops what it has started."""
    task = asyncio.current_task()
    if task:
        task.uncancel()


class Watcher:
    """Watches one request."""

    def __init__(
        self, requests: RequestClient, request: RequestSummary, *, now: Callable[[], float]
    ) -> None:
        self._requests = requests
        self._request = request
        self._now = now
        self._unavailable_since: float | None = None

    async def until_ended(self, first: Snapshot, view: View) -> tuple[RequestOutcome, Snapshot]:
        """Show the request until it has ended; return its outcome and the last snapshot."""
        snapshot = first
        end = asyncio.create_task(self._requests.outcome(self._request.id))
        try:
            while not end.done():
                raise_if_cancelled()
                snapshot = await self._refreshed_unless(end, snapshot)
                view.show(snapshot)
                await _pause(end)
            outcome = end.result()
        finally:
            end.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await end
        last = ended(snapshot, outcome.last_status(snapshot.status))
        last = replace(last, seconds=self._seconds())
        view.show(last)
        return outcome, last

    async def _refreshed_unless(
        self, end: asyncio.Task[RequestOutcome], before: Snapshot
    ) -> Snapshot:
        """Return the next snapshot, or the one before when the request ends meanwhile."""
        refresh = asyncio.ensure_future(self._refreshed(before))
        end.add_done_callback(lambda _: refresh.cancel())
        try:
            return await refresh
        except asyncio.CancelledError:
            raise_if_cancelled()
            return before

    async def _refreshed(self, before: Snapshot) -> Snapshot:
        """Return the next snapshot, or the one before with the problem named."""
        try:
            status = await self._requests.status(self._request.id)
        except ServiceUnavailable as error:
            return self._with_problem(before, f"{error} Still trying; nothing is lost.")
        except UsageError:
            return self._with_problem(before, _FORGOTTEN)
        self._unavailable_since = None
        fresh = await take_snapshot(self._requests, status)
        return replace(fresh, seconds=self._seconds(), link=before.link)

    def _with_problem(self, before: Snapshot, problem: str) -> Snapshot:
        now = self._now()
        self._unavailable_since = self._unavailable_since or now
        lasts = now - self._unavailable_since >= UNAVAILABLE_SECONDS
        problem = problem if lasts else before.problem
        return replace(before, problem=problem, seconds=self._seconds())

    def _seconds(self) -> float:
        return self._request.seconds(self._now())


async def _pause(end: asyncio.Task[RequestOutcome]) -> None:
    """Wait until the next snapshot is due, or less when the request ends."""
    with contextlib.suppress(TimeoutError, Exception):
        await asyncio.wait_for(asyncio.shield(end), POLL_SECONDS)
