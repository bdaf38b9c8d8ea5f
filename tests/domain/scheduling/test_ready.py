"""The schedule: what starts, in which order, what cannot, and that it never stands still in
silence.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.task import TaskState
from domain.scheduling.ready import TaskNode, blocked, ranks, ready
from domain.scheduling.task_state import terminal

PROPERTY = settings(deadline=None, max_examples=150)
DONE, PENDING, RUNNING = TaskState.DONE, TaskState.PENDING, TaskState.RUNNING


def standing(key: str, *needs: str, state: TaskState = PENDING, size: int = 10) -> TaskNode:
    """A task by its id and what it needs."""
    return TaskNode(key, needs, state, size)


@st.composite
def graphs(draw: st.DrawFn) -> list[TaskNode]:
    """Acyclic graphs of up to ten pending tasks, given in any order."""
    keys = [f"t{number}" for number in range(draw(st.integers(1, 10)))]
    made = [
        TaskNode(
            key,
            tuple(draw(st.lists(st.sampled_from(keys[:index]), unique=True, max_size=3)))
            if index
            else (),
            PENDING,
            draw(st.integers(1, 30)),
        )
        for index, key in enumerate(keys)
    ]
    return draw(st.permutations(made))


@PROPERTY
@given(graphs(), st.integers(1, 4), st.data())
def test_every_run_ends_with_every_task_done_or_told_why_not(
    graph: list[TaskNode], width: int, data: st.DataObject
) -> None:
    """Whatever ends first and whatever fails: no dependency is jumped, none waits unexplained."""
    states = {each.id: PENDING for each in graph}
    needs = {each.id: each.depends_on for each in graph}
    now = graph
    for _ in range(2 * len(graph)):
        running = [key for key in sorted(states) if states[key] is RUNNING]
        started = ready(now, running=len(running), width=width)
        assert len(running) + len(started) <= width
        assert all(states[need] is DONE for key in started for need in needs[key])
        states.update(dict.fromkeys(started, RUNNING))
        running += started
        if not running:
            break
        ending = data.draw(st.sampled_from(running))
        states[ending] = data.draw(st.sampled_from([DONE, DONE, TaskState.FAILED]))
        now = [TaskNode(e.id, e.depends_on, states[e.id], e.size) for e in graph]

    left = [key for key in sorted(states) if not terminal(states[key])]
    assert left == [key for key, _ in blocked(now)]


@pytest.mark.parametrize("end", [DONE, TaskState.FAILED, TaskState.CANCELLED, TaskState.BLOCKED])
def test_a_task_that_only_comes_after_another_starts_once_that_has_ended(end: TaskState) -> None:
    """An edge for overlapping writes is order only: however the earlier task ends, the later one
    starts, and it is never blocked.
    """
    later = TaskNode("later", (), PENDING, 10, after=("earlier",))
    waits = [standing("earlier", state=RUNNING), later]
    ended = [
        standing("earlier", "lost", state=end),
        standing("lost", state=TaskState.FAILED),
        later,
    ]

    assert ready(waits, running=1, width=9) == ()
    assert ready(ended, running=0, width=9) == ("later",)
    assert blocked(ended) == ()


def test_a_blocked_task_hands_on_the_order_in_which_it_stands() -> None:
    """Of three writers of one path the last waits for the first, also when the second is lost."""
    second = TaskNode("second", ("lost",), TaskState.BLOCKED, 10, after=("first",))
    third = TaskNode("third", (), PENDING, 10, after=("second",))
    lost = standing("lost", state=TaskState.FAILED)

    now = [standing("first", state=RUNNING), second, third, lost]
    assert ready(now, running=1, width=9) == ()
    now[0] = standing("first", state=TaskState.FAILED)
    assert ready(now, running=0, width=9) == ("third",)


@PROPERTY
@given(graphs())
def test_the_most_urgent_starts_first_whatever_the_given_order(graph: list[TaskNode]) -> None:
    """Order follows rank, then id; the order of the input means nothing."""
    rank = ranks(graph)
    order = ready(graph, running=0, width=99)

    assert list(order) == sorted(order, key=lambda key: (-rank[key], key))
    assert order == ready(sorted(graph, key=lambda e: e.id), running=0, width=99)
    assert order[:2] == ready(graph, running=1, width=3)


@PROPERTY
@given(graphs())
def test_a_rank_is_the_longest_way_to_the_end(graph: list[TaskNode]) -> None:
    """Upward rank: own size plus the largest rank of those that wait for it."""
    rank = ranks(graph)

    for each in graph:
        after = [rank[other.id] for other in graph if each.id in other.depends_on]
        assert rank[each.id] == each.size + max(after, default=0)


def test_the_critical_path_goes_first() -> None:
    """A short task that heads a long chain starts before a long one that heads none."""
    graph = [
        standing("alone", size=30),
        standing("head", size=1),
        standing("tail", "head", size=40),
    ]

    assert ready(graph, running=0, width=1) == ("head",)


@pytest.mark.parametrize(
    ("state", "fate"), [(TaskState.FAILED, "failed"), (TaskState.CANCELLED, "was cancelled")]
)
def test_a_loss_reaches_everything_that_waits_for_it(state: TaskState, fate: str) -> None:
    """The next ones name the task that they wait for, those behind it the first cause too."""
    graph = [
        standing("a", state=state),
        standing("b", "a"),
        standing("c", "b"),
        standing("d", "c", "free"),
        standing("free"),
    ]

    assert blocked(graph) == (
        ("b", f"waits for 'a', which {fate}"),
        ("c", f"waits for 'b', which cannot start because 'a' {fate}"),
        ("d", f"waits for 'c', which cannot start because 'a' {fate}"),
    )
    assert ready(graph, running=0, width=4) == ("free",)


def test_a_dependency_outside_of_the_plan_blocks_for_good() -> None:
    """It is named; tasks in a circle, which no valid plan has, just wait."""
    graph = [standing("c", "nowhere"), standing("x", "y"), standing("y", "x")]

    assert blocked(graph) == (("c", "waits for 'nowhere', which is not in the plan"),)
    assert ready(graph, running=0, width=4) == ()


def test_a_finished_or_empty_plan_starts_and_blocks_nothing() -> None:
    """Nothing pending, nothing to explain."""
    for graph in ([], [standing("a", state=DONE)]):
        assert not ready(graph, running=0, width=4)
        assert not blocked(graph)
    assert ranks([]) == {}


def test_a_full_house_starts_nothing() -> None:
    """More may run than are allowed now, for example after the width was lowered."""
    assert ready([standing("a")], running=5, width=4) == ()


def test_a_blocked_task_says_why_the_other_failed() -> None:
    """Whoever reads a dependent's reason learns the cause, also through another task."""
    nodes = (
        TaskNode("a", (), TaskState.FAILED, 1, reason="blocked: the schema is missing"),
        TaskNode("b", ("a",), TaskState.PENDING, 1),
        TaskNode("c", ("b",), TaskState.PENDING, 1),
    )

    assert blocked(nodes) == (
        ("b", "waits for 'a', which failed: blocked: the schema is missing"),
        (
            "c",
            "waits for 'b', which cannot start because 'a' failed: blocked: the schema is missing",
        ),
    )
