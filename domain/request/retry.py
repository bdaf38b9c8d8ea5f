"""A request that goes on after it has ended: which tasks stay, and how the others run again."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from contracts.base import ObjectId
from contracts.continuation import TurnChoice
from contracts.endings import TaskEnding
from contracts.limits import MOST_TASKS
from contracts.planning import AddedEdge
from contracts.request import RequestStatus
from contracts.resume import Retry
from contracts.task import EarlierAttempt, TaskState, TaskStatus
from contracts.visibility import RunState
from domain import ids
from domain.planning import forks
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
        landed: the commit of the target that holds its last patch; None when it has not landed.
        damage: what of its last state is damaged, where an older one is taken; "" for nothing.
    """

    commit: ObjectId | None = None
    rounds: int = 0
    damage: str = ""
    landed: ObjectId | None = None


def problem(status: RequestStatus, tasks: Sequence[str], choice: TurnChoice | None = None) -> str:
    """Return why a request that has ended cannot be retried so, "" when it can."""
    if status.state is RunState.DONE:
        return "it has done everything that was asked"
    rows = {row.id: row for row in status.tasks}
    named = (*tasks, *([choice.task] if choice else []))
    if unknown := tuple(task for task in named if task not in rows):
        known = listing(tuple(rows), most=MOST_TASKS) or "no plan yet"
        return f"there is no task {unknown[0]!r}: {known}"
    if choice and (why := not_chosen(rows[choice.task], choice, rows)):
        return why
    again = selected(status.tasks, status.edges_added, tasks)
    for task in again:
        missing = _missing(rows[task], rows, again, status.edges_added)
        if missing:
            return (
                f"{task!r} needs {missing!r}, which is {rows[missing].state.value}: "
                f"retry {missing!r}, or all by naming no task"
            )
    return ""


def not_chosen(row: TaskStatus, choice: TurnChoice, rows: Mapping[str, TaskStatus]) -> str:
    """Return why a task cannot go on from a turn, or be forked there; "" when it can."""
    if row.state is TaskState.DONE:
        return f"{row.id!r} is done, and what has landed is not taken back: ask for what is missing"
    if choice.fork in rows:
        return f"there is a task {choice.fork!r} already"
    if choice.fork and len(rows) >= MOST_TASKS:
        return f"a plan holds at most {MOST_TASKS} tasks"
    return ""


def _missing(
    row: TaskStatus,
    rows: Mapping[str, TaskStatus],
    again: Sequence[str],
    added: Iterable[AddedEdge],
) -> str:
    """Return what a task needs that is neither done nor runs again, "" for nothing."""
    for need in _needs(row, added):
        if need in rows and need not in again and forks.missing([rows[need]]):
            return need
    return ""


def selected(
    rows: Sequence[TaskStatus], added: Sequence[AddedEdge], tasks: Sequence[str]
) -> tuple[str, ...]:
    """Return the tasks that run again: all that are not done, or those named.

    With those named goes what depends on them, done or not.
    """
    if not tasks:
        return tuple(row.id for row in forks.missing(rows))
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


def rows(
    status: RequestStatus,
    retry: Retry,
    left: Mapping[str, Left],
    continued: EarlierAttempt | None = None,
) -> tuple[TaskStatus, ...]:
    """Return the rows with which an attempt begins.

    A task that was cancelled, or never began, goes on as it was, but for one whose patch landed as
    it was cancelled: that is done, unless a person names it. One that failed, or was done and
    runs all the same, begins a new attempt on its last state, told why. The one that a person has
    chosen a turn of begins with what is `continued`; a fork of it is a row of its own.
    """
    again = selected(status.tasks, status.edges_added, retry.tasks)
    choice = retry.choice
    named = {*retry.tasks, *([choice.task] if choice else [])}
    found = [
        _next(row, status, retry, left.get(row.id, Left()), named=row.id in named)
        if row.id in again and not (choice and choice.fork and row.id == choice.task)
        else _as_it_was(row)
        for row in status.tasks
    ]
    if choice is None or continued is None:
        return tuple(found)
    place = next(place for place, row in enumerate(found) if row.id == choice.task)
    parent = ids.attempt_id(status.id, retry.attempt)
    if choice.fork:
        found.insert(place + 1, forked(found[place], choice, parent, continued))
    else:
        found[place] = goes_on(found[place], parent, continued)
    return tuple(found)


