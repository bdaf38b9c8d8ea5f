"""How a request ended, read from the result or the failure of its workflow."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError
from temporalio.service import RPCError, RPCStatusCode

from cli.client.rpc import POLL_SECONDS, ServerConnection, raise_if_cancelled
from cli.exit_codes import ExitCode, UsageError
from cli.formatting import clean, name
from contracts.failures import FailureKind
from contracts.request import RequestStatus
from contracts.visibility import RunState

_EXIT_CODES = {
    RunState.DONE: ExitCode.DELIVERED,
    RunState.FAILED: ExitCode.FAILED,
    RunState.CANCELLED: ExitCode.FAILED,
}
_RESTART_SECONDS = 60.0
"""How long a request may be unknown to the server: a starting worker restarts it."""


@dataclass(frozen=True)
class RequestOutcome:
    """How a request ended.

    Attributes:
        status: the last that it reported; None when it ended without a report.
        state: DONE, FAILED or CANCELLED.
        reason: why, when it ended without a report.
        refused: the person's input cannot be carried out.
    """

    status: RequestStatus | None
    state: RunState
    reason: str = ""
    refused: bool = False

    def last_status(self, known: RequestStatus) -> RequestStatus:
        """Return the last status that the request reported, else the known one with its end."""
        if self.status:
            return self.status
        end = {"state": self.state, "reason": self.reason, "approvals": ()}
        return known.model_copy(update=end)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of a command that waited for this end."""
        if self.refused:
            return ExitCode.USAGE
        return _EXIT_CODES.get(self.state, ExitCode.WAITING)


async def wait_for_outcome(server: ServerConnection, request_id: str) -> RequestOutcome:
    """Wait until a request has ended, and return how; needs no worker.

    While the server does not answer it is asked again; one that has lost its database gets a
    minute to start the request again.

    Raises:
        UsageError: the server does not know the request.
    """
    now = asyncio.get_running_loop().time
    unknown_since: float | None = None
    while True:
        handle: WorkflowHandle[object, RequestStatus] = server.client.get_workflow_handle(
            request_id, result_type=RequestStatus
        )
        try:
            status = await handle.result()
            return RequestOutcome(status, status.state)
        except WorkflowFailureError as error:
            return _failed(error)
        except RPCError as error:
            raise_if_cancelled()
            unknown = error.status is RPCStatusCode.NOT_FOUND
            unknown_since = (unknown_since or now()) if unknown else None
            if unknown_since and now() - unknown_since >= _RESTART_SECONDS:
                raise UsageError(f"There is no {name(request_id)} any more.") from error
            await server.follow()
            await asyncio.sleep(POLL_SECONDS)


def _failed(error: WorkflowFailureError) -> RequestOutcome:
    """Return the outcome of a failed workflow; the first detail is the request's last status."""
    if isinstance(error.cause, CancelledError):
        return RequestOutcome(None, RunState.CANCELLED, "it was cancelled")
    if isinstance(error.cause, TerminatedError):
        return RequestOutcome(None, RunState.FAILED, "it was terminated by a person")
    known = [cause for cause in _causes(error) if isinstance(cause, ApplicationError)]
    reason = known[0].message if known else str(error.cause or error)
    refused = any(cause.type == FailureKind.REFUSED for cause in known)
    return RequestOutcome(_reported_status(known), RunState.FAILED, clean(reason, 1_000), refused)


def _causes(error: WorkflowFailureError) -> Iterator[BaseException]:
    cause: BaseException | None = error.cause
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _reported_status(errors: Sequence[ApplicationError]) -> RequestStatus | None:
    for error in errors:
        if error.details:
            with contextlib.suppress(ValidationError):
                return RequestStatus.model_validate(error.details[0])
    return None
