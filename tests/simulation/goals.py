"""Goals: what their command finds in a tree, and what must hold of their rounds."""

from collections.abc import Collection, Iterable, Mapping

from contracts.endings import RequestEnding
from contracts.goal import GoalStatus
from contracts.request import RequestStatus
from contracts.visibility import RunState
from tests.simulation.scenario import Goal

FRESH = "round-"
"""The id of a round's fresh task begins so."""


def reached(tree: Mapping[str, str]) -> int:
    """Return how many fresh tasks have left good work in a tree."""
    return sum(path.startswith(FRESH) and text.startswith("good") for path, text in tree.items())


def lacking(tree: Mapping[str, str], steps: int) -> tuple[str, ...]:
    """Return the steps that a tree lacks, as the command names them."""
    return tuple(f"step {number}" for number in range(reached(tree) + 1, steps + 1))


def problems(
    goal: Goal | None, status: RequestStatus | None, passed: Collection[tuple[str, str]], tree: str
) -> Iterable[str]:
    """Yield what is wrong with the rounds of a request that has ended.

    `passed` are the commands that passed, each with its tree; `tree` is what was delivered, "" for
    nothing.
    """
    if status is None or goal is None or status.goal is None:
        return
    stands, done = status.goal, status.state is RunState.DONE
    yield from _rounds(stands, status)
    if done and not stands.met:
        yield f"the request is done and `{goal.command}` was not met"
    if done and tree and (tree, goal.command) not in passed:
        yield f"delivered, but `{goal.command}` was never green on its tree"
    if stands.met and stands.missed:
        yield f"`{goal.command}` was met and is said to be missed: {stands.missed}"
    if status.ending is RequestEnding.GOAL_MISSED and not stands.missed:
        yield f"nobody knows why no further round began for `{goal.command}`"
    if status.ending is RequestEnding.GOAL_MET and status.tasks:
        yield f"`{goal.command}` passes on the base, and tasks were planned"


def _rounds(stands: GoalStatus, status: RequestStatus) -> Iterable[str]:
    """Rounds are counted on, none is beyond the last, and each is of tasks of its own.

    A task that a retry runs again is of the round in which it ran first, too.
    """
    numbers = [each.number for each in stands.rounds]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"the rounds are {numbers}"
    if numbers and numbers[-1] > stands.most:
        yield f"round {numbers[-1]} of at most {stands.most}"
    rows, seen = {row.id for row in status.tasks}, set[str]()
    for each in stands.rounds:
        if (again := seen.intersection(each.tasks)) and status.attempt == 1:
            yield f"{sorted(again)} are of two rounds"
        seen.update(each.tasks)
        if unknown := {*each.tasks} - rows:
            yield f"{sorted(unknown)} of round {each.number} have no row"
