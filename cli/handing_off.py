"""Work on a task's files oneself, and give them back to its agent."""

from pathlib import Path

from cli import hints
from cli.client.connection import connected
from cli.client.request_client import RequestClient
from cli.client.summary import RequestSummary
from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError
from cli.formatting import clean
from cli.going_back import go_on_now
from cli.kept import KeptOnHost, kept_on_host, readable
from cli.retrying import Options, retry_request
from contracts.agent import Note
from contracts.base import ObjectId
from contracts.continuation import MOST_WORDS, HandOff, TakenOver, TurnChoice
from domain import ids
from domain.approvals import codes
from domain.request import retry
from domain.text import one_line, shell_word
from infra.kept.request import FolderError
from runtime.home_secret import home_secret
from runtime.settings import load

_TITLE_CHARS = 200


async def hand_off(request_id: str, task: str, to: str | None, context: CliContext) -> ExitCode:
    """Stop a task's agent, and make a folder with its files for the person."""
    async with connected(context, worker=False) as service, kept_on_host(context) as kept:
        request = await service.requests.find(request_id)
        found = await kept.require(request)
        await _refuse_unknown(service.requests, request, task)
        folder = _folder(request, task, to, context)
        commit: ObjectId | None = None
        if request.closed:
            await _refuse_done(kept, service.requests, request, task)
        else:
            wanted = _signed(HandOff(task=task), request, context)
            commit = (await service.requests.hand_off(request.id, wanted)).checkpoint
        with readable(request):
            try:
                await found.hand_out(task, commit, folder)
            except FolderError as problem:
                raise UsageError(clean(str(problem), 1_000)) from problem
    _tell(request, task, folder, to, context)
    return ExitCode.DELIVERED


def _tell(
    request: RequestSummary, task: str, folder: Path, to: str | None, context: CliContext
) -> None:
    short = hints.short_id(request.id)
    place = ["--from", str(folder)] if to else []
    back = hints.command_line(context.program, "resume", short, task, *place)
    context.print_out(
        f"{task} is with you; its files, on branch {task}, `base` is the state of its agent:",
        f"  cd {shell_word(str(folder))}",
        "Give it back with what you have made, committed or not:",
        f"  {back}",
    )
    if not request.closed:
        asked = ids.hand_off_id(task)
        context.print_out(
            "Or let its agent go on without you, from where it was:",
            f"  {hints.command_line(context.program, 'approve', short, asked)}",
        )


async def resume(
    request_id: str,
    task: str,
    words: str,
    folder: str | None,
    *,
    options: Options,
    context: CliContext,
) -> ExitCode:
    """Give a task back to its agent, with what the person made of its files."""
    if len(words) > MOST_WORDS:
        raise UsageError(f"What you say is longer than {MOST_WORDS:,} characters: make it shorter.")
    async with connected(context, worker=False) as service:
        request = await service.requests.find(request_id)
        place = _folder(request, task, folder, context)
        async with kept_on_host(context) as kept:
            commit = await _taken_in(kept, request, place, words or f"Work on {task}")
        taken = TakenOver(folder=str(place), commit=commit)
        choice = TurnChoice(task=task, words=words, taken=taken)
        await _refuse_unknown(service.requests, request, task)
        if not request.closed:
            return await go_on_now(choice, request, service, options, context)
    return await retry_request(request_id, None, options, context, choice=choice)


async def _taken_in(
    kept: KeptOnHost, request: RequestSummary, folder: Path, words: str
) -> ObjectId:
    found = await kept.require(request)
    with readable(request):
        try:
            return await found.take_in(folder, one_line(words, _TITLE_CHARS))
        except FolderError as problem:
            raise UsageError(clean(str(problem), 1_000)) from problem


async def _refuse_unknown(client: RequestClient, request: RequestSummary, task: str) -> None:
    """Refuse a task that the request does not have, as far as its tasks are known."""
    status, _ = await client.known_status(request)
    known = [row.id for row in status.tasks]
    if known and task not in known:
        raise UsageError(f"There is no task {clean(task, 80)}: {clean(', '.join(known), 500)}.")


async def _refuse_done(
    kept: KeptOnHost, client: RequestClient, request: RequestSummary, task: str
) -> None:
    """Refuse a task of a request that has ended and would not go on with it."""
    status, _ = await kept.status(client, request)
    if problem := retry.problem(status, (task,)):
        raise UsageError(f"{clean(task, 80)} is not handed off: {clean(problem, 1_000)}.")


def _folder(request: RequestSummary, task: str, named: str | None, context: CliContext) -> Path:
    """Return the folder that is named, else that of the task in the home."""
    if named is not None:
        return (context.folder / named).resolve()
    return load(context.environ).home / "handed" / hints.short_id(request.id) / task


def _signed(wanted: HandOff, request: RequestSummary, context: CliContext) -> HandOff:
    """Return the wish with its code, where the settings ask for codes."""
    settings = load(context.environ)
    if not settings.answer_codes:
        return wanted
    note = Note(text=retry.hand_off_text(wanted.task), task=wanted.task)
    code = codes.note_code(home_secret(settings), request.id, request.run_id, note)
    return wanted.model_copy(update={"code": code})
