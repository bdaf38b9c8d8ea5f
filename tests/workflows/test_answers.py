"""A request that only asks a question: answered by its planner, without a task or a branch."""

import pytest
from temporalio.client import Client

from contracts.endings import RequestEnding
from contracts.planning import PlanDraft
from contracts.visibility import RunState
from tests.fakes.model import finishes
from tests.workflows.test_request import asked, at_work, plan, scripts, task
from workflows.request import RequestWorkflow

pytestmark = pytest.mark.system

ANSWER = PlanDraft(summary="A question.", answer="It is in src/app.py, line 7.")


async def test_a_question_is_answered_without_task_check_or_branch(client: Client) -> None:
    """No coder, no review, no estimate, nobody asked about a plan; the answer is its result."""
    async with at_work(client, scripts([finishes(ANSWER)])) as env:
        handle = await env.start(RequestWorkflow, asked(approve=["plan"]), name="/question")
        done = await handle.result()

    assert (done.state, done.ending) == (RunState.DONE, RequestEnding.ANSWERED)
    assert done.answer == "It is in src/app.py, line 7."
    assert (done.tasks, done.commit) == ((), None)
    assert [opened.role for opened in env.model.opened.values()] == ["planner"]
    for activity in ("deliver_branch", "estimate_cost", "enqueue_patch", "make_patch"):
        assert env.calls.of(activity) == []
    assert env.calls.of("close_request")[0].plan.answer == done.answer


async def test_an_answer_beside_tasks_is_sent_back(client: Client) -> None:
    """The planner is told to choose; what it hands in then counts."""
    both = finishes(PlanDraft(summary="both", answer="Yes.", tasks=(task("a"),)))
    async with at_work(client, scripts([both, plan(task("a"))], "a")) as env:
        handle = await env.start(RequestWorkflow, asked(), name="/both")
        done = await handle.result()

    assert (done.state, done.answer) == (RunState.DONE, "")
    assert done.commit
    (told,) = [each for each in env.messages("planner/planner") if each]
    assert "The plan has tasks and an `answer`" in told
