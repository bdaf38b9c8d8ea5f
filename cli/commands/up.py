"""Run server and worker, in the foreground or as a background service.

They are replaced when they end or hang. In the foreground Ctrl-C ends them; with --detach they go
on until nothing is open, as after `run`, and `stop` ends them. The first lines printed are the
addresses of the server and of the web UI.

Examples:
  starter.py up
  starter.py up --detach
"""

from typing import Annotated

from cyclopts import Parameter

from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError
from cli.formatting import span
from cli.parameters import Context
from runtime.records import SupervisorRecord
from runtime.services.process_supervisor import supervise
from runtime.services.startup import ensure_services
from runtime.services.supervisor_status import web_ui
from runtime.settings import Settings, load


async def command(
    *,
    detach: bool = False,
    until_idle: bool = False,
    server_only: Annotated[bool, Parameter(name="--server-only")] = False,
    context: Context,
) -> ExitCode:
    """Supervise server and worker.

    Args:
        detach: have them run in the background, and return once they are ready
        until_idle: end when nothing is open any more; this is what --detach starts
        server_only: no worker, and end with the last command; what commands that only look start
    """
    settings = load(context.environ)
    if detach and (until_idle or server_only):
        raise UsageError("--detach takes no other option.")
    if detach:
        return await _detach(settings, context)
    code = await supervise(
        settings,
        announce=context.print_err,
        background=until_idle or server_only,
        with_worker=not server_only,
    )
    return ExitCode(code)


async def _detach(settings: Settings, context: CliContext) -> ExitCode:
    async with ensure_services(settings, announce=context.print_err) as running:
        record = SupervisorRecord.running(settings)
    if record is None:
        context.print_out(f"A worker runs at {running.address}; nothing was started here.")
        return ExitCode.DELIVERED
    context.print_out(
        f"Ready (process {record.pid}): Temporal at {record.address}{web_ui(record)}.",
        f"It ends {span(record.idle_seconds)} after nothing is open any more; "
        f"`{context.program} stop` ends it now."
        if record.background
        else "It ends with the `up` that started it.",
    )
    return ExitCode.DELIVERED
