"""Other tasks in place of one whose agent is stuck: how the plan, its edges and its rows change."""

import pytest

from contracts.agent import AgentResult, StopCause
from contracts.endings import TaskEnding
from contracts.limits import MOST_TASKS, RequestLimits
from contracts.planning import Fork, Plan, PlanDraft, TaskSpec
from contracts.store import RepositoryRef
from contracts.subtask import Replanned, SubtaskStart
from contracts.task import TaskState, TaskStatus
from domain import limits
from domain.planning import plan as plans
from domain.planning import replan
from domain.request import status as requests
from domain.scheduling import ready

WHY = "the agent was cut: in circles"


def spec(name: str, *needs: str, writes: tuple[str, ...] = ()) -> TaskSpec:
    """A task that writes a file of its own, unless others are named."""
    return TaskSpec(
        id=name,
        title=f"Do {name}",
        goal=f"{name} is done",
        depends_on=needs,
        writes=writes or (f"{name}.py",),
        acceptance=(f"test {name}",),
    )


def valid(*tasks: TaskSpec) -> Plan:
    """The plan that these tasks make."""
    judged = plans.validate(PlanDraft(summary="a plan", tasks=tasks), limits.PLAN)
    assert judged.plan, judged.problems
    return judged.plan


def in_place(*tasks: TaskSpec) -> Replanned:
    """What a planner puts in a task's place."""
    plan = valid(*tasks)
    return Replanned(tasks=plan.tasks, added=plan.added, summary="smaller steps", why=WHY)


def needs(plan: Plan) -> dict[str, tuple[str, ...]]:
    """What each task depends on."""
    return {task.id: task.depends_on for task in plan.tasks}


def test_new_tasks_wait_for_what_the_stuck_one_waited_for_and_are_waited_for_in_its_place() -> None:
    """The first ones stand behind its dependencies, and its dependents behind the last ones."""
    plan = valid(spec("a"), spec("b", "a"), spec("c", "b"))
    by = in_place(spec("b1"), spec("b2", "b1"), spec("b3", "b1"))
    found = replan.with_tasks(plan, "b", by, ["b", "c"])

    assert needs(found) == {
        "a": (),
        "b": ("a",),
        "b1": ("a",),
        "b2": ("b1",),
        "b3": ("b1",),
        "c": ("b2", "b3"),
    }
    assert replan.takes_place(plan, "b")
    assert not replan.takes_place(found, "b")
    assert replan.problem(plan, "b") == ""
    assert replan.problem(found, "b") == (
        "b1, b2, b3 stand in the place of 'b': choose one of those"
    )
    goal = next(task.goal for task in found.tasks if task.id == "b1")
    assert goal.startswith("b1 is done\n")
    assert WHY in goal


def test_nothing_takes_the_place_of_a_task_that_was_forked_while_its_planner_worked() -> None:
    """The fork stands for it."""
    plan = valid(spec("a"), spec("f")).model_copy(update={"forks": (Fork(task="f", of="a"),)})

    assert not replan.takes_place(plan, "a")


def test_an_order_that_was_no_need_stays_none() -> None:
    """What only came after the stuck task only comes after those in its place."""
    plan = valid(spec("a"), spec("b", writes=("a.py",)))
    found = replan.with_tasks(plan, "a", in_place(spec("n", writes=("a.py",))), ["a", "b"])
    rows = requests.table(found, ())

    assert [(edge.before, edge.after, edge.order_only) for edge in found.added] == [
        ("n", "b", True)
    ]
    assert ready.ready(
        requests.task_nodes(found, {**rows, "a": ended("a"), "n": ended("n")}), running=0, width=4
    ) == ("b",)


def ended(name: str) -> TaskStatus:
    """A row of a task that has failed."""
    return TaskStatus(id=name, title=name, state=TaskState.FAILED)


