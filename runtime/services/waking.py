"""A worker that starts has what waits for its host try again at once: it may be mended."""

from typing import Any

import structlog
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from contracts.visibility import OC_STATE, RunState

_MENDABLE = (RunState.WAITING_INFRA, RunState.WAITING_BUDGET)
_QUERY = f"ExecutionStatus = 'Running' AND {OC_STATE} IN {tuple(map(str, _MENDABLE))}"
SIGNAL = "wake"


async def wake_waiting(client: Client) -> None:
    """Tell every run that waits for disk, sandbox, credentials or money that it may go on.

    A run that ends meanwhile needs no word; a server that refuses is logged: they wait as told.
    """
    try:
        async for found in client.list_workflows(_QUERY):
            await _wake(client.get_workflow_handle(found.id, run_id=found.run_id))
    except RPCError as error:
        structlog.get_logger("worker").warning("waking.failed", reason=str(error))


async def _wake(run: WorkflowHandle[Any, Any]) -> None:
    try:
        await run.signal(SIGNAL)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
