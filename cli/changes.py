"""What a request has changed, as sections of diffs."""

from collections.abc import Iterable

from cli.client import RequestSummary
from cli.client.connection import Service, connected
from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError
from cli.formatting import clean, name
from cli.kept import KeptOnHost, kept_on_host, readable
from cli.paging import show_diff
from contracts.request import RequestStatus
from contracts.task import TaskState, TaskStatus
from infra.kept.changes import Change
from infra.kept.request import KeptRequest
from runtime.redaction import redactor
from runtime.settings import load

_MOST_BYTES = 64 << 20
_PATCHED = (TaskState.DONE, TaskState.REVIEW)
"""States in which a task's patch is its newest work."""


async def show_changes(
    request_id: str,
    task: str | None,
    other: str | None = None,
    *,
    stat: bool,
    context: CliContext,
) -> ExitCode:
    """Print the diff, or the diffstat, of a request, of one task, or from one task to another."""
    async with connected(context, worker=False) as service, kept_on_host(context) as kept:
        request = await service.requests.find(request_id)
        if task is not None and other is not None:
            lines = await _between(request, task, other, service, kept, stat=stat)
        else:
            lines = await change_lines(request, task, service, kept, stat=stat)
    redact = redactor(load(context.environ).secrets())
    if not lines:
        context.print_err(f"{name(request.id)} has changed nothing so far.")
    show_diff([redact(line) for line in lines], context)
    return ExitCode.DELIVERED


async def change_lines(
    request: RequestSummary, task: str | None, service: Service, kept: KeptOnHost, *, stat: bool
) -> list[str]:
    """Return the diff, or the diffstat, of a request or of one task; empty where nothing is."""
    found = await kept.require(request)
    status, _ = await kept.status(service.requests, request)
    with readable(request):
        sections = await _sections(found, request, status, task)
        return [line for one in sections for line in await _lines(*one, stat=stat)]


async def _between(
    request: RequestSummary,
    task: str,
    other: str,
    service: Service,
    kept: KeptOnHost,
    *,
    stat: bool,
) -> list[str]:
    """Return what one task's result has otherwise than another's."""
    found = await kept.require(request)
    status, _ = await kept.status(service.requests, request)
    with readable(request):
        ends = []
        for each in (task, other):
            sections = await _sections(found, request, status, each)
            if not sections:
                raise UsageError(f"{clean(each, 60)} has changed nothing so far.")
            ends.append(sections[0][1])
        first, second = ends
        what = f"from {name(task)} ({first.what}) to {name(other)} ({second.what})"
        change = Change(found.store, first.after, second.after, what)
        return await _lines(what, change, stat=stat)


async def _sections(
    found: KeptRequest, request: RequestSummary, status: RequestStatus, task: str | None
) -> list[tuple[str, Change]]:
    """Return the changes that are shown, each with its title."""
    rows = {row.id: row for row in status.tasks} or {
        one: TaskStatus(id=one, title=one, state=TaskState.RUNNING) for one in found.tasks()
    }
    if task is not None:
        if task not in rows:
            raise UsageError(unknown_task(request, task, rows))
        change = await found.task_change(task, patched=rows[task].state in _PATCHED)
        return [(_title(rows[task], change, status), change)] if change else []
    landed = await found.request_change()
    sections = [(landed.what, landed)] if landed else []
    for row in rows.values():
        if row.commit is None:
            change = await found.task_change(row.id, patched=row.state in _PATCHED)
            sections += [(_title(row, change, status), change)] if change else []
    return sections


def unknown_task(request: RequestSummary, task: str, known: Iterable[str]) -> str:
    """Return the sentence about a task that a request does not have."""
    names = ", ".join(map(name, known)) or "it has no plan yet"
    return f"{name(request.id)} has no task {clean(task, 60)}; its tasks: {names}."


def _title(row: TaskStatus, change: Change, status: RequestStatus) -> str:
    asked = [one.id for one in status.approvals if one.id.split("/")[1:2] == [row.id]]
    waits = f", waits for your answer ({', '.join(map(name, asked))})" if asked else ""
    state = "landed" if row.commit else row.state.value
    return f"task {name(row.id)} ({state}{waits}): {change.what}"


async def _lines(title: str, change: Change, *, stat: bool) -> list[str]:
    """Return a section: a line that a tool which applies patches skips, then the diff."""
    if stat:
        text, cut = await change.diffstat(), False
    else:
        text, cut = await change.text(_MOST_BYTES)
    if not text.strip():
        return []
    end = [f"# cut after {_MOST_BYTES >> 20} MB"] if cut else []
    return [f"# {title}", *text.rstrip("\n").split("\n"), *end]
