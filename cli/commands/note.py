"""Send a note to a request's agents.

An agent reads it at its next turn; with --task only that task's agent does.

Examples:
  starter.py note mine "Keep the prices in cents"
  starter.py note mine "And test it" --task mend-total
"""

from pydantic import ValidationError

from cli.client import RequestClient, RequestSummary
from cli.client.connection import connected
from cli.exit_codes import ExitCode, ServiceUnavailable, UsageError
from cli.formatting import clean
from cli.parameters import Context, RequestId
from contracts.agent import Note
from domain.approvals import codes
from runtime.home_secret import home_secret
from runtime.settings import load


async def command(
    request_id: RequestId, text: str, /, *, task: str | None = None, context: Context
) -> ExitCode:
    """Send a note.

    Args:
        text: the note, up to 4,000 characters
        task: only this task's agent
    """
    note = _note(text, task)
    async with connected(context, worker=False) as service:
        request = await service.requests.find_open(request_id)
        if task is not None:
            await _check_task(service.requests, request.id, task)
        await service.requests.note(request.id, _with_code(note, request, context))
    readers = f"the agent of {task}" if task else "every agent"
    context.print_out(f"Noted; {readers} reads it at its next turn.")
    return ExitCode.DELIVERED


def _with_code(note: Note, request: RequestSummary, context: Context) -> Note:
    """Return a note with its code, where the settings ask for codes."""
    settings = load(context.environ)
    if not settings.answer_codes:
        return note
    code = codes.note_code(home_secret(settings), request.id, request.run_id, note)
    return note.model_copy(update={"code": code})


def _note(text: str, task: str | None) -> Note:
    try:
        return Note(text=text.strip(), task=task)
    except ValidationError as error:
        raise UsageError("A note has 1 to 4,000 characters.") from error


async def _check_task(requests: RequestClient, request_id: str, task: str) -> None:
    """Refuse a task that the plan does not have; without a worker the plan is not known."""
    try:
        tasks = [planned.id for planned in (await requests.status(request_id)).tasks]
    except ServiceUnavailable:
        return
    if tasks and task not in tasks:
        raise UsageError(f"There is no task {clean(task, 60)}; there are {', '.join(tasks)}.")
