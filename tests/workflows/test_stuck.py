"""A task whose agent is stuck after all that was tried: a person says how it goes on."""

from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from contracts.agent import AgentLimits
from contracts.approvals import Approval, ApprovalKind, Choice, Decision
from contracts.budget import OnLimit
from contracts.endings import TaskEnding
from contracts.limits import RequestLimits
from contracts.request import RequestStatus
from contracts.subtask import SubtaskReport
from contracts.task import TaskState
from domain import limits
from domain.approvals.inbox import EXPIRED
from tests.workflows.test_request import REVIEWER, asked, plan, task, waits
from tests.workflows.test_request import at_work as request_at_work
from tests.workflows.test_subtask import CIRCLE, CUT, DONE, EDIT, GOOD, at_work, landed
from tests.workflows.workflow_env import WorkflowEnv, until
from workflows.request import RequestWorkflow

pytestmark = pytest.mark.system

WHY = "the agent was cut: the same call was made 5 times (going in circles)"


async def question(listener: WorkflowHandle[Any, Any], number: int = 1) -> Approval:
    """The question that a task asks, once it has asked so many."""

    async def asks() -> list[Any]:
        found: list[Any] = await listener.query("asked")
        return found if len(found) >= number else []

    return Approval.model_validate((await until(asks))[number - 1])


async def answered(
    client: Client, decision: Decision, *more: Any, **changes: Any
) -> tuple[WorkflowEnv, Approval, SubtaskReport]:
    """A task whose agent goes in circles, and what becomes of it after a person's answer."""
    changes = {"request_limits": limits.REQUEST, **changes}
    script = [*CIRCLE, *more]
    async with at_work(client, coder=script, reviewer=[GOOD], verdicts=[landed], **changes) as (
        env,
        start,
    ):
        env.model.limits = AgentLimits()
        listener = await env.listener()
        handle = await start()
        found = await question(listener)
        await handle.signal("decided", decision)
        return env, found, await handle.result()


async def test_a_hint_begins_a_fresh_window_with_the_ledger(client: Client) -> None:
    """The question tells what was tried and what can be answered; the hint is told to an agent in
    a conversation of its own, with why the last one ended, and its work lands.
    """
    says = Decision(approval="stuck/x/0", choice=Choice.REVISE, reason="use the cache", by="Ann")
    env, found, report = await answered(client, says, EDIT, DONE)

    assert (found.kind, found.why) == (ApprovalKind.STUCK, f"{WHY}; it had changed nothing")
    assert "`make`: exit code 2" in found.detail
    assert "hand-off ID x" in found.detail
    assert (report.state, report.landed) == (TaskState.DONE, "d" * 40)
    first, second = (each for each in env.model.opened.values() if each.role == "coder")
    assert (first.again, second.again) == (False, True)
    # Its opening tells the hint, and nothing tells it again.
    told = [message or "" for message in env.messages("coder/x")]
    assert not any("use the cache" in message or "Rounds left" in message for message in told)
    facts = dict(second.facts)
    assert "use the cache" in facts["Notes from the person who made the request"]
    assert f"Attempt 1 at this task ended: {WHY}" in facts["An earlier attempt at this task"]


async def test_approved_it_begins_again_without_a_hint(client: Client) -> None:
    """On the files as they are, and red work goes on, too."""
    yes = Decision(approval="stuck/x/0", choice=Choice.APPROVE, by="Ann")
    env, _, report = await answered(client, yes, EDIT, DONE)

    assert report.state is TaskState.DONE
    opened = [each for each in env.model.opened.values() if each.role == "coder"]
    assert dict(opened[1].facts)["Notes from the person who made the request"] == ""


@pytest.mark.parametrize(
    ("by", "reason", "why"),
    [("Ann", "not worth it", "; given up by Ann: not worth it"), (EXPIRED, "nobody answered", "")],
    ids=["given up", "no answer"],
)
async def test_given_up_or_unanswered_it_fails(
    client: Client, by: str, reason: str, why: str
) -> None:
    """Without an answer it fails as it does where no person is asked."""
    no = Decision(approval="stuck/x/0", choice=Choice.REJECT, reason=reason, by=by)
    _, _, report = await answered(client, no)

    assert (report.state, report.ending) == (TaskState.FAILED, TaskEnding.CUT)
    assert report.reason == f"{WHY}; it had changed nothing{why}"


@pytest.mark.parametrize(
    ("script", "changes"),
    [
        (CIRCLE, {"on_limit": OnLimit.FINISH}),
        (CIRCLE, {"request_limits": RequestLimits()}),
        ([CUT], {}),
    ],
    ids=["nobody is to be asked", "an older request", "cut for another reason"],
)
async def test_no_person_is_asked(client: Client, script: list[Any], changes: Any) -> None:
    """Where a request finishes at its limit, began before this, or is no stuck one's."""
    changes = {"request_limits": limits.REQUEST, **changes}
    async with at_work(client, coder=script, **changes) as (env, start):
        env.model.limits = AgentLimits()
        listener = await env.listener()
        report = await (await start()).result()
        assert await listener.query("asked") == []

    assert report.ending is TaskEnding.CUT
    assert env.calls.of("tell_attempts") == []


async def test_a_person_is_asked_so_often_and_no_more(client: Client) -> None:
    """The threshold `stuck_questions`; each question has an id of its own and counts once."""
    held = limits.REQUEST.model_copy(update={"stuck_questions": 2})
    async with at_work(client, coder=[*CIRCLE] * 3, request_limits=held) as (env, start):
        env.model.limits = AgentLimits()
        listener = await env.listener()
        handle = await start()
        for number, name in enumerate(("stuck/x/0", "stuck/x/1"), start=1):
            assert (await question(listener, number)).id == name
            await handle.signal("decided", Decision(approval=name, choice=Choice.APPROVE))
        report = await handle.result()

    assert report.ending is TaskEnding.CUT
    assert limits.REQUEST.stuck_questions == 3
    assert len(env.calls.of("tell_attempts")) == 2


async def test_the_question_waits_like_every_other_and_a_hand_off_takes_it_back(
    client: Client,
) -> None:
    """It stands in the request's inbox and status; a person who takes the task over instead is not
    asked any more.
    """
    script = {
        "planner/planner": [plan(task("x"))],
        "coder/x": [EDIT, *CIRCLE, DONE],
        "reviewer/x": REVIEWER,
    }
    async with request_at_work(client, script) as env:
        env.model.limits = AgentLimits()
        env.checks.passes = lambda _run, command: command != "test x"
        handle = await env.start(RequestWorkflow, asked())
        waiting = await waits(handle, "stuck/x/0")
        await handle.execute_update("hand_off", {"task": "x"})

        async def taken() -> RequestStatus | None:
            found: RequestStatus = await handle.query(RequestWorkflow.status)
            return found if [each.id for each in found.approvals] == ["hand-off/x"] else None

        assert await until(taken)
        await handle.cancel()
        with pytest.raises(Exception, match=r"."):
            await handle.result()

    assert waiting.reason.startswith("waits for a person: say how x goes on")
