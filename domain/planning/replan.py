"""A task whose agent is stuck: the planner puts other tasks in its place, once.

Part of what histories mean: workflows call it. How many tasks these may be is `replanned_tasks` of
`RequestLimits`, set in domain/limits.py.
"""

from collections.abc import Collection, Mapping, Sequence

from contracts.agent import AgentResult, StopCause
from contracts.endings import TaskEnding
from contracts.limits import MOST_TASKS, RequestLimits
from contracts.planning import AddedEdge, Plan, Replacement, TaskSpec
from contracts.review import Patch
from contracts.subtask import Replanned, SubtaskStart
from contracts.task import TaskState, TaskStatus
from domain.planning import forks
from domain.planning.plan import ordered, overlap
from domain.text import clip, listing, one_line

DOING = "its agent is stuck: the planner is asked for other tasks in its place"
LEFT = "What the agent that was stuck had changed"
"""The label of its diff where an agent is shown it."""
_GOAL_CHARS = 8_000
_ID_CHARS = 40
_ASKED = (
    "A task of your plan's request is stuck: its agent went in circles, also in a fresh window. "
    "Hand in a plan of other tasks that do in its place what it was to do: at most {most}, one "
    "where one will do. Find out first why it got stuck, and take another way or smaller steps; "
    "the same task again does not help. They begin on what has landed, which is what you see; "
    "nothing that the stuck agent changed is there. They depend on each other alone, and what "
    "depended on the stuck task waits for all of them. What its acceptance commands show must "
    "hold in the end, unless they are what is wrong. Where you see no better way, give the reason "
    "as `answer`, without tasks: then a person is asked."
)
_IN_PLACE = (
    "\n\nThis stands in place of the task {task}, whose agent got stuck: {why}. Do not repeat "
    "what it did."
)


def may(result: AgentResult | None, start: SubtaskStart, *, asked: bool) -> bool:
    """Return whether the planner is asked: only once, and only for one that went in circles."""
    stuck = result is not None and result.cut is StopCause.LOOP
    return stuck and start.replans > 0 and not asked


def room(plan: Plan, task: str, limits: RequestLimits) -> int:
    """Return how many tasks may take a task's place, 0 for none.

    None take the place of one that stands in another's place, or of which a person made forks.
    """
    again = any(task in each.by for each in plan.replaced)
    if again or forks.rivals(plan, task):
        return 0
    return max(0, min(limits.replanned_tasks, MOST_TASKS - len(plan.tasks)))


def asked(start: SubtaskStart) -> str:
    """Return what the planner is asked."""
    return _ASKED.format(most=start.replans)


def facts(start: SubtaskStart, why: str, tried: str) -> tuple[tuple[str, str], ...]:
    """Return what the planner is told of the stuck task; `tried`: what its ledger has as tried."""
    task = start.task
    return (
        ("The task that is stuck", f"{task.id}: {task.title}\n\n{task.goal}"),
        ("Paths that it might change", "\n".join(task.writes)),
        ("Its acceptance commands", "\n".join(task.acceptance)),
        ("Why its agent is stuck", why),
        ("What its agent tried", tried),
        ("The other tasks of the plan", "\n".join(start.siblings)),
    )


def found(plan: Plan, why: str, patch: Patch) -> Replanned:
    """Return what a valid plan puts in a task's place."""
    return Replanned(
        tasks=plan.tasks,
        added=plan.added,
        summary=one_line(plan.summary, 600),
        why=one_line(why, 600),
        left=patch.diff if patch.files else None,
    )


def told(replanned: Replanned) -> str:
    """Return how a task ends in whose place others are done."""
    names = listing(tuple(task.title for task in replanned.tasks))
    return f"{replanned.why}; the planner has put in its place: {names} ({replanned.summary})"


def takes_place(plan: Plan, task: str) -> bool:
    """Return whether others may still take a task's place: not where it was forked meanwhile."""
    return not problem(plan, task) and not forks.rivals(plan, task)


def problem(plan: Plan, task: str) -> str:
    """Return that a task cannot go on since others stand in its place, "" when none do."""
    by = next((each.by for each in plan.replaced if each.task == task), ())
    return f"{listing(by)} stand in the place of {task!r}: choose one of those" if by else ""


