"""Find, start, read and answer the requests of a Temporal service.

Workflow types, queries, signals and updates carry their wire names.
"""

import datetime as dt
import re
from collections.abc import AsyncIterator

from pydantic import BaseModel
from temporalio.client import (
    Client,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

from cli import hints
from cli.client.outcome import RequestOutcome, wait_for_outcome
from cli.client.queries import WorkflowQueries
from cli.client.rpc import (
    RPC_TIMEOUT,
    WORKER_UNAVAILABLE,
    Relocate,
    ServerConnection,
    translated_errors,
)
from cli.client.summary import RequestSummary, first_line, summarize
from cli.exit_codes import ServiceUnavailable, UsageError
from cli.formatting import clean
from contracts.agent import AgentStatus, Note
from contracts.approvals import Answer, Approval, Decide, Receipt
from contracts.merge_queue import MergeQueueStatus
from contracts.reconcile import Reconcile, ReconcileReport
from contracts.request import RequestStart, RequestStatus
from contracts.task_queue import WORKFLOW_TASK_TIMEOUT, TaskQueue
from contracts.visibility import OC_KEPT
from domain.ids import REQUEST_PREFIX

WORKFLOW = "RequestWorkflow"
_RECONCILE_TIMEOUT = dt.timedelta(seconds=120)
_DECIDE_TIMEOUT = dt.timedelta(seconds=15)
_LISTED = 100
_SUGGESTED = 5


class RequestClient:
    """Reaches the requests of a client's namespace.

    Every method raises ServiceUnavailable when the server or every worker does not answer, and
    UsageError when what the person named does not exist or is not allowed.

    Args:
        worker_seconds: how long to wait for a worker that is known to be starting.
        relocate: looks for the server after a failure; None when its address is fixed.
    """

    def __init__(
        self, client: Client, *, worker_seconds: float = 0.0, relocate: Relocate | None = None
    ) -> None:
        self._server = ServerConnection(client, relocate)
        self._queries = WorkflowQueries(self._server, worker_seconds=worker_seconds)

    @property
    def _client(self) -> Client:
        return self._server.client

    @property
    def namespace(self) -> str:
        """The Temporal namespace."""
        return self._client.namespace

    async def start(self, start: RequestStart, *, request_id: str) -> RequestSummary:
        """Start a request and return its summary."""
        async with translated_errors():
            try:
                await self._client.start_workflow(
                    WORKFLOW,
                    start,
                    id=request_id,
                    task_queue=TaskQueue.WORKFLOWS,
                    task_timeout=WORKFLOW_TASK_TIMEOUT,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    static_summary=first_line(start.request),
                    rpc_timeout=RPC_TIMEOUT,
                )
            except WorkflowAlreadyStartedError as error:
                raise UsageError(f"There is a request {request_id} already.") from error
        return await self.summary(request_id)

    async def find(self, typed: str) -> RequestSummary:
        """Return the request with this id, or with this unambiguous beginning of one."""
        for request_id in _possible_ids(typed):
            try:
                return await self.summary(request_id)
            except UsageError:
                continue
        matches = [one.id async for one in self._list(_prefix_condition(typed), _SUGGESTED + 1)]
        if not matches:
            raise UsageError(_not_found(typed))
        if len(matches) > 1:
            names = ", ".join(hints.short_id(name) for name in matches[:_SUGGESTED])
            raise UsageError(f"{clean(typed, 80)} could be one of {names}; type more of it.")
        return await self.summary(matches[0])

    async def find_open(self, typed: str) -> RequestSummary:
        """Return the open request that a person names; refuse one that has ended."""
        request = await self.find(typed)
        if request.closed:
            raise UsageError(f"{request.id} has ended ({request.state}); nothing waits any more.")
        return request

    async def summary(self, request_id: str) -> RequestSummary:
        """Return what the service knows of the request with exactly this id."""
        async with translated_errors(_not_found(request_id)):
            handle = self._client.get_workflow_handle(request_id)
            execution = await handle.describe(rpc_timeout=RPC_TIMEOUT)
            if execution.workflow_type != WORKFLOW:
                raise UsageError(f"{clean(request_id, 80)} is not a request.")
            return summarize(
                execution,
                summary=clean(await execution.static_summary() or ""),
                salvage_command=clean(str((await execution.memo()).get(OC_KEPT, "")), 500),
            )

    async def newest(self) -> list[RequestSummary]:
        """Return the newest requests, newest first."""
        return [request async for request in self._list("", _LISTED)]

    async def _list(self, condition: str, limit: int) -> AsyncIterator[RequestSummary]:
        query = f'WorkflowType="{WORKFLOW}"{condition}'
        async with translated_errors():
            async for execution in self._client.list_workflows(
                query, limit=limit, rpc_timeout=RPC_TIMEOUT
            ):
                yield summarize(execution)

    async def status(self, request_id: str) -> RequestStatus:
        """Return the status that the request reports; needs a worker."""
        return await self._queries.ask(request_id, "status", RequestStatus)

    async def known_status(self, request: RequestSummary) -> tuple[RequestStatus, bool]:
        """Return a status without waiting for a worker, and whether the request reported it."""
        if request.closed:
            outcome = await self.outcome(request.id)
            return outcome.last_status(request.status()), True
        try:
            return await self.status(request.id), True
        except ServiceUnavailable as error:
            return request.status(str(error)), False

    async def approvals(self, request_id: str) -> list[Approval]:
        """Return what waits for a person; needs a worker."""
        return await self._queries.ask(request_id, "pending_approvals", list[Approval])

    async def agent(self, agent_id: str) -> AgentStatus | None:
        """Return an agent's status; None when it does not answer just now."""
        return await self._queries.ask_if_running(agent_id, "status", AgentStatus)

    async def queue(self, queue_id: str) -> MergeQueueStatus | None:
        """Return the merge queue's status; None when it does not run."""
        return await self._queries.ask_if_running(queue_id, "status", MergeQueueStatus)

    async def outcome(self, request_id: str) -> RequestOutcome:
        """Wait until a request has ended, and return how; needs no worker."""
        return await wait_for_outcome(self._server, request_id)

    async def reconcile(self, order: Reconcile) -> ReconcileReport:
        """Compare a host's disk with the open workflows, and return what was repaired."""
        async with translated_errors():
            report: ReconcileReport = await self._client.execute_workflow(
                "ReconcileWorkflow",
                order,
                id=f"reconcile/{order.host_id}/by-hand",
                task_queue=TaskQueue.WORKFLOWS,
                task_timeout=WORKFLOW_TASK_TIMEOUT,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                result_type=ReconcileReport,
                execution_timeout=_RECONCILE_TIMEOUT,
            )
        return report

    async def decide(self, request_id: str, decide: Decide) -> Receipt:
        """Answer an approval and return the receipt; needs a worker."""
        handle = self._client.get_workflow_handle(request_id)
        async with translated_errors(f"{request_id} has ended; nothing waits any more."):
            try:
                receipt: Receipt = await handle.execute_update(
                    "decide", decide, result_type=Receipt, rpc_timeout=_DECIDE_TIMEOUT
                )
            except WorkflowUpdateFailedError as error:
                cause = error.cause
                reason = cause.message if isinstance(cause, ApplicationError) else str(cause)
                raise UsageError(clean(reason, 500)) from error
            except WorkflowUpdateRPCTimeoutOrCancelledError as error:
                raise ServiceUnavailable(WORKER_UNAVAILABLE) from error
        return receipt

    async def signal_answer(self, request_id: str, decide: Decide) -> None:
        """Send an answer that the server stores for the next worker; needs no worker."""
        answer = Answer.model_validate(decide.model_dump(exclude={"choice"}))
        await self._signal(request_id, decide.choice.value, answer)

    async def note(self, request_id: str, note: Note) -> None:
        """Send a note to the request's agents."""
        await self._signal(request_id, "note", note)

    async def _signal(self, request_id: str, name: str, value: BaseModel) -> None:
        handle = self._client.get_workflow_handle(request_id)
        async with translated_errors(f"{request_id} has ended."):
            await handle.signal(name, value, rpc_timeout=RPC_TIMEOUT)

    async def cancel(self, request_id: str) -> None:
        """Cancel a request; it frees what it holds and ends as CANCELLED."""
        async with translated_errors(f"{request_id} has ended already."):
            await self._client.get_workflow_handle(request_id).cancel(rpc_timeout=RPC_TIMEOUT)


def _not_found(typed: str) -> str:
    return f"No request is called {clean(typed, 80)}; `list` shows them."


def _possible_ids(typed: str) -> tuple[str, ...]:
    """Return the workflow ids that a person can mean by a whole id."""
    return (typed,) if typed.startswith(REQUEST_PREFIX) else (REQUEST_PREFIX + typed, typed)


def _prefix_condition(typed: str) -> str:
    """Return the part of a visibility query that finds ids by their beginning."""
    plain = [re.sub(r"[\"'\\\\]", "", name) for name in _possible_ids(typed)]
    return " AND (" + " OR ".join(f'WorkflowId STARTS_WITH "{name}"' for name in plain) + ")"
