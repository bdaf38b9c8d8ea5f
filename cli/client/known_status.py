"""A request's status as far as it is known: reported by the request, or by the server alone."""

from cli.client.request_client import RequestClient
from cli.client.summary import RequestSummary
from cli.exit_codes import ServiceUnavailable
from contracts.request import RequestStatus


async def known_status(
    requests: RequestClient, request: RequestSummary
) -> tuple[RequestStatus, bool]:
    """Return a request's status, and whether the request reported it; never waits for a worker."""
    if request.closed:
        outcome = await requests.outcome(request.id)
        return outcome.last_status(_summary_status(request)), True
    try:
        return await requests.status(request.id), True
    except ServiceUnavailable as error:
        return unreported_status(request, str(error)), False


def unreported_status(request: RequestSummary, problem: str) -> RequestStatus:
    """Return the status of a request that does not report one, with the reason."""
    reason = f"{problem} This is what the server knows; the request goes on when a worker runs."
    return _summary_status(request).model_copy(update={"reason": reason})


def _summary_status(request: RequestSummary) -> RequestStatus:
    return RequestStatus(id=request.id, state=request.state, request=request.summary)
