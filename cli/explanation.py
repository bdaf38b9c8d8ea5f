"""Why a request stands as it does, with what its store and its agents say."""

import datetime as dt
from collections.abc import Sequence

from cli import hints
from cli.client import RequestSummary
from cli.client.connection import Service, connected
from cli.context import CliContext
from cli.exit_codes import ExitCode
from cli.formatting import clean, name, span
from cli.kept import KeptOnHost, kept_on_host, readable
from cli.snapshot import take_snapshot
from cli.views.plan_table import agent_activity
from cli.views.report import commands_in
from cli.wrapping import prose
from contracts.checks import CheckResult
from contracts.request import RequestStatus
from contracts.task import TaskState
from domain.request.why import explained

_MOST_RED_TASKS = 8


async def explain(request_id: str, *, context: CliContext) -> ExitCode:
    """Print why a request stands as it does, and the commands that answer what waits."""
    async with connected(context, worker=False) as service, kept_on_host(context) as kept:
        request = await service.requests.find(request_id)
        lines = await explanation_lines(request, service, kept, context=context)
    context.print_out(*lines)
    return ExitCode.DELIVERED


async def explanation_lines(
    request: RequestSummary, service: Service, kept: KeptOnHost, *, context: CliContext
) -> list[str]:
    """Return why a request stands as it does, whole, and the commands that answer what waits."""
    status, told = await kept.status(service.requests, request)
    paragraph = explained(
        status,
        waiting=_since(status, context.now()),
        doing=await _doing(service, status) if told and not request.closed else {},
        red=await _red(kept, request, status) if request.closed else {},
    )
    lines = [
        f"{name(request.id)} is {status.state}.",
        *paragraph,
        *([] if request.refused else hints.retry_hint(context.program, status)),
        *(
            line
            for approval in status.approvals
            for line in hints.answer_commands(context.program, request.id, approval)
        ),
    ]
    commands = (context.program, *commands_in(status))
    return prose(lines, context.columns(), commands=commands)


def _since(status: RequestStatus, now: float) -> str:
    if not status.since:
        return ""
    when = dt.datetime.fromtimestamp(status.since).astimezone()
    return f"since {when:%Y-%m-%d %H:%M} ({span(now - status.since)})"


async def _doing(service: Service, status: RequestStatus) -> dict[str, str]:
    """Return what the agents at work do, by task."""
    snapshot = await take_snapshot(service.requests, status)
    return {
        task: f"its {clean(agent.role)}: {agent_activity(agent)}"
        for task, agent in snapshot.agents.items()
    }


async def _red(
    kept: KeptOnHost, request: RequestSummary, status: RequestStatus
) -> dict[str, Sequence[CheckResult]]:
    """Return the checks that fail on the last patches of the tasks that failed."""
    found = await kept.find(request)
    failed = [row.id for row in status.tasks if row.state is TaskState.FAILED]
    if found is None:
        return {}
    with readable(request):
        return {task: await found.red_checks(task) for task in failed[:_MOST_RED_TASKS]}