def with_tasks(plan: Plan, task: str, replanned: Replanned, running: Collection[str]) -> Plan:
    """Return the plan with the tasks that stand in a task's place.

    The first of them wait for what it waited for; what waited for it waits for the last of them.
    Of `running`, those that have not ended, they come after each that writes the same.
    """
    old = next(each for each in plan.tasks if each.id == task)
    names = _names(plan, replanned.tasks)
    new = [_in_place(each, old, names, replanned.why) for each in replanned.tasks]
    needed = {key for each in replanned.tasks for key in each.depends_on}
    first = tuple(names[each.id] for each in replanned.tasks if not each.depends_on)
    last = tuple(names[each.id] for each in replanned.tasks if each.id not in needed)
    others = [_waiting(each, task, last) for each in plan.tasks]
    added = [
        *_edges(plan.added, {task: last}, after={task: (task, *first)}),
        *_edges(replanned.added, {key: (name,) for key, name in names.items()}),
    ]
    overlaps = _overlaps(others, new, task, running)
    new = [_after(each, overlaps) for each in new]
    return plan.model_copy(
        update={
            "tasks": ordered((*others, *new)),
            "added": (*added, *overlaps),
            "replaced": (
                *plan.replaced,
                Replacement(task=task, by=tuple(each.id for each in new)),
            ),
        }
    )


def _names(plan: Plan, tasks: Sequence[TaskSpec]) -> dict[str, str]:
    """Return the id of each new task, which no other task of the plan has."""
    taken = {each.id for each in plan.tasks}
    names: dict[str, str] = {}
    for each in tasks:
        found, number = each.id, 1
        while found in taken:
            number += 1
            found = f"{each.id[: _ID_CHARS - 4].rstrip('-')}-{number}"
        taken.add(found)
        names[each.id] = found
    return names


def _in_place(each: TaskSpec, old: TaskSpec, names: Mapping[str, str], why: str) -> TaskSpec:
    words = _IN_PLACE.format(task=old.id, why=why)
    before = tuple(names[key] for key in each.depends_on) or old.depends_on
    update = {
        "id": names[each.id],
        "goal": clip(each.goal, _GOAL_CHARS - len(words)) + words,
        "depends_on": before,
    }
    return each.model_copy(update=update)


def _waiting(each: TaskSpec, task: str, last: Sequence[str]) -> TaskSpec:
    if task not in each.depends_on:
        return each
    kept = tuple(key for key in each.depends_on if key != task)
    return each.model_copy(update={"depends_on": (*kept, *last)})


def _edges(
    edges: Sequence[AddedEdge],
    before: Mapping[str, Sequence[str]],
    after: Mapping[str, Sequence[str]] | None = None,
) -> list[AddedEdge]:
    """Return edges between what stands in place of their ends."""
    after = before if after is None else after
    return [
        edge.model_copy(update={"before": one, "after": other})
        for edge in edges
        for one in before.get(edge.before, (edge.before,))
        for other in after.get(edge.after, (edge.after,))
    ]


def _overlaps(
    others: Sequence[TaskSpec], new: Sequence[TaskSpec], task: str, running: Collection[str]
) -> tuple[AddedEdge, ...]:
    """Return the edges by which new tasks come after others that write the same."""
    behind = {each.id for each in new}
    for each in ordered((*others, *new)):
        if behind.intersection(each.depends_on):
            behind.add(each.id)
    return tuple(
        AddedEdge(before=each.id, after=one.id, reason=reason, order_only=True)
        for each in others
        if each.id in running and each.id != task and each.id not in behind
        for one in new
        if each.id not in one.depends_on and (reason := overlap(each, one))
    )


def _after(each: TaskSpec, edges: Sequence[AddedEdge]) -> TaskSpec:
    more = tuple(edge.before for edge in edges if edge.after == each.id)
    return each.model_copy(update={"depends_on": (*each.depends_on, *more)})


def rows(
    plan: Plan, task: str, table: Mapping[str, TaskStatus]
) -> tuple[tuple[TaskStatus, ...], tuple[str, ...]]:
    """Return the rows that a replacement changes or adds, and the ids of the tasks that begin it.

    The task itself is over; what waits depends on what its plan now says.
    """
    by = next(each.by for each in plan.replaced if each.task == task)
    row = table[task]
    why = f"{row.reason}; see {listing(by)}"[:1_000]
    over = {"state": TaskState.CANCELLED, "ending": TaskEnding.SUPERSEDED, "reason": why}
    changed = [row.model_copy(update={**over, "agent": None})]
    for each in plan.tasks:
        known = table.get(each.id)
        if known is None:
            fresh = TaskStatus(
                id=each.id, title=each.title, depends_on=each.depends_on, size=each.size
            )
            changed.append(fresh)
        elif each.id != task and known.depends_on != each.depends_on:
            changed.append(known.model_copy(update={"depends_on": each.depends_on}))
    first = tuple(
        each.id for each in plan.tasks if each.id in by and not {*each.depends_on} & {*by}
    )
    return tuple(changed), first
