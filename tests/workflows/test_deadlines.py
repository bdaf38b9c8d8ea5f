"""Questions that are not answered in time: a reminder, then no; an answer after it changes nothing.

The test's server skips the time.
"""

import asyncio
import datetime as dt
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.service import RPCError
from temporalio.testing import TimeSkipper

from contracts.approvals import Approval, Choice, Decide, Decision
from contracts.request import RequestStatus
from contracts.task import TaskState
from tests.fakes.model import acts
from tests.workflows.test_agent import agent
from tests.workflows.test_allowing import asks, script, waiting
from tests.workflows.test_request import DONE, asked, at_work, failed, plan, scripts, status, task
from tests.workflows.test_request import waits as waits_for
from tests.workflows.workflow_env import WorkflowEnv, until
from workflows.agent import AgentWorkflow
from workflows.request import RequestWorkflow

pytestmark = pytest.mark.system


async def test_a_person_is_reminded_before_the_deadline_and_silence_is_no(client: Client) -> None:
    """With a quarter of a day left the reason says until when; then it is rejected."""
    skipper = TimeSkipper(client)
    async with at_work(client, scripts([plan(task("a"))])) as env:
        with skipper.with_time_skipping_disabled():
            handle = await env.start(
                RequestWorkflow, asked(approve=["plan"]), client=skipper.client
            )
        before = await waits_for(handle, "plan")
        (question,) = before.approvals
        await skipper.fast_forward(handle, dt.timedelta(hours=19))
        reminded = await until(lambda: _reminded(handle))
        await skipper.fast_forward(handle, dt.timedelta(hours=6))
        _, last = await failed(handle)

    assert before.reason == "waits for a person: a plan of 1 task"
    end = dt.datetime.fromtimestamp(question.until, dt.UTC)
    assert reminded.reason == (
        "waits for a person: a plan of 1 task; without an answer plan is rejected at "
        f"{end:%Y-%m-%d %H:%M} UTC"
    )
    assert last.answers[0].by == "the deadline"


async def _reminded(handle: WorkflowHandle[Any, Any]) -> RequestStatus | None:
    found = await status(handle)
    return found if "is rejected at" in found.reason else None


async def test_an_answer_after_the_deadline_is_refused_and_shown(client: Client) -> None:
    """By signal and by update, while the request that was rejected so still cleans up."""
    skipper = TimeSkipper(client)
    async with at_work(client, scripts([plan(task("a"))])) as env:
        with skipper.with_time_skipping_disabled():
            handle = await env.start(
                RequestWorkflow, asked(approve=["plan"]), client=skipper.client
            )
        await waits_for(handle, "plan")
        held = env.calls.hold("close_request")
        # Time is skipped only while no activity runs: the rest of the day is for the end.
        skipped = asyncio.create_task(skipper.fast_forward(handle, dt.timedelta(hours=25)))
        await until(lambda: env.calls.of("close_request"))
        await handle.signal("approve", {"approval": "plan", "by": "Ada"})
        late = Decide(choice=Choice.APPROVE, approval="plan", by="Bob")
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await handle.execute_update("decide", late)
        held.set()
        error, last = await failed(handle)
        await skipped

    why = "'plan' was already rejected by the deadline."
    assert why in str(caught.value.cause)
    assert [each.problem for each in last.refused_answers] == [why, why]
    assert "nobody answered within 86,400 seconds" in error.message


async def test_waiting_for_a_person_takes_nothing_of_an_agents_time(client: Client) -> None:
    """Who answers after ten hours finds the agent going on, not cut by its time limit."""
    skipper = TimeSkipper(client)
    env = WorkflowEnv(client, {"coder/x": [acts(("edit", ".envrc")), DONE]})
    async with env.at_work():
        inbox = await env.listener()
        with skipper.with_time_skipping_disabled():
            handle = await env.start(AgentWorkflow, agent(env), client=skipper.client)
        (question,) = await until(lambda: inbox.query("asked"))
        await skipper.fast_forward(handle, dt.timedelta(hours=10))
        decision = Decision(approval=question["id"], choice=Choice.APPROVE, by="Ann")
        await handle.signal(AgentWorkflow.decided, decision)
        result = await handle.result()

    assert (result.cut, result.reason) == (None, "")
    assert len(env.tool_calls) == 1


async def test_of_answers_that_race_one_counts_and_all_others_are_refused(client: Client) -> None:
    """Ten at once, by signal and by update, for and against: the call is made once, or never."""
    async with at_work(client, script("a")) as env:
        env.model.judged = asks
        handle = await env.start(RequestWorkflow, asked())
        (question,) = await waiting(handle, 1)
        held = env.calls.hold("make_patch")
        results = await asyncio.gather(
            *(_answer(handle, question, number) for number in range(10)), return_exceptions=True
        )
        await until(lambda: env.calls.of("make_patch"))
        await until(lambda: _refused(handle, 9))
        shown = await status(handle)
        held.set()
        done: RequestStatus = await handle.result()

    unexpected = [
        each for each in results if isinstance(each, BaseException) and not _is_refusal(each)
    ]
    assert unexpected == []
    (answer,) = shown.answers
    assert len(shown.refused_answers) == 9
    verb = "approved" if answer.choice is Choice.APPROVE else "rejected"
    assert {each.problem for each in shown.refused_answers} == {
        f"'{question.id}' was already {verb} by {answer.by}."
    }
    assert len(env.calls.of("run_command")) == (1 if answer.choice is Choice.APPROVE else 0)
    assert [row.state for row in done.tasks] == [TaskState.DONE]


async def _answer(handle: WorkflowHandle[Any, Any], question: Approval, number: int) -> None:
    """Answer by update or by signal, for or against, each as another person."""
    choice, by = (Choice.APPROVE, Choice.REJECT)[number // 2 % 2], f"person {number}"
    if number % 2:
        await handle.signal(choice.value, {"approval": question.id, "by": by, "reason": "r"})
    else:
        decide = Decide(choice=choice, approval=question.id, digest=question.digest, by=by)
        await handle.execute_update("decide", decide)


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, WorkflowUpdateFailedError | RPCError)


async def _refused(handle: WorkflowHandle[Any, Any], number: int) -> bool:
    return len((await status(handle)).refused_answers) == number
