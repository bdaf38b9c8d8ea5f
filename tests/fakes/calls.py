"""What happens to a call before it has its effect: it is recorded, held up, or fails."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.exceptions import ApplicationError

from contracts.failures import FailureKind
from domain.failures import STRATEGIES
from tests.fakes.store import MemoryStore

Before = Callable[[str, Any], Awaitable[None]]
"""Awaited with an activity's name and argument before its effect; raises the call's failure."""


def failing(kind: FailureKind, text: str, **advice: object) -> ApplicationError:
    """Return a failure as an activity raises it, not retried by the server."""
    told = STRATEGIES[kind].advice.model_copy(update=advice)
    return ApplicationError(text, told, type=kind, non_retryable=True)


class Fake:
    """What the fakes of all ports share."""

    def __init__(self, store: MemoryStore, before: Before) -> None:
        self._store = store
        self._before = before


class CallLog:
    """Records every call, and runs what a test puts before an activity's effect.

    Attributes:
        before: by activity name; takes the argument.
    """

    def __init__(self) -> None:
        self.before: dict[str, Callable[[Any], Awaitable[object]]] = {}
        self._calls: list[tuple[str, Any]] = []

    async def __call__(self, name: str, request: Any) -> None:
        """Record a call."""
        self._calls.append((name, request))
        if name in self.before:
            await self.before[name](request)

    def of(self, *names: str) -> list[Any]:
        """The arguments of some activities' calls, oldest first."""
        return [request for name, request in self._calls if name in names]

    def fail(self, name: str, error: ApplicationError) -> None:
        """Let every call of an activity fail."""

        async def raise_it(_: object) -> None:
            raise error

        self.before[name] = raise_it

    def hold(self, name: str) -> asyncio.Event:
        """Let calls of an activity wait until the event is set."""
        gate = asyncio.Event()
        self.before[name] = lambda _: gate.wait()
        return gate
