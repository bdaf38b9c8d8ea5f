"""Let a task go on from one of its turns, or a fork of it begin there."""

from cli import hints
from cli.budgets import set_budget
from cli.client.connection import Service, connected
from cli.client.request_client import RequestClient
from cli.client.summary import RequestSummary
from cli.context import CliContext
from cli.exit_codes import ExitCode, ServiceUnavailable, UsageError
from cli.formatting import clean, name
from cli.kept import kept_on_host
from cli.leaving import leave
from cli.retrying import Options, retry_request
from cli.task_turns import chosen_turn, refuse_turn, turns_of
from cli.watcher import watch_to_end
from contracts.agent import Note
from contracts.continuation import MOST_WORDS, TurnChoice
from domain import ids
from domain.approvals import codes
from domain.request import retry
from runtime.home_secret import home_secret
from runtime.settings import load


async def go_back(
    request_id: str,
    task: str,
    number: int,
    words: str,
    *,
    fork: bool,
    options: Options,
    context: CliContext,
) -> ExitCode:
    """Take a task back to a turn, or fork it there: of an open request at once, else by a retry."""
    if len(words) > MOST_WORDS:
        raise UsageError(f"What you say is longer than {MOST_WORDS:,} characters: make it shorter.")
    async with connected(context, worker=False) as service:
        request = await service.requests.find(request_id)
        async with kept_on_host(context) as kept:
            turn = chosen_turn(await turns_of(kept, request, task), number, task)
            refuse_turn(turn, task)
        known = await _tasks(service.requests, request)
        choice = TurnChoice(
            task=task,
            turn=turn.commit,
            words=words,
            fork=ids.fork_id(task, known) if fork else None,
        )
        if not request.closed:
            return await go_on_now(choice, request, service, options, context)
    return await retry_request(request_id, None, options, context, choice=choice)


async def go_on_now(
    choice: TurnChoice,
    request: RequestSummary,
    service: Service,
    options: Options,
    context: CliContext,
) -> ExitCode:
    """Let a task of an open request go on from a turn, and watch the request."""
    if (usd := options.others.get("budget_usd")) is not None:
        await set_budget(service.requests, request, float(str(usd)), context)
    signed = _with_code(choice, request, context)
    receipt = await service.requests.choose_turn(request.id, signed)
    context.print_err(f"orchestcode: {clean(receipt.message, 1_000)}")
    if choice.fork:
        short = hints.short_id(request.id)
        diff = hints.command_line(context.program, "diff", short, choice.task, choice.fork)
        context.print_err(f"orchestcode: compare both with `{diff}`")
    return await (leave if options.detach else watch_to_end)(request, service, context)


async def _tasks(requests: RequestClient, request: RequestSummary) -> list[str]:
    """Return the tasks of a request, as far as they are known."""
    try:
        status, _ = await requests.known_status(request)
    except ServiceUnavailable:
        return []
    return [row.id for row in status.tasks]


def _with_code(choice: TurnChoice, request: RequestSummary, context: CliContext) -> TurnChoice:
    """Return a choice with its code, where the settings ask for codes."""
    settings = load(context.environ)
    if not settings.answer_codes:
        return choice
    note = Note(text=retry.choice_text(choice), task=choice.task)
    code = codes.note_code(home_secret(settings), request.id, request.run_id, note)
    return choice.model_copy(update={"code": code})


def turn_number(text: str) -> int:
    """Return the number of a turn; ValueError when it is none."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name(text)} is not the number of a turn, as `turns` lists them")
    return int(text)
