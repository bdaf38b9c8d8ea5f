"""
What a kind of failure means for whoever waits: try again, wait visibly, or give up.
"""

from typing import assert_never

from contracts.failure import FailureKind
from contracts.visibility import RunState


def retryable(kind: FailureKind) -> bool:
    """
    Return whether another attempt can end otherwise.
    """
    match kind:
        case (
            FailureKind.RATE_LIMITED
            | FailureKind.OVERLOADED
            | FailureKind.UNREACHABLE
            | FailureKind.MALFORMED
            | FailureKind.STORE
            | FailureKind.DISK
            | FailureKind.BUSY
        ):
            return True
        case (
            FailureKind.REFUSED
            | FailureKind.MODEL_REQUEST
            | FailureKind.CREDENTIALS
            | FailureKind.SPEND_LIMIT
            | FailureKind.CONTEXT_FULL
            | FailureKind.SANDBOX
            | FailureKind.FENCED
            | FailureKind.BUG
        ):
            return False
        case unknown:
            assert_never(unknown)


def waiting_state(kind: FailureKind) -> RunState:
    """
    Return how a run that meets this failure stands while it is not solved.
    """
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
