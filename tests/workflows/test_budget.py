"""At the limit of its money a request pauses and asks; nothing is cut and nothing paid twice."""

import asyncio
import datetime as dt
from dataclasses import replace

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import TimeSkipper

from contracts.agent import StopCause
from contracts.budget import BudgetReceipt, PastRequest, PastTask, SetBudget
from contracts.endings import RequestEnding, TaskEnding
from contracts.request import RequestStatus
from contracts.task import TaskState
from contracts.visibility import RunState
from tests.fakes.model import MODEL, ScriptedReply, acts
from tests.workflows.test_request import (
    DONE,
    REVIEWER,
    asked,
    at_work,
    attributes,
    failed,
    plan,
    scripts,
    status,
    task,
    waits,
)
from tests.workflows.workflow_env import until
from workflows.request import RequestWorkflow

pytestmark = pytest.mark.system

SMALL = 0.3
"""Dollars that pay for a plan and the first turns of two agents."""


def dear(name: str, cost: int = 120_000) -> list[ScriptedReply]:
    """A coder whose first turn leaves too little for the second."""
    return [replace(acts(("edit", name)), cost_microusd=cost), DONE]


TWO = scripts([plan(task("a"), task("b"))]) | {
    "coder/a": dear("a"),
    "coder/b": dear("b"),
    "reviewer/a": REVIEWER,
    "reviewer/b": REVIEWER,
}


async def test_parallel_agents_pause_and_go_on_once_a_person_approves(client: Client) -> None:
    """Each agent stops before the call that its share does not allow, the request says so, and with
    more money both go on where they were: no turn is lost or made twice.
    """
    async with at_work(client, TWO) as env:
        handle = await env.start(RequestWorkflow, asked(budget_usd=SMALL))
        last = await waits(handle, "budget", seconds=30)
        assert last.state is RunState.WAITING_BUDGET
        assert (await attributes(handle)) == (RunState.WAITING_BUDGET, 1)
        assert last.reason.startswith("waits for a person: raise the budget from $0.30 to $")

        async def both_wait() -> bool:
            detail = (await status(handle)).approvals[0].detail
            return "the coder of a:" in detail and "the coder of b:" in detail

        await until(both_wait)
        assert len(env.model_calls) == 3
        await handle.signal("approve", "budget")
        result: RequestStatus = await handle.result()

    assert result.state is RunState.DONE
    assert env.written(env.tip) == {"a", "b"}
    assert env.replies.left() == 0
    assert result.budget_usd > SMALL
    assert result.cost_usd == pytest.approx(env.model.spent / 1e6)


async def test_a_rejected_budget_finishes_with_what_has_landed(client: Client) -> None:
    """What landed is checked and delivered; the agent that waits is cut, and its work kept."""
    script = scripts([plan(task("a"), task("b", "a"))], "a") | {"coder/b": dear("b", 165_000)}
    async with at_work(client, script) as env:
        # What the cut agent left cannot be offered: it is red.
        env.checks.passes = lambda _run, command: command != "test b"
        handle = await env.start(RequestWorkflow, asked(budget_usd=0.2))
        await waits(handle, "budget", seconds=30)
        await handle.signal("reject", {"approval": "budget", "reason": "enough", "by": "ann"})
        error, last = await failed(handle)

    rows = {row.id: row for row in last.tasks}
    assert error.type == "Incomplete"
    assert (rows["a"].state, rows["b"].ending) == (TaskState.DONE, TaskEnding.CUT)
    assert last.commit == env.tip
    assert env.calls.of("deliver_branch")[0].commit == env.tip
    assert env.written(env.tip) == {"a"}
    assert last.cost_usd <= last.budget_usd == 0.2


async def test_an_unanswered_budget_counts_as_rejected_at_its_deadline(client: Client) -> None:
    """After a day without an answer the request finishes by itself; the test skips a day."""
    skipper = TimeSkipper(client)
    script = scripts([replace(plan(task("a")), cost_microusd=80_000)])
    async with at_work(client, script) as env:
        with skipper.with_time_skipping_disabled():
            handle = await env.start(RequestWorkflow, asked(budget_usd=0.1), client=skipper.client)
        await waits(handle, "budget", seconds=30)
        await skipper.fast_forward(handle, dt.timedelta(hours=25))
        _, last = await failed(handle)

    assert last.tasks[0].ending is TaskEnding.NO_MONEY
    assert "was not raised by the deadline: nobody answered" in last.tasks[0].reason


