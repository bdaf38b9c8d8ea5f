"""The calls of one key, paced together: each waits its turn, and all learn from what each meets."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable

from contracts.failures import FailureKind
from domain.agent import pacing
from domain.agent.pacing import Failed, Hold, Pace
from domain.failures import SHORT_SECONDS
from infra.anthropic.errors import ModelServiceError

_JITTER = 0.1
"""So much longer at most, so that those who waited do not all come at once."""
_SLOWED = "the service asks to wait, so all agents of this key wait their turn"


class CallPacer:
    """Lets calls begin at the pace of their key.

    Args:
        clock: seconds, never going back.
        longest: seconds that a call waits here; what takes longer is the workflow's, which shows
            it.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, longest: float = SHORT_SECONDS
    ) -> None:
        self._clock = clock
        self._longest = longest
        self._pace = Pace()
        self._at_work = 0
        self._changed = asyncio.Event()
        self._failing: dict[str, float] = {}

    @property
    def pace(self) -> Pace:
        """The present pace."""
        return self._pace

    @contextlib.asynccontextmanager
    async def call(self, model: str) -> AsyncIterator[None]:
        """Run a call of a model at its turn; a failure of the body slows the others.

        Raises:
            ModelServiceError: it would have to wait for more than a few seconds; nothing was sent.
        """
        await self._enter()
        self._at_work += 1
        began = self._clock()
        try:
            yield
        except ModelServiceError as error:
            self._learn(error, model, began)
            raise
        else:
            self._failing.pop(model, None)
            self._pace = pacing.after_reply(self._pace)
        finally:
            self._at_work -= 1
            self._wake()

    def fails_long(self, model: str) -> bool:
        """Return whether a model has given no reply for so long that another may be asked."""
        since = self._failing.get(model)
        return since is not None and self._clock() - since >= pacing.FALLBACK_SECONDS

    def _learn(self, error: ModelServiceError, model: str, began: float) -> None:
        now = self._clock()
        if error.kind is FailureKind.OVERLOADED:
            self._failing.setdefault(model, now)
        failed = Failed(
            error.kind,
            str(error),
            began,
            now,
            at_work=self._at_work,
            asked=error.retry_after_seconds,
        )
        self._pace = pacing.after_failure(self._pace, failed)
        if error.kind is FailureKind.RATE_LIMITED or self._pace.stopped:
            error.retry_after_seconds = self._rest(now)

    def _rest(self, now: float) -> float | None:
        """Return how long the agent waits that was just refused."""
        wait = pacing.admit(self._pace, at_work=0, now=now)
        return _jittered(wait.seconds) if isinstance(wait, Hold) else None

    async def _enter(self) -> None:
        until = self._clock() + self._longest
        while True:
            now = self._clock()
            admitted = pacing.admit(self._pace, at_work=self._at_work, now=now)
            if isinstance(admitted, Pace):
                self._pace = admitted
                return
            if admitted.kind is not FailureKind.RATE_LIMITED:
                raise _refused(admitted, admitted.says)
            held = now < self._pace.hold_until
            if now >= until or (held and now + admitted.seconds > until):
                says = f"{_SLOWED}: {admitted.says}" if admitted.says else _SLOWED
                raise _refused(admitted, says)
            await self._change(min(admitted.seconds, until - now))

    async def _change(self, seconds: float) -> None:
        """Wait until a call has ended, at most some seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _refused(wait: Hold, says: str) -> ModelServiceError:
    return ModelServiceError(wait.kind, says, retry_after_seconds=_jittered(wait.seconds))


def _jittered(seconds: float) -> float:
    return seconds * (1 + random.uniform(0, _JITTER))  # noqa: S311 - no secret
