"""What is told of a request's base: which commands fail or cannot run before any work."""

from collections.abc import Sequence

from contracts.baseline import Baseline, CommandsLookedUp, Surveyed
from contracts.checks import ChecksReport
from contracts.planning import Plan
from contracts.subtask import SubtaskStart
from domain.check_results import how_it_ended
from domain.text import one_line

_CANNOT_RUN = (126, 127)
"""Exit codes by which a shell says that it cannot start a command."""


def baseline(commit: str, surveyed: Surveyed, reports: Sequence[ChecksReport]) -> Baseline:
    """Return what the checks came to on the base; `reports` holds one for each, of it alone."""
    red = [place for place, report in enumerate(reports) if not report.passed]
    problems = tuple(_red(reports[place]) for place in red)
    return Baseline(commit=commit, survey=surveyed.survey, red=tuple(red), problems=problems)


def required(start: SubtaskStart, promised: Sequence[str]) -> tuple[str, ...]:
    """Return what must pass on a task's patch alone: acceptance, landed promises, checks.

    A check that fails on the base is not held against the patch.
    """
    red = start.baseline.red if start.baseline else range(len(start.checks))
    green = [check for place, check in enumerate(start.checks) if place not in red]
    return tuple(dict.fromkeys((*start.task.acceptance, *promised, *green)))


def _red(report: ChecksReport) -> str:
    result = report.results[-1]
    last = one_line((result.tail.strip().splitlines() or [""])[-1], 200)
    verb = "cannot run here" if result.exit_code in _CANNOT_RUN else "fails before we started"
    said = f": {last}" if last else ""
    return f"`{one_line(result.command, 200)}` {verb} ({how_it_ended(result)}){said}"


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
