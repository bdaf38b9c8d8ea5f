"""Watch a request until it ends: poll it, show each snapshot, report the end.

While the server or every worker is unavailable it waits and says so; it never changes the request.
"""

import asyncio
import contextlib
from asyncio import FIRST_COMPLETED
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.live import Live

from cli import hints
from cli.client import RequestOutcome, RequestSummary
from cli.client.connection import Service
from cli.client.rpc import raise_if_cancelled
from cli.context import CliContext
from cli.exit_codes import ExitCode, ServiceUnavailable, UsageError
from cli.formatting import clean
from cli.snapshot import Snapshot, take_snapshot
from cli.views.live import live_view
from cli.views.plain import changes
from cli.views.report import closing
from contracts.request import RequestStatus
from contracts.visibility import RunState
from runtime.background_task import uncancel

POLL_SECONDS = 0.3
"""Between two snapshots."""
UNAVAILABLE_SECONDS = 3.0
"""How long a worker may be unavailable before it is reported: a restart takes less."""
_FORGOTTEN = (
    "The Temporal server does not know the request. If it lost its database, it starts again."
)
Show = Callable[[Snapshot], None]


async def watch_to_end(request: RequestSummary, service: Service, context: CliContext) -> ExitCode:
    """Show a request until it ends, or until the person interrupts the command."""
    watcher = _Watcher(request, service, now=context.now)
    try:
        with shown_on(Console(file=context.stdout), program=context.program) as show:
            outcome = await watcher.until_ended(show)
    except asyncio.CancelledError:
        # The command ends normally and stops what it has started.
        uncancel()
        if context.lasting:
            leaving = hints.detached_hints(context.program, request.id, stops=service.started)
            context.print_err("", *leaving)
        return ExitCode.WAITING
    last = watcher.last
    if outcome.refused:
        context.print_out("", f"Refused: {clean(last.status.reason, 1_000)}")
    else:
        context.print_out("", *closing(last.status, seconds=last.seconds, link=last.link))
    return outcome.exit_code


class _Watcher:
    """Watches one request.

    Attributes:
        last: the newest snapshot.
    """

    def __init__(
        self, request: RequestSummary, service: Service, *, now: Callable[[], float]
    ) -> None:
        self._request = request
        self._requests = service.requests
        self._now = now
        self._unavailable_since: float | None = None
        status = RequestStatus(id=request.id, state=RunState.RUNNING, reason="starting")
        self.last = Snapshot(status, link=service.link(request))

    async def until_ended(self, show: Show) -> RequestOutcome:
        """Show the request until it has ended, and return its outcome."""
        polling = asyncio.create_task(self._poll(show))
        end = asyncio.create_task(self._requests.outcome(self._request.id))
        try:
            await asyncio.wait((polling, end), return_when=FIRST_COMPLETED)  # noqa: TID251 - no workflow
            if polling.done():
                polling.result()
            outcome = end.result()
        finally:
            polling.cancel()
            end.cancel()
            await asyncio.gather(polling, end, return_exceptions=True)
        status = outcome.last_status(self.last.status)
        self._update(status=status, agents={}, queue=None, problem="")
        show(self.last)
        return outcome

    async def _poll(self, show: Show) -> None:
        """Show a snapshot at intervals, until cancelled."""
        while True:
            raise_if_cancelled()
            await self._refresh()
            show(self.last)
            await asyncio.sleep(POLL_SECONDS)

    async def _refresh(self) -> None:
        """Take the next snapshot, or name the problem in the last one."""
        try:
            status = await self._requests.status(self._request.id)
        except ServiceUnavailable as error:
            self._report_problem(f"{error} Still trying; nothing is lost.")
        except UsageError:
            self._report_problem(_FORGOTTEN)
        else:
            self._unavailable_since = None
            fresh = await take_snapshot(self._requests, status)
            self._update(status=status, agents=fresh.agents, queue=fresh.queue, problem="")

    def _report_problem(self, problem: str) -> None:
        now = self._now()
        self._unavailable_since = self._unavailable_since or now
        lasts = now - self._unavailable_since >= UNAVAILABLE_SECONDS
        self._update(problem=problem if lasts else self.last.problem)

    def _update(self, **changes: Any) -> None:
        self.last = replace(self.last, seconds=self._request.seconds(self._now()), **changes)


@contextlib.contextmanager
def shown_on(console: Console, *, program: str) -> Iterator[Show]:
    """Yield the function that shows snapshots on the output.

    A terminal is redrawn and keeps the last one; files, pipes and logs get a line per change.
    """
    if console.is_terminal and not console.is_dumb_terminal:
        with Live(console=console, auto_refresh=False, redirect_stderr=False) as live:
            yield lambda snapshot: live.update(live_view(snapshot, program=program), refresh=True)
    else:
        yield _line_printer(console, program)


def _line_printer(console: Console, program: str) -> Show:
    last: Snapshot | None = None

    def show(snapshot: Snapshot) -> None:
        nonlocal last
        for line in changes(last, snapshot, program=program):
            console.out(line, highlight=False)
        console.file.flush()
        last = snapshot

    return show
