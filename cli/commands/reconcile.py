"""Keeping a host tidy by hand: what the worker also does at its start and every few minutes."""

from cli import parser
from cli.context import CliContext
from cli.exit_codes import ExitCode
from cli.formatting import clean
from cli.service import reach
from contracts.reconcile import Reconcile
from runtime.host import host_id
from runtime.settings import load


async def reconcile(typed: parser.Reconcile, around: CliContext) -> ExitCode:
    """Free what belongs to requests that have ended, or say what would be freed."""
    wanted = Reconcile(
        host_id=host_id(load(around.environ)), dry_run=typed.dry_run, forgotten=typed.forgotten
    )
    async with reach(around, worker=True) as service:
        report = await service.requests.reconcile(wanted)
    verb = "Would be mended" if report.dry_run else "Mended"
    around.say(f"{report.leases} leases and claims looked at on this host.")
    around.say(*(f"{verb}: {clean(line)}" for line in report.mended))
    around.say(*(f"Left alone: {clean(line)}" for line in report.left))
    if not report.mended and not report.left:
        around.say("Everything belongs to an open request.")
    return ExitCode.DELIVERED