def test_new_tasks_come_after_running_ones_that_write_the_same() -> None:
    """Unless those wait for the new ones; one that has ended is in nobody's way."""
    shared = ("shared.py",)
    plan = valid(spec("a"), spec("b", writes=shared), spec("c", "a"), spec("d"))
    by = in_place(spec("n", writes=("shared.py", "c.py", "d.py")))
    found = replan.with_tasks(plan, "a", by, ["a", "b", "c"])

    assert needs(found)["n"] == ("b",)
    assert needs(found)["c"] == ("n",)
    assert [(edge.before, edge.after, edge.order_only) for edge in found.added] == [
        ("b", "n", True)
    ]


def test_ids_that_are_taken_get_a_number() -> None:
    """The planner does not know all ids, and may take the stuck task's own again."""
    plan = valid(spec("a"), spec("b", "a"))
    by = in_place(spec("a"), spec("b", "a"))
    found = replan.with_tasks(plan, "a", by, ["a", "b"])

    assert needs(found) == {"a": (), "a-2": (), "b-2": ("a-2",), "b": ("b-2",)}
    assert found.replaced[0].by == ("a-2", "b-2")


def test_the_stuck_tasks_row_is_over_and_nothing_is_missing_of_it() -> None:
    """It names those in its place; each of them has a row, and dependents show what they need."""
    plan = valid(spec("a"), spec("b", "a"))
    found = replan.with_tasks(plan, "a", in_place(spec("n")), ["a", "b"])
    table = requests.table(plan, (ended("a").model_copy(update={"reason": WHY}),))
    rows, first = replan.rows(found, "a", table)
    after = {**table, **{row.id: row for row in rows}}

    assert first == ("n",)
    assert (after["a"].state, after["a"].ending) == (TaskState.CANCELLED, TaskEnding.SUPERSEDED)
    assert after["a"].reason == f"{WHY}; see n"
    assert (after["n"].state, after["b"].depends_on) == (TaskState.PENDING, ("n",))
    assert ready.blocked(requests.task_nodes(found, after)) == ()
    assert ready.ready(requests.task_nodes(found, after), running=0, width=4) == ("n",)


@pytest.mark.parametrize(
    ("plan", "held", "most"),
    [
        pytest.param(valid(spec("a")), limits.REQUEST, 6, id="its limit"),
        pytest.param(valid(spec("a")), RequestLimits(), 0, id="an older request"),
        pytest.param(
            replan.with_tasks(valid(spec("x")), "x", in_place(spec("a")), []),
            limits.REQUEST,
            0,
            id="it stands in another one's place",
        ),
        pytest.param(
            valid(spec("a"), spec("f")).model_copy(update={"forks": (Fork(task="f", of="a"),)}),
            limits.REQUEST,
            0,
            id="it was forked",
        ),
        pytest.param(
            valid(spec("a"), *(spec(f"t{number}") for number in range(MOST_TASKS - 2))),
            limits.REQUEST,
            1,
            id="a plan that is nearly full",
        ),
    ],
)
def test_how_many_tasks_may_take_a_place(plan: Plan, held: RequestLimits, most: int) -> None:
    """None where the task stands in another one's place: nothing is planned anew without end."""
    assert replan.room(plan, "a", held) == most


@pytest.mark.parametrize(
    ("cut", "replans", "asked", "may"),
    [
        (StopCause.LOOP, 6, False, True),
        (StopCause.LOOP, 0, False, False),
        (StopCause.LOOP, 6, True, False),
        (StopCause.TURNS, 6, False, False),
    ],
    ids=["stuck", "not allowed", "once already", "cut for another reason"],
)
def test_the_planner_is_asked_once_of_a_stuck_agent(
    cut: StopCause, replans: int, *, asked: bool, may: bool
) -> None:
    """Only of one that went in circles."""
    result = AgentResult(output=None, conversation=None, checkpoint="c" * 40, cut=cut)
    repository = RepositoryRef(
        key="k", request_key="r", target="t", environment="e" * 40, host_id="h"
    )
    start = SubtaskStart(
        request_id="request/x",
        request="Do x.",
        repository=repository,
        task=spec("x"),
        replans=replans,
        queue_id="q",
    )

    assert replan.may(result, start, asked=asked) is may
