"""`status` and `list`: what is known of requests, with a worker or without."""

import json
from collections.abc import Iterable
from dataclasses import replace

from cli import hints
from cli.client import RequestClient, RequestSummary
from cli.context import CliContext
from cli.exit_codes import ExitCode, ServiceUnavailable
from cli.formatting import clean, span
from cli.parser import ListRequests, Status
from cli.service import Service, reach
from cli.snapshot import Snapshot
from cli.views.live import picture
from cli.views.plain import changes
from cli.views.report import closing, document
from cli.watcher import glance
from contracts.request import RequestStatus


async def status(typed: Status, around: CliContext) -> ExitCode:
    """Show one request; one that has ended, and what the server knows, need no worker."""
    async with reach(around, worker=False) as service:
        found = await service.requests.find(typed.id)
        standing, told = await _standing(service.requests, found)
        if typed.as_json:
            around.say(json.dumps(document(standing), indent=2))
        elif found.closed:
            _show_ended(found, standing, service, around)
        else:
            snapshot = await glance(service.requests, standing) if told else Snapshot(standing)
            _show_open(found, snapshot, service, around)
    return ExitCode.DELIVERED


def _show_ended(
    found: RequestSummary, standing: RequestStatus, service: Service, around: CliContext
) -> None:
    title = f"{found.id} {standing.state}: {clean(standing.request)}".removesuffix(": ")
    link = service.link(found)
    around.say(title, *closing(standing, seconds=age(found, around.now()), link=link))
    around.say(*hints.kept(found.kept, standing.state))


def _show_open(
    found: RequestSummary, snapshot: Snapshot, service: Service, around: CliContext
) -> None:
    """Show the picture on a terminal, and the same as greppable lines elsewhere."""
    seconds = age(found, around.now())
    shown = replace(snapshot, seconds=seconds, link=service.link(found))
    if around.out.is_terminal:
        around.out.print(picture(shown, program=around.program))
    else:
        around.say(*changes(None, shown, program=around.program))


def age(found: RequestSummary, now: float) -> float:
    """Return the seconds from a request's start to its end, or to now."""
    end = found.closed.timestamp() if found.closed else now
    return max(end - found.started.timestamp(), 0.0)


async def _standing(requests: RequestClient, found: RequestSummary) -> tuple[RequestStatus, bool]:
    """Return a request's status, and whether the request itself or its result told it."""
    known = as_known(found)
    if found.closed:
        ending = await requests.ending(found.id)
        return ending.last_status(known), True
    try:
        return await requests.status(found.id), True
    except ServiceUnavailable as away:
        return with_reason(known, str(away)), False


def as_known(found: RequestSummary) -> RequestStatus:
    """Return what the server alone knows of a request, in the shape of its own word."""
    return RequestStatus(id=found.id, state=found.state, request=found.summary)


def with_reason(known: RequestStatus, problem: str) -> RequestStatus:
    """Return a status that says why nothing more is known."""
    reason = f"{problem} This is what the server knows; the request goes on when a worker runs."
    return known.model_copy(update={"reason": reason})


async def list_requests(typed: ListRequests, around: CliContext) -> ExitCode:
    """Show all requests, newest first."""
    async with reach(around, worker=False) as service:
        every = await service.requests.every()
        if typed.as_json:
            around.say(json.dumps(await _documents(service.requests, every), indent=2))
        else:
            around.say(*table(every, now=around.now()))
    return ExitCode.DELIVERED


async def _documents(
    requests: RequestClient, every: Iterable[RequestSummary]
) -> list[dict[str, object]]:
    """Return the documents of all; once no worker answered, the others are not asked."""
    documents = []
    worker = True
    for found in every:
        if found.closed or worker:
            standing, worker = await _standing(requests, found)
        else:
            standing = with_reason(as_known(found), "No worker answers.")
        documents.append(document(standing))
    return documents


def table(every: Iterable[RequestSummary], *, now: float) -> list[str]:
    """Return requests as lines of a table: name, state, what waits, when it started, how long."""
    rows = [("REQUEST", "STATE", "WAITS FOR YOU", "STARTED", "TOOK")]
    for found in every:
        waits = str(found.pending) if found.pending else ""
        started = found.started.astimezone().strftime("%Y-%m-%d %H:%M")
        rows.append(
            (hints.short_id(found.id), found.state.value, waits, started, span(age(found, now)))
        )
    if len(rows) == 1:
        return ["No requests yet."]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
