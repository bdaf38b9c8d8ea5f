"""A request that goes on after it has ended: which tasks stay, and how the others run again."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from contracts.base import ObjectId
from contracts.endings import TaskEnding
from contracts.limits import MOST_TASKS
from contracts.planning import AddedEdge
from contracts.request import RequestStatus
from contracts.resume import Retry
from contracts.task import EarlierAttempt, TaskState, TaskStatus
from contracts.visibility import RunState
from domain import ids
from domain.scheduling.task_state import terminal
from domain.text import listing, one_line

_UNTOUCHED = (TaskEnding.NO_MONEY, TaskEnding.BLOCKED)
"""Endings of tasks whose agents never began in the last attempt."""
_REASON_CHARS = 900


@dataclass(frozen=True)
class Left:
    """What the store has of a task that ran.

    Attributes:
        commit: its last state, None when nothing of it is left.
        rounds: numbers of patches that it has used.
    """

    commit: ObjectId | None = None
    rounds: int = 0


def problem(status: RequestStatus, tasks: Sequence[str]) -> str:
    """Return why a request that has ended cannot be retried so, "" when it can."""
    if status.state is RunState.DONE:
        return "it has done everything that was asked"
    rows = {row.id: row for row in status.tasks}
    if unknown := tuple(task for task in tasks if task not in rows):
        known = listing(tuple(rows), most=MOST_TASKS) or "no plan yet"
        return f"there is no task {unknown[0]!r}: {known}"
    again = selected(status.tasks, status.edges_added, tasks)
    for task in again:
        missing = _missing(rows[task], rows, again, status.edges_added)
        if missing:
            return (
                f"{task!r} needs {missing!r}, which is {rows[missing].state.value}: "
                f"retry {missing!r}, or all by naming no task"
            )
    return ""


def _missing(
    row: TaskStatus,
    rows: Mapping[str, TaskStatus],
    again: Sequence[str],
    added: Iterable[AddedEdge],
) -> str:
    """Return what a task needs that is neither done nor runs again, "" for nothing."""
    for need in _needs(row, added):
        if need in rows and need not in again and rows[need].state is not TaskState.DONE:
            return need
    return ""


def selected(
    rows: Sequence[TaskStatus], added: Sequence[AddedEdge], tasks: Sequence[str]
) -> tuple[str, ...]:
    """Return the tasks that run again: all that are not done, or those named.

    With those named goes what depends on them, done or not.
    """
    if not tasks:
        return tuple(row.id for row in rows if row.state is not TaskState.DONE)
    found = set(tasks)
    before = -1
    while before < len(found):
        before = len(found)
        found |= {row.id for row in rows if found.intersection(_needs(row, added))}
    return tuple(row.id for row in rows if row.id in found)


def _needs(row: TaskStatus, added: Iterable[AddedEdge]) -> tuple[str, ...]:
    """Return what must be done before a task; not what it only comes after."""
    after = {edge.before for edge in added if edge.order_only and edge.after == row.id}
    return tuple(key for key in row.depends_on if key not in after)


def rows(status: RequestStatus, retry: Retry, left: Mapping[str, Left]) -> tuple[TaskStatus, ...]:
    """Return the rows with which an attempt begins.

    A task that was cancelled, or never began, goes on as it was; one that failed, or was done and
    runs all the same, begins a new attempt on its last state, told why.
    """
    again = selected(status.tasks, status.edges_added, retry.tasks)
    return tuple(
        _again(row, status, retry.attempt, left.get(row.id, Left()))
        if row.id in again
        else _as_it_was(row)
        for row in status.tasks
    )


def _as_it_was(row: TaskStatus) -> TaskStatus:
    """Return a row that is not named; one whose run was torn off does not go on, either."""
    row = row.model_copy(update={"kept": _ref(row.kept)})
    if terminal(row.state) or row.state is TaskState.BLOCKED:
        return row
    change = {"state": TaskState.CANCELLED, "reason": "not retried", "agent": None}
    return row.model_copy(update={**change, "ending": TaskEnding.CANCELLED})


def _again(row: TaskStatus, status: RequestStatus, attempt: int, left: Left) -> TaskStatus:
    commit = None if row.state is TaskState.DONE else left.commit
    fresh = TaskStatus(
        id=row.id,
        title=row.title,
        depends_on=row.depends_on,
        workflow_id=row.workflow_id,
        earlier=row.earlier,
    )
    if not _anew(row):
        return fresh
    return fresh.model_copy(
        update={
            "workflow_id": ids.subtask_id(ids.attempt_id(status.id, attempt), row.id),
            "earlier": EarlierAttempt(
                number=row.earlier.number + 1 if row.earlier else 1,
                reason=_reason(row, status),
                commit=commit,
                # The state that is carried over takes a number, too.
                rounds=left.rounds + (commit is not None),
            ),
        }
    )


def _anew(row: TaskStatus) -> bool:
    """Return whether a task begins a new attempt instead of going on with its last one."""
    if row.state is TaskState.DONE:
        return True
    return row.state is TaskState.FAILED and row.ending not in _UNTOUCHED


def _reason(row: TaskStatus, status: RequestStatus) -> str:
    if row.state is not TaskState.DONE:
        return one_line(row.reason, _REASON_CHARS) or "no reason was given"
    why = one_line(status.reason, _REASON_CHARS) or "a person wants it done again"
    return f"it was done, and then the request did not end well: {why}"


def _ref(kept: str) -> str:
    """Return the ref of a kept patch, by the command that fetches it."""
    return shlex.split(kept)[-1] if kept else ""
