"""Leave a request that was just started to the background."""

import asyncio
import contextlib

from cli.client import RequestClient, RequestOutcome, RequestSummary
from cli.client.connection import Service
from cli.context import CliContext
from cli.exit_codes import ExitCode, ServiceUnavailable
from cli.formatting import clean
from cli.watcher import leaving_hints
from contracts.visibility import RunState

_OPENING_SECONDS = 30.0
_PAUSE_SECONDS = 0.2

_BEFORE_AND_AFTER = frozenset({RunState.RUNNING, RunState.FAILED, RunState.CANCELLED})
"""States of a request without a base that opens its repository, or is about to close."""


async def leave(request: RequestSummary, service: Service, context: CliContext) -> ExitCode:
    """Leave a request to the background once its repository is open: until then it may be refused.

    A worker that does not answer in time opens it later.
    """
    outcome = None
    with contextlib.suppress(TimeoutError, ServiceUnavailable):
        async with asyncio.timeout(_OPENING_SECONDS):
            outcome = await _ended_at_opening(request.id, service.requests)
    if outcome is not None and outcome.refused:
        context.print_out(f"Refused: {clean(outcome.reason, 1_000)}")
        return outcome.exit_code
    context.print_err(*leaving_hints(request.id, context))
    return ExitCode.WAITING


async def _ended_at_opening(request_id: str, requests: RequestClient) -> RequestOutcome | None:
    """Wait until a request has opened its repository; return how it ended if it has not."""
    while not (await requests.summary(request_id)).closed:
        status = await requests.status(request_id)
        if status.base or status.state not in _BEFORE_AND_AFTER:
            return None
        await asyncio.sleep(_PAUSE_SECONDS)
    return await requests.outcome(request_id)
