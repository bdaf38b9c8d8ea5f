"""What is told of a request's base: which commands fail or cannot run before any work."""

from collections.abc import Sequence

from contracts.baseline import Baseline, CommandsLookedUp, Surveyed
from contracts.checks import CheckResult, ChecksReport, FailedBefore
from contracts.planning import Plan
from contracts.subtask import SubtaskStart
from domain.check_results import failed_before, how_it_failed
from domain.text import one_line

_CANNOT_RUN = (126, 127)
"""Exit codes by which a shell says that it cannot start a command."""
_RED_COUNTS = (
    "A check that fails here is not held against the patch of one task, as long as no more of it "
    "fails; the final result must pass it: run it, and see that a change makes nothing more of it "
    "fail."
)


def baseline(commit: str, surveyed: Surveyed, reports: Sequence[ChecksReport]) -> Baseline:
    """Return what the checks came to on the base; `reports` holds one for each, of it alone."""
    results = [report.results[-1] for report in reports]
    return Baseline(
        commit=commit,
        survey=surveyed.survey,
        red=tuple(place for place, result in enumerate(results) if not result.passed),
        flaky=tuple(place for place, result in enumerate(results) if _flaky(result)),
        failed=tuple(filter(None, map(failed_before, results))),
        problems=tuple(filter(None, map(_problem, results))),
        cannot_run=tuple(_problem(result) for result in results if _cannot_run(result)),
    )


def twice(first: ChecksReport, again: ChecksReport) -> ChecksReport:
    """Return the second run of a check on the base, with what failed in the first: it may again."""
    before, result = first.results[-1], again.results[-1]
    if result.passed:
        return again
    failing = tuple(dict.fromkeys((*before.failing, *result.failing)))
    both = result.model_copy(update={"failing": failing if result.failing else ()})
    return again.model_copy(update={"results": (*again.results[:-1], both)})


def told(found: Baseline | None) -> str:
    """Return what every agent is told of the base: what is red or flaky, and how red counts."""
    if found is None:
        return ""
    return "\n".join((*found.problems, *([_RED_COUNTS] if found.red else [])))


def required(start: SubtaskStart, promised: Sequence[str]) -> tuple[str, ...]:
    """Return what is run on a task's patch alone: acceptance, landed promises, checks.

    A check that fails on the base is held against the patch only if more of it fails; where that
    cannot be seen it is left out.
    """
    red = start.baseline.red if start.baseline else range(len(start.checks))
    green = [check for place, check in enumerate(start.checks) if place not in red]
    compared = (each.command for each in failed(start))
    return tuple(dict.fromkeys((*start.task.acceptance, *promised, *green, *compared)))


def failed(start: SubtaskStart) -> tuple[FailedBefore, ...]:
    """Return how those checks failed on the base that a task has not promised to mend."""
    before = start.baseline.failed if start.baseline else ()
    return tuple(each for each in before if each.command not in start.task.acceptance)


def without(found: Baseline | None, dropped: Sequence[str]) -> Baseline | None:
    """Return the baseline of a task of which a person has dropped commands."""
    if found is None:
        return None
    left = tuple(each for each in found.failed if each.command not in dropped)
    return found.model_copy(update={"failed": left})


def queued_checks(start: SubtaskStart, dropped: Sequence[str]) -> tuple[str, ...]:
    """Return the checks that no landing may break: red ones that a person has dropped may be."""
    red = start.baseline.red if start.baseline else ()
    places = enumerate(start.checks)
    return tuple(check for place, check in places if place not in red or check not in dropped)


def doubtful(start: SubtaskStart, report: ChecksReport) -> bool:
    """Return whether what is red on a patch was so, or flaky, before: it counts if red twice."""
    flaky = [start.checks[place] for place in start.baseline.flaky] if start.baseline else []
    doubted = (*flaky, *(each.command for each in failed(start)))
    return not report.passed and report.results[-1].command in doubted


def _flaky(result: CheckResult) -> bool:
    return result.passed and bool(result.flaked)


def _cannot_run(result: CheckResult) -> bool:
    return not result.passed and result.exit_code in _CANNOT_RUN


def _problem(result: CheckResult) -> str:
    """Return what is told of a check on the base, "" when nothing is wrong with it."""
    command = f"`{one_line(result.command, 200)}`"
    if _flaky(result):
        return (
            f"{command} is flaky at the base: it failed, then passed when run again {result.flaked}"
        )
    if result.passed:
        return ""
    verb = "cannot run here" if _cannot_run(result) else "fails before we started"
    return f"{command} {verb} {how_it_failed(result)}"


def commands(plan: Plan) -> tuple[str, ...]:
    """Return the acceptance commands of a plan, each once."""
    return tuple(dict.fromkeys(each for task in plan.tasks for each in task.acceptance))


def lacking(plan: Plan, looked_up: CommandsLookedUp) -> tuple[str, ...]:
    """Return a sentence for each task's command that cannot run here, as the plan has them."""
    lacks = dict(zip(commands(plan), looked_up.lacks, strict=True))
    return tuple(
        f"the acceptance command `{one_line(command, 200)}` of {task.id} cannot run here: "
        f"{lacks[command]}"
        for task in plan.tasks
        for command in task.acceptance
        if lacks[command]
    )


def with_lacking(found: Baseline, sentences: Sequence[str]) -> Baseline:
    """Return the baseline with what an accepted plan's commands lack."""
    return found.model_copy(update={"problems": (*found.problems, *sentences)})


def lacking_message(sentences: Sequence[str]) -> str:
    """Return what the planner is told of commands that cannot run here."""
    points = "\n".join(f"- {each}" for each in sentences)
    return (
        f"The plan is valid, but in the sandbox where its commands will run:\n{points}\n"
        "Nothing can be installed. Hand in the whole plan again with commands that can run; try "
        "them with `run_command`. If a task makes what is missing, say so in its goal and hand the "
        "plan in as it is."
    )
