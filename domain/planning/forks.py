"""Forks: tasks of which one result is taken, made from one task by a person."""

from collections.abc import Iterable, Mapping

from contracts.continuation import TurnChoice
from contracts.endings import TaskEnding
from contracts.planning import Fork, Plan
from contracts.task import TaskState, TaskStatus
from domain.text import clip, one_line

_GOAL_CHARS = 8_000
_OPEN = (TaskState.PENDING, TaskState.RUNNING, TaskState.REVIEW)


def with_fork(plan: Plan, choice: TurnChoice) -> Plan:
    """Return the plan with the fork that a person has chosen, right behind its task."""
    if choice.fork is None:
        return plan
    tasks = list(plan.tasks)
    place = next(place for place, task in enumerate(tasks) if task.id == choice.task)
    before = tasks[place]
    wants = f"\n\nThe person wants it done otherwise: {choice.words}" if choice.words else ""
    changes = {
        "id": choice.fork,
        "title": title(before.title, choice.words),
        "goal": clip(before.goal, _GOAL_CHARS - len(wants)) + wants,
    }
    tasks.insert(place + 1, before.model_copy(update=changes))
    forks = (*plan.forks, Fork(task=choice.fork, of=choice.task))
    return plan.model_copy(update={"tasks": tuple(tasks), "forks": forks})


def title(of: str, words: str) -> str:
    """Return the title of a fork."""
    return one_line(f"{of} (otherwise: {words or 'a fork'})", 180)


def origin(plan: Plan, task: str) -> str:
    """Return the task that a fork goes back to in the end; a task that is no fork is its own."""
    of = {fork.task: fork.of for fork in plan.forks}
    while task in of:
        task = of[task]
    return task


def rivals(plan: Plan, task: str) -> tuple[str, ...]:
    """Return the tasks beside one of which only one result is taken, in the plan's order."""
    if not plan.forks:
        return ()
    mine = origin(plan, task)
    return tuple(
        each.id for each in plan.tasks if each.id != task and origin(plan, each.id) == mine
    )


def group(plan: Plan, task: str) -> str:
    """Return the name under which a task and its rivals are one in the merge queue."""
    return origin(plan, task) if rivals(plan, task) else ""


def state(plan: Plan, task: str, rows: Mapping[str, TaskStatus]) -> TaskState:
    """Return how what depends on a task sees it: as the best of it and its rivals."""
    own = rows[task].state
    if not plan.forks:
        return own
    states = [rows[each].state for each in rivals(plan, task) if each in rows]
    if own is not TaskState.DONE and TaskState.DONE in states:
        return TaskState.DONE
    if own in (TaskState.FAILED, TaskState.CANCELLED) and any(each in _OPEN for each in states):
        return TaskState.RUNNING
    return own


def superseded(row: TaskStatus, by: str) -> TaskStatus:
    """Return the row of a task whose rival is done."""
    change = {
        "state": TaskState.CANCELLED,
        "reason": f"{by!r} is done in its place",
        "agent": None,
        "ending": TaskEnding.SUPERSEDED,
    }
    return row.model_copy(update=change)


def missing(rows: Iterable[TaskStatus]) -> list[TaskStatus]:
    """Return the rows that are not done, without those in whose place another one is."""
    return [
        row
        for row in rows
        if row.state is not TaskState.DONE and row.ending is not TaskEnding.SUPERSEDED
    ]
