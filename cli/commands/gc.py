"""Delete what finished requests have left on this host, once they are old enough.

Without --yes nothing is deleted before you have seen what would go, and agreed at a terminal;
--dry-run only shows it, and starts no worker. A request goes when it ended more than --days ago,
and, beyond a budget of disk, those that ended first. With it go its conversations, checkpoints, and
its histories in the Temporal service. What a setup installed goes when no request that is open or
stays uses it. Open requests are never touched, and branches in your repositories stay: the commands
that delete those are printed. Stores are packed in the background without being asked.

Examples:
  starter.py gc --dry-run
  starter.py gc --days 7
  starter.py gc --budget-mb 500 --yes
"""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from cli import clean_up
from cli.client.connection import connected
from cli.command_words import command_line
from cli.exit_codes import ExitCode
from cli.formatting import plural, size
from cli.parameters import Context
from cli.worker_hint import require_worker
from contracts.clean_up import CleanUp, CleanUpReport
from domain.clean_up import RETENTION_DAYS
from runtime.settings import Settings, load

Count = Annotated[int | None, Parameter(validator=Number(gte=1))]


async def command(
    *,
    dry_run: bool = False,
    yes: bool = False,
    days: Count = None,
    budget_mb: Count = None,
    context: Context,
) -> ExitCode:
    """Clean up this host.

    Args:
        dry_run: only say what would go
        yes: delete without asking
        days: days since the end (default: ORCHESTCODE_RETENTION_DAYS, else 30)
        budget_mb: disk for all stores and layers (default: ORCHESTCODE_DISK_BUDGET_MB, else none)
    """
    if dry_run:
        await require_worker(context)
    settings = load(context.environ)
    wanted = CleanUp(
        dry_run=True,
        retention_days=days or settings.retention_days or RETENTION_DAYS,
        budget_bytes=(budget_mb or settings.disk_budget_mb or 0) * 1_000_000,
    )
    async with connected(context, worker=not dry_run) as service:
        report = await clean_up.order(service, settings, wanted)
        _show(report, wanted, settings, context)
        if dry_run or not (report.gone or report.layers):
            return clean_up.ending(report, context)
        if not yes and not clean_up.agreed(context, "Delete them?"):
            again = command_line(context.program, "gc", *_words(days, budget_mb), "--yes")
            context.print_prose(f"Nothing was deleted. To delete them: {again}")
            return ExitCode.DELIVERED
        done = await clean_up.order(service, settings, wanted.model_copy(update={"dry_run": False}))
    freed = f"{_amount(done)} deleted, {size(done.freed_bytes)} of disk freed."
    context.print_prose(freed, *clean_up.branch_lines(done.gone), commands=["git -C "])
    return clean_up.ending(done, context)


def _words(days: int | None, budget_mb: int | None) -> list[str]:
    words = [] if days is None else ["--days", str(days)]
    return words if budget_mb is None else [*words, "--budget-mb", str(budget_mb)]


def _show(report: CleanUpReport, wanted: CleanUp, settings: Settings, context: Context) -> None:
    budget = f"of {size(wanted.budget_bytes)}" if wanted.budget_bytes else "without a budget"
    by_itself = settings.retention_days or settings.disk_budget_mb
    layers = ""
    if report.layer_count:
        layers = f" and {plural(report.layer_count, 'layer')} of what setups installed"
    told = (
        f"{plural(report.stores, 'store')}{layers}, "
        f"{size(report.used_bytes + report.layer_bytes)} of disk {budget}. Finished requests are "
        f"kept {plural(wanted.retention_days, 'day')}"
        f"{'' if by_itself else '; only this command deletes them'}."
    )
    context.print_prose(told)
    if not (report.gone or report.layers):
        context.print_out("Nothing is to be deleted.")
        return
    total = sum(each.stored_bytes for each in report.gone)
    total += sum(each.bytes for each in report.layers)
    context.print_out(
        f"To be deleted: {_amount(report)}, about {size(total)}:",
        *clean_up.gone_lines(report.gone, context.now(), width=context.columns()),
        *clean_up.layer_lines(report.layers, context.now()),
    )


def _amount(report: CleanUpReport) -> str:
    """Return how many requests and layers a report names, in words."""
    counted = [(len(report.gone), "request"), (len(report.layers), "layer")]
    return " and ".join(plural(number, what) for number, what in counted if number)
