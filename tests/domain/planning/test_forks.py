"""Forks of tasks: one result of each group is taken, and what depends on it goes on from that."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.continuation import TurnChoice
from contracts.endings import TaskEnding
from contracts.planning import Plan, TaskSpec
from contracts.task import TaskState, TaskStatus
from domain import ids
from domain.planning import forks
from domain.planning.scope import ancestors
from domain.request import endings
from domain.request import status as requests

PLAN = Plan(
    summary="s",
    tasks=(
        TaskSpec(id="a", title="A", goal="do a", writes=("x",), acceptance=("true",)),
        TaskSpec(id="b", title="B", goal="do b", depends_on=("a",)),
    ),
)


def fork(plan: Plan, of: str, words: str = "otherwise") -> Plan:
    """Return the plan with one more fork."""
    new = ids.fork_id(of, [task.id for task in plan.tasks])
    return forks.with_fork(plan, TurnChoice(task=of, turn="0" * 40, words=words, fork=new))


def rows(plan: Plan, **states: TaskState) -> dict[str, TaskStatus]:
    """Return the table with some states."""
    found = requests.table(plan)
    for key, state in states.items():
        task = key.replace("_", "-")
        found[task] = found[task].model_copy(update={"state": state})
    return found


@given(st.lists(st.integers(0, 5), max_size=5))
def test_forks_of_forks_are_one_group(choices: list[int]) -> None:
    """Ids are new and fit, a plan stays in its order, and rivalry is mutual."""
    plan = PLAN
    for choice in choices:
        plan = fork(plan, plan.tasks[choice % len(plan.tasks)].id)
    names = [task.id for task in plan.tasks]
    assert len(set(names)) == len(names)
    for place, task in enumerate(plan.tasks):
        assert {*task.depends_on} <= {*names[:place]}
        for rival in forks.rivals(plan, task.id):
            assert task.id in forks.rivals(plan, rival)
            assert forks.group(plan, rival) == forks.group(plan, task.id) != ""
            assert rival not in ancestors(plan, task.id)


@given(st.text(min_size=1, max_size=4_000))
def test_a_fork_is_the_task_with_the_persons_words(words: str) -> None:
    """Its goal ends with the words; paths, needs and acceptance are those of the task."""
    new = fork(PLAN, "a", words).tasks[1]
    assert new.goal.endswith(words)
    assert len(new.goal) <= 8_000
    same = {"writes", "acceptance", "depends_on", "size", "risk"}
    assert new.model_dump(include=same) == PLAN.tasks[0].model_dump(include=same)


def test_a_long_name_keeps_its_fork_within_bounds() -> None:
    """A task's id has at most 40 characters."""
    long = "a" * 40
    first = ids.fork_id(long, [long])
    assert len(first) == 40
    assert ids.fork_id(long, [long, first]) not in (long, first)


def test_what_depends_on_a_task_waits_for_the_best_of_its_forks() -> None:
    """It is not blocked while one is open, and starts with the first that is done."""
    plan = fork(PLAN, "a")

    def seen(**states: TaskState) -> TaskState:
        nodes = requests.task_nodes(plan, rows(plan, **states))
        return next(node.state for node in nodes if node.id == "a")

    failed, done, running = TaskState.FAILED, TaskState.DONE, TaskState.RUNNING
    assert seen(a=failed) is running
    assert seen(a=failed, a_fork=running) is running
    assert seen(a=failed, a_fork=done) is done
    assert seen(a=running, a_fork=done) is done
    assert seen(a=failed, a_fork=failed) is failed


def test_a_task_in_whose_place_a_fork_is_done_is_not_missing() -> None:
    """The request is complete; only the fork's promises count at its end."""
    plan = fork(PLAN, "a")
    table = rows(plan, a_fork=TaskState.DONE, b=TaskState.DONE, a=TaskState.FAILED)
    assert endings.incomplete(tuple(table.values())) is not None
    table["a"] = forks.superseded(table["a"], "a-fork")
    assert table["a"].ending is TaskEnding.SUPERSEDED
    assert endings.incomplete(tuple(table.values())) is None


def test_a_plan_without_forks_is_as_it_was() -> None:
    """No group, no rivals, and every node has its row's state."""
    assert forks.rivals(PLAN, "a") == ()
    assert forks.group(PLAN, "a") == ""
    for state in TaskState:
        nodes = requests.task_nodes(PLAN, rows(PLAN, a=state))
        assert nodes[0].state is state
