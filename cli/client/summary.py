"""What the Temporal service itself knows of a request: its id, state and times."""

import datetime as dt
from dataclasses import dataclass

from temporalio.client import WorkflowExecution, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey

from contracts.request import RequestStatus
from contracts.visibility import OC_PENDING_APPROVALS, OC_STATE, RunState
from domain.text import one_line

_SUMMARY_BYTES = 190
_STATE = SearchAttributeKey.for_keyword(OC_STATE)
_PENDING = SearchAttributeKey.for_int(OC_PENDING_APPROVALS)
_ENDED = (RunState.DONE, RunState.FAILED, RunState.CANCELLED)


@dataclass(frozen=True)
class RequestSummary:
    """What the service knows of a request, with a worker or without.

    Attributes:
        state: the last one that the request reported, corrected when it has ended otherwise.
        pending: how many approvals it waits for.
        started, closed: closed is None while it is open.
        summary: the request's first line; "" in lists.
        salvage_command: lists its work in the store; "" in lists and before there is any.
    """

    id: str
    run_id: str
    state: RunState
    pending: int
    started: dt.datetime
    closed: dt.datetime | None
    summary: str = ""
    salvage_command: str = ""

    def seconds(self, now: float) -> float:
        """Return the seconds from the request's start to its end, or to now."""
        end = self.closed.timestamp() if self.closed else now
        return max(end - self.started.timestamp(), 0.0)

    def status(self, problem: str = "") -> RequestStatus:
        """Return the request's status as the service knows it; a problem explains why only that."""
        known = " This is what the server knows; the request goes on when a worker runs."
        reason = problem + known if problem else ""
        return RequestStatus(id=self.id, state=self.state, request=self.summary, reason=reason)


def summarize(
    execution: WorkflowExecution, *, summary: str = "", salvage_command: str = ""
) -> RequestSummary:
    """Return the summary of a workflow execution."""
    attributes = execution.typed_search_attributes
    return RequestSummary(
        id=execution.id,
        run_id=execution.run_id,
        state=request_state(execution.status, attributes.get(_STATE)),
        pending=0 if execution.close_time else attributes.get(_PENDING) or 0,
        started=execution.start_time,
        closed=execution.close_time,
        summary=summary,
        salvage_command=salvage_command,
    )


def request_state(status: WorkflowExecutionStatus | None, reported: str | None) -> RunState:
    """Return a request's state from Temporal's status and the state that it reported last."""
    state = RunState(reported) if reported in set(RunState) else RunState.RUNNING
    match status:
        case WorkflowExecutionStatus.COMPLETED:
            return state if state in _ENDED else RunState.DONE
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


def first_line(request: str) -> str:
    """Return the request's first line as the service stores it: harmless, under 200 bytes."""
    first = next((line for line in request.splitlines() if line.strip()), "request")
    text = one_line(first, _SUMMARY_BYTES) or "request"
    return text.encode()[:_SUMMARY_BYTES].decode(errors="ignore")
