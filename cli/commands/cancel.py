"""Give a request up.

Waits until it has freed what it holds. Its worktrees are freed, its work so far stays in the
store, your repository is not touched.

Examples:
  starter.py cancel mine
"""

import asyncio

from cli import hints
from cli.client.connection import connected
from cli.exit_codes import ExitCode
from cli.formatting import name
from cli.parameters import Context, RequestId

_CANCEL_SECONDS = 30.0


async def command(request_id: RequestId, /, *, context: Context) -> ExitCode:
    """Cancel one request."""
    async with connected(context, worker=True) as service:
        request = await service.requests.find_open(request_id)
        await service.requests.cancel(request.id)
        try:
            async with asyncio.timeout(_CANCEL_SECONDS):
                outcome = await service.requests.outcome(request.id)
        except TimeoutError:
            watch = hints.command_line(context.program, "watch", hints.short_id(request.id))
            context.print_prose(
                f"{name(request.id)} is cancelled and still frees what it holds: {watch}"
            )
            return ExitCode.WAITING
    context.print_out(f"{name(request.id)} has ended: {outcome.state}")
    ended = outcome.last_status(request.status())
    context.print_prose(
        *hints.salvage_hint(request.salvage_command, outcome.state),
        *hints.retry_hint(context.program, ended),
        commands=[request.salvage_command],
    )
    return ExitCode.DELIVERED
