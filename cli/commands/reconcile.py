"""Free worktrees and claims of requests that have ended.

A worker does the same when it starts and every few minutes.

Examples:
  starter.py reconcile --dry-run
  starter.py reconcile --forgotten
"""

from cli.client.connection import connected
from cli.exit_codes import ExitCode
from cli.formatting import clean
from cli.parameters import Context
from cli.worker_hint import require_worker
from contracts.reconcile import Reconcile
from runtime.host import host_id
from runtime.settings import load


async def command(*, dry_run: bool = False, forgotten: bool = False, context: Context) -> ExitCode:
    """Reconcile this host.

    Args:
        dry_run: say what would be done
        forgotten: start requests again that the server does not know any more
    """
    if dry_run:
        await require_worker(context)
    host = host_id(load(context.environ))
    async with connected(context, worker=not dry_run) as service:
        order = Reconcile(host_id=host, dry_run=dry_run, forgotten=forgotten, without_packing=True)
        report = await service.requests.reconcile(order)
    verb = "Would be repaired" if report.dry_run else "Repaired"
    context.print_out(
        f"{report.leases} leases and claims looked at on this host.",
        *(f"{verb}: {clean(line)}" for line in report.mended),
        *(f"Left alone: {clean(line)}" for line in report.left),
    )
    if not report.mended and not report.left:
        context.print_out("Everything belongs to an open request.")
    return ExitCode.DELIVERED
