"""What a run shows from outside: its state and the search attributes that make lists of it."""

from enum import StrEnum

from contracts.base import Contract, ShortText

OC_STATE = "OcState"
"""Keyword search attribute: a RunState value."""
OC_PENDING_APPROVALS = "OcPendingApprovals"
"""Int search attribute: how many answers the run waits for."""


OC_KEPT = "OcKept"
"""Memo: where a request's work is kept, in words; readable even when the request was terminated."""


class RunState(StrEnum):
    """The closed list of what a run can be doing; `status.reason` says the rest in words."""

    RUNNING = "RUNNING"
    WAITING_MODEL = "WAITING_MODEL"
    WAITING_APPROVAL = "WAITING_APPROVAL"
    WAITING_REVIEW = "WAITING_REVIEW"
    WAITING_BUDGET = "WAITING_BUDGET"
    WAITING_INFRA = "WAITING_INFRA"
    CONFLICT = "CONFLICT"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    DONE = "DONE"


class Blocker(Contract):
    """What a workflow cannot go on without; state RUNNING says that it is gone."""

    sender: str
    state: RunState
    reason: ShortText = ""
