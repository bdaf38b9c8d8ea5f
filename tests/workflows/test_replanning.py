"""A stuck task in whose place the planner puts others: the agents, the plan and what people see."""

from typing import Any

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from contracts.agent import AgentLimits
from contracts.approvals import ApprovalKind, Choice, Decision
from contracts.budget import OnLimit
from contracts.endings import RequestEnding, TaskEnding
from contracts.planning import PlanDraft, TaskSpec
from contracts.resume import RequestResumed, Retry
from contracts.task import TaskState
from domain import limits
from domain.planning import replan
from domain.request import retry
from tests.fakes.model import ScriptedReply, finishes
from tests.workflows.test_request import (
    REVIEWER,
    asked,
    coder,
    failed,
    plan,
    status,
    task,
    waits,
)
from tests.workflows.test_request import at_work as request_at_work
from tests.workflows.test_stuck import WHY, question
from tests.workflows.test_subtask import CIRCLE, CUT, DONE, EDIT, GOOD, at_work, landed
from tests.workflows.workflow_env import WorkflowEnv
from workflows.request import RequestWorkflow

pytestmark = pytest.mark.system

NO_WAY = finishes(PlanDraft(summary="no", answer="the library lacks it"))
WRONG = plan(task("a", "unknown"))


def planned(*tasks: TaskSpec) -> ScriptedReply:
    """The planner's reply with tasks in place of the stuck one."""
    return plan(*tasks)


async def replanned(client: Client, *planner: ScriptedReply, **changes: Any) -> Any:
    """A task whose agent goes in circles, with what its planner replies; (environment, report)."""
    changes = {"request_limits": limits.REQUEST, "replans": 6, **changes}
    async with at_work(client, coder=CIRCLE, **changes) as (env, start):
        env.replies.add("planner/x", planner)
        env.model.limits = AgentLimits()
        report = await (await start()).result()
        assert env.store.leases == {}
        return env, report


async def test_the_planner_is_told_what_was_tried_and_its_tasks_end_the_stuck_one(
    client: Client,
) -> None:
    """It sees what has landed, the task, why its agent is stuck and what that tried; no person is
    asked.
    """
    env, report = await replanned(client, planned(task("a"), task("b", "a")))

    assert (report.state, report.ending) == (TaskState.FAILED, TaskEnding.SUPERSEDED)
    assert report.instead is not None
    assert [each.id for each in report.instead.tasks] == ["a", "b"]
    assert report.reason == (
        f"{WHY}; it had changed nothing; the planner has put in its place: Do a, Do b (a plan)"
    )
    opened = next(each for each in env.model.opened.values() if each.role == "planner")
    facts = dict(opened.facts)
    assert opened.agent_id == f"{env.id}/planner-1"
    assert facts["Why its agent is stuck"] == f"{WHY}; it had changed nothing"
    assert "- `make`: exit code 2" in facts["What its agent tried"]
    assert facts["Its acceptance commands"] == "make test"
    (told,) = env.messages("planner/x")
    assert told is not None
    assert "at most 6" in told
    assert report.turns == 7
    assert env.calls.of("lease_worktree")[-1].commit is None


@pytest.mark.parametrize(
    ("planner", "refused"),
    [
        ([NO_WAY], "it sees no better way: the library lacks it"),
        ([WRONG, WRONG], "its plan was not valid: "),
        ([], "it was cut ("),
    ],
    ids=["no other way", "no valid plan", "no planner"],
)
async def test_a_person_is_asked_where_the_planner_has_no_other_tasks(
    client: Client, planner: list[ScriptedReply], refused: str
) -> None:
    """The question says what the planner answered; its hint goes to an agent as before, and the
    planner is not asked again.
    """
    script = [*CIRCLE, *CIRCLE, EDIT, DONE]
    changes: Any = {"request_limits": limits.REQUEST, "replans": 6}
    async with at_work(client, coder=script, reviewer=[GOOD], verdicts=[landed], **changes) as (
        env,
        start,
    ):
        env.replies.add("planner/x", planner)
        env.model.limits = AgentLimits()
        listener = await env.listener()
        handle = await start()
        for number in (1, 2):
            found = await question(listener, number)
            told = f"The planner was asked for other tasks in its place: {refused}"
            assert told in found.detail
            decision = Decision(approval=found.id, choice=Choice.REVISE, reason="look", by="Ann")
            await handle.signal("decided", decision)
        report = await handle.result()

    assert report.state is TaskState.DONE
    assert report.instead is None
    assert env.replies.left() == 0


