"""What a kind of failure means for whoever waits: try again, wait visibly, or give up."""

from typing import assert_never

from contracts.failures import FailureKind
from contracts.visibility import RunState

MOST_DEATHS = 50
"""How often in a row an activity may be lost with its worker before it is given up."""
MOST_MOVES = 20
"""How many worktrees one call may lose, one after the other, before its agent is given up."""
_MOST_PAUSES = 2_000
_LONGEST_PAUSE = 60.0


def retryable(kind: FailureKind) -> bool:
    """Return whether the server should try again by itself, a few times and soon."""
    match kind:
        case (
            FailureKind.RATE_LIMITED
            | FailureKind.OVERLOADED
            | FailureKind.UNREACHABLE
            | FailureKind.MALFORMED
            | FailureKind.STORE
            | FailureKind.BUSY
        ):
            return True
        case (
            FailureKind.REFUSED
            | FailureKind.MODEL_REQUEST
            | FailureKind.CREDENTIALS
            | FailureKind.SPEND_LIMIT
            | FailureKind.CONTEXT_FULL
            | FailureKind.DISK
            | FailureKind.SANDBOX
            | FailureKind.FENCED
            | FailureKind.BUG
        ):
            return False
        case unknown:
            assert_never(unknown)


def waiting_state(kind: FailureKind) -> RunState:
    """Return how a run that meets this failure stands while it is not solved."""
    match kind:
        case (
            FailureKind.RATE_LIMITED
            | FailureKind.OVERLOADED
            | FailureKind.UNREACHABLE
            | FailureKind.MALFORMED
        ):
            return RunState.WAITING_MODEL
        case FailureKind.SPEND_LIMIT:
            return RunState.WAITING_BUDGET
        case (
            FailureKind.STORE
            | FailureKind.DISK
            | FailureKind.BUSY
            | FailureKind.SANDBOX
            | FailureKind.CREDENTIALS
        ):
            return RunState.WAITING_INFRA
        case (
            FailureKind.REFUSED
            | FailureKind.MODEL_REQUEST
            | FailureKind.CONTEXT_FULL
            | FailureKind.FENCED
            | FailureKind.BUG
        ):
            return RunState.FAILED
        case unknown:
            assert_never(unknown)


def waited_for(kind: FailureKind) -> bool:
    """Return whether a run waits, visibly, until the trouble is over."""
    return kind is FailureKind.DISK or retryable(kind)


def lease_lost(kind: str | None) -> bool:
    """
    Return whether another worktree mends a failure of this recorded kind.

    What is in a worktree is in the store as well, up to the last checkpoint.
    """
    return _known(kind) is FailureKind.FENCED


def pause_seconds(kind: str | None, tries: int) -> float | None:
    """
    Return how long to wait before trying again, None when waiting does not mend it.

    `kind` is a FailureKind's value, or whatever else stands in a history.
    """
    known = _known(kind)
    if known is None or not waited_for(known) or tries >= _MOST_PAUSES:
        return None
    return min(2.0 ** min(tries, 10), _LONGEST_PAUSE)


def state_of(kind: str | None) -> RunState:
    """Return how a run that meets a failure of this recorded kind stands."""
    known = _known(kind)
    return waiting_state(known) if known else RunState.WAITING_INFRA


def _known(kind: str | None) -> FailureKind | None:
    return next((member for member in FailureKind if member.value == kind), None)
