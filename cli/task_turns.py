"""The turns of one task: listed, shown, and chosen to go on from."""

from cli.changes import unknown_task
from cli.client import RequestSummary
from cli.client.connection import connected
from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError
from cli.formatting import clean, name
from cli.kept import KeptOnHost, kept_on_host, readable
from cli.paging import show_diff
from cli.views import turns as views
from cli.wrapping import prose
from infra.kept.task_turns import TaskTurn
from runtime.redaction import redactor
from runtime.settings import load

_MOST_BYTES = 8 << 20


async def show_turns(
    request_id: str,
    task: str,
    number: int | None,
    *,
    full: bool,
    as_json: bool,
    context: CliContext,
) -> ExitCode:
    """Print the turns of a task, or one of them with its diff."""
    redact = redactor(load(context.environ).secrets())
    async with connected(context, worker=False) as service, kept_on_host(context) as kept:
        request = await service.requests.find(request_id)
        turns = await turns_of(kept, request, task)
        chosen = turns if number is None else [chosen_turn(turns, number, task)]
        if as_json:
            context.print_out(views.as_json(chosen, redact))
        elif number is None:
            context.print_out(*views.table(chosen, redact, width=context.columns()))
        else:
            (turn,) = chosen
            diff = await _diff(kept, request, turn)
            told = prose(views.whole(turn, full=full, redact=redact), context.columns())
            show_diff([*told, *map(redact, diff)], context)
    return ExitCode.DELIVERED


async def turns_of(kept: KeptOnHost, request: RequestSummary, task: str) -> list[TaskTurn]:
    """Return the turns of a task; refuse one that has none."""
    found = await kept.require(request)
    with readable(request):
        agents = await found.agents()
        if task not in {agent.task for agent in agents if agent.task}:
            known = dict.fromkeys(agent.task for agent in agents if agent.task)
            raise UsageError(unknown_task(request, task, known))
        return await found.task_turns(task)


def chosen_turn(turns: list[TaskTurn], number: int, task: str) -> TaskTurn:
    """Return the turn of a number; refuse one that there is not."""
    if not 1 <= number <= len(turns):
        has = f"turns 1 to {len(turns)}" if turns else "no turn yet"
        raise UsageError(f"{clean(task, 60)} has {has}: there is no turn {number}.")
    return turns[number - 1]


async def _diff(kept: KeptOnHost, request: RequestSummary, turn: TaskTurn) -> list[str]:
    found = await kept.require(request)
    with readable(request):
        change = found.turn_change(turn)
        if change is None or turn.damage:
            return []
        text, cut = await change.text(_MOST_BYTES)
    lines = text.rstrip("\n").split("\n") if text.strip() else []
    return [*lines, *([f"# cut after {_MOST_BYTES >> 20} MB"] if cut else [])]


def refuse_turn(turn: TaskTurn, task: str) -> None:
    """Refuse a turn from which no agent can go on."""
    role = turn.logged.agent.role
    if role != "coder":
        raise UsageError(
            f"Turn {turn.number} of {name(task)} is the {name(role)}'s: choose one of its coder."
        )
    if turn.logged.turn and turn.logged.turn.discarded:
        raise UsageError(
            f"The reply of turn {turn.number} of {name(task)} was discarded: choose the one before."
        )
