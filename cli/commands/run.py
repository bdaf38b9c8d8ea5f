"""Start a request and watch it until its branch is there.

Starts server and worker if none runs, and keeps both running while it watches. Ctrl-C leaves the
request; `starter.py watch ID` goes on with it.

Examples:
  starter.py run --repo ~/src/shop --check "make test" "Fix the cart's test"
  starter.py run --repo . --approve plan,delivery --budget-usd 5 "Add discounts"
"""

import secrets
from typing import Annotated

from cyclopts import Parameter
from pydantic import ValidationError

from cli import hints
from cli.client.connection import connected
from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError
from cli.formatting import clean
from cli.parameters import Context, converted
from cli.watcher import watch_to_end
from contracts.approvals import ApprovalKind
from contracts.limits import MOST_TASKS
from contracts.repository import Environment
from contracts.request import RequestStart
from domain.ids import request_workflow_id
from runtime.settings import load

STEPS = (ApprovalKind.PLAN, ApprovalKind.REVIEW, ApprovalKind.DELIVERY)
"""The steps that `--approve` may name."""
NO_KEY = (
    "No model key is set: export ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN, or "
    "ANTHROPIC_BASE_URL for a service that needs none), or see everything at work without one: "
    "make demo"
)


def _steps(text: str) -> tuple[ApprovalKind, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in STEPS]
    if wrong or not names:
        raise ValueError(f"{', '.join(wrong) or 'nothing'} is not among {', '.join(STEPS)}")
    return tuple(dict.fromkeys(ApprovalKind(name) for name in names))


def _dollars(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = 0.0
    if not 0 < amount <= 100_000:
        raise ValueError(f"{text} is not an amount between 0 and 100000")
    return amount


def _task_count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_TASKS:
        raise ValueError(
            f"{text} is not a number from 1 to {MOST_TASKS}, the most tasks that a plan holds"
        )
    return int(text)


async def command(
    request: str,
    /,
    *,
    repo: Annotated[str, Parameter(metavar="PATH")],
    base: Annotated[str | None, Parameter(metavar="REF")] = None,
    branch: Annotated[str | None, Parameter(metavar="NAME")] = None,
    check: Annotated[tuple[str, ...], Parameter(metavar="CMD")] = (),
    approve: Annotated[tuple[ApprovalKind, ...], converted(_steps, metavar="STEPS")] = (),
    budget_usd: Annotated[float | None, converted(_dollars, metavar="USD")] = None,
    max_parallel: Annotated[int | None, converted(_task_count, metavar="N")] = None,
    detach: bool = False,
    context: Context,
) -> ExitCode:
    """Start a request; watch it unless it is detached.

    Args:
        request: what to do, in words
        repo: the git repository
        base: branch, tag or commit to start from (default: HEAD)
        branch: the branch to deliver (default: orchestcode/…)
        check: a command that must pass on the merged tree; may be given several times
        approve: what waits for you: plan, review, delivery, separated by commas
        budget_usd: what all model calls may cost
        max_parallel: tasks that run at once, at most 64, as many as a plan may hold
        detach: start it and return at once (exit code 3)
    """
    settings = load(context.environ)
    if not (settings.model_key or settings.model_token or settings.model_base_url):
        raise UsageError(NO_KEY)
    limits = {"budget_usd": budget_usd, "max_parallel": max_parallel}
    start = _request_start(
        request=request.strip(),
        repository=_folder(repo, context),
        base=base,
        branch=branch,
        checks=check,
        approve=approve,
        environment=Environment(path=settings.path, virtual_env=settings.virtual_env),
        **{name: limit for name, limit in limits.items() if limit is not None},
    )
    request_id = request_workflow_id(start.request, secrets.token_hex(3))
    async with connected(context, worker=True) as service:
        started = await service.requests.start(start, request_id=request_id)
        context.print_err(f"orchestcode: started {started.id}")
        if detach:
            context.print_err(
                *hints.detached_hints(context.program, started.id, stops=service.started)
            )
            return ExitCode.WAITING
        return await watch_to_end(started, service, context)


def _folder(repo: str, context: CliContext) -> str:
    folder = (context.folder / repo).resolve()
    if not folder.is_dir():
        raise UsageError(f"There is no folder {clean(str(folder))}; --repo names a repository.")
    return str(folder)


def _request_start(**values: object) -> RequestStart:
    """Return the workflow's input; refuse a value that it does not allow."""
    try:
        return RequestStart.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        problem = f"The request's {where} is not allowed: {first['msg'].lower()}."
        raise UsageError(problem) from error
