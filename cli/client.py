"""
The requests of one Temporal service, as a person reaches them: the console's only way in.

Workflow types, queries, signals and updates are named as they stand on the wire.
"""

import asyncio
import contextlib
import datetime as dt
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import (
    SearchAttributeKey,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import (
    ApplicationError,
    CancelledError,
    TerminatedError,
    WorkflowAlreadyStartedError,
)
from temporalio.service import RPCError, RPCStatusCode

from cli import hints
from cli.exit_codes import ServiceUnavailable, UsageError
from cli.formatting import clean
from contracts.agent import AgentStatus, Note
from contracts.approvals import Answer, Approval, Decide, Receipt
from contracts.failures import FailureKind
from contracts.merge_queue import MergeQueueStatus
from contracts.reconcile import Reconcile, ReconcileReport
from contracts.request import RequestStart, RequestStatus
from contracts.task_queue import WORKFLOW_TASK_TIMEOUT, TaskQueue
from contracts.visibility import OC_KEPT, OC_PENDING_APPROVALS, OC_STATE, RunState
from domain.ids import REQUEST_PREFIX
from domain.text import one_line

WORKFLOW = "RequestWorkflow"
SERVER_AWAY = "The Temporal server does not answer."
WORKER_AWAY = "No worker answers."
QUERY_SECONDS = 3.0
"""How long a worker may take to answer a query before it counts as away."""
_HEALTH_SECONDS = 1.0
_RECONCILE_TIMEOUT = dt.timedelta(seconds=120)
_RPC_TIMEOUT = dt.timedelta(seconds=5)
_ANSWER_TIMEOUT = dt.timedelta(seconds=15)
_PAUSE_SECONDS = 0.5
_FORGOTTEN_SECONDS = 60.0
"""So long a request that was there may be unknown: it is started again when a worker starts."""
_SUMMARY_BYTES = 190
_STATE = SearchAttributeKey.for_keyword(OC_STATE)
_PENDING = SearchAttributeKey.for_int(OC_PENDING_APPROVALS)
_AWAY_CODES = (
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
)
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class RequestSummary:
    """
    What the service itself knows of a request, whether or not a worker runs.

    Attributes:
        state: the last that the request told, corrected when it has ended otherwise.
        pending: answers that it waits for.
        started, closed: closed is None while it is open.
        summary: the request's first line; "" in lists.
        kept: the command that lists its work in the store; "" in lists and before there is any.
    """

    id: str
    run_id: str
    state: RunState
    pending: int
    started: dt.datetime
    closed: dt.datetime | None
    summary: str = ""
    kept: str = ""


@dataclass(frozen=True)
class RequestOutcome:
    """
    How a request ended.

    Attributes:
        status: its last word, None when it ended without one.
        state: DONE, FAILED or CANCELLED.
        reason: why, when it ended without a word of its own.
        refused: the person's input could not be carried out.
    """

    status: RequestStatus | None
    state: RunState
    reason: str = ""
    refused: bool = False

    def last_status(self, known: RequestStatus) -> RequestStatus:
        """Return the request's last word, or what was known of it with its end written in."""
        if self.status:
            return self.status
        end = {"state": self.state, "reason": self.reason, "approvals": ()}
        return known.model_copy(update=end)


class RequestClient:
    """
    Finds, starts, reads and answers requests.

    Every method raises ServiceUnavailable when the server or every worker is away, and UsageError
    when the person named something that is not there or may not be done.
    """

    def __init__(self, client: Client, *, patience_seconds: float = 0.0) -> None:
        """
        Reach the requests of a client's namespace.

        Args:
            client: connected.
            patience_seconds: how long to wait for a worker that is known to be coming up.
        """
        self._client = client
        self._patience_seconds = patience_seconds

    @property
    def namespace(self) -> str:
        """The Temporal namespace."""
        return self._client.namespace

    async def start(self, start: RequestStart, *, request_id: str) -> RequestSummary:
        """Start a request and return it as found."""
        async with _translated():
            try:
                await self._client.start_workflow(
                    WORKFLOW,
                    start,
                    id=request_id,
                    task_queue=TaskQueue.WORKFLOWS,
                    task_timeout=WORKFLOW_TASK_TIMEOUT,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    static_summary=summary_of(start.request),
                    rpc_timeout=_RPC_TIMEOUT,
                )
            except WorkflowAlreadyStartedError as taken:
                raise UsageError(f"There is a request {request_id} already.") from taken
        return await self.found(request_id)

    async def find(self, typed: str) -> RequestSummary:
        """Return the request that a person names by its id, or by an unambiguous part of it."""
        for candidate in candidates(typed):
            try:
                return await self.found(candidate)
            except UsageError:
                continue
        names = [found.id async for found in self._listed(_begins_with(typed), limit=6)]
        if not names:
            raise UsageError(f"No request is called {clean(typed, 80)}; `list` shows them.")
        if len(names) > 1:
            which = ", ".join(hints.short_id(name) for name in names[:5])
            raise UsageError(f"{clean(typed, 80)} could be one of {which}; type more of it.")
        return await self.found(names[0])

    async def found(self, request_id: str) -> RequestSummary:
        """Return what the service knows of the request with this id."""
        async with _translated(f"No request is called {clean(request_id, 80)}; `list` shows them."):
            seen = await self._client.get_workflow_handle(request_id).describe(
                rpc_timeout=_RPC_TIMEOUT
            )
            if seen.workflow_type != WORKFLOW:
                raise UsageError(f"{clean(request_id, 80)} is not a request.")
            summary = clean(await seen.static_summary() or "")
            kept = (await seen.memo()).get(OC_KEPT, "")
            return _found(seen, summary=summary, kept=clean(str(kept), 500))

    async def every(self, limit: int = 100) -> list[RequestSummary]:
        """Return the newest requests, newest first."""
        return [found async for found in self._listed("", limit=limit)]

    async def _listed(self, condition: str, *, limit: int) -> AsyncIterator[RequestSummary]:
        async with _translated():
            query = f'WorkflowType="{WORKFLOW}"{condition}'
            async for seen in self._client.list_workflows(
                query, limit=limit, rpc_timeout=_RPC_TIMEOUT
            ):
                yield _found(seen)

    async def status(self, request_id: str) -> RequestStatus:
        """Return the request's own word; needs a worker."""
        return await self._patiently(lambda: self._query(request_id, "status", RequestStatus))

    async def agent(self, agent_id: str) -> AgentStatus | None:
        """Return what an agent is doing, None when it cannot tell just now."""
        return await self._unless_gone(self._query(agent_id, "status", AgentStatus))

    async def queue(self, queue_id: str) -> MergeQueueStatus | None:
        """Return the merge queue's standing, None when it does not run."""
        return await self._unless_gone(self._query(queue_id, "status", MergeQueueStatus))

    async def _unless_gone(self, question: Awaitable[_Value]) -> _Value | None:
        try:
            return await question
        except (ServiceUnavailable, UsageError):
            return None

    async def approvals(self, request_id: str) -> list[Approval]:
        """Return what waits for a person; needs a worker."""
        return await self._patiently(
            lambda: self._query(request_id, "pending_approvals", list[Approval])
        )

    async def _patiently(self, ask: Callable[[], Awaitable[_Value]]) -> _Value:
        """Ask again while a worker comes up; once one has answered there is no more patience."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._patience_seconds
        while True:
            try:
                value = await ask()
            except ServiceUnavailable:
                if loop.time() >= end:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                self._patience_seconds = 0.0
                return value

    async def _query(self, workflow_id: str, name: str, kind: type[_Value]) -> _Value:
        handle = self._client.get_workflow_handle(workflow_id)
        async with self._asked(workflow_id):
            # The client's own time limit is spent anew at each of its retries.
            async with asyncio.timeout(QUERY_SECONDS):
                answer: _Value = await handle.query(name, result_type=kind)
        return answer

    @contextlib.asynccontextmanager
    async def _asked(self, workflow_id: str) -> AsyncIterator[None]:
        """
        Translate what a query can raise; a silent worker and a silent server look alike there.
        """
        try:
            yield
        except WorkflowQueryFailedError as error:
            raise ServiceUnavailable(f"{workflow_id} cannot tell: {clean(str(error))}") from error
        except RPCError as error:
            heed()
            if error.status is RPCStatusCode.NOT_FOUND:
                raise UsageError(f"There is no {workflow_id}.") from error
            raise ServiceUnavailable(await self._who_is_away()) from error
        except TimeoutError as error:
            heed()
            raise ServiceUnavailable(await self._who_is_away()) from error

    async def _who_is_away(self) -> str:
        try:
            async with asyncio.timeout(_HEALTH_SECONDS):
                return (
                    WORKER_AWAY if await self._client.service_client.check_health() else SERVER_AWAY
                )
        except (RPCError, TimeoutError):
            return SERVER_AWAY

    async def ending(self, request_id: str) -> RequestOutcome:
        """
        Return how a request ended, waiting for it as long as it takes; needs no worker.

        A server that is away meanwhile is waited for, and one that has lost its database is given
        time to start the request again.
        """
        handle: WorkflowHandle[object, RequestStatus] = self._client.get_workflow_handle(
            request_id, result_type=RequestStatus
        )
        loop = asyncio.get_running_loop()
        unknown_since: float | None = None
        while True:
            try:
                status = await handle.result()
                return RequestOutcome(status, status.state)
            except WorkflowFailureError as error:
                return _ending(error)
            except RPCError as error:
                unknown = error.status is RPCStatusCode.NOT_FOUND
                unknown_since = (unknown_since or loop.time()) if unknown else None
                if unknown_since and loop.time() - unknown_since >= _FORGOTTEN_SECONDS:
                    raise UsageError(f"There is no {request_id} any more.") from error
                await asyncio.sleep(_PAUSE_SECONDS)

    async def reconcile(self, wanted: Reconcile) -> ReconcileReport:
        """Have a host compare its disk with the open workflows, and return what came of it."""
        async with _translated():
            report: ReconcileReport = await self._client.execute_workflow(
                "ReconcileWorkflow",
                wanted,
                id=f"reconcile/{wanted.host_id}/by-hand",
                task_queue=TaskQueue.WORKFLOWS,
                task_timeout=WORKFLOW_TASK_TIMEOUT,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                result_type=ReconcileReport,
                execution_timeout=_RECONCILE_TIMEOUT,
            )
        return report

    async def decide(self, request_id: str, decide: Decide) -> Receipt:
        """Answer an approval and return what became of it; needs a worker."""
        handle = self._client.get_workflow_handle(request_id)
        async with _translated(f"{request_id} has ended; nothing waits any more."):
            try:
                receipt: Receipt = await handle.execute_update(
                    "decide", decide, result_type=Receipt, rpc_timeout=_ANSWER_TIMEOUT
                )
            except WorkflowUpdateFailedError as error:
                told = error.cause
                words = told.message if isinstance(told, ApplicationError) else str(told)
                raise UsageError(clean(words, 500)) from error
            except WorkflowUpdateRPCTimeoutOrCancelledError as error:
                raise ServiceUnavailable(WORKER_AWAY) from error
        return receipt

    async def leave_answer(self, request_id: str, decide: Decide) -> None:
        """Leave an answer with the server, which gives it to the next worker."""
        answer = Answer.model_validate(decide.model_dump(exclude={"choice"}))
        await self._signal(request_id, decide.choice.value, answer)

    async def note(self, request_id: str, note: Note) -> None:
        """Leave a note for the request's agents."""
        await self._signal(request_id, "note", note)

    async def _signal(self, request_id: str, name: str, value: BaseModel) -> None:
        async with _translated(f"{request_id} has ended."):
            await self._client.get_workflow_handle(request_id).signal(
                name, value, rpc_timeout=_RPC_TIMEOUT
            )

    async def cancel(self, request_id: str) -> None:
        """Ask a request to stop; it frees what it holds and ends as CANCELLED."""
        async with _translated(f"{request_id} has ended already."):
            await self._client.get_workflow_handle(request_id).cancel(rpc_timeout=_RPC_TIMEOUT)


def summary_of(request: str) -> str:
    """Return the request's first line as the service keeps it: harmless, under 200 bytes."""
    first = next((line for line in request.splitlines() if line.strip()), "request")
    text = one_line(first, _SUMMARY_BYTES) or "request"
    return text.encode()[:_SUMMARY_BYTES].decode(errors="ignore")


def candidates(typed: str) -> tuple[str, ...]:
    """Return the workflow ids that a person can have meant exactly."""
    return (typed,) if typed.startswith(REQUEST_PREFIX) else (REQUEST_PREFIX + typed, typed)


def _begins_with(typed: str) -> str:
    """Return the part of a visibility query that finds ids by their beginning."""
    plain = [re.sub(r"[\"'\\\\]", "", name) for name in candidates(typed)]
    return " AND (" + " OR ".join(f'WorkflowId STARTS_WITH "{name}"' for name in plain) + ")"


def _found(seen: WorkflowExecution, *, summary: str = "", kept: str = "") -> RequestSummary:
    attributes = seen.typed_search_attributes
    return RequestSummary(
        id=seen.id,
        run_id=seen.run_id,
        state=state_of(seen.status, attributes.get(_STATE)),
        pending=(attributes.get(_PENDING) or 0) if seen.close_time is None else 0,
        started=seen.start_time,
        closed=seen.close_time,
        summary=summary,
        kept=kept,
    )


def state_of(status: WorkflowExecutionStatus | None, told: str | None) -> RunState:
    """Return a request's state from Temporal's status and from what the request told last."""
    state = RunState(told) if told in set(RunState) else RunState.RUNNING
    ended = (RunState.DONE, RunState.FAILED, RunState.CANCELLED)
    match status:
        case WorkflowExecutionStatus.COMPLETED:
            return state if state in ended else RunState.DONE
        case WorkflowExecutionStatus.CANCELED:
            return RunState.CANCELLED
        case (
            WorkflowExecutionStatus.FAILED
            | WorkflowExecutionStatus.TERMINATED
            | WorkflowExecutionStatus.TIMED_OUT
        ):
            return RunState.FAILED
        case _:
            return state


def _ending(error: WorkflowFailureError) -> RequestOutcome:
    """Return the end of a request that failed: its last word is the first detail of the failure."""
    causes: list[BaseException] = []
    cause: BaseException | None = error.cause
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__
    if isinstance(error.cause, CancelledError):
        return RequestOutcome(None, RunState.CANCELLED, "it was cancelled")
    if isinstance(error.cause, TerminatedError):
        return RequestOutcome(None, RunState.FAILED, "it was terminated by a person")
    known = [one for one in causes if isinstance(one, ApplicationError)]
    reason = known[0].message if known else str(error.cause or error)
    refused = any(one.type == FailureKind.REFUSED for one in known)
    return RequestOutcome(_last_word(known), RunState.FAILED, clean(reason, 1_000), refused)


def _last_word(errors: Sequence[ApplicationError]) -> RequestStatus | None:
    for error in errors:
        if error.details:
            with contextlib.suppress(ValidationError):
                return RequestStatus.model_validate(error.details[0])
    return None


def heed() -> None:
    """
    Go no further when the person has pressed Ctrl-C: an ended call can hide that.

    Raises:
        asyncio.CancelledError: they have.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@contextlib.asynccontextmanager
async def _translated(missing: str = "There is no such workflow.") -> AsyncIterator[None]:
    """Translate what a call to the service can raise into the console's two sentences."""
    try:
        yield
    except RPCError as error:
        heed()
        if error.status is RPCStatusCode.NOT_FOUND:
            raise UsageError(missing) from error
        if error.status in _AWAY_CODES:
            raise ServiceUnavailable(SERVER_AWAY) from error
        raise UsageError(f"The Temporal service refuses: {clean(error.message)}") from error