async def test_a_budget_is_set_at_any_time_and_answers_the_question(client: Client) -> None:
    """Before the limit it is simply larger; at the limit what waits goes on and the question is
    withdrawn. What is given away is not taken back, and the refusal names the least amount.
    """
    script = scripts([replace(plan(task("a")), cost_microusd=80_000)], "a")
    async with at_work(client, script) as env:
        handle = await env.start(RequestWorkflow, asked(budget_usd=0.1))
        await waits(handle, "budget", seconds=30)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update("set_budget", SetBudget(usd=0.05))
        assert isinstance(refused.value.cause, ApplicationError)
        assert refused.value.cause.message == (
            "$0.0800 is spent: the budget cannot be $0.0500; name at least $0.0800."
        )
        # Not enough for a task: it is taken, and asked for again.
        receipt: BudgetReceipt = await handle.execute_update(
            "set_budget", SetBudget(usd=0.11), result_type=BudgetReceipt
        )
        assert receipt.message == "The budget is $0.11: $0.0800 spent."

        async def asks_again() -> bool:
            found = await status(handle)
            return [each.what[:28] for each in found.approvals] == ["raise the budget from $0.11 "]

        await until(asks_again)
        await handle.signal("budget", "no number")
        await handle.signal("budget", "$5")
        result: RequestStatus = await handle.result()

    assert (result.state, result.budget_usd) == (RunState.DONE, 5.0)
    assert [each.received for each in result.refused_answers] == ["no number"]
    assert result.approvals == ()


async def test_another_amount_is_an_answer(client: Client) -> None:
    """`revise` with an amount sets it; without one the question stays."""
    script = scripts([replace(plan(task("a")), cost_microusd=80_000)], "a")
    async with at_work(client, script) as env:
        handle = await env.start(RequestWorkflow, asked(budget_usd=0.1))
        await waits(handle, "budget", seconds=30)
        await handle.signal("revise", {"approval": "budget", "reason": "a little more"})
        await until(lambda: _refused(handle))
        await waits(handle, "budget", seconds=30)
        await handle.signal("revise", {"approval": "budget", "reason": "2"})
        result: RequestStatus = await handle.result()

    assert (result.state, result.budget_usd) == (RunState.DONE, 2.0)


async def _refused(handle: object) -> bool:
    return bool((await status(handle)).refused_answers)  # type: ignore[arg-type]


async def test_money_that_another_task_leaves_over_needs_no_person(client: Client) -> None:
    """An agent at the end of its share goes on once another has ended cheaply; the question that
    was asked meanwhile is withdrawn.
    """
    free = asyncio.Event()
    slow = [replace(acts(("edit", "b")), waits=free), DONE]
    script = scripts([plan(task("a"), task("b"))]) | {
        "coder/a": dear("a"),
        "coder/b": slow,
        "reviewer/a": REVIEWER,
        "reviewer/b": REVIEWER,
    }
    async with at_work(client, script) as env:
        handle = await env.start(RequestWorkflow, asked(budget_usd=SMALL))
        await waits(handle, "budget", seconds=30)
        free.set()
        result: RequestStatus = await handle.result()

    assert (result.state, result.budget_usd) == (RunState.DONE, SMALL)
    assert result.cost_usd <= SMALL


async def test_a_planner_without_money_asks_and_a_rejection_ends_the_request(
    client: Client,
) -> None:
    """Nothing was changed, no single task is made up, and the reason names the money."""
    async with at_work(client, scripts([plan(task("a"))])) as env:
        handle = await env.start(RequestWorkflow, asked(budget_usd=0.02))
        last = await waits(handle, "budget", seconds=30)
        assert "planner: its next call may cost up to" in last.approvals[0].detail
        await handle.signal("reject", "budget")
        error, last = await failed(handle)

    assert (error.type, last.ending) == ("NoBudget", RequestEnding.NO_BUDGET)
    assert "no plan came" in last.reason
    assert env.model_calls == []


async def test_an_agent_told_to_finish_at_the_limit_is_cut_at_once(client: Client) -> None:
    """With on_limit finish nobody is asked: what the agent left is checked and offered."""
    script = scripts([plan(task("a"))]) | {"coder/a": dear("a")}
    async with at_work(client, script) as env:
        env.checks.passes = lambda _run, command: command != "test a"
        start = asked(budget_usd=0.15, on_limit="finish")
        _, last = await failed(await env.start(RequestWorkflow, start))

    assert last.tasks[0].ending is TaskEnding.CUT
    assert f"({StopCause.BUDGET})" in last.tasks[0].reason
    assert (last.refused_answers, last.approvals) == ((), ())


async def test_a_plan_is_shown_with_what_it_may_cost(client: Client) -> None:
    """By what tasks have cost here; a budget below that is told, with how to raise it."""
    past = tuple(PastTask(model=MODEL, size=10, cost_microusd=900_000) for _ in range(5))
    async with at_work(client, scripts([plan(task("a"), task("b"))], "a", "b")) as env:
        env.estimates.past = [PastRequest(at=1.0, tasks=past)]
        handle = await env.start(RequestWorkflow, asked(budget_usd=1.5, approve=["plan"]))
        last = await waits(handle, "plan")
        await handle.signal("approve", "plan")
        result: RequestStatus = await handle.result()

    assert "Cost: about $1.80–$1.80, from 2 tasks; 5 tasks with" in last.approvals[0].detail
    assert "The budget of $1.50 is likely too small" in last.approvals[0].detail
    assert result.estimate is not None
    assert (result.estimate.past_tasks, result.estimate.low_microusd) == (5, 1_800_000)
