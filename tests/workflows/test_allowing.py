"""An answer that counts for the rest of a request: no like call asks again."""

from collections.abc import Iterable
from typing import Any

import pytest
from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)

from activities.policy import CurrentPolicy
from contracts.approvals import Approval, Choice, Decide, Receipt
from contracts.request import RequestStatus
from contracts.task import TaskState
from contracts.tools import CallApproval
from contracts.verdicts import CallVerdict, Permission
from domain.approvals import allowing, calls, codes
from tests.fakes.model import ScriptedReply, acts
from tests.fakes.policy import verdict_of
from tests.workflows.test_codes import SECRET
from tests.workflows.test_request import DONE, REVIEWER, asked, at_work, coder, plan, status, task
from tests.workflows.workflow_env import WorkflowEnv, until
from workflows.request import RequestWorkflow

pytestmark = pytest.mark.system

RUN = ("run_command", "make release")


def asks(name: str, subject: str) -> CallVerdict | None:
    """Judge calls as where commands ask: each can be allowed by a rule of its own."""
    if name != "run_command":
        return verdict_of(name, subject)
    rule = f"Bash({subject})"
    return CallVerdict(permission=Permission.ASK, rule="no rule", reason="why", offers=(rule,))


def script(*names: str) -> dict[str, Iterable[ScriptedReply]]:
    """Return replies of a planner, and of tasks that each run the same command."""
    found: dict[str, Iterable[ScriptedReply]] = {"planner/planner": [plan(*map(task, names))]}
    for name in names:
        found |= {f"coder/{name}": [acts(("edit", name), RUN), DONE], f"reviewer/{name}": REVIEWER}
    return found


async def waiting(handle: WorkflowHandle[Any, Any], number: int) -> tuple[Approval, ...]:
    """Return the questions of a request once there are so many."""

    async def waits() -> tuple[Approval, ...]:
        found = (await status(handle)).approvals
        return found if len(found) == number else ()

    found: tuple[Approval, ...] = await until(waits)
    return found


async def test_an_answer_for_the_request_is_pinned_before_anybody_goes_on(client: Client) -> None:
    """Two tasks wait with the same call: one answer allows it, both go on, and the status says by
    whom.
    """
    async with at_work(client, script("a", "b")) as env:
        env.model.judged = asks
        pins = env.calls.hold("allow_rules")
        handle = await env.start(RequestWorkflow, asked())
        first, second = await waiting(handle, 2)
        assert first.rules == second.rules == ("Bash(make release)",)
        decide = Decide(choice=Choice.APPROVE, approval=first.id, by="Ann", for_request=True)
        answer = await handle.start_update(
            "decide", decide, wait_for_stage=WorkflowUpdateStage.ACCEPTED, result_type=Receipt
        )
        await until(lambda: env.calls.of("allow_rules"))
        assert (await status(handle)).approvals == ()
        assert env.calls.of("run_command") == []
        pins.set()
        receipt = await answer.result()
        done: RequestStatus = await handle.result()

    assert receipt.message.endswith("Allowed for the rest of the request: `Bash(make release)`.")
    assert [row.state for row in done.tasks] == [TaskState.DONE] * 2
    (rule,) = done.allowed
    assert (rule.text, rule.by, rule.approval) == ("Bash(make release)", "Ann", first.id)
    assert env.permissions.allowed == [rule]
    assert len(env.calls.of("run_command")) == 2


async def test_a_call_is_made_with_what_was_approved_of_it(client: Client) -> None:
    """The activity that makes it can compare: its digest is that of the question."""
    async with at_work(client, script("a")) as env:
        env.model.judged = asks
        handle = await env.start(RequestWorkflow, asked())
        (question,) = await waiting(handle, 1)
        await handle.signal("approve", {"approval": question.id, "digest": question.digest})
        await handle.result()

    (call,) = env.calls.of("run_command")
    assert call.approval.digest == question.digest
    assert calls.digest_of(call.tool, call.arguments, call.approval) == question.digest
    assert env.permissions.allowed == []
    assert [each.approval for each in env.calls.of("apply_edit")] == [CallApproval()]


async def test_a_rule_that_could_not_be_pinned_is_not_shown_as_allowed(client: Client) -> None:
    """The call that was approved is made; the next like it asks."""
    async with at_work(client, script("a")) as env:
        env.model.judged = asks
        env.permissions.refused = {"Bash(make release)"}
        handle = await env.start(RequestWorkflow, asked())
        (question,) = await waiting(handle, 1)
        await handle.signal("approve", {"approval": question.id, "for_request": True})
        done = await handle.result()

    assert done.allowed == ()
    assert len(env.calls.of("run_command")) == 1


async def test_what_cannot_be_allowed_for_the_request_is_refused(client: Client) -> None:
    """The question waits on, and the refusal is shown."""
    async with at_work(client, script("a")) as env:
        handle = await env.start(RequestWorkflow, asked(approve=["plan"]))
        await waiting(handle, 1)
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await handle.execute_update("decide", Decide(choice=Choice.APPROVE, for_request=True))
        shown = await status(handle)
        await handle.signal("approve", "plan")
        await handle.result()

    assert "for this once alone" in str(caught.value.cause)
    assert "for this once alone" in shown.refused_answers[0].problem
    assert [each.id for each in shown.approvals] == ["plan"]


async def test_the_code_of_an_approval_allows_nothing_for_the_rest(client: Client) -> None:
    """Where answers need codes, one that counts for the request needs a code of its own."""
    env = WorkflowEnv(client, script("a"))
    env.model.judged = asks
    env.repositories.codes, env.policy = True, CurrentPolicy(SECRET)
    async with env.at_work():
        handle = await env.start(RequestWorkflow, asked())
        (question,) = await waiting(handle, 1)
        run = str((await handle.describe()).run_id)

        def code(*, for_request: bool) -> str:
            meant = allowing.what_is_answered(Choice.APPROVE, for_request=for_request)
            return codes.answer_code(SECRET, handle.id, run, question, meant)

        answer = Decide(choice=Choice.APPROVE, approval=question.id, for_request=True, by="Ann")
        wrong = answer.model_copy(update={"code": code(for_request=False)})
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await handle.execute_update("decide", wrong)
        right = answer.model_copy(update={"code": code(for_request=True)})
        await handle.execute_update("decide", right)
        done = await handle.result()

    assert "without its code" in str(caught.value.cause)
    assert [rule.by for rule in done.allowed] == ["Ann"]
    assert code(for_request=True) not in str(done.refused_answers)


async def test_a_question_that_waits_holds_up_no_other_task(client: Client) -> None:
    """What depends on its task waits; the rest is done meanwhile."""
    replies = script("a") | {
        "planner/planner": [plan(task("a"), task("b"), task("c", "b"), task("d", "a"))],
        **{f"coder/{name}": coder(name) for name in "bcd"},
        **{f"reviewer/{name}": REVIEWER for name in "bcd"},
    }
    async with at_work(client, replies) as env:
        env.model.judged = asks
        handle = await env.start(RequestWorkflow, asked())
        (question,) = await waiting(handle, 1)

        async def others_done() -> RequestStatus | None:
            found = await status(handle)
            states = {row.id: row.state for row in found.tasks}
            done = (states["b"], states["c"]) == (TaskState.DONE, TaskState.DONE)
            return found if done else None

        meanwhile = await until(others_done)
        await handle.signal("approve", question.id)
        await handle.result()

    assert [each.id for each in meanwhile.approvals] == [question.id]
    states = {row.id: row.state for row in meanwhile.tasks}
    assert (states["a"], states["d"]) == (TaskState.RUNNING, TaskState.PENDING)
