"""Start a request and watch it until its branch is there.

Has server and worker run in the background, where they go on until nothing is open: Ctrl-C, or
closing the terminal, ends only the watching. `starter.py watch ID` comes back, `stop` ends all.
A worker that runs already works by its own settings: what differs in this shell is refused.

Examples:
  starter.py run --check "make test" "Fix the cart's test"
  starter.py run --repo ~/src/shop --approve plan,delivery --budget-usd 5 "Add discounts"
  starter.py run @request.md
  git log -1 --format=%B | starter.py run --detach -
  starter.py run --setup "npm ci" --check "npm test" "Sort the list"
  starter.py run --after mine "And document them"
  starter.py run --thread mine "And document them"
  starter.py run --until "make test" --rounds 8 --deadline 2h "Fix what fails"
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from cli import hints
from cli import request_options as options
from cli.client import RequestClient, RequestSummary
from cli.client.connection import connected
from cli.exit_codes import ExitCode, UsageError
from cli.formatting import name
from cli.leaving import leave
from cli.model_options import chosen_models
from cli.parameters import CoderModel, Context, Detach, PlannerModel, ReviewerModel, Thinking
from cli.repository_folder import repository_folder
from cli.request_options import request_start
from cli.request_text import request_text
from cli.threads import open_run
from cli.watcher import watch_to_end
from cli.worker_check import inherited_settings, refuse_other_settings
from contracts.lanes import Lane
from contracts.repository import Environment
from contracts.request import RequestStart
from contracts.threads import FollowUp
from domain.approvals.codes import start_code
from domain.ids import request_workflow_id
from runtime.home_secret import home_secret
from runtime.settings import Settings, load


async def command(  # noqa: PLR0913 - a parameter an option
    request: str | None = None,
    /,
    *,
    repo: options.Repository = None,
    after: options.After = None,
    thread: options.Thread = None,
    base: options.Base = None,
    branch: options.Branch = None,
    check: options.Checks = (),
    until: options.Goal = None,
    rounds: options.Rounds = None,
    deadline: options.Deadline = None,
    setup: options.Setup = (),
    no_setup: options.NoSetup = False,
    approve: options.Steps = (),
    budget_usd: options.Budget = None,
    on_limit: options.AtLimit = None,
    max_parallel: options.MostParallel = None,
    model: options.Model = None,
    model_planner: PlannerModel = None,
    model_coder: CoderModel = None,
    model_reviewer: ReviewerModel = None,
    fallback_model: options.FallbackModel = None,
    effort: Thinking = None,
    window_tokens: options.WindowSize = None,
    lane: options.TaskLane = None,
    untrusted: options.Untrusted = False,
    detach: Detach = False,
    context: Context,
) -> ExitCode:
    """Start a request; watch it unless it is detached.

    Args:
        request: what to do, in words; @FILE reads a file, - standard input; left out at a
            terminal, an editor opens (VISUAL, EDITOR)
    """
    _refuse_contradictions(
        context,
        {
            "--after and --base both say where to start": after is not None and base is not None,
            "--after and --thread both say what to follow": bool(after and thread),
            "--setup and --no-setup contradict each other": bool(setup) and no_setup,
            "--untrusted runs every task in the cloud lane, --lane worktree none": untrusted
            and lane is Lane.WORKTREE,
        },
    )
    if until is None and (rounds or deadline):
        raise UsageError("--rounds and --deadline are those of a goal: name its command by --until")
    settings = load(context.environ)
    refuse_other_settings(settings, context)
    limits = {
        "budget_usd": budget_usd,
        "on_limit": on_limit,
        "max_parallel": max_parallel,
        "window_tokens": window_tokens,
        "lane": lane,
    }
    models = chosen_models(
        settings,
        {"": model, "planner": model_planner, "coder": model_coder, "reviewer": model_reviewer},
        effort,
        fallback_model,
    )
    # With --after alone it is known once the request is found.
    follows = after or thread
    repository = repository_folder("." if repo is None and follows else repo, context)
    start = request_start(
        request=request_text(request, settings, context),
        repository=repository,
        base=base,
        branch=branch,
        checks=check,
        until=until,
        rounds=rounds,
        deadline_minutes=deadline,
        setup=setup if setup or no_setup else None,
        approve=approve,
        untrusted=untrusted,
        environment=Environment(path=settings.path, virtual_env=settings.virtual_env),
        **models,
        **{name: limit for name, limit in limits.items() if limit is not None},
    )
    place = _Place(after, thread, own=repo is None)
    return await _begin(start, place, settings, context, models=models, detach=detach)


@dataclass(frozen=True)
class _Place:
    """What a request follows, and whether it is in the repository of that."""

    after: str | None
    thread: str | None
    own: bool


async def _begin(
    start: RequestStart,
    place: _Place,
    settings: Settings,
    context: Context,
    *,
    models: Mapping[str, object],
    detach: bool,
) -> ExitCode:
    """Start the request where it belongs, or let it wait for the one that it follows."""
    async with connected(context, worker=True) as service:
        # Another command may have started the worker meanwhile.
        refuse_other_settings(settings, context)
        context.print_err(*inherited_settings(settings, beside=models))
        if place.after is not None:
            delivered = await _delivered_by(place.after, service.requests)
            start = _at(start, delivered, own=place.own)
        if place.thread is not None:
            found = await service.requests.find(place.thread)
            follows = {"repository": found.repository, "thread": found.thread}
            start = _at(start, follows, own=place.own)
            if waits_for := await open_run(service.requests, found):
                return await _queued(start, waits_for, service.requests, settings, context)
        started = await _started(start, service.requests, settings)
        context.print_err(f"orchestcode: started {name(started.id)}")
        return await (leave if detach else watch_to_end)(started, service, context)


def _refuse_contradictions(context: Context, found: Mapping[str, bool]) -> None:
    """Refuse options of which one is meant: by what they say, whether both are given."""
    for problem, both in found.items():
        if both:
            raise UsageError(f"{problem}: give one (see {context.name} run --help)")


def _at(start: RequestStart, place: Mapping[str, object], *, own: bool) -> RequestStart:
    """Return the input with what it follows; `own`: in the repository of that."""
    update = {key: value for key, value in place.items() if own or key != "repository"}
    return start.model_copy(update=update)


async def _started(
    start: RequestStart, requests: RequestClient, settings: Settings
) -> RequestSummary:
    """Start the request under an id of its own."""
    request_id, start = _signed(start, settings)
    return await requests.start(start, request_id=request_id)


def _signed(start: RequestStart, settings: Settings) -> tuple[str, RequestStart]:
    """Return a new id, and the input with its code where one is needed."""
    request_id = request_workflow_id(start.request, secrets.token_hex(3))
    if settings.answer_codes:
        code = start_code(home_secret(settings), request_id, start)
        start = start.model_copy(update={"code": code})
    return request_id, start


async def _queued(
    start: RequestStart,
    waits_for: RequestSummary,
    requests: RequestClient,
    settings: Settings,
    context: Context,
) -> ExitCode:
    """Let a request wait for the end of another one."""
    request_id, start = _signed(start, settings)
    asked = start.model_dump(mode="json", exclude_defaults=True)
    show = hints.command_line(context.program, "thread", "show", hints.short_id(waits_for.id))
    await requests.follow_up(waits_for.id, FollowUp(request_id=request_id, start=asked))
    context.print_err(
        f"orchestcode: {name(request_id)} starts once {name(waits_for.id)} has ended; see both "
        f"with `{show}`"
    )
    return ExitCode.WAITING


async def _delivered_by(typed: str, requests: RequestClient) -> dict[str, str]:
    """Return repository and branch of a delivered request; refuse one without a branch."""
    found = await requests.find(typed)
    status, _ = await requests.known_status(found)
    if not found.closed or not status.commit or not status.branch:
        raise UsageError(
            f"{name(found.id)} has delivered no branch ({status.state}), so nothing can go on from "
            "it; --base names a commit to start from."
        )
    return {"repository": status.repository, "base": status.branch}
