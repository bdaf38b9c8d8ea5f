"""Read what the agents of a request say and do, as it comes."""

from collections.abc import Mapping

from cli.client import RequestSummary
from cli.exit_codes import UsageError
from cli.feed import Feed, FeedLine
from cli.kept import KeptOnHost, readable
from cli.views.feed import feed_lines
from domain.text import Redact
from infra.live.reader import LiveReader, RunningReply

_KEPT_LINES = 400
_FIRST_LINES = 40
"""Of what was said before somebody began to watch."""


class FeedReader:
    """Reads the log on, and beside it the replies that are coming.

    Args:
        task: only its agents; None for all of them.
    """

    def __init__(
        self,
        kept: KeptOnHost,
        request: RequestSummary,
        live: LiveReader,
        redact: Redact,
        *,
        task: str | None = None,
    ) -> None:
        self._kept = kept
        self._request = request
        self._live = live
        self._redact = redact
        self._task = task
        self._lines: list[FeedLine] = []
        self._count = 0
        self._begun = False

    async def read_log(self) -> None:
        """Take the turns that have ended since; a store that cannot be read just now waits."""
        try:
            found = await self._kept.find(self._request)
            if found is None:
                return
            with readable(self._request):
                turns = await found.new_turns()
        except UsageError:
            return
        fresh = [
            line
            for turn in turns
            if self._task in (None, turn.agent.task)
            for line in feed_lines(turn, self._redact)
        ]
        if not self._begun:
            self._begun = True
            fresh = fresh[-_FIRST_LINES:]
        self._lines = [*self._lines, *fresh][-_KEPT_LINES:]
        self._count += len(fresh)

    def replies(self) -> Mapping[str, RunningReply]:
        """Return the replies that are coming, by conversation."""
        found = self._live.replies()
        if self._task is None:
            return found
        return {key: reply for key, reply in found.items() if reply.about.task == self._task}

    def feed(self) -> Feed:
        """Return all that was read."""
        return Feed(tuple(self._lines), self._count, tuple(self.replies().values()))

    def close(self) -> None:
        """Close the files of the running replies."""
        self._live.close()
