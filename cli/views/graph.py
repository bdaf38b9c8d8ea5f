"""The plan as a tree in text: each task below the dependency that starts last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.task import TaskStatus


@dataclass(frozen=True)
class Row:
    """One task in the tree.

    Attributes:
        rail: connects the task with the one above; "" for a task that depends on nothing.
        also: its further dependencies, which the rail does not show.
    """

    task: TaskStatus
    rail: str = ""
    also: tuple[str, ...] = ()


def draw(tasks: Sequence[TaskStatus]) -> tuple[Row, ...]:
    """Return the tasks as rows of a tree, every task once, dependencies above their dependents.

    A task is a child of its deepest dependency; tasks that depend on nothing are roots.
    """
    levels = _levels(tasks)
    parents = {task.id: _parent(task, levels) for task in tasks}
    children: dict[str | None, list[TaskStatus]] = {}
    for task in tasks:
        children.setdefault(parents[task.id], []).append(task)
    return tuple(_below(None, children, ""))


def _levels(tasks: Sequence[TaskStatus]) -> dict[str, int]:
    """Return the longest chain before each task; a cycle ends at the number of tasks."""
    levels = {task.id: 0 for task in tasks}
    for _ in tasks:
        for task in tasks:
            known = [levels[before] for before in task.depends_on if before in levels]
            levels[task.id] = min(1 + max(known, default=-1), len(tasks))
    return levels


def _parent(task: TaskStatus, levels: Mapping[str, int]) -> str | None:
    """Return the deepest dependency; only one on a smaller level, so that no cycle is followed."""
    known = [b for b in task.depends_on if b in levels and levels[b] < levels[task.id]]
    return max(known, key=lambda before: levels[before], default=None)


def _below(
    parent: str | None, children: Mapping[str | None, Sequence[TaskStatus]], indent: str
) -> list[Row]:
    rows = []
    siblings = children.get(parent, ())
    for task in siblings:
        last = task is siblings[-1]
        rail = "" if parent is None else indent + ("└─▶ " if last else "├─▶ ")
        deeper = "" if parent is None else indent + ("    " if last else "│   ")
        also = tuple(before for before in task.depends_on if before != parent)
        rows += [Row(task, rail, also), *_below(task.id, children, deeper)]
    return rows
