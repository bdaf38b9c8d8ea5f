"""End server and worker; open requests go on at the next `up` or `run`.

Ends the background service, or the `up` of another terminal. The worker first finishes what it may:
steps (ORCHESTCODE_GRACE_SECONDS, 5) and replies of the model that are coming
(ORCHESTCODE_REPLY_GRACE_SECONDS, 60). Nothing finished is done twice.

Examples:
  starter.py stop
"""

import asyncio
from collections.abc import Sequence

from cli import hints
from cli.client import RequestSummary
from cli.client.connection import open_requests
from cli.exit_codes import ExitCode
from cli.formatting import name, plural
from cli.parameters import Context
from runtime.background_task import background_task
from runtime.records import SupervisorRecord
from runtime.services.stop import stop_services
from runtime.services.systemd_unit import unit_file
from runtime.settings import Settings, load

_SILENT_SECONDS = 2.0
"""How long nothing is said of what is waited for: most services end sooner."""


async def command(*, context: Context) -> ExitCode:
    """Stop the services of this home."""
    settings = load(context.environ)
    record = SupervisorRecord.running(settings)
    left = await open_requests(settings, record.address if record else None)
    async with background_task(_say_what_is_waited_for(settings, context)):
        ran = await stop_services(settings)
    if not ran:
        context.print_out(f"Nothing runs on {settings.home}.")
        return ExitCode.DELIVERED
    context.print_out(f"Stopped: nothing runs on {settings.home} any more.")
    if left is None:
        context.print_out("What is open could not be read; it goes on at the next `up` or `run`.")
    else:
        context.print_out(*_left(left))
    if unit_file(context.environ).exists():
        context.print_out("The systemd unit starts it again at the next login.")
    return ExitCode.DELIVERED


async def _say_what_is_waited_for(settings: Settings, context: Context) -> None:
    """Say why the services do not end at once, and how long that may take."""
    await asyncio.sleep(_SILENT_SECONDS)
    context.print_err(
        "Waiting for what is under way: replies of the model that are coming are paid for in any "
        f"case, and may take up to {settings.reply_grace_seconds} s."
    )


def _left(requests: Sequence[RequestSummary]) -> list[str]:
    """Return what is open, and that it goes on."""
    if not requests:
        return ["No request is open."]
    verb = "is open and goes on" if len(requests) == 1 else "are open and go on"
    names = (f"  {name(hints.short_id(one.id))}  {one.state}" for one in requests)
    return [f"{plural(len(requests), 'request')} {verb} at the next `up` or `run`:", *names]
