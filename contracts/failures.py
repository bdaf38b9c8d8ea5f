"""Every way an attempt can fail, by origin; the value is the error type that Temporal records.

    user      REFUSED
    model     RATE_LIMITED  OVERLOADED  UNREACHABLE  MALFORMED
              MODEL_REQUEST  CREDENTIALS  SPEND_LIMIT  CONTEXT_FULL
    world     STORE  DISK  SANDBOX  FENCED  BUSY
    bug       BUG

Expected outcomes (a red test, a missing file, a refused edit) are values, not failures.
"""

from enum import StrEnum

from contracts.base import Contract
from contracts.visibility import RunState


class FailureKind(StrEnum):
    """The name of a failure, as it stands in histories, logs and metrics."""

    REFUSED = "Refused"
    """The person's input cannot be carried out; the sentence says what to change. Never retried."""
    RATE_LIMITED = "RateLimited"
    """The model's service asked to wait; retried after the time it named."""
    OVERLOADED = "Overloaded"
    """The model's service is overloaded or failing (5xx, 529); retried with back-off."""
    UNREACHABLE = "Unreachable"
    """No answer, a time-out or a cut stream; retried."""
    MALFORMED = "Malformed"
    """A reply that is not one (broken JSON, no stop reason); retried."""
    MODEL_REQUEST = "ModelRequest"
    """The service rejects what we sent: our bug or an ability the model lacks. Never retried."""
    CREDENTIALS = "Credentials"
    """The key is missing, wrong or not allowed. Never retried by itself."""
    SPEND_LIMIT = "SpendLimit"
    """The account's own spending limit is reached. Never retried by itself."""
    CONTEXT_FULL = "ContextFull"
    """The conversation no longer fits the model's window. Never retried."""
    STORE = "Store"
    """The store or git failed; retried."""
    DISK = "Disk"
    """No room to write; retried, and shown as waiting for disk."""
    SANDBOX = "Sandbox"
    """The sandbox does not hold, so no command runs. Never retried."""
    FENCED = "Fenced"
    """A later holder has the worktree; this attempt must not write. Never retried."""
    BUSY = "Busy"
    """A resource is held by another attempt that still runs; retried."""
    BUG = "Bug"
    """An error of ours. Never retried."""


class RetryAdvice(Contract):
    """What a workflow does about a failure: decided where it is raised, recorded in its details.

    Attributes:
        waits: the workflow waits, visibly, and tries again; else it gives up.
        state: how a run stands while it waits or after it gave up.
        longest_pause_seconds: pauses double from 1 s up to this.
        most_pauses: after so many it gives up.
    """

    waits: bool
    state: RunState
    longest_pause_seconds: float = 60.0
    most_pauses: int = 2_000
