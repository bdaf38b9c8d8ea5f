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
  starter.py run --until "make test" --rounds 8 --deadline 2h "Mend what fails"
"""

import secrets
from collections.abc import Mapping
from typing import Annotated

from cyclopts import Parameter

from cli import hints
from cli.client import RequestClient, RequestSummary
from cli.client.connection import connected
from cli.exit_codes import ExitCode, UsageError
from cli.formatting import name
from cli.leaving import leave
from cli.model_options import chosen_models
from cli.parameters import (
    CoderModel,
    Context,
    Detach,
    PlannerModel,
    ReviewerModel,
    Thinking,
    converted,
)
from cli.repository_folder import repository_folder
from cli.request_options import (
    Deadline,
    Goal,
    Rounds,
    WindowSize,
    dollars,
    request_start,
    task_count,
)
from cli.request_text import request_text
from cli.threads import open_run
from cli.watcher import watch_to_end
from cli.worker_check import inherited_settings, refuse_other_settings
from contracts.approvals import ApprovalKind
from contracts.budget import OnLimit
from contracts.repository import Environment
from contracts.request import RequestStart
from contracts.threads import FollowUp
from domain.approvals.codes import start_code
from domain.ids import request_workflow_id
from runtime.home_secret import home_secret
from runtime.settings import Settings, load

STEPS = (ApprovalKind.PLAN, ApprovalKind.REVIEW, ApprovalKind.DELIVERY)
"""The steps that `--approve` may name."""


def _steps(text: str) -> tuple[ApprovalKind, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in STEPS]
    if wrong or not names:
        raise ValueError(f"{', '.join(wrong) or 'nothing'} is not among {', '.join(STEPS)}")
    return tuple(dict.fromkeys(ApprovalKind(name) for name in names))


async def command(  # noqa: PLR0913 - a parameter an option
    request: str | None = None,
    /,
    *,
    repo: Annotated[str | None, Parameter(metavar="PATH")] = None,
    after: Annotated[str | None, Parameter(metavar="ID")] = None,
    thread: Annotated[str | None, Parameter(metavar="ID")] = None,
    base: Annotated[str | None, Parameter(metavar="REF")] = None,
    branch: Annotated[str | None, Parameter(metavar="NAME")] = None,
    check: Annotated[tuple[str, ...], Parameter(metavar="CMD")] = (),
    until: Goal = None,
    rounds: Rounds = None,
    deadline: Deadline = None,
    setup: Annotated[tuple[str, ...], Parameter(metavar="CMD")] = (),
    no_setup: bool = False,
    approve: Annotated[tuple[ApprovalKind, ...], converted(_steps, metavar="STEPS")] = (),
    budget_usd: Annotated[float | None, converted(dollars, metavar="USD")] = None,
    on_limit: OnLimit | None = None,
    max_parallel: Annotated[int | None, converted(task_count, metavar="N")] = None,
    model: Annotated[str | None, Parameter(metavar="MODEL")] = None,
    model_planner: PlannerModel = None,
    model_coder: CoderModel = None,
    model_reviewer: ReviewerModel = None,
    fallback_model: Annotated[str | None, Parameter(metavar="MODEL")] = None,
    effort: Thinking = None,
    window_tokens: WindowSize = None,
    detach: Detach = False,
    context: Context,
) -> ExitCode:
    """Start a request; watch it unless it is detached.

    Args:
        request: what to do, in words; @FILE reads a file, - standard input; left out at a
            terminal, an editor opens (VISUAL, EDITOR)
        repo: the git repository (default: the one you stand in, or that of --after)
        after: go on from the branch that this request has delivered
        thread: follow this request: agents are told what it and its other follow-ups were asked and
            came to, and it starts from what they delivered; while one runs, it waits for its end
        base: branch, tag or commit to start from (default: HEAD)
        branch: the branch to deliver (default: orchestcode/…)
        check: a command that must pass on the merged tree; may be given several times
        setup: a command that installs what the repository depends on, run once with network before
            any agent starts; may be given several times (default: that of its settings, or what
            its lock files ask for, once you have allowed it)
        no_setup: install nothing
        approve: what waits for you: plan, review, delivery, separated by commas (default: none)
        budget_usd: dollars that all model calls may cost (default: 10)
        on_limit: at the end of the budget: ask you for more, or finish with what has landed
            (default: ask)
        max_parallel: tasks that run at once, at most 64, as many as a plan may hold (default: 4)
        model: the model of every role (default: ORCHESTCODE_MODEL, else the worker's)
        fallback_model: the model that is asked where another declines or is overloaded for ten
            minutes (default: ORCHESTCODE_FALLBACK_MODEL, else none)
    """
    _refuse_contradictions(
        context,
        {
            "--after and --base both say where to start": after is not None and base is not None,
            "--after and --thread both say what to follow": bool(after and thread),
            "--setup and --no-setup contradict each other": bool(setup) and no_setup,
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
        environment=Environment(path=settings.path, virtual_env=settings.virtual_env),
        **models,
        **{name: limit for name, limit in limits.items() if limit is not None},
    )
    async with connected(context, worker=True) as service:
        # Another command may have started the worker meanwhile.
        refuse_other_settings(settings, context)
        context.print_err(*inherited_settings(settings, beside=models))
        if after is not None:
            start = _at(start, await _delivered_by(after, service.requests), own=repo is None)
        if thread is not None:
            found = await service.requests.find(thread)
            place = {"repository": found.repository, "thread": found.thread}
            start = _at(start, place, own=repo is None)
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
