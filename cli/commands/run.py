"""`run` and `watch`: a request from its start, or from where it stands, to its end."""

import asyncio
import secrets

from pydantic import ValidationError

from cli import hints
from cli.client import RequestSummary
from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError, exit_code
from cli.formatting import clean
from cli.parser import Run, Watch
from cli.service import Service, reach
from cli.snapshot import unknown
from cli.views.report import closing
from cli.views.screen import shown_on
from cli.watcher import Watcher
from contracts.repository import Environment
from contracts.request import RequestStart
from domain.ids import request_workflow_id
from runtime.settings import Settings, load

NO_KEY = (
    "No model key is set: export ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN, or "
    "ANTHROPIC_BASE_URL for a service that needs none), or see everything at work without one: "
    "make demo"
)


async def run(typed: Run, around: CliContext) -> ExitCode:
    """
    Start a request; watch it unless it is to be detached.

    Raises:
        UsageError: there is no model key, or the request cannot be made as typed.
    """
    settings = load(around.environ)
    if not (settings.model_key or settings.model_token or settings.model_base_url):
        raise UsageError(NO_KEY)
    start = request_start(typed, settings, around)
    request_id = request_workflow_id(start.request, secrets.token_hex(3))
    async with reach(around, worker=True) as service:
        found = await service.requests.start(start, request_id=request_id)
        around.tell(f"orchestcode: started {found.id}")
        if typed.detach:
            around.tell(*_left_behind(found, service, around))
            return ExitCode.WAITING
        return await _until_ended(found, service, around)


async def watch(typed: Watch, around: CliContext) -> ExitCode:
    """Watch a request until it ends, with server and worker brought up if need be."""
    async with reach(around, worker=True) as service:
        found = await service.requests.find(typed.id)
        return await _until_ended(found, service, around)


async def _until_ended(found: RequestSummary, service: Service, around: CliContext) -> ExitCode:
    """Show a request until it ends, or until the person leaves it."""
    watcher = Watcher(service.requests, found, now=around.now)
    first = unknown(found.id, link=service.link(found))
    try:
        with shown_on(around.out, program=around.program) as view:
            ending, last = await watcher.until_ended(first, view)
    except asyncio.CancelledError:
        _take_back_cancellation()
        if around.lasting:
            around.tell("", *_left_behind(found, service, around))
        return ExitCode.WAITING
    if ending.refused:
        around.say("", f"Refused: {clean(last.status.reason, 1_000)}")
    else:
        around.say("", *closing(last.status, seconds=last.seconds, link=last.link))
    return exit_code(ending.state, refused=ending.refused)


def _take_back_cancellation() -> None:
    """Let the command end in order after Ctrl-C: what it brought up is let go as usual."""
    task = asyncio.current_task()
    if task:
        task.uncancel()


def _left_behind(found: RequestSummary, service: Service, around: CliContext) -> list[str]:
    return hints.left_behind(around.program, found.id, stops=service.started)


def request_start(typed: Run, settings: Settings, around: CliContext) -> RequestStart:
    """
    Return the workflow's input for what a person typed.

    Raises:
        UsageError: a value is not allowed, or the repository is no folder.
    """
    folder = (around.folder / typed.repository).resolve()
    if not folder.is_dir():
        raise UsageError(f"There is no folder {clean(str(folder))}; --repo names a repository.")
    environment = Environment(
        path=settings.path,
        virtual_env=str(settings.virtual_env) if settings.virtual_env else None,
    )
    chosen = {
        name: value
        for name, value in (("budget_usd", typed.budget_usd), ("max_parallel", typed.max_parallel))
        if value is not None
    }
    try:
        return RequestStart(
            repository=str(folder),
            request=typed.request.strip(),
            base=typed.base,
            branch=typed.branch,
            checks=typed.checks,
            approve=typed.approve,
            environment=environment,
            **chosen,
        )
    except ValidationError as error:
        raise UsageError(_first_problem(error)) from error


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"The request's {where} is not allowed: {first['msg'].lower()}."
