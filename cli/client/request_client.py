"""Find, start, read and answer the requests of a Temporal service.

Workflow types, queries, signals and updates carry their wire names.
"""

import datetime as dt
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar

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
from cli.formatting import clean, name
from contracts.agent import AgentStatus, Note
from contracts.approvals import Answer, Approval, Decide, Receipt
from contracts.budget import BudgetReceipt, SetBudget
from contracts.continuation import HandOff, HandOffReceipt, TurnChoice, TurnReceipt
from contracts.merge_queue import MergeQueueStatus
from contracts.reconcile import Reconcile, ReconcileReport
from contracts.request import RequestStart, RequestStatus
from contracts.task_queue import WORKFLOW_TASK_TIMEOUT, TaskQueue
from contracts.threads import FollowUp, FollowUpReceipt
from contracts.visibility import (
    OC_ATTEMPT,
    OC_KEPT,
    OC_PENDING_APPROVALS,
    OC_REPOSITORY,
    OC_THREAD,
)
from domain.ids import REQUEST_PREFIX

_Result = TypeVar("_Result")

WORKFLOW = "RequestWorkflow"
_RECONCILE_TIMEOUT = dt.timedelta(seconds=120)
_CLEAN_UP_TIMEOUT = dt.timedelta(minutes=30)
_DECIDE_TIMEOUT = dt.timedelta(seconds=15)
_GOING_BACK_TIMEOUT = dt.timedelta(seconds=120)
"""What a task does at the moment is ended first."""
_LISTED = 1_000
_OPEN = ' AND ExecutionStatus="Running"'
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
        try:
            memo = {OC_THREAD: start.thread} if start.thread else {}
            await self._start(start, request_id, WorkflowIDReusePolicy.REJECT_DUPLICATE, memo)
        except WorkflowAlreadyStartedError as error:
            raise UsageError(f"There is a request {name(request_id)} already.") from error
        return await self.summary(request_id)

    async def retry(self, start: RequestStart, request: RequestSummary) -> RequestSummary:
        """Start a request again that has not ended well, under its id; return its summary."""
        memo = {OC_KEPT: request.salvage_command, OC_ATTEMPT: start.retry and start.retry.attempt}
        memo |= {OC_THREAD: start.thread} if start.thread else {}
        policy = WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
        try:
            await self._start(start, request.id, policy, memo)
        except WorkflowAlreadyStartedError as error:
            raise UsageError(
                f"{name(request.id)} goes on already: another command was faster; watch it with "
                "`watch`."
            ) from error
        return await self.summary(request.id)

    async def _start(
        self,
        start: RequestStart,
        request_id: str,
        policy: WorkflowIDReusePolicy,
        memo: Mapping[str, Any],
    ) -> None:
        async with translated_errors():
            await self._client.start_workflow(
                WORKFLOW,
                start,
                id=request_id,
                task_queue=TaskQueue.WORKFLOWS,
                task_timeout=WORKFLOW_TASK_TIMEOUT,
                id_reuse_policy=policy,
                static_summary=first_line(start.request),
                memo={OC_REPOSITORY: start.repository, **memo},
                rpc_timeout=RPC_TIMEOUT,
            )

    async def find(self, typed: str) -> RequestSummary:
        """Return the request with this id, or with this unambiguous beginning of one."""
        for request_id in _possible_ids(typed):
            try:
                return await self.summary(request_id)
            except UsageError:
                continue
        found = self._list(_prefix_condition(typed), _LISTED)
        matches = list(dict.fromkeys([one.id async for one in found]))
        if not matches:
            raise UsageError(_not_found(typed))
        if len(matches) > 1:
            names = ", ".join(name(hints.short_id(each)) for each in matches[:_SUGGESTED])
            raise UsageError(f"{clean(typed, 80)} could be one of {names}; type more of it.")
        return await self.summary(matches[0])

    async def find_open(self, typed: str) -> RequestSummary:
        """Return the open request that a person names; refuse one that has ended."""
        request = await self.find(typed)
        if request.closed:
            raise UsageError(
                f"{name(request.id)} has ended ({request.state}); nothing waits any more."
            )
        return request

    async def summary(self, request_id: str) -> RequestSummary:
        """Return what the service knows of the request with exactly this id."""
        async with translated_errors(_not_found(request_id)):
            handle = self._client.get_workflow_handle(request_id)
            execution = await handle.describe(rpc_timeout=RPC_TIMEOUT)
            if execution.workflow_type != WORKFLOW:
                raise UsageError(f"{clean(request_id, 80)} is not a request.")
            summary = clean(await execution.static_summary() or "")
            return summarize(execution, await execution.memo(), summary=summary)

    async def asked(self, request_id: str) -> dict[str, Any]:
        """Return the input of a request as it was typed; empty when it is no object."""
        handle = self._client.get_workflow_handle(request_id)
        async with translated_errors(_not_found(request_id)):
            first = await anext(handle.fetch_history_events(page_size=1, rpc_timeout=RPC_TIMEOUT))
        payloads = first.workflow_execution_started_event_attributes.input.payloads
        values = await self._client.data_converter.decode(payloads)
        return values[0] if values and isinstance(values[0], dict) else {}

    async def newest(self, most: int = _LISTED) -> list[RequestSummary]:
        """Return runs of requests, those that are open first, then those that ended last."""
        return [request async for request in self._list("", most)]

    async def count(self) -> int:
        """Return how many requests the service knows."""
        async with translated_errors():
            found = await self._client.count_workflows(
                f'WorkflowType="{WORKFLOW}"', rpc_timeout=RPC_TIMEOUT
            )
        return found.count

    async def open(self) -> list[RequestSummary]:
        """Return the newest open requests, newest first."""
        return [request async for request in self._list(_OPEN, _LISTED)]

    async def waiting(self) -> list[RequestSummary]:
        """Return the open requests in which something waits for a person, newest first."""
        condition = f"{_OPEN} AND {OC_PENDING_APPROVALS} > 0"
        return [request async for request in self._list(condition, _LISTED)]

    async def _list(self, condition: str, limit: int) -> AsyncIterator[RequestSummary]:
        """Give the runs of requests; one that was retried has a run for each attempt."""
        query = f'WorkflowType="{WORKFLOW}"{condition}'
        async with translated_errors():
            async for execution in self._client.list_workflows(
                query, limit=limit, rpc_timeout=RPC_TIMEOUT
            ):
                yield summarize(execution, await execution.memo())

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
        name, timeout = f"reconcile/{order.host_id}/by-hand", _RECONCILE_TIMEOUT
        if order.clean is not None:
            # Each its own: another one's report would say nothing of what was ordered.
            name = f"reconcile/{order.host_id}/clean-up-{secrets.token_hex(4)}"
            timeout = _CLEAN_UP_TIMEOUT
        async with translated_errors():
            report: ReconcileReport = await self._client.execute_workflow(
                "ReconcileWorkflow",
                order,
                id=name,
                task_queue=TaskQueue.WORKFLOWS,
                task_timeout=WORKFLOW_TASK_TIMEOUT,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                result_type=ReconcileReport,
                execution_timeout=timeout,
            )
        return report

    async def decide(self, request_id: str, decide: Decide) -> Receipt:
        """Answer an approval and return the receipt; needs a worker."""
        return await self._update(request_id, "decide", decide, Receipt)

    async def set_budget(self, request_id: str, wanted: SetBudget) -> BudgetReceipt:
        """Set a request's budget and return the receipt; needs a worker."""
        return await self._update(request_id, "set_budget", wanted, BudgetReceipt)

    async def choose_turn(self, request_id: str, choice: TurnChoice) -> TurnReceipt:
        """Let a task of an open request go on from a turn; needs a worker."""
        return await self._update(
            request_id, "choose_turn", choice, TurnReceipt, waits=_GOING_BACK_TIMEOUT
        )

    async def follow_up(self, request_id: str, wanted: FollowUp) -> FollowUpReceipt:
        """Have a request start once an open one has ended; needs a worker."""
        return await self._update(request_id, "follow_up", wanted, FollowUpReceipt)

    async def thread(self, thread: str) -> list[RequestSummary]:
        """Return the requests of a thread, by the key of its first one, in order."""
        found = [each for each in await self.newest() if each.thread == thread]
        newest = {each.id: each for each in reversed(found)}
        return sorted(newest.values(), key=lambda each: each.started)

    async def hand_off(self, request_id: str, wanted: HandOff) -> HandOffReceipt:
        """Stop the agent of a task of an open request, for a person; needs a worker."""
        return await self._update(
            request_id, "hand_off", wanted, HandOffReceipt, waits=_GOING_BACK_TIMEOUT
        )

    async def _update(
        self,
        request_id: str,
        update: str,
        value: BaseModel,
        result_type: type[_Result],
        *,
        waits: dt.timedelta = _DECIDE_TIMEOUT,
    ) -> _Result:
        handle = self._client.get_workflow_handle(request_id)
        async with translated_errors(f"{name(request_id)} has ended; nothing waits any more."):
            try:
                receipt: _Result = await handle.execute_update(
                    update, value, result_type=result_type, rpc_timeout=waits
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

    async def signal_budget(self, request_id: str, wanted: SetBudget) -> None:
        """Send a budget that the server stores for the next worker; needs no worker."""
        await self._signal(request_id, "budget", wanted)

    async def note(self, request_id: str, note: Note) -> None:
        """Send a note to the request's agents."""
        await self._signal(request_id, "note", note)

    async def _signal(self, request_id: str, signal: str, value: BaseModel) -> None:
        handle = self._client.get_workflow_handle(request_id)
        async with translated_errors(f"{name(request_id)} has ended."):
            await handle.signal(signal, value, rpc_timeout=RPC_TIMEOUT)

    async def cancel(self, request_id: str) -> None:
        """Cancel a request; it frees what it holds and ends as CANCELLED."""
        async with translated_errors(f"{name(request_id)} has ended already."):
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
