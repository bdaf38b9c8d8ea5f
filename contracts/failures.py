"""Every way an attempt can fail; the value is the error type that Temporal records.

What is done about each is `domain.failures`' table. Expected outcomes (a red test, a missing file,
a refused edit) are values, not failures.
"""

from enum import StrEnum

from contracts.base import Contract
from contracts.model import Usage
from contracts.visibility import RunState


class FailureKind(StrEnum):
    """The name of a failure, as it stands in histories, logs and metrics."""

    REFUSED = "Refused"
    """The person's input cannot be carried out; the sentence says what to change."""
    RATE_LIMITED = "RateLimited"
    OVERLOADED = "Overloaded"
    """The model's service is overloaded or failing (5xx, 529)."""
    UNREACHABLE = "Unreachable"
    """No answer, a time-out or a cut stream."""
    MALFORMED = "Malformed"
    """A reply that is not one (a web page, arguments that are not JSON)."""
    MODEL_REQUEST = "ModelRequest"
    """The service rejects what we sent: our bug or an ability the model lacks."""
    CREDENTIALS = "Credentials"
    """The key is missing, wrong or not allowed."""
    SPEND_LIMIT = "SpendLimit"
    """The account's own spending limit is reached."""
    CONTEXT_FULL = "ContextFull"
    """The conversation no longer fits the model's window."""
    STORE = "Store"
    DISK = "Disk"
    """No room to write."""
    SANDBOX = "Sandbox"
    """The sandbox does not hold, so no command runs."""
    FENCED = "Fenced"
    """A later holder has the worktree; this attempt must not write."""
    BUSY = "Busy"
    """A resource is held by another attempt that still runs."""
    CHECKPOINT_CORRUPTION = "CheckpointCorruption"
    """What a task's state or conversation needs is missing or damaged in the store."""
    BUG = "Bug"
    """An error of ours."""


class RetryAdvice(Contract):
    """What a workflow does about a failure: decided where it is raised, recorded in its details.

    Attributes:
        waits: the workflow waits, visibly, and tries again; else it gives up.
        state: how a run stands while it waits or after it gave up.
        longest_pause_seconds: pauses double from 1 s up to this.
        most_pauses: of failures of one kind in a row.
        pause_seconds: what the service asks to wait, where it does.
        usage, cost_microusd: what the failed attempt may have to be paid for.
        free: a wait that was asked for: it counts as no try, and lasts as long as was asked.
        fallback: the next try asks the agent's fallback model.
    """

    waits: bool
    state: RunState
    longest_pause_seconds: float = 60.0
    most_pauses: int = 2_000
    pause_seconds: float = 0.0
    usage: Usage = Usage()
    cost_microusd: int = 0
    free: bool = False
    fallback: bool = False
