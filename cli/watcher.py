"""
The watch: looks at a request again and again until it ends.

A server or worker that is away is waited for and named; nothing here changes the request.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

from cli.client import RequestClient, RequestOutcome, RequestSummary, heed
from cli.exit_codes import ServiceUnavailable, UsageError
from cli.snapshot import Snapshot, agents_at_work, with_status
from cli.views.screen import View
from contracts.request import RequestStatus

PAUSE_SECONDS = 0.3
"""Between two looks."""
_FORGOTTEN = (
    "The Temporal server does not know the request. If it lost its database, it starts again."
)
SETTLE_SECONDS = 3.0
"""How long an absent worker is not worth a word: one that restarts is back by then."""


class Watcher:
    """Watches one request; `snapshot` is the last look."""

    def __init__(
        self, requests: RequestClient, found: RequestSummary, *, now: Callable[[], float]
    ) -> None:
        self._requests = requests
        self._found = found
        self._now = now
        self._away_since: float | None = None

    async def until_ended(self, first: Snapshot, view: View) -> tuple[RequestOutcome, Snapshot]:
        """Show the request until it has ended; return its end and the last snapshot."""
        snapshot = first
        end = asyncio.create_task(self._requests.ending(self._found.id))
        try:
            while not end.done():
                heed()
                snapshot = await self._look_unless(end, snapshot)
                view.show(snapshot)
                await _pause(end)
            ending = end.result()
        finally:
            end.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await end
        last = with_status(snapshot, ending.last_status(snapshot.status))
        last = replace(last, seconds=self._seconds())
        view.show(last)
        return ending, last

    async def _look_unless(self, end: asyncio.Task[RequestOutcome], before: Snapshot) -> Snapshot:
        """Look once, but not longer than the request lives."""
        look = asyncio.ensure_future(self.look(before))
        end.add_done_callback(lambda _: look.cancel())
        try:
            return await look
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task and task.cancelling():
                raise
            return before

    async def look(self, before: Snapshot) -> Snapshot:
        """Return the present snapshot, or the one before with the trouble named."""
        try:
            status = await self._requests.status(self._found.id)
        except ServiceUnavailable as away:
            return self._troubled(before, f"{away} Still trying; nothing is lost.")
        except UsageError:
            return self._troubled(before, _FORGOTTEN)
        self._away_since = None
        fresh = await glance(self._requests, status)
        return replace(fresh, seconds=self._seconds(), link=before.link)

    def _troubled(self, before: Snapshot, problem: str) -> Snapshot:
        now = self._now()
        self._away_since = self._away_since or now
        settled = now - self._away_since >= SETTLE_SECONDS
        trouble = problem if settled else before.trouble
        return replace(before, trouble=trouble, seconds=self._seconds())

    def _seconds(self) -> float:
        closed = self._found.closed
        end = closed.timestamp() if closed else self._now()
        return max(end - self._found.started.timestamp(), 0.0)


async def glance(requests: RequestClient, status: RequestStatus) -> Snapshot:
    """Return a snapshot around a request's status: what its agents and its merge queue say."""
    wanted = agents_at_work(status)
    agents = await asyncio.gather(*(requests.agent(name) for name in wanted.values()))
    queue = await requests.queue(status.merge_queue) if status.merge_queue else None
    seen = {task: agent for task, agent in zip(wanted, agents, strict=True) if agent}
    return Snapshot(status, seen, queue)


async def _pause(end: asyncio.Task[RequestOutcome]) -> None:
    """Wait for the next look, or less when the request ends."""
    with contextlib.suppress(TimeoutError, Exception):
        await asyncio.wait_for(asyncio.shield(end), PAUSE_SECONDS)
