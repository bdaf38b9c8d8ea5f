"""Calls to the Temporal server: connection, time limits, and their errors as errors of the CLI."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from cli.exit_codes import ServiceUnavailable, UsageError
from cli.formatting import clean

SERVER_UNAVAILABLE = "The Temporal server does not answer."
WORKER_UNAVAILABLE = "No worker answers."
RPC_TIMEOUT = dt.timedelta(seconds=5)
POLL_SECONDS = 0.5
"""Between two attempts at a service that does not answer."""
_UNAVAILABLE_CODES = (
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
)
Relocate = Callable[[Client], Awaitable[Client | None]]
"""Returns a client of where the server listens now; None when that has not changed."""


class ServerConnection:
    """A connected client, replaced when the server comes back on another port."""

    def __init__(self, client: Client, relocate: Relocate | None = None) -> None:
        self.client = client
        self._relocate = relocate

    async def follow(self) -> None:
        """Connect to the server where it listens now; for after a call that failed."""
        if self._relocate is not None:
            self.client = await self._relocate(self.client) or self.client


@contextlib.asynccontextmanager
async def translated_errors(missing: str = "There is no such workflow.") -> AsyncIterator[None]:
    """Raise an RPC error as ServiceUnavailable or UsageError, `missing` for a missing workflow."""
    try:
        yield
    except RPCError as error:
        raise_if_cancelled()
        if error.status is RPCStatusCode.NOT_FOUND:
            raise UsageError(missing) from error
        if error.status in _UNAVAILABLE_CODES:
            raise ServiceUnavailable(SERVER_UNAVAILABLE) from error
        raise UsageError(f"The Temporal service refuses: {clean(error.message)}") from error


def raise_if_cancelled() -> None:
    """Raise the current task's cancellation, which the error of an interrupted call can hide."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
