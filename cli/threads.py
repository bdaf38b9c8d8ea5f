"""Threads: which requests follow each other, and what each came to."""

import json
from collections.abc import Sequence

from cli import hints
from cli.client import RequestClient, RequestSummary
from cli.client.connection import connected
from cli.context import CliContext
from cli.exit_codes import ExitCode
from cli.formatting import age, clean, clean_lines, name, narrowed, plural
from cli.kept import KeptOnHost, kept_on_host
from cli.wrapping import wrapped
from contracts.request import RequestStatus
from domain import threads
from domain.text import one_line
from runtime.redaction import redactor
from runtime.settings import load

_COLUMNS = ("THREAD", "RUNS", "LAST", "STATE", "AGE", "REPOSITORY")
_LEFT_OUT = (
    ("REPOSITORY",),
    ("REPOSITORY", "AGE"),
    ("REPOSITORY", "LAST"),
    ("REPOSITORY", "LAST", "AGE"),
    ("REPOSITORY", "LAST", "AGE", "RUNS"),
)
"""Columns that a narrow terminal does without, the widest table first."""
_MOST_LINES = 60


async def open_run(requests: RequestClient, request: RequestSummary) -> RequestSummary | None:
    """Return the run of a thread that has not ended; None when all have."""
    runs = await requests.thread(request.thread)
    return next((run for run in reversed(runs) if not run.closed), None)


async def show_threads(*, as_json: bool, context: CliContext) -> ExitCode:
    """List the threads that have follow-ups, the one that went on last first."""
    async with connected(context, worker=False) as service:
        found = await service.requests.newest()
    grouped: dict[str, dict[str, RequestSummary]] = {}
    for request in found:
        grouped.setdefault(request.thread, {}).setdefault(request.id, request)
    listed = [
        sorted(runs.values(), key=lambda run: run.started)
        for runs in grouped.values()
        if any(run.thread != run.key for run in runs.values())
    ]
    listed.sort(key=lambda runs: runs[-1].started, reverse=True)
    if as_json:
        context.print_out(json.dumps([_row(runs) for runs in listed], indent=2))
    elif listed:
        context.print_out(*table(listed, now=context.now(), width=context.columns()))
    else:
        context.print_out("No request follows another one yet: `run --thread ID` starts one.")
    return ExitCode.DELIVERED


def table(listed: Sequence[Sequence[RequestSummary]], *, now: float, width: int = 0) -> list[str]:
    """Return threads, each its runs in order, as lines of a table.

    `width`: of the terminal, 0 without one. What does not fit is left out.
    """
    return narrowed([_COLUMNS, *(_cells(runs, now) for runs in listed)], _LEFT_OUT, width)


def _row(runs: Sequence[RequestSummary]) -> dict[str, object]:
    last = runs[-1]
    return {
        "thread": hints.short_id(runs[0].id),
        "runs": [run.id for run in runs],
        "state": last.state.value,
        "repository": last.repository,
    }


def _cells(runs: Sequence[RequestSummary], now: float) -> tuple[str, ...]:
    first, last = runs[0], runs[-1]
    return (
        name(hints.short_id(first.id)),
        str(len(runs)),
        name(hints.short_id(last.id)),
        last.state.value,
        age(now - last.started.timestamp()),
        name(last.repository),
    )


async def show_thread(request_id: str, *, as_json: bool, context: CliContext) -> ExitCode:
    """Print the runs of a thread: what each was asked and came to, and what waits."""
    async with connected(context, worker=False) as service, kept_on_host(context) as kept:
        request = await service.requests.find(request_id)
        runs = await service.requests.thread(request.thread) or [request]
        statuses = [await _status(service.requests, kept, run) for run in runs]
    redact = redactor(load(context.environ).secrets())
    # What an ended request had waiting is a run by now.
    begun = {run.id for run in runs}
    waiting = [
        each
        for status in statuses
        for each in status.follow_ups
        if each.partition(":")[0] not in begun
    ]
    if as_json:
        document = {"runs": [_document(each) for each in statuses], "waiting": waiting}
        context.print_out(redact(json.dumps(document, indent=2)))
        return ExitCode.DELIVERED
    width = context.columns()
    context.print_out(f"Thread of {plural(len(statuses), 'run')}")
    for number, status in enumerate(statuses, start=1):
        lines = [
            f"{number}. {name(status.id)} {status.state}",
            *_indented(f"asked: {one_line(status.request, 500)}", width),
            *(line for said in _said(status) for line in _indented(said, width)),
        ]
        context.print_out("", *map(redact, lines))
    if waiting:
        lines = [line for each in waiting for line in _indented(redact(clean(each, 300)), width)]
        context.print_out("", "Waiting:", *lines)
    return ExitCode.DELIVERED


def _said(status: RequestStatus) -> list[str]:
    """Return the lines of what a run came to, without blank ones."""
    return [line for line in clean_lines(_outcome(status), _MOST_LINES) if line]


def _indented(text: str, width: int) -> list[str]:
    return [f"   {line}" for line in wrapped(text, max(width - 3, 0))]


def _outcome(status: RequestStatus) -> str:
    return threads.outcome(status) or status.reason


def _document(status: RequestStatus) -> dict[str, object]:
    return {
        "id": status.id,
        "state": status.state.value,
        "request": status.request,
        "outcome": _outcome(status),
        "branch": status.branch if status.commit else None,
        "commit": status.commit,
        "cost_usd": status.cost_usd,
    }


async def _status(requests: RequestClient, kept: KeptOnHost, run: RequestSummary) -> RequestStatus:
    status, _ = await kept.status(requests, run)
    return status
