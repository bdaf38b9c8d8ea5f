"""
Keeping a host tidy by hand: what the worker also does at its start and every few minutes.
"""

from console.outcome import ExitCode
from console.parser import Reconcile
from console.service import reach
from console.surroundings import Surroundings
from console.words import clean
from runtime.host import host_id
from runtime.settings import load


async def reconcile(typed: Reconcile, around: Surroundings) -> ExitCode:
    """
    Free what belongs to requests that have ended, or say what would be freed.
    """
    host = host_id(load(around.environ))
    async with reach(around, worker=True) as service:
        report = await service.requests.reconcile(host, dry_run=typed.dry_run)
    verb = "Would be freed" if report.dry_run else "Freed"
    around.say(f"{report.leases} leases and claims looked at on this host.")
    around.say(*(f"{verb}: {clean(line)}" for line in report.mended))
    around.say(*(f"Left alone: {clean(line)}" for line in report.left))
    if not report.mended and not report.left:
        around.say("Everything belongs to an open request.")
    return ExitCode.DELIVERED
