"""Which tasks a further attempt at a request leaves as they are, and how the others run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.endings import RequestEnding, TaskEnding
from contracts.planning import AddedEdge
from contracts.request import RequestStatus
from contracts.resume import Retry
from contracts.task import EarlierAttempt, TaskState, TaskStatus
from contracts.visibility import RunState
from domain.agent import messages
from domain.request import retry
from domain.request.retry import Left

OID = "a" * 40
TIP = "b" * 40
ENDINGS = {
    TaskState.DONE: (TaskEnding.LANDED, TaskEnding.UNCHANGED),
    TaskState.FAILED: (TaskEnding.CUT, TaskEnding.GIVEN_UP, TaskEnding.NO_MONEY, None),
    TaskState.BLOCKED: (TaskEnding.BLOCKED,),
    TaskState.CANCELLED: (TaskEnding.CANCELLED,),
    TaskState.RUNNING: (None,),
    TaskState.PENDING: (None,),
}


def row(task: str, state: TaskState = TaskState.DONE, **more: object) -> TaskStatus:
    """Return a row of a request that has ended."""
    known = {"workflow_id": f"request/x/task/{task}"} if state in _RAN else {}
    values = {"id": task, "title": task, "state": state, **known, **more}
    return TaskStatus.model_validate(values)


_RAN = (TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED)


def ended(*rows: TaskStatus, **more: object) -> RequestStatus:
    """Return the last status of a request that has failed."""
    status = RequestStatus(
        id="request/x",
        state=RunState.FAILED,
        reason="make is red",
        ending=RequestEnding.INCOMPLETE,
        tasks=rows,
    )
    return status.model_copy(update=more)


@st.composite
def endings_of_requests(draw: st.DrawFn) -> RequestStatus:
    """Give requests that have not ended well, of tasks that depend on earlier ones."""
    rows: list[TaskStatus] = []
    for number in range(draw(st.integers(0, 5))):
        before = [each.id for each in rows]
        needs = draw(st.lists(st.sampled_from(before), unique=True)) if before else []
        state = draw(st.sampled_from(list(ENDINGS)))
        ending = draw(st.sampled_from(ENDINGS[state]))
        rows.append(row(f"t{number}", state, ending=ending, depends_on=tuple(needs)))
    return ended(*rows)


@given(endings_of_requests(), st.integers(2, 9))
def test_what_is_done_stays_and_all_else_runs(status: RequestStatus, attempt: int) -> None:
    """A row that is done is the same; every other one is pending, with nothing of its end."""
    found = retry.rows(status, Retry(attempt=attempt), {})
    for before, after in zip(status.tasks, found, strict=True):
        if before.state is TaskState.DONE:
            assert after == before
        else:
            assert (after.state, after.ending, after.reason) == (TaskState.PENDING, None, "")
            assert after.depends_on == before.depends_on


@given(endings_of_requests(), st.integers(2, 9))
def test_only_what_failed_gets_a_new_workflow_id(status: RequestStatus, attempt: int) -> None:
    """What was cancelled or never began keeps the id under which its conversations are."""
    found = retry.rows(status, Retry(attempt=attempt), {})
    for before, after in zip(status.tasks, found, strict=True):
        failed = before.state is TaskState.FAILED and before.ending is not TaskEnding.NO_MONEY
        if failed:
            assert after.workflow_id == f"request/x/retry-{attempt}/task/{before.id}"
            assert after.earlier is not None
        else:
            assert after.workflow_id == before.workflow_id
            assert after.earlier is None


@given(endings_of_requests(), st.data())
def test_what_depends_on_a_named_task_runs_and_nothing_else(
    status: RequestStatus, data: st.DataObject
) -> None:
    """The selection is closed; what is not named never runs, and is terminal or blocked."""
    if not status.tasks:
        return
    named = data.draw(st.sampled_from([each.id for each in status.tasks]))
    again = retry.selected(status.tasks, (), (named,))
    assert named in again
    for each in status.tasks:
        assert (each.id in again) == (each.id == named or bool({*each.depends_on} & {*again}))
    if retry.problem(status, (named,)):
        return
    found = retry.rows(status, Retry(attempt=2, tasks=(named,)), {})
    pending = {each.id for each in found if each.state is TaskState.PENDING}
    assert pending == {*again}
    done = {each.id for each in found if each.state is TaskState.DONE}
    for each in found:
        if each.id in pending:
            assert {*each.depends_on} <= pending | done


def test_a_new_attempt_has_the_reason_and_the_last_state_of_the_one_before() -> None:
    """Attempts are counted, the state takes a number of its own, and the agent is told."""
    failed = row(
        "a", TaskState.FAILED, reason="make is red", earlier=EarlierAttempt(number=2, rounds=3)
    )
    (found,) = retry.rows(ended(failed), Retry(attempt=4), {"a": Left(OID, 6)})
    assert found.earlier == EarlierAttempt(number=3, reason="make is red", commit=OID, rounds=7)
    told = messages.earlier_attempt(found.earlier)
    assert told.startswith("Attempt 3 at this task ended: make is red.")
    assert "Its changes are in your worktree already" in told
    assert messages.earlier_attempt(None) == ""


@pytest.mark.parametrize("state", [TaskState.CANCELLED, TaskState.REVIEW, TaskState.PENDING])
def test_a_task_whose_patch_landed_as_it_was_cut_off_is_done(state: TaskState) -> None:
    """Nobody does its work a second time, unless a person names it."""
    cut, left = row("a", state, commit=None), {"a": Left(OID, 1, landed=TIP)}
    (found,) = retry.rows(ended(cut), Retry(attempt=2), left)
    assert (found.state, found.commit, found.ending) == (TaskState.DONE, TIP, TaskEnding.LANDED)
    (again,) = retry.rows(ended(cut), Retry(attempt=2, tasks=("a",)), left)
    assert again.state is TaskState.PENDING


def test_a_failed_task_runs_again_whatever_of_it_has_landed() -> None:
    """What landed was an earlier patch of it."""
    failed = row("a", TaskState.FAILED, reason="make is red")
    (found,) = retry.rows(ended(failed), Retry(attempt=2), {"a": Left(OID, 1, landed=TIP)})
    assert found.state is TaskState.PENDING


def test_a_done_task_that_runs_again_is_told_why_the_request_failed() -> None:
    """Its work has landed: there is no state to go on from but that."""
    (found,) = retry.rows(ended(row("a")), Retry(attempt=2, tasks=("a",)), {"a": Left(OID, 1)})
    assert found.earlier is not None
    assert (found.earlier.commit, found.earlier.rounds) == (None, 1)
    assert found.earlier.reason.endswith("did not end well: make is red")


def test_a_kept_patch_of_a_task_that_is_not_named_is_known_by_its_ref() -> None:
    """The row holds the command for people; a request that goes on makes it anew."""
    kept = row("b", TaskState.FAILED, kept="git -C /a fetch '/a b/x.git' refs/oc/x/task/b/patch/0")
    found = retry.rows(ended(row("a"), kept), Retry(attempt=2, tasks=("a",)), {})
    assert found[1].kept == "refs/oc/x/task/b/patch/0"
    assert found[1].state is TaskState.FAILED


@pytest.mark.parametrize(
    ("status", "tasks", "said"),
    [
        (ended(row("a"), state=RunState.DONE), (), "has done everything"),
        (ended(row("a")), ("c",), "there is no task 'c': a"),
        (ended(), ("c",), "there is no task 'c': no plan yet"),
        (
            ended(row("a", TaskState.FAILED), row("b", TaskState.BLOCKED, depends_on=("a",))),
            ("b",),
            "'b' needs 'a', which is failed: retry 'a'",
        ),
        (ended(row("a")), (), ""),
    ],
)
def test_what_cannot_be_retried_is_said(
    status: RequestStatus, tasks: tuple[str, ...], said: str
) -> None:
    """A request without open tasks can: its checks and its delivery run again."""
    problem = retry.problem(status, tasks)
    assert (said in problem) if said else (problem == "")


def test_what_a_task_only_comes_after_need_not_be_done() -> None:
    """An order-only edge neither keeps a task from running nor makes it run again."""
    edge = AddedEdge(before="a", after="b", reason="both write x", order_only=True)
    status = ended(
        row("a", TaskState.FAILED),
        row("b", TaskState.FAILED, depends_on=("a",)),
        edges_added=(edge,),
    )
    assert retry.problem(status, ("b",)) == ""
    assert retry.selected(status.tasks, status.edges_added, ("a",)) == ("a",)