@pytest.mark.parametrize("choice", [Choice.APPROVE, Choice.REVISE, Choice.REJECT])
async def test_a_person_who_approves_plans_approves_these_tasks(
    client: Client, choice: Choice
) -> None:
    """Revised, the planner hears why and hands in another plan; rejected, the person is asked how
    the task goes on.
    """
    changes: Any = {"request_limits": limits.REQUEST, "replans": 6, "plan_review": True}
    async with at_work(client, coder=CIRCLE, **changes) as (env, start):
        env.replies.add("planner/x", [planned(task("a")), planned(task("b"))])
        env.model.limits = AgentLimits()
        listener = await env.listener()
        handle = await start()
        first = await question(listener)
        assert (first.id, first.kind) == ("replan/x/1", ApprovalKind.PLAN)
        assert first.what == "a plan of 1 task in place of x, whose agent is stuck"
        says = Decision(approval=first.id, choice=choice, reason="only b", by="Ann")
        await handle.signal("decided", says)
        if choice is not Choice.APPROVE:
            then = await question(listener, 2)
            assert (then.id == "replan/x/2") is (choice is Choice.REVISE)
            yes = Choice.APPROVE if choice is Choice.REVISE else Choice.REJECT
            await handle.signal("decided", Decision(approval=then.id, choice=yes, by="Ann"))
        report = await handle.result()

    if choice is Choice.REJECT:
        assert report.ending is TaskEnding.CUT
        assert then.id == "stuck/x/0"
        assert "Ann does not want its plan: only b" in then.detail
    else:
        assert report.instead is not None
        name = "a" if choice is Choice.APPROVE else "b"
        assert [each.id for each in report.instead.tasks] == [name]


async def test_without_a_person_other_tasks_are_planned_all_the_same(client: Client) -> None:
    """A request that finishes at its limit asks nobody, and the planner asks nobody either."""
    env, report = await replanned(client, planned(task("a")), on_limit=OnLimit.FINISH)

    assert report.ending is TaskEnding.SUPERSEDED
    assert env.calls.of("tell_attempts") != []


def stuck_request() -> dict[str, list[ScriptedReply]]:
    """A plan of a task that gets stuck and one that needs it; two tasks stand in its place."""
    return {
        "planner/planner": [plan(task("x"), task("z", "x"))],
        "coder/x": [*coder("x")[:1], *CIRCLE],
        "planner/x": [planned(task("a"), task("b", "a"))],
        **{f"coder/{name}": coder(name) for name in "abz"},
        **{f"reviewer/{name}": REVIEWER for name in "abz"},
    }


