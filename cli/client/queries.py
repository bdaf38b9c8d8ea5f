"""Queries of workflows: a worker answers them, within seconds or not at all."""

import asyncio
import contextlib
from typing import TypeVar

from temporalio.client import WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from cli.client.rpc import (
    POLL_SECONDS,
    SERVER_UNAVAILABLE,
    WORKER_UNAVAILABLE,
    ServerConnection,
    raise_if_cancelled,
)
from cli.exit_codes import ServiceUnavailable, UsageError
from cli.formatting import clean, name

QUERY_SECONDS = 3.0
"""How long a worker may take to answer a query before it counts as unavailable."""
_HEALTH_SECONDS = 1.0
_Value = TypeVar("_Value")


class WorkflowQueries:
    """Queries the workflows of a server's namespace."""

    def __init__(self, server: ServerConnection, *, worker_seconds: float) -> None:
        self._server = server
        self._worker_seconds = worker_seconds

    async def ask(self, workflow_id: str, query: str, answer: type[_Value]) -> _Value:
        """Return the answer to a query; ask again while a worker starts, until one has answered.

        Raises:
            ServiceUnavailable: the server or every worker does not answer.
            UsageError: there is no such workflow.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + self._worker_seconds
        while True:
            try:
                value = await self._ask_once(workflow_id, query, answer)
            except ServiceUnavailable:
                if loop.time() >= end:
                    raise
                await asyncio.sleep(POLL_SECONDS)
            else:
                self._worker_seconds = 0.0
                return value

    async def ask_if_running(
        self, workflow_id: str, query: str, answer: type[_Value]
    ) -> _Value | None:
        """Return the answer to a query; None when the workflow does not answer just now."""
        try:
            return await self._ask_once(workflow_id, query, answer)
        except (ServiceUnavailable, UsageError):
            return None

    async def _ask_once(self, workflow_id: str, query: str, answer: type[_Value]) -> _Value:
        handle = self._server.client.get_workflow_handle(workflow_id)
        try:
            # The client restarts its own time limit at each of its retries.
            async with asyncio.timeout(QUERY_SECONDS):
                value: _Value = await handle.query(query, result_type=answer)
        except WorkflowQueryFailedError as error:
            raise ServiceUnavailable(
                f"{name(workflow_id)} cannot tell: {clean(str(error))}"
            ) from error
        except (RPCError, TimeoutError) as error:
            raise_if_cancelled()
            await self._server.follow()
            if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
                raise UsageError(f"There is no {name(workflow_id)}.") from error
            raise ServiceUnavailable(await self._silent_party()) from error
        return value

    async def _silent_party(self) -> str:
        """Return what does not answer, every worker or the server: a timeout does not say it."""
        with contextlib.suppress(RPCError, TimeoutError):
            async with asyncio.timeout(_HEALTH_SECONDS):
                if await self._server.client.service_client.check_health():
                    return WORKER_UNAVAILABLE
        return SERVER_UNAVAILABLE
