"""RequestWorkflow as a further attempt: with what earlier ones have left."""

import pytest
from temporalio.client import Client

from contracts.approvals import Answered, Choice
from contracts.checks import RunChecks
from contracts.delivery import Delivered
from contracts.planning import Plan
from contracts.resume import RequestResumed
from contracts.task import EarlierAttempt, TaskState, TaskStatus
from contracts.visibility import RunState
from domain.check_results import fresh_run
from tests.fakes.store import BASE
from tests.workflows.test_request import (
    CHECK,
    asked,
    at_work,
    failed,
    plan,
    scripts,
    status,
    task,
    waits,
)
from workflows.request import RequestWorkflow

pytestmark = pytest.mark.system

RETRY = {"resumes": "key", "retry": {"attempt": 2}}
PLAN = Plan(summary="a plan", tasks=(task("a"), task("b")))
DONE = TaskStatus(id="a", title="Do a", state=TaskState.DONE, commit=BASE, workflow_id="x/task/a")
DONE_B = DONE.model_copy(update={"id": "b", "title": "Do b", "workflow_id": "x/task/b"})


async def test_a_retry_keeps_plan_and_done_tasks_and_runs_the_rest(client: Client) -> None:
    """No planner and no agent of a done task is asked; what was spent counts; the branch moves on
    from where it was delivered; the checks are run anew.
    """
    async with at_work(client, scripts([], "b")) as env:
        last = env.store.commit({"README": "hello", "kept": "by the attempt before"}, BASE)
        failed = TaskStatus(
            id="b",
            title="Do b",
            workflow_id="x/retry-2/task/b",
            earlier=EarlierAttempt(reason="it was red", commit=last, rounds=4),
        )
        env.repositories.resumed = RequestResumed(
            plan=PLAN,
            approved=True,
            tasks=(DONE, failed),
            spent_microusd=70_000,
            delivered=Delivered(branch="out", commit=BASE, diffstat=""),
            answers=(Answered(approval="plan", choice=Choice.APPROVE, by="Ada"),),
        )
        env.store.branches["out"] = BASE
        handle = await env.start(
            RequestWorkflow, asked(branch="out", approve=["plan"], **RETRY), name="/retried"
        )
        done = await handle.result()

    assert (done.state, done.attempt, done.commit) == (RunState.DONE, 2, env.tip)
    assert [each.by for each in done.answers] == ["Ada"]
    assert env.messages("planner/planner") == []
    assert [opened.agent_id for opened in env.model.opened.values() if opened.role == "coder"] == [
        "x/retry-2/task/b/coder-1"
    ]
    opened = next(iter(env.model.opened.values()))
    facts = dict(opened.facts)
    assert "Attempt 1 at this task ended: it was red." in facts["An earlier attempt at this task"]
    assert env.calls.of("rebase_patch")[0].patch.round == 3
    assert "kept" in env.written(env.tip)
    assert env.calls.of("deliver_branch")[0].moves_from == BASE
    assert env.calls.of("run_checks")[-1].fresh == fresh_run(2, again=False)
    assert env.calls.of("enqueue_patch")[0].landed[0].task == "a"
    assert done.cost_usd == pytest.approx(0.07 + 3 * 0.001)
    closed = env.calls.of("close_request")[0]
    assert (closed.plan, closed.approved) == (PLAN, True)


async def test_what_is_left_of_a_plan_is_estimated(client: Client) -> None:
    """By its own size, without what is done; a request that has nothing to run has no estimate."""
    failed = TaskStatus(id="b", title="Do b", workflow_id="x/retry-2/task/b")
    async with at_work(client, scripts([], "b")) as env:
        env.repositories.resumed = RequestResumed(plan=PLAN, approved=True, tasks=(DONE, failed))
        handle = await env.start(RequestWorkflow, asked(**RETRY), name="/estimated")
        done = await handle.result()
        env.repositories.resumed = RequestResumed(plan=PLAN, approved=True, tasks=(DONE, DONE_B))
        checked = await (await env.start(RequestWorkflow, asked(**RETRY), name="/red")).result()

    assert done.estimate is not None
    assert done.estimate.tasks == 1
    assert [order.sizes for order in env.calls.of("estimate_cost")] == [(PLAN.tasks[1].size,)]
    assert checked.estimate is None


