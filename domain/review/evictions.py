"""Why the merge queue did not take a patch: with whom it does not go, and what shows it."""

from collections.abc import Sequence

from contracts.checks import ChecksReport
from contracts.merge_queue import ChainLink, Eviction, MergeVerdict
from contracts.planning import Promise, TaskSpec
from domain.check_results import failed_test, red_command
from domain.text import clip, listing

_SHORT = 1_000


def tasks_named(tasks: Sequence[str]) -> str:
    """Return "task 'a'" or "tasks 'a', 'b'" for a sentence; "" for none."""
    shown = listing(tuple(repr(task) for task in tasks), most=8)
    return f"task{'s' * (len(tasks) > 1)} {shown}" if shown else ""


def promised_by(command: str, promises: Sequence[Promise]) -> str:
    """Return the task that promised a command, "" when none did."""
    return next((each.task for each in promises if command in each.commands), "")


def commands(promises: Sequence[Promise]) -> tuple[str, ...]:
    """Return what landed work promised."""
    return tuple(command for each in promises for command in each.commands)


def red_of(checks: ChecksReport, task: TaskSpec, promises: Sequence[Promise]) -> str:
    """Return the landed task whose command is red, "" when it is the task's own."""
    command = checks.red.command if checks.red else ""
    return "" if command in task.acceptance else promised_by(command, promises)


def conflict(link: ChainLink, promises: Sequence[Promise]) -> MergeVerdict:
    """Return the verdict on a patch that does not merge with what has landed."""
    whom = f"what {tasks_named(link.met)} landed" if link.met else "landed work"
    where = listing(link.conflicts, most=8)
    return MergeVerdict(
        id=link.id,
        eviction=Eviction.CONFLICT,
        reason=clip(f"conflicts with {whom}, in {where}", _SHORT),
        conflicts=link.conflicts,
        met=link.met,
        promised=tuple(promises),
    )


def superseded(patch_id: str, by: str) -> MergeVerdict:
    """Return the verdict on a patch in whose place another one has landed."""
    reason = f"{by!r} has landed in its place"
    return MergeVerdict(id=patch_id, eviction=Eviction.SUPERSEDED, reason=reason)


def red(
    link: ChainLink, report: ChecksReport | None, promises: Sequence[Promise], own: Sequence[str]
) -> MergeVerdict:
    """Return the verdict on a patch that is to blame for a red tree; `own` are its commands."""
    failed = report.red if report else None
    command = failed.command if failed else ""
    owner = "" if command in own else promised_by(command, promises)
    test = failed_test(failed) if failed else ""
    together = (
        f"together with what {tasks_named(link.met)} landed meanwhile"
        if link.met
        else "though nothing else landed since it began"
    )
    what = red_command(failed) if failed else "the checks fail"
    promise = f"; {tasks_named((owner,))} promised that command" if owner else ""
    return MergeVerdict(
        id=link.id,
        eviction=Eviction.RED,
        reason=clip(f"{what} {together}{promise}", _SHORT),
        log=report.log if report else None,
        met=link.met,
        command=clip(command, _SHORT),
        test=test,
        promised_by=owner,
        promised=tuple(promises),
    )