def choice_text(choice: TurnChoice) -> str:
    """Return what a code stands for that goes with a choice of a turn."""
    if choice.taken:
        made = f"{choice.taken.commit} of {choice.taken.folder}"
        return f"resume {choice.task} with {made}: {choice.words}"[:4_000]
    what = f"fork {choice.fork} of" if choice.fork else "roll back"
    return f"{what} {choice.task} to {choice.turn}: {choice.words}"[:4_000]


def hand_off_text(task: str) -> str:
    """Return what a code stands for that goes with the wish to take a task over."""
    return f"hand off {task}"


def open_again(row: TaskStatus) -> TaskStatus:
    """Return a row that was blocked, pending again; any other as it is."""
    if row.state is not TaskState.BLOCKED:
        return row
    change = {"state": TaskState.PENDING, "reason": "", "ending": None}
    return row.model_copy(update=change)


def goes_on(row: TaskStatus, parent: str, continued: EarlierAttempt) -> TaskStatus:
    """Return the row of a task that goes on from a turn, below a workflow id."""
    return TaskStatus(
        id=row.id,
        title=row.title,
        depends_on=row.depends_on,
        workflow_id=ids.subtask_id(parent, row.id),
        earlier=continued,
        size=row.size,
    )


def forked(
    row: TaskStatus, choice: TurnChoice, parent: str, continued: EarlierAttempt
) -> TaskStatus:
    """Return the row of a fork: a task of its own that goes on from a turn of another one."""
    update = {"id": choice.fork, "title": forks.title(row.title, choice.words)}
    return goes_on(row.model_copy(update=update), parent, continued)


def as_before(row: TaskStatus) -> TaskStatus:
    """Return the row of a task that was ended, to go on under its workflow id."""
    return TaskStatus(
        id=row.id,
        title=row.title,
        depends_on=row.depends_on,
        workflow_id=row.workflow_id,
        earlier=row.earlier,
        size=row.size,
    )


def handed_off(row: TaskStatus) -> TaskStatus:
    """Return the row of a task whose agent was stopped, for a person to work on its files."""
    update = {"state": TaskState.RUNNING, "reason": "with a person: its agent has stopped"}
    return as_before(row).model_copy(update=update)


def _as_it_was(row: TaskStatus) -> TaskStatus:
    """Return a row that is not named; one whose run was torn off does not go on, either."""
    row = row.model_copy(update={"kept": _ref(row.kept)})
    if terminal(row.state) or row.state is TaskState.BLOCKED:
        return row
    change = {"state": TaskState.CANCELLED, "reason": "not retried", "agent": None}
    return row.model_copy(update={**change, "ending": TaskEnding.CANCELLED})


def _next(
    row: TaskStatus, status: RequestStatus, order: Retry, left: Left, *, named: bool
) -> TaskStatus:
    """Return the row of a task that is not done, as the attempt begins with it."""
    if left.landed is None or named or row.state in {TaskState.DONE, TaskState.FAILED}:
        return _again(row, status, order.attempt, left)
    update = {
        "state": TaskState.DONE,
        "reason": "",
        "ending": TaskEnding.LANDED,
        "agent": None,
        "commit": left.landed,
    }
    return row.model_copy(update=update)


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
                reason=_reason(row, status, left.damage),
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


def _reason(row: TaskStatus, status: RequestStatus, damage: str = "") -> str:
    if row.state is not TaskState.DONE:
        why = one_line(row.reason, _REASON_CHARS) or "no reason was given"
        return one_line(f"{damage}; {why}", _REASON_CHARS) if damage else why
    why = one_line(status.reason, _REASON_CHARS) or "a person wants it done again"
    return f"it was done, and then the request did not end well: {why}"


def _ref(kept: str) -> str:
    """Return the ref of a kept patch, by the command that fetches it."""
    return shlex.split(kept)[-1] if kept else ""