async def test_no_attempt_takes_a_rerun_of_the_one_before_for_a_run_of_its_own(
    client: Client,
) -> None:
    """Each runs what is red on the base twice, under numbers that no other attempt has."""
    ran: list[tuple[str, int]] = []

    def fails(order: RunChecks, command: str) -> bool:
        ran.append((command, order.fresh))
        return False

    async with at_work(client, scripts([])) as env:
        env.repositories.resumed = RequestResumed(plan=PLAN, approved=True, tasks=(DONE, DONE_B))
        env.checks.passes = fails
        for attempt in (2, 3, 4):
            retry = {"resumes": "key", "retry": {"attempt": attempt}}
            handle = await env.start(RequestWorkflow, asked(**retry), name=f"/{attempt}")
            await failed(handle)

    on_base = [number for command, number in ran if command == CHECK]
    assert len(on_base) == len(set(on_base)) == 6


async def test_a_task_that_was_cancelled_goes_on_under_its_id(client: Client) -> None:
    """Its agents open the conversations that they had, and are told of no earlier attempt."""
    cancelled = TaskStatus(id="b", title="Do b", workflow_id="x/task/b")
    left = RequestResumed(plan=PLAN, approved=True, tasks=(DONE, cancelled))
    async with at_work(client, scripts([], "b")) as env:
        env.repositories.resumed = left
        handle = await env.start(RequestWorkflow, asked(**RETRY), name="/resumed")
        assert (await handle.result()).state is RunState.DONE

    coder, *_ = env.model.opened.values()
    assert (coder.agent_id, coder.resumed) == ("x/task/b/coder-1", True)
    assert "An earlier attempt at this task" not in {name for name, text in coder.facts if text}
    assert {call.resumed for call in env.model_calls} == {True}


async def test_a_plan_that_was_not_approved_is_asked_about_again(client: Client) -> None:
    """No planner is asked for it; one that is told to revise it knows the plan."""
    left = RequestResumed(plan=PLAN, planner="x/retry-2")
    async with at_work(client, scripts([plan(task("b"))], "b")) as env:
        env.repositories.resumed = left
        handle = await env.start(RequestWorkflow, asked(approve=["plan"], **RETRY), name="/plan")
        await waits(handle, "plan")
        assert env.model_calls == []
        await handle.signal(RequestWorkflow.revise, {"reason": "only b"})

        async def replanned() -> bool:
            return [row.id for row in (await status(handle)).tasks] == ["b"]

        while not await replanned():
            pass
        await waits(handle, "plan")
        await handle.signal(RequestWorkflow.approve, None)
        assert (await handle.result()).state is RunState.DONE

    (told,) = env.messages("planner/planner")
    assert told is not None
    assert told.startswith("A person sent the plan back: only b")
    assert '"Do a"' in told


async def test_a_retry_that_is_refused_is_no_refused_request(client: Client) -> None:
    """Its work is kept: it stands in every list."""
    async with at_work(client, scripts([])) as env:
        env.store.claims["out"] = "another"
        handle = await env.start(RequestWorkflow, asked(branch="out", **RETRY), name="/claimed")
        with pytest.raises(Exception, match="failed"):
            await handle.result()
        memo = await (await handle.describe()).memo()
        first = await env.start(RequestWorkflow, asked(branch="out"), name="/first")
        with pytest.raises(Exception, match="failed"):
            await first.result()
        refused = await (await first.describe()).memo()

    assert "OcRefused" not in memo
    assert refused["OcRefused"] is True
