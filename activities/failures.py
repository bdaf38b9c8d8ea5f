"""How an attempt says that it failed: one translation, at the door, by kind."""

import datetime as dt
import errno

from temporalio.exceptions import ApplicationError

from contracts.failure import FailureKind
from domain import failure

_BOUND = 2_000


def failed(
    kind: FailureKind, message: str, *, retry_after_seconds: float | None = None
) -> ApplicationError:
    """Return the error that Temporal records: its type is the kind, its text is bounded."""
    delay = dt.timedelta(seconds=retry_after_seconds) if retry_after_seconds else None
    return ApplicationError(
        message[:_BOUND],
        type=kind.value,
        non_retryable=not failure.retryable(kind),
        next_retry_delay=delay,
    )


def from_os_error(error: OSError, doing: str) -> ApplicationError:
    """Return the failure for an operating system error: a full disk is told apart from the rest."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return failed(FailureKind.DISK, f"no room left on the disk while {doing}")
    return failed(FailureKind.STORE, f"{error.strerror or error} while {doing}")
