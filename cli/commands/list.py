"""List all requests, newest first.

The column WAITS FOR YOU counts the approvals that a request waits for. --json prints an array of
the objects that `status --json` prints; `status --help` describes their keys.

Examples:
  starter.py list
  starter.py list --json
"""

import json
from collections.abc import Iterable

from cli import hints
from cli.client import RequestClient, RequestSummary
from cli.client.connection import connected
from cli.client.rpc import WORKER_UNAVAILABLE
from cli.exit_codes import ExitCode
from cli.formatting import span
from cli.parameters import AsJson, Context
from cli.views.report import document

_COLUMNS = ("REQUEST", "STATE", "WAITS FOR YOU", "STARTED", "TOOK")


async def command(*, as_json: AsJson = False, context: Context) -> ExitCode:
    """List requests."""
    async with connected(context, worker=False) as service:
        requests = await service.requests.newest()
        if as_json:
            documents = await _documents(service.requests, requests)
            context.print_out(json.dumps(documents, indent=2))
        else:
            context.print_out(*table(requests, now=context.now()))
    return ExitCode.DELIVERED


async def _documents(
    client: RequestClient, requests: Iterable[RequestSummary]
) -> list[dict[str, object]]:
    """Return the documents of all; once no worker has answered, no other request is asked."""
    documents = []
    worker = True
    for request in requests:
        if request.closed or worker:
            status, worker = await client.known_status(request)
        else:
            status = request.status(WORKER_UNAVAILABLE)
        documents.append(document(status))
    return documents


def table(requests: Iterable[RequestSummary], *, now: float) -> list[str]:
    """Return requests as lines of a table: name, state, what waits, when it started, how long."""
    rows = [_COLUMNS, *(_row(request, now) for request in requests)]
    if len(rows) == 1:
        return ["No requests yet."]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _row(request: RequestSummary, now: float) -> tuple[str, ...]:
    started = request.started.astimezone().strftime("%Y-%m-%d %H:%M")
    waits = str(request.pending) if request.pending else ""
    took = span(request.seconds(now))
    return hints.short_id(request.id), request.state.value, waits, started, took
