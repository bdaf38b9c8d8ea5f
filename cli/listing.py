"""The list of requests, as a table and as JSON."""

import asyncio
import json
from collections.abc import Sequence

from cli import request_rows
from cli.client import RequestClient, RequestSummary
from cli.client.connection import connected
from cli.client.rpc import WORKER_UNAVAILABLE
from cli.command_words import command_line
from cli.context import CliContext
from cli.disk_budget import budget_lines
from cli.exit_codes import ExitCode
from cli.kept import KeptOnHost, kept_on_host
from cli.views.report import document
from cli.worker_hint import missing_worker
from contracts.request import RequestStatus
from domain.spending import cost_usd, with_spending
from runtime.settings import load

_AT_ONCE = 16


async def show_list(*, as_json: bool, whole: bool, context: CliContext) -> ExitCode:
    """Print requests: those that are open, then those that ended last; as JSON always all."""
    async with connected(context, worker=False) as service, kept_on_host(context) as kept:
        most = () if as_json or whole else (request_rows.SHOWN,)
        found = await service.requests.newest(*most)
        requests = request_rows.shown(found, whole=whole)
        if as_json:
            documents = await _documents(service.requests, kept, requests)
            context.print_out(json.dumps(documents, indent=2))
        else:
            costs = await _costs(service.requests, kept, requests)
            now, width = context.now(), context.columns()
            context.print_out(*table(requests, costs, now=now, width=width))
            if len(found) in most:
                command = command_line(context.program, "list", "--all")
                total = await service.requests.count()
                context.print_err(*request_rows.not_shown(len(found), total, command))
            if not all(request.closed for request in requests):
                context.print_err(*missing_worker(context))
            context.print_err(*budget_lines(load(context.environ), context))
    return ExitCode.DELIVERED


async def _costs(
    client: RequestClient, kept: KeptOnHost, requests: Sequence[RequestSummary]
) -> list[float]:
    """Return what each request has cost: as it told at its end, else as its store counts."""
    turn = asyncio.Semaphore(_AT_ONCE)

    async def cost(request: RequestSummary) -> float:
        if request.cost_usd is not None:
            return request.cost_usd
        async with turn:
            spent = await kept.spending(request)
            if spent or not request.closed:
                return cost_usd(spent)
            # One that ended before its end told what it cost has it in its result.
            return (await client.known_status(request))[0].cost_usd

    return await asyncio.gather(*map(cost, requests))


async def _documents(
    client: RequestClient, kept: KeptOnHost, requests: Sequence[RequestSummary]
) -> list[dict[str, object]]:
    """Return the documents of all; once no worker has answered, no other request is asked."""
    documents = []
    worker = True
    for request in requests:
        if request.closed or worker:
            status, told = await kept.status(client, request)
            worker = worker and told
        else:
            status = await _unasked(kept, request)
        documents.append(document(status))
    return documents


async def _unasked(kept: KeptOnHost, request: RequestSummary) -> RequestStatus:
    spent = await kept.spending(request)
    return with_spending(request.status(WORKER_UNAVAILABLE), spent)


def table(
    requests: Sequence[RequestSummary], costs: Sequence[float], *, now: float, width: int = 0
) -> list[str]:
    """Return requests as lines of a table; `width` of the terminal, 0 without one."""
    rows = [request.row(cost) for request, cost in zip(requests, costs, strict=True)]
    return request_rows.table(rows, now=now, width=width)
