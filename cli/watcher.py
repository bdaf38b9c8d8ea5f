"""Watch a request until it ends: poll it, show each snapshot, report the end.

While the server or every worker is unavailable it waits and says so; it never changes the request
by itself: only the answers that a person gives by keys do.
"""

import asyncio
import contextlib
from asyncio import FIRST_COMPLETED
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Any

from rich.console import Console

from cli import hints
from cli.answer_pad import AnswerPad
from cli.client import RequestOutcome, RequestSummary
from cli.client.connection import Service
from cli.client.rpc import raise_if_cancelled
from cli.context import CliContext
from cli.exit_codes import ExitCode, ServiceUnavailable, UsageError
from cli.feed import Feed
from cli.formatting import clean
from cli.kept import KeptOnHost, kept_on_host
from cli.memories import proposals_hint
from cli.snapshot import Snapshot
from cli.views.report import closing
from cli.watching.feed_reader import FeedReader
from cli.watching.keyboard import has_keyboard
from cli.watching.person import Person
from cli.watching.screen import Printed, Redrawn, Screen, shown_on
from cli.wrapping import prose
from contracts.request import RequestStatus
from contracts.visibility import RunState
from infra.live.reader import LiveReader
from runtime.background_task import uncancel
from runtime.records import SupervisorRecord
from runtime.redaction import redactor
from runtime.settings import load

POLL_SECONDS = 0.3
"""Between two snapshots."""
WORDS_SECONDS = 0.05
"""Between two looks at what is being said, on a terminal."""
UNAVAILABLE_SECONDS = 3.0
"""How long a worker may be unavailable before it is reported: a restart takes less."""
_FORGOTTEN = (
    "The Temporal server does not know the request. If it lost its database, it starts again."
)


async def watch_to_end(
    request: RequestSummary, service: Service, context: CliContext, *, task: str | None = None
) -> ExitCode:
    """Show a request until it ends, or until the person interrupts the command.

    `task` names the one task whose agents are followed.
    """
    try:
        async with kept_on_host(context) as kept, _feed(kept, request, context, task) as feed:
            watcher = _Watcher(request, service, kept, feed, now=context.now)
            keyed = not request.closed and has_keyboard(context.stdin, context.stdout)
            pad = AnswerPad() if keyed else None
            console = Console(file=context.stdout)
            with shown_on(console, program=context.program, pad=pad, task=task) as screen:
                async with _keys(pad, screen, request, service, kept, context):
                    outcome = await watcher.until_ended(screen)
            memories = await proposals_hint(kept, request, context)
    except asyncio.CancelledError:
        # The command ends normally; the request goes on without it.
        uncancel()
        if context.lasting:
            context.print_err("", *leaving_hints(request.id, context))
        return ExitCode.WAITING
    last = watcher.last
    if outcome.refused:
        context.print_out("", f"Refused: {clean(last.status.reason, 1_000)}")
    else:
        report = closing(
            last.status,
            seconds=last.seconds,
            link=last.link,
            checks=not screen.checks_shown,
            width=context.columns(),
        )
        context.print_out("", *report)
        context.print_prose(*hints.retry_hint(context.program, last.status), *memories)
    return outcome.exit_code


@contextlib.asynccontextmanager
async def _feed(
    kept: KeptOnHost, request: RequestSummary, context: CliContext, task: str | None
) -> AsyncIterator[FeedReader]:
    settings = load(context.environ)
    live = LiveReader(settings.live, request.key)
    feed = FeedReader(kept, request, live, redactor(settings.secrets()), task=task)
    try:
        yield feed
    finally:
        feed.close()


@contextlib.asynccontextmanager
async def _keys(
    pad: AnswerPad | None,
    screen: Redrawn | Printed,
    request: RequestSummary,
    service: Service,
    kept: KeptOnHost,
    context: CliContext,
) -> AsyncIterator[None]:
    """Take a person's keys while the block lasts, where there are any."""
    watching = asyncio.current_task()
    if pad is None or watching is None or not isinstance(screen, Redrawn):
        yield
        return
    person = Person(
        pad,
        screen,
        request=request,
        service=service,
        kept=kept,
        context=context,
        redact=redactor(load(context.environ).secrets()),
        leave=watching.cancel,
    )
    async with person.listening():
        yield


