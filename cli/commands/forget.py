"""Delete one finished request: its conversations, checkpoints, worktrees and histories.

A branch that it has delivered stays in your repository, and so do the lines of the logs on this
host. A request that is open is refused: cancel it first.

Examples:
  starter.py forget fix-the-cart-59e583 --dry-run
  starter.py forget fix-the-cart-59e583 --yes
"""

from cli import clean_up
from cli.client.connection import connected
from cli.command_words import command_line, short_id
from cli.exit_codes import ExitCode, UsageError
from cli.formatting import name, size
from cli.parameters import Context, RequestId
from cli.worker_hint import require_worker
from contracts.clean_up import CleanUp
from runtime.settings import load


async def command(
    request_id: RequestId, /, *, dry_run: bool = False, yes: bool = False, context: Context
) -> ExitCode:
    """Forget a request.

    Args:
        dry_run: only say what would go
        yes: delete without asking
    """
    if dry_run:
        await require_worker(context)
    settings = load(context.environ)
    async with connected(context, worker=not dry_run) as service:
        request = await service.requests.find(request_id)
        short = short_id(request.id)
        if request.closed is None:
            cancel = command_line(context.program, "cancel", short)
            raise UsageError(
                f"{name(request.id)} is {request.state}: it can be forgotten once it has ended. "
                f"To end it: {cancel}"
            )
        look = CleanUp(dry_run=True, request_id=request.id)
        report = await clean_up.order(service, settings, look)
        for each in report.gone:
            context.print_out(f"To be deleted of {name(request.id)}: {clean_up.parts(each)}.")
        if dry_run or not report.gone:
            return clean_up.ending(report, context)
        if not yes and not clean_up.agreed(context, f"Forget {name(short)}?"):
            again = command_line(context.program, "forget", short, "--yes")
            context.print_out(f"Nothing was deleted. To delete it: {again}")
            return ExitCode.DELIVERED
        done = await clean_up.order(service, settings, CleanUp(request_id=request.id))
    context.print_out(
        f"{name(request.id)} is forgotten; {size(done.freed_bytes)} of disk freed.",
        *clean_up.branch_lines(done.gone),
    )
    return clean_up.ending(done, context)
