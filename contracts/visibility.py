"""What a run shows from outside: its state and the search attributes that make lists of it."""

from contracts.base import Contract, ShortText
from contracts.run_state import (
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

__all__ = [
    "OC_ATTEMPT",
    "OC_COST",
    "OC_KEPT",
    "OC_PENDING_APPROVALS",
    "OC_REFUSED",
    "OC_REPOSITORY",
    "OC_STATE",
    "OC_THREAD",
    "Blocker",
    "RunState",
]


class Blocker(Contract):
    """What a workflow cannot go on without; state RUNNING says that it is gone."""

    sender: str
    state: RunState
    reason: ShortText = ""
