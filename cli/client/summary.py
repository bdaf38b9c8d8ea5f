"""What the Temporal service itself knows of a request: its id, state and times."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from temporalio.client import WorkflowExecution
from temporalio.common import SearchAttributeKey

from cli.request_rows import RequestRow, key_in, state_of
from contracts.request import RequestStatus
from contracts.visibility import (
    OC_ATTEMPT,
    OC_COST,
    OC_KEPT,
    OC_PENDING_APPROVALS,
    OC_REFUSED,
    OC_REPOSITORY,
    OC_STATE,
    OC_THREAD,
    RunState,
)
from domain import ids
from domain.text import one_line

_SUMMARY_BYTES = 190
_STATE = SearchAttributeKey.for_keyword(OC_STATE)
_PENDING = SearchAttributeKey.for_int(OC_PENDING_APPROVALS)


@dataclass(frozen=True)
class RequestSummary:
    """What the service knows of a request, with a worker or without.

    Attributes:
        state: the last one that the request reported, corrected when it has ended otherwise.
        pending: how many approvals it waits for.
        started, closed: closed is None while it is open.
        summary: the request's first line; "" in lists.
        salvage_command: lists its work in the store; "" before there is any.
        key: names what the store keeps of it.
        repository: its path; "" when the request has not told it.
        cost_usd: what it cost; None while it is open, and when it was terminated or is older.
        attempt: 1, and one more with each retry.
        refused: nothing was made of it; `list` leaves it out.
        thread: the key of the first request of its thread: its own of one that follows none.
    """

    id: str
    run_id: str
    state: RunState
    pending: int
    started: dt.datetime
    closed: dt.datetime | None
    summary: str = ""
    salvage_command: str = ""
    key: str = ""
    repository: str = ""
    cost_usd: float | None = None
    attempt: int = 1
    refused: bool = False
    thread: str = ""

    def seconds(self, now: float) -> float:
        """Return the seconds from the request's start to its end, or to now."""
        end = self.closed.timestamp() if self.closed else now
        return max(end - self.started.timestamp(), 0.0)

    def row(self, cost_usd: float) -> RequestRow:
        """Return it as a row of a list, with what it has cost."""
        return RequestRow(
            id=self.id,
            state=self.state.value,
            pending=self.pending,
            started=self.started.timestamp(),
            closed=self.closed.timestamp() if self.closed else None,
            repository=self.repository,
            cost_usd=cost_usd,
        )

    def status(self, problem: str = "") -> RequestStatus:
        """Return the request's status as the service knows it; a problem explains why only that."""
        known = " This is what the server knows; the request goes on when a worker runs."
        reason = problem + known if problem else ""
        return RequestStatus(
            id=self.id,
            attempt=self.attempt,
            state=self.state,
            request=self.summary,
            reason=reason,
            repository=self.repository,
            cost_usd=self.cost_usd or 0.0,
        )


def summarize(
    execution: WorkflowExecution, memo: Mapping[str, Any], *, summary: str = ""
) -> RequestSummary:
    """Return the summary of a workflow execution with what its memo says."""
    kept, cost = one_line(str(memo.get(OC_KEPT, "")), 500), memo.get(OC_COST)
    key = key_in(kept) or ids.request_key(execution.id, _first_run(execution))
    attributes = execution.typed_search_attributes
    return RequestSummary(
        id=execution.id,
        run_id=execution.run_id,
        state=state_of(execution.status.name if execution.status else "", attributes.get(_STATE)),
        pending=0 if execution.close_time else attributes.get(_PENDING) or 0,
        started=execution.start_time,
        closed=execution.close_time,
        summary=summary,
        salvage_command=kept,
        key=key,
        repository=str(memo.get(OC_REPOSITORY, "")),
        cost_usd=float(cost) if isinstance(cost, int | float) else None,
        attempt=attempt if isinstance(attempt := memo.get(OC_ATTEMPT), int) else 1,
        refused=bool(memo.get(OC_REFUSED)),
        thread=str(memo.get(OC_THREAD) or key),
    )


def _first_run(execution: WorkflowExecution) -> str:
    return execution.raw_info.first_run_id or execution.run_id


def first_line(request: str) -> str:
    """Return the request's first line as the service stores it: harmless, under 200 bytes."""
    first = next((line for line in request.splitlines() if line.strip()), "request")
    text = one_line(first, _SUMMARY_BYTES) or "request"
    return text.encode()[:_SUMMARY_BYTES].decode(errors="ignore")