def leaving_hints(request_id: str, context: CliContext) -> list[str]:
    """Return what goes on when a command leaves an open request, as it is at this moment."""
    settings = load(context.environ)
    lines = hints.detached_hints(
        context.program,
        request_id,
        supervisor=SupervisorRecord.running(settings),
        address=settings.temporal_address,
    )
    return prose(lines, context.columns(), commands=(context.program,))


class _Watcher:
    """Watches one request.

    Attributes:
        last: the newest snapshot.
    """

    def __init__(
        self,
        request: RequestSummary,
        service: Service,
        kept: KeptOnHost,
        feed: FeedReader,
        *,
        now: Callable[[], float],
    ) -> None:
        self._request = request
        self._requests = service.requests
        self._kept = kept
        self._feed = feed
        self._now = now
        self._unavailable_since: float | None = None
        status = RequestStatus(id=request.id, state=RunState.RUNNING, reason="starting")
        self.last = Snapshot(status, link=service.link(request))

    async def until_ended(self, screen: Screen) -> RequestOutcome:
        """Show the request until it has ended, and return its outcome."""
        polls: list[Coroutine[object, object, None]] = [self._poll(screen)]
        if not self._request.closed:
            polls.append(self._listen(screen))
        polling = [asyncio.create_task(poll) for poll in polls]
        end = asyncio.create_task(self._requests.outcome(self._request.id))
        try:
            await asyncio.wait((*polling, end), return_when=FIRST_COMPLETED)  # noqa: TID251 - no workflow
            for poll in polling:
                if poll.done():
                    poll.result()
            outcome = end.result()
        finally:
            for task in (*polling, end):
                task.cancel()
            await asyncio.gather(*polling, end, return_exceptions=True)
        status = outcome.last_status(self.last.status)
        if outcome.status is None:
            status = await self._kept.ended(self._request, outcome.state) or status
        if not self._request.closed:
            await self._feed.read_log()
        feed = replace(self._feed.feed(), replies=())
        self._update(status=status, agents={}, queue=None, problem="", feed=feed)
        screen.show(self.last, last=True)
        return outcome

    async def _poll(self, screen: Screen) -> None:
        """Show a snapshot at intervals, until cancelled."""
        while True:
            raise_if_cancelled()
            await self._refresh()
            if not self._request.closed:
                await self._feed.read_log()
            self._update(feed=self._feed.feed())
            screen.show(self.last)
            await asyncio.sleep(POLL_SECONDS)

    async def _listen(self, screen: Screen) -> None:
        """Show what is being said as soon as it comes, until cancelled."""
        pause = WORDS_SECONDS if screen.follows else POLL_SECONDS
        while True:
            await asyncio.sleep(pause)
            feed = self._feed.feed()
            if _came(feed) != _came(self.last.feed):
                self._update(feed=feed)
                screen.show(self.last)

    async def _refresh(self) -> None:
        """Take the next snapshot, or name the problem in the last one."""
        try:
            status = await self._requests.status(self._request.id)
        except ServiceUnavailable as error:
            self._report_problem(f"{error} Still trying; nothing is lost.")
        except UsageError:
            self._report_problem(_FORGOTTEN)
        else:
            await self._take(status)

    async def _take(self, status: RequestStatus) -> None:
        """Take the next snapshot with this status; a store that cannot be read is named."""
        try:
            fresh = await self._kept.snapshot(self._requests, self._request, status)
        except UsageError as error:
            self._report_problem(str(error))
        else:
            self._unavailable_since = None
            self._update(status=fresh.status, agents=fresh.agents, queue=fresh.queue, problem="")

    def _report_problem(self, problem: str) -> None:
        now = self._now()
        self._unavailable_since = self._unavailable_since or now
        lasts = now - self._unavailable_since >= UNAVAILABLE_SECONDS
        self._update(problem=problem if lasts else self.last.problem)

    def _update(self, **changes: Any) -> None:
        self.last = replace(self.last, seconds=self._request.seconds(self._now()), **changes)


def _came(feed: Feed) -> list[tuple[object, int]]:
    """Return how much has come of each reply."""
    return [(reply.about, reply.chars) for reply in feed.replies]
