"""How an attempt fails: errors of the outside are translated here, once, into Temporal's."""

import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

from temporalio.exceptions import ApplicationError

from contracts.failures import FailureKind, RetryAdvice
from contracts.visibility import RunState
from domain.failures import SHORT_SECONDS, STRATEGIES
from infra.anthropic.client import ModelServiceError
from infra.disk_space import LowSpaceError, is_disk_full
from infra.files.ripgrep import RipgrepKilledError
from infra.git.command import GitError, GitMissingError
from infra.layers import LayerMissing
from infra.repository_look import LookFailedError, RequestRefused
from infra.roles.files import RoleError
from infra.sandbox import SandboxUnavailable
from infra.store import ObjectMissing, RefConflict, StoreError
from infra.worktrees.errors import Fenced, WorktreeBroken, WorktreeBusy

_BOUND = 2_000
_FALLBACK = RetryAdvice(waits=True, state=RunState.WAITING_MODEL, fallback=True)
"""Whatever the kind: another model may answer what this one does not."""

_KINDS: Mapping[type[Exception], FailureKind] = MappingProxyType(
    {
        RequestRefused: FailureKind.REFUSED,
        RoleError: FailureKind.REFUSED,
        LowSpaceError: FailureKind.DISK,
        LayerMissing: FailureKind.STORE,
        Fenced: FailureKind.FENCED,
        WorktreeBusy: FailureKind.BUSY,
    }
)
_TRANSLATED: tuple[type[Exception], ...] = (
    *_KINDS, ModelServiceError, SandboxUnavailable, WorktreeBroken, GitError, GitMissingError,
    StoreError, ObjectMissing, RefConflict, RipgrepKilledError, LookFailedError, OSError,
)  # fmt: skip


def failed(
    kind: FailureKind, message: str, *, retry_after_seconds: float | None = None
) -> ApplicationError:
    """Return the error that Temporal records: its type is the kind, its detail the advice.

    A long wait is the workflow's, which shows it; the server waits without a word.
    """
    strategy, asked = STRATEGIES[kind], retry_after_seconds or 0.0
    retried = strategy.retried and asked <= SHORT_SECONDS
    return ApplicationError(
        message[:_BOUND],
        strategy.advice.model_copy(update={"pause_seconds": asked}),
        type=kind.value,
        non_retryable=not retried,
        next_retry_delay=dt.timedelta(seconds=asked) if asked and retried else None,
    )


def call_failed(
    error: ModelServiceError, *, cost_microusd: int, fallback: bool = False
) -> ApplicationError:
    """Return the failure of a call of the model.

    One that may have to be paid for reaches the workflow each time, so that it is booked and the
    next one is within the budget. So does one after which the fallback model is asked.
    """
    failure = failed(error.kind, str(error), retry_after_seconds=error.retry_after_seconds)
    if error.usage is None and not fallback:
        return failure
    advice = failure.details[0]
    if fallback:
        advice = _FALLBACK
    if error.usage is not None:
        advice = advice.model_copy(update={"usage": error.usage, "cost_microusd": cost_microusd})
    return ApplicationError(failure.message, advice, type=failure.type, non_retryable=True)


@contextlib.asynccontextmanager
async def translated_failures(doing: str = "working on a worktree") -> AsyncIterator[None]:
    """Translate what infra raises; `doing` says what was tried when the system refuses it."""
    try:
        yield
    except _TRANSLATED as error:
        raise translated(error, doing) from error


def translated(error: Exception, doing: str) -> ApplicationError:
    """Return the failure that an error of infra means."""
    if isinstance(error, ModelServiceError):
        return failed(error.kind, str(error), retry_after_seconds=error.retry_after_seconds)
    if isinstance(error, SandboxUnavailable):
        return failed(FailureKind.SANDBOX, f"no command can run: {error}")
    if isinstance(error, OSError):
        if is_disk_full(error):
            return failed(FailureKind.DISK, f"no room left on the disk while {doing}")
        return failed(FailureKind.STORE, f"{error.strerror or error} while {doing}")
    if kind := _KINDS.get(type(error)):
        return failed(kind, str(error))
    if is_disk_full(error):
        return failed(FailureKind.DISK, f"no room left on the disk: {error}")
    if isinstance(error, ObjectMissing):
        return failed(FailureKind.STORE, f"the store lost an object: {error}")
    return failed(FailureKind.STORE, str(error))