async def test_a_request_goes_on_with_the_tasks_in_place_of_a_stuck_one(client: Client) -> None:
    """They run in their order, what needed the stuck task waits for them, and the request is done:
    nothing of the stuck task is missing, and what it left is shown to the first of them alone.
    """
    async with request_at_work(client, stuck_request()) as env:
        env.model.limits = AgentLimits()
        env.checks.passes = lambda _run, command: command != "test x"
        handle = await env.start(RequestWorkflow, asked())
        done = await handle.result()
        again = await status(handle)

    rows = {row.id: row for row in done.tasks}
    assert (done.ending, env.written(env.tip)) == (RequestEnding.DELIVERED, {"a", "b", "z"})
    assert [title.split("/")[-2] for (title,) in env.landed] == ["a", "b", "z"]
    assert (rows["x"].state, rows["x"].ending) == (TaskState.CANCELLED, TaskEnding.SUPERSEDED)
    assert rows["x"].reason.endswith("; see a, b")
    assert rows["z"].depends_on == ("b",)
    assert again.tasks == done.tasks
    assert _shown(env) == {"a": (replan.LEFT,), "b": (), "z": ()}
    assert "in place of the task x" in _goal(env, "a")
    closed = env.calls.of("close_request")[0]
    assert [each.by for each in closed.plan.replaced] == [("a", "b")]
    assert env.replies.left() == 0
    assert done.cost_usd == pytest.approx(env.model.spent / 1e6)


def _shown(env: WorkflowEnv) -> dict[str, tuple[str, ...]]:
    """What each later coder is shown at its opening, by its labels."""
    coders = (each for each in env.model.opened.values() if each.role == "coder")
    return {
        name: tuple(label for label, _ in each.documents)
        for each in coders
        if (name := each.agent_id.split("/")[-2]) != "x"
    }


def _goal(env: WorkflowEnv, name: str) -> str:
    coders = (each for each in env.model.opened.values() if each.role == "coder")
    return next(dict(each.facts)["Task"] for each in coders if f"/task/{name}/" in each.agent_id)


async def test_a_task_in_anothers_place_is_not_planned_anew_again(client: Client) -> None:
    """When its agent is stuck, too, a person is asked; the first one cannot be taken up again."""
    script = {**stuck_request(), "coder/a": list(CIRCLE)}
    refusals = []
    async with request_at_work(client, script) as env:
        env.model.limits = AgentLimits()
        env.checks.passes = lambda _run, command: command != "test x"
        handle = await env.start(RequestWorkflow, asked())
        waiting = await waits(handle, "stuck/a/0")
        for update, asks in (("hand_off", {}), ("choose_turn", {"turn": "c" * 40})):
            with pytest.raises(WorkflowUpdateFailedError) as refused:
                await handle.execute_update(update, {"task": "x", **asks})
            refusals.append(str(refused.value.cause))
        await handle.cancel()
        with pytest.raises(Exception, match=r"."):
            await handle.result()

    assert [row.id for row in waiting.tasks] == ["x", "z", "a", "b"]
    assert waiting.reason == "waits for a person: say how a goes on: its agent is stuck"
    assert all("a, b stand in the place of 'x'" in each for each in refusals)


async def test_a_retry_runs_the_tasks_in_place_and_not_the_stuck_one(client: Client) -> None:
    """The plan that the request has kept names them; what failed of them runs again."""
    script = {**stuck_request(), "coder/b": [CUT]}
    async with request_at_work(client, script) as env:
        env.model.limits = AgentLimits()
        env.checks.passes = lambda _run, command: command != "test x"
        handle = await env.start(RequestWorkflow, asked())
        _, last = await failed(handle)
        closed = env.calls.of("close_request")[0]
        again = Retry(attempt=2)
        env.repositories.resumed = RequestResumed(
            plan=closed.plan, approved=True, tasks=retry.rows(last, again, {})
        )
        env.replies.add("coder/b", coder("b"))
        order = {"resumes": "key", "retry": again.model_dump()}
        done = await (await env.start(RequestWorkflow, asked(**order), name="/again")).result()

    assert last.ending is RequestEnding.INCOMPLETE
    assert last.reason.startswith("b failed: the agent was cut")
    assert "1 of 3 tasks done" in last.reason
    assert done.ending is RequestEnding.DELIVERED
    assert {row.id: row.state for row in done.tasks} == {
        "x": TaskState.CANCELLED,
        **dict.fromkeys("abz", TaskState.DONE),
    }
    assert env.replies.left() == 0
