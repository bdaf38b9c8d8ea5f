"""A prefix that many requests share is written to the service's cache once, then read by all.

An entry can be read once the reply to the request that wrote it has begun. So of calls that begin
with the same prefix the first goes first, and its siblings wait until its reply begins, or for some
seconds at most.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

WARM_SECONDS = 3_300.0
"""How long a prefix counts as cached since it was last read or written; the service keeps it for an
hour."""
LONGEST_WAIT_SECONDS = 10.0
_REMEMBERED = 256

Began = Callable[[], None]
"""To be called when the reply begins."""


class PrefixWarmer:
    """Lets the first call of a prefix go first.

    Args:
        clock: seconds, never going back.
        longest: seconds that a call waits for its sibling.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, longest: float = LONGEST_WAIT_SECONDS
    ) -> None:
        self._clock = clock
        self._longest = longest
        self._warm: dict[str, float] = {}
        self._leading: dict[str, asyncio.Event] = {}

    @contextlib.asynccontextmanager
    async def call(self, prefix: str) -> AsyncIterator[Began]:
        """Run a call, after its sibling's reply has begun where that one warms the prefix."""
        until = self._clock() + self._longest
        while not self._is_warm(prefix) and (leader := self._leading.get(prefix)):
            rest = until - self._clock()
            if rest <= 0:
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(leader.wait(), rest)
        if self._is_warm(prefix) or prefix in self._leading:
            yield lambda: self._note(prefix)
            return
        ended = self._leading[prefix] = asyncio.Event()

        def began() -> None:
            self._note(prefix)
            ended.set()

        try:
            yield began
        finally:
            # A leader that failed lets the next one lead.
            self._leading.pop(prefix, None)
            ended.set()

    def _is_warm(self, prefix: str) -> bool:
        noted = self._warm.get(prefix)
        return noted is not None and self._clock() - noted < WARM_SECONDS

    def _note(self, prefix: str) -> None:
        self._warm.pop(prefix, None)
        self._warm[prefix] = self._clock()
        if len(self._warm) > _REMEMBERED:
            del self._warm[next(iter(self._warm))]
