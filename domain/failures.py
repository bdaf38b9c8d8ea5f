"""What each kind of failure means: does the server retry, does the workflow wait, how does it look.

Tuned freely: the answer is recorded with the failure, so workflows never replay this table.
"""

from dataclasses import dataclass
from types import MappingProxyType

from contracts.failures import FailureKind, RetryAdvice
from contracts.visibility import RunState


@dataclass(frozen=True, slots=True)
class Strategy:
    """The answer to one kind of failure.

    Attributes:
        retried: the server tries again by itself, a few times and soon.
        waits: the workflow then waits visibly and tries again.
        state: how a run stands that meets it.
    """

    retried: bool
    waits: bool
    state: RunState


_MODEL = Strategy(retried=True, waits=True, state=RunState.WAITING_MODEL)
_HOST = Strategy(retried=True, waits=True, state=RunState.WAITING_INFRA)
_FINAL = Strategy(retried=False, waits=False, state=RunState.FAILED)
_SETUP = Strategy(retried=False, waits=False, state=RunState.WAITING_INFRA)

STRATEGIES = MappingProxyType(
    {
        FailureKind.RATE_LIMITED: _MODEL,
        FailureKind.OVERLOADED: _MODEL,
        FailureKind.UNREACHABLE: _MODEL,
        FailureKind.MALFORMED: _MODEL,
        FailureKind.STORE: _HOST,
        FailureKind.BUSY: _HOST,
        FailureKind.DISK: Strategy(retried=False, waits=True, state=RunState.WAITING_INFRA),
        FailureKind.SANDBOX: _SETUP,
        FailureKind.CREDENTIALS: _SETUP,
        FailureKind.SPEND_LIMIT: Strategy(
            retried=False, waits=False, state=RunState.WAITING_BUDGET
        ),
        FailureKind.REFUSED: _FINAL,
        FailureKind.MODEL_REQUEST: _FINAL,
        FailureKind.CONTEXT_FULL: _FINAL,
        FailureKind.FENCED: _FINAL,
        FailureKind.BUG: _FINAL,
    }
)
LONGEST_PAUSE_SECONDS = 60.0
MOST_PAUSES = 2_000


def retryable(kind: FailureKind) -> bool:
    """Return whether the server should try again by itself, a few times and soon."""
    return STRATEGIES[kind].retried


def advice(kind: FailureKind) -> RetryAdvice:
    """Return what a workflow does about this failure, for the details in which it is recorded."""
    strategy = STRATEGIES[kind]
    return RetryAdvice(
        waits=strategy.waits,
        state=strategy.state,
        longest_pause_seconds=LONGEST_PAUSE_SECONDS,
        most_pauses=MOST_PAUSES,
    )
