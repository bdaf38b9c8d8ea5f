"""Deleting finished requests: what would go, a person's yes, what went."""

from collections.abc import Sequence

from cli.client.connection import Service
from cli.command_words import command_line, short_id
from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError
from cli.formatting import age, clean, columns, name, narrowed, plural, size
from contracts.clean_up import CleanUp, CleanUpReport, GoneLayer, GoneRequest
from contracts.reconcile import Reconcile
from runtime.host import host_id
from runtime.settings import Settings

_YES = ("y", "yes")
_LEFT_OUT = (("WHY",), ("WHY", "REPOSITORY"), ("WHY", "REPOSITORY", "ENDED"))
"""Columns that a table of requests does without on a narrow terminal."""


async def order(service: Service, settings: Settings, wanted: CleanUp) -> CleanUpReport:
    """Have the worker of this host clean up, and return what it says."""
    look = Reconcile(
        host_id=host_id(settings),
        dry_run=wanted.dry_run,
        without_packing=wanted.dry_run or bool(wanted.request_id),
        clean=wanted,
    )
    report = await service.requests.reconcile(look)
    if report.cleaned is None:
        raise UsageError("The worker that runs is older than this command: stop it, then again.")
    return report.cleaned


def agreed(context: CliContext, question: str) -> bool:
    """Ask a person at a terminal; whoever is not there has not agreed."""
    if not context.stdin.isatty():
        return False
    context.stderr.write(f"{question} [y/N] ")
    context.stderr.flush()
    return context.stdin.readline().strip().lower() in _YES


def gone_lines(gone: Sequence[GoneRequest], now: float, *, width: int = 0) -> list[str]:
    """Return a table of requests: when each ended, what it takes, where it worked, why it goes."""
    rows = [
        ("  REQUEST", "ENDED", "DISK", "REPOSITORY", "WHY"),
        *(
            (
                f"  {name(short_id(each.id))}",
                f"{age(now - each.ended)} ago" if each.ended else "",
                size(each.stored_bytes),
                name(each.repository),
                clean(each.why),
            )
            for each in gone
        ),
    ]
    return narrowed(rows, _LEFT_OUT, width) if gone else []


def layer_lines(gone: Sequence[GoneLayer], now: float) -> list[str]:
    """Return a line a layer: what installed it, when a command last had it, what it takes."""
    rows = [
        (
            f"  {clean('; '.join(each.commands), 60)}",
            f"used {age(now - each.used)} ago",
            size(each.bytes),
        )
        for each in gone
    ]
    return columns(rows) if rows else []


def parts(each: GoneRequest) -> str:
    """Return what is deleted of a request, in words."""
    return ", ".join(
        [
            plural(each.refs, "reference"),
            plural(each.conversations, "conversation"),
            plural(each.executions, "workflow history").replace("historys", "histories"),
            f"{size(each.stored_bytes)} of objects",
        ]
    )


def branch_lines(gone: Sequence[GoneRequest]) -> list[str]:
    """Return what stays in the person's repositories, and how to delete it once it is merged."""
    kept = [each for each in gone if each.branch]
    if not kept:
        return []
    commands = [
        "  " + command_line("git", "-C", each.repository, "branch", "-d", each.branch)
        for each in kept
    ]
    return [
        "Delivered branches stay in your repositories. These delete them, once they are merged:",
        *commands,
    ]


def ending(report: CleanUpReport, context: CliContext) -> ExitCode:
    """Say what is left, and return the exit code."""
    context.print_out(*(f"Left: {clean(line)}" for line in report.left))
    return ExitCode.DELIVERED
