"""Which tasks start now, and why the others do not.

Every answer is in an order that follows from the values alone, so a replay gives the same one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from contracts.task import TaskState
from domain.scheduling.task_state import terminal
from domain.text import one_line

_REASON_CHARS = 300
_LOST = MappingProxyType({TaskState.FAILED: "failed", TaskState.CANCELLED: "was cancelled"})


@dataclass(frozen=True, slots=True)
class TaskNode:
    """One task as the schedule sees it.

    Attributes:
        depends_on: must be done before it starts.
        size: in turns, its weight on the critical path.
        after: must have ended before it starts, in whatever way.
        reason: why it failed.
    """

    id: str
    depends_on: tuple[str, ...]
    state: TaskState
    size: int
    after: tuple[str, ...] = ()
    reason: str = ""

    @property
    def before(self) -> tuple[str, ...]:
        """Everything that comes before it."""
        return (*self.depends_on, *self.after)


def ready(task_nodes: Sequence[TaskNode], *, running: int, width: int) -> tuple[str, ...]:
    """Return the ids to start now, the most urgent first: at most `width - running`.

    A task is ready when it is pending, every dependency is done and everything that it only comes
    after has ended. Urgent is what heads the longest path of work (`ranks`); ties go by id.
    """
    rank = ranks(task_nodes)
    states = {each.id: each.state for each in task_nodes}
    over = _over(task_nodes)
    startable = [
        each.id
        for each in task_nodes
        if each.state is TaskState.PENDING
        and all(states.get(key) is TaskState.DONE for key in each.depends_on)
        and over.issuperset(key for key in each.after if key in states)
    ]
    free = max(0, width - running)
    return tuple(sorted(startable, key=lambda key: (-rank[key], key))[:free])


def _over(task_nodes: Sequence[TaskNode]) -> frozenset[str]:
    """Return the tasks after which nothing can come any more that they stand in for.

    One that is blocked has not run: it hands on the order in which it stands. For membership only.
    """
    known = {each.id: each for each in task_nodes}
    over = {each.id for each in task_nodes if terminal(each.state)}
    waiting = [each for each in task_nodes if each.state is TaskState.BLOCKED]
    while found := [
        each.id
        for each in waiting
        if each.id not in over and all(key in over or key not in known for key in each.before)
    ]:
        over.update(found)
    return frozenset(over)


def blocked(task_nodes: Sequence[TaskNode]) -> tuple[tuple[str, str], ...]:
    """Return the pending tasks that can never start as things stand, with the reason, by id.

    A dependency failed, was cancelled, is not in the plan, or is itself blocked.
    """
    known = {each.id: each for each in task_nodes}
    causes: dict[str, str] = {}
    waiting = sorted((e for e in task_nodes if e.state is TaskState.PENDING), key=lambda e: e.id)
    # One pass per link of the longest chain of blocked tasks; the last one finds nothing new.
    while found := [
        (each.id, cause)
        for each in waiting
        if each.id not in causes and (cause := _cause(each, known, causes)) is not None
    ]:
        causes.update(found)
    return tuple((key, _sentence(key, known, causes)) for key in sorted(causes))


def _cause(each: TaskNode, known: dict[str, TaskNode], causes: dict[str, str]) -> str | None:
    # A direct loss is told before one that comes through another task.
    lost = [k for k in sorted(each.depends_on) if k not in known or known[k].state in _LOST]
    through = [key for key in sorted(each.depends_on) if key in causes]
    return next(iter(lost + through), None)


def _sentence(key: str, known: dict[str, TaskNode], causes: dict[str, str]) -> str:
    first = root = causes[key]
    while root in causes:
        root = causes[root]
    fate = _fate(known[root]) if root in known else "is not in the plan"
    if first == root:
        return f"waits for '{root}', which {fate}"
    return f"waits for '{first}', which cannot start because '{root}' {fate}"


def _fate(task: TaskNode) -> str:
    reason = f": {one_line(task.reason, _REASON_CHARS)}" if task.reason else ""
    return f"{_LOST[task.state]}{reason}"


def ranks(task_nodes: Sequence[TaskNode]) -> dict[str, int]:
    """Return each task's upward rank: its size plus the largest rank among those that wait for it.

    Keys in the given order. Tasks in a circle, which no valid plan has, count their size alone.
    """
    found = {each.id: each.size for each in task_nodes}
    waiters = _waiters(task_nodes)
    open_count = {key: len(names) for key, names in waiters.items()}
    needs = {each.id: each.before for each in task_nodes}
    sinks = [key for key, count in open_count.items() if not count]
    while sinks:
        key = sinks.pop()
        size = found[key]
        found[key] = size + max((found[name] for name in waiters[key]), default=0)
        for name in dict.fromkeys(needs[key]):
            if name in open_count:
                open_count[name] -= 1
                if not open_count[name]:
                    sinks.append(name)
    return found


def _waiters(task_nodes: Sequence[TaskNode]) -> dict[str, list[str]]:
    waiters: dict[str, list[str]] = {each.id: [] for each in task_nodes}
    for each in task_nodes:
        for key in dict.fromkeys(each.before):
            if key in waiters:
                waiters[key].append(each.id)
    return waiters
