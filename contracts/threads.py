"""Threads: requests that follow each other, each told what the ones before it came to."""

from typing import Any, Final

from pydantic import Field

from contracts.base import Contract, HumanInput, ObjectId
from contracts.run_state import RunState

MOST_QUEUED: Final = 20
"""Follow-ups that wait for one request."""
MOST_PAST: Final = 14_000
"""Characters of what agents are told of the runs before."""
MOST_LEDGER: Final = 5_000
"""Characters of the ledger of one run."""


class PastRun(Contract):
    """A run of a thread that has ended.

    Attributes:
        id: workflow id of the request.
        request: what was asked.
        outcome: what it came to, in words.
        ledger: decisions, what is open, what was tried and failed, checks; "" of an older run.
        branch, commit: what it delivered; None when it delivered nothing.
    """

    id: str
    request: str
    state: RunState
    outcome: str = ""
    ledger: str = ""
    branch: str | None = None
    commit: ObjectId | None = None


class FollowUp(HumanInput):
    """A request that starts once the one that it follows has ended.

    Attributes:
        request_id: its workflow id.
        start: its input.
    """

    request_id: str = Field(min_length=1, max_length=200)
    start: dict[str, Any]


class FollowUpReceipt(Contract):
    """What became of a follow-up."""

    message: str
