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
        advice: what the workflow does then, for the details in which it is recorded.
    """

    retried: bool
    advice: RetryAdvice


SHORT_SECONDS = 5.0
"""A longer wait is one that people are shown."""

_WITHOUT_END = 1_000_000

_WAITS = RetryAdvice(waits=True, state=RunState.WAITING_INFRA)
_MODEL = Strategy(True, RetryAdvice(waits=True, state=RunState.WAITING_MODEL))
# The workflow's from the first: a wait that is asked for takes none of the server's few attempts.
_LIMITED = Strategy(False, RetryAdvice(waits=True, state=RunState.WAITING_MODEL, free=True))
_FEW = Strategy(True, RetryAdvice(waits=True, state=RunState.WAITING_MODEL, most_pauses=4))
_HOST = Strategy(True, _WAITS)
_FINAL = Strategy(False, RetryAdvice(waits=False, state=RunState.FAILED))
_SETUP = Strategy(False, RetryAdvice(waits=False, state=RunState.WAITING_INFRA))
# A person mends these, whenever that is: no work is lost for want of a key or of money. A worker
# that starts ends the pause; ten minutes keep the history of a wait of weeks short.
_KEY = Strategy(
    False,
    RetryAdvice(
        waits=True,
        state=RunState.WAITING_INFRA,
        longest_pause_seconds=600,
        most_pauses=_WITHOUT_END,
    ),
)
_ACCOUNT = Strategy(False, _KEY.advice.model_copy(update={"state": RunState.WAITING_BUDGET}))

STRATEGIES = MappingProxyType(
    {
        FailureKind.RATE_LIMITED: _LIMITED,
        FailureKind.OVERLOADED: _MODEL,
        FailureKind.UNREACHABLE: _MODEL,
        FailureKind.MALFORMED: _FEW,
        FailureKind.STORE: _HOST,
        FailureKind.BUSY: _HOST,
        FailureKind.DISK: Strategy(False, _WAITS),
        FailureKind.SANDBOX: _SETUP,
        FailureKind.CREDENTIALS: _KEY,
        FailureKind.SPEND_LIMIT: _ACCOUNT,
        FailureKind.REFUSED: _FINAL,
        FailureKind.MODEL_REQUEST: _FINAL,
        FailureKind.CONTEXT_FULL: _FINAL,
        FailureKind.FENCED: _FINAL,
        FailureKind.CHECKPOINT_CORRUPTION: _FINAL,
        FailureKind.BUG: _FEW,
    }
)
