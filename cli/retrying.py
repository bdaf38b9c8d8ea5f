"""Start a request again that has not ended well: what is kept of it, and what is asked anew."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli import hints
from cli.client import RequestSummary
from cli.client.connection import Service, connected
from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError
from cli.formatting import clean, money, name
from cli.kept import KeptOnHost, kept_on_host, readable
from cli.leaving import leave
from cli.request_options import request_start
from cli.watcher import watch_to_end
from cli.worker_check import refuse_other_settings
from contracts.continuation import TurnChoice
from contracts.limits import RequestLimits
from contracts.repository import RepositoryOpened
from contracts.request import RequestEnded, RequestStart, RequestStatus
from contracts.resume import Retry
from contracts.task import TaskState
from contracts.visibility import RunState
from domain.approvals.codes import start_code
from domain.request import retry
from domain.request.status import salvage_command
from domain.scheduling.budget import microusd
from domain.spending import cost_usd
from domain.text import listing
from runtime.home_secret import home_secret
from runtime.settings import Settings, load

_MODELS = ("model", "model_planner", "model_coder", "model_reviewer")


@dataclass(frozen=True)
class Options:
    """What a retry changes of its request.

    Attributes:
        models: fields of the request; with any of them, no model that it had counts.
        others: further fields; None leaves one as it was.
    """

    models: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, object] = field(default_factory=dict)
    detach: bool = False

    def changes(self) -> dict[str, object]:
        """Return the fields that are other ones now."""
        models = {**dict.fromkeys(_MODELS), **self.models} if self.models else {}
        return {**models, **{key: new for key, new in self.others.items() if new is not None}}


@dataclass(frozen=True)
class _Kept:
    """What the store keeps of a request that has ended; `ended` None when it left no end."""

    opened: RepositoryOpened
    ended: RequestEnded | None
    spent_usd: float


@dataclass(frozen=True)
class _Chosen:
    """What of a request goes on: the tasks that are named, or all; from a turn, where one is."""

    tasks: tuple[str, ...]
    turn: TurnChoice | None

    def again(self, status: RequestStatus) -> tuple[str, ...]:
        """Return the tasks that run, a new fork among them."""
        found = retry.selected(status.tasks, status.edges_added, self.tasks)
        if self.turn is None or not self.turn.fork:
            return found
        return (*(task for task in found if task != self.turn.task), self.turn.fork)


async def retry_request(
    typed: str,
    task: str | None,
    options: Options,
    context: CliContext,
    *,
    choice: TurnChoice | None = None,
) -> ExitCode:
    """Let a request go on under its id, and watch it unless it is detached.

    `choice`: one of its tasks goes on from a turn, or is forked there.
    """
    settings = load(context.environ)
    refuse_other_settings(settings, context)
    async with connected(context, worker=True) as service:
        # Another command may have started the worker meanwhile.
        refuse_other_settings(settings, context)
        request = await service.requests.find(typed)
        async with kept_on_host(context) as kept:
            found = await _kept(request, kept, context)
        chosen = _Chosen((task,) if task else (), choice)
        start, told = await _start(request, found, chosen, options, service)
        started = await service.requests.retry(_signed(start, request, settings), request)
        context.print_err(f"orchestcode: {told}")
        return await (leave if options.detach else watch_to_end)(started, service, context)


async def _kept(request: RequestSummary, kept: KeptOnHost, context: CliContext) -> _Kept:
    """Return what is kept of a request that can go on; refuse any other, and say what to do."""
    name_of, short = name(request.id), hints.short_id(request.id)
    if not request.closed:
        watch = hints.command_line(context.program, "watch", short)
        raise UsageError(f"{name_of} has not ended ({request.state}): see it with `{watch}`.")
    if request.state is RunState.DONE:
        after = hints.command_line(context.program, "run", "--after", short)
        raise UsageError(
            f"{name_of} has done everything that was asked: ask for more with `{after} …`."
        )
    if request.refused:
        raise UsageError(
            f"{name_of} was refused, and nothing of it is kept: correct it and ask again."
        )
    found = await kept.require(request)
    with readable(request):
        opened = await found.opened()
        if opened is None:
            raise UsageError(f"{name_of} was never opened: nothing of it is kept. Ask again.")
        spent = cost_usd(await found.spending())
        return _Kept(opened, await found.last_end(request.id), spent)


async def _start(
    request: RequestSummary,
    kept: _Kept,
    chosen: _Chosen,
    options: Options,
    service: Service,
) -> tuple[RequestStart, str]:
    """Return the input of the next attempt, and what it does in words."""
    status = kept.ended.status if kept.ended else _cut_off(request)
    if problem := retry.problem(status, chosen.tasks, chosen.turn):
        raise UsageError(f"{name(request.id)} is not retried: {clean(problem, 1_000)}.")
    asked = await service.requests.asked(request.id)
    before = request_start(**{**asked, "code": None})
    _check_repository(request, before.repository, kept)
    attempt = max(request.attempt, status.attempt) + 1
    start = request_start(
        **{
            **before.model_dump(mode="json", exclude_defaults=True),
            "budget_usd": max(before.budget_usd, status.budget_usd),  # as a person raised it
            **options.changes(),
            "resumes": kept.opened.repository.request_key,
            "retry": Retry(attempt=attempt, tasks=chosen.tasks, choice=chosen.turn).model_dump(
                exclude_defaults=True
            ),
        }
    )
    _check_money(request, start, kept, status, chosen)
    return start, _told(request, start, kept, status, chosen)


def _check_repository(request: RequestSummary, path: str, kept: _Kept) -> None:
    """Refuse to go on where the repository is not any more."""
    if not Path(path).is_dir():
        work = salvage_command(kept.opened)
        raise UsageError(
            f"The repository of {name(request.id)} is not at {clean(path)} any more: move it back. "
            f"The work so far is in the store; list it with: {clean(work, 500)}"
        )


def _cut_off(request: RequestSummary) -> RequestStatus:
    """Return the status of a request that left no end: it was terminated."""
    return RequestStatus(id=request.id, attempt=request.attempt, state=RunState.CANCELLED)


def _check_money(
    request: RequestSummary,
    start: RequestStart,
    kept: _Kept,
    status: RequestStatus,
    chosen: _Chosen,
) -> None:
    """Refuse a retry that cannot pay for an agent; one that only runs checks needs no money."""
    least = (kept.opened.limits or RequestLimits()).smallest_allowance_microusd
    left = microusd(start.budget_usd) - microusd(kept.spent_usd)
    planned = kept.ended and kept.ended.plan
    if planned and not chosen.again(status):
        return
    if left < max(1, least):
        raise UsageError(
            f"{name(request.id)} has spent {money(kept.spent_usd)} of its budget of "
            f"{money(start.budget_usd)}: give it more with --budget-usd."
        )


def _told(
    request: RequestSummary,
    start: RequestStart,
    kept: _Kept,
    status: RequestStatus,
    chosen: _Chosen,
) -> str:
    again = chosen.again(status)
    done = [row.id for row in status.tasks if row.state is TaskState.DONE and row.id not in again]
    attempt = start.retry.attempt if start.retry else 1
    parts = [
        f"{name(request.id)} goes on (attempt {attempt})",
        f"done already: {listing(tuple(done))}" if done else "",
        f"again: {listing(again)}" if again else "",
        f"{money(kept.spent_usd)} of {money(start.budget_usd)} spent so far",
    ]
    return "; ".join(part for part in parts if part)


def _signed(start: RequestStart, request: RequestSummary, settings: Settings) -> RequestStart:
    """Return the input with its code, where one is needed."""
    if not settings.answer_codes:
        return start
    return start.model_copy(update={"code": start_code(home_secret(settings), request.id, start)})
