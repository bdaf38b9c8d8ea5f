"""What a run shows from outside without a message: its state, and the names that lists of it use.

Nothing heavy is imported here: commands that only list read it.
"""

from enum import StrEnum

OC_STATE = "OcState"
"""Keyword search attribute: a RunState value."""
OC_PENDING_APPROVALS = "OcPendingApprovals"
"""Int search attribute: how many answers the run waits for."""
OC_KEPT = "OcKept"
"""Memo: where a request's work is kept, in words; readable even when the request was terminated."""
OC_REPOSITORY = "OcRepository"
"""Memo: the path of a request's repository."""
OC_COST = "OcCostUsd"
"""Memo: what a request that has ended has cost, in US dollars."""
OC_ATTEMPT = "OcAttempt"
"""Memo: which attempt at its request a run is; a first one has none."""
OC_REFUSED = "OcRefused"
"""Memo: the request was refused before anything was made of it."""


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


OC_THREAD = "OcThread"
"""In the memo of a request that follows others: the key of the first of them."""
