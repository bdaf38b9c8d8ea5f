"""A request whose answers need codes: what people send without one is refused, kept and shown."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError

from activities.policy import CurrentPolicy
from contracts.agent import Note
from contracts.approvals import Choice, Decide
from contracts.budget import SetBudget
from contracts.continuation import HandOff, HandOffReceipt, TurnChoice
from contracts.request import RequestStatus
from domain.approvals import codes
from domain.request import retry
from tests.architecture.test_handlers import DECIDED, Counts
from tests.workflows.test_request import REVIEWER, asked, coder, plan, status, task, waits
from tests.workflows.workflow_env import WorkflowEnv, until
from workflows.request import RequestWorkflow

pytestmark = pytest.mark.system

SECRET = b"s" * 32
SIGNALS: dict[str, dict[str, object]] = {
    "approve": {"approval": "plan"},
    "reject": {"approval": "plan", "reason": "no"},
    "revise": {"approval": "plan", "reason": "shorter"},
    "note": {"text": "keep it short"},
    "budget": {"usd": 50},
}
UPDATES: dict[str, object] = {
    "decide": Decide(choice=Choice.APPROVE, approval="plan"),
    "set_budget": SetBudget(usd=50),
    "choose_turn": TurnChoice(task="a", turn="c" * 40, words="again"),
    "hand_off": HandOff(task="a"),
}
AT_WORK = {"choose_turn", "hand_off"}
"""Of a task whose agent is at work."""


@asynccontextmanager
async def coded(client: Client) -> AsyncIterator[tuple[WorkflowEnv, WorkflowHandle[Any, Any]]]:
    """Yield a request that waits for an answer to its plan; its only agent never replies."""
    script = {
        "planner/planner": [plan(task("a"))],
        "coder/a": [coder("a", waits=asyncio.Event())[0]],
        "reviewer/a": REVIEWER,
    }
    env = WorkflowEnv(client, script)
    env.repositories.codes, env.policy = True, CurrentPolicy(SECRET)
    async with env.at_work():
        handle = await env.start(RequestWorkflow, asked(approve=["plan"]), name="/coded")
        await waits(handle, "plan")
        yield env, handle
        await handle.cancel()


def test_all_that_counts_with_a_code_is_tried_without_one() -> None:
    """A new handler of that kind needs a row here."""
    with_code = {n for n, how in DECIDED["RequestWorkflow"].items() if how is Counts.WITH_CODE}

    assert {*SIGNALS, *UPDATES} == with_code


async def test_what_people_send_without_its_code_is_refused_and_changes_nothing(
    client: Client,
) -> None:
    """Each by itself, with none and with a wrong one: signals are kept and shown, updates answer;
    then what came with its code counts.
    """
    async with coded(client) as (env, handle):
        before = await status(handle)
        count = 0
        for name, payload in SIGNALS.items():
            for sent in (payload, {**payload, "code": "a" * 20}):
                await handle.signal(name, sent)
                count += 1
                await until(partial(refused, handle, count))
        for name in UPDATES.keys() - AT_WORK:
            await update_is_refused(handle, name)
        after = await status(handle)

        assert unchanged(after) == unchanged(before)
        assert all("without its code" in each.problem for each in after.refused_answers)
        await approve_plan(handle, after)
        await until(lambda: at_work(env))
        for name in AT_WORK:
            await update_is_refused(handle, name)
        assert env.calls.of("continue_task") == []
        assert "hand-off/a" not in [each.id for each in (await status(handle)).approvals]

        await hand_off_with_its_code(handle)
        await waits(handle, "hand-off/a")


async def refused(handle: WorkflowHandle[Any, Any], count: int) -> bool:
    """Return whether so many answers were refused."""
    return len((await status(handle)).refused_answers) == count


def unchanged(found: RequestStatus) -> dict[str, Any]:
    """Return the status without what says what was refused."""
    return found.model_dump(exclude={"refused_answers", "reason", "since"})


def at_work(env: WorkflowEnv) -> bool:
    """Return whether the task's agent waits for its reply."""
    return any(each.agent.startswith("role=coder; task=a;") for each in env.model_calls)


async def update_is_refused(handle: WorkflowHandle[Any, Any], name: str) -> None:
    """Send an update without and with a wrong code."""
    for code in ("", "a" * 20):
        wanted = UPDATES[name].model_copy(update={"code": code})  # type: ignore[attr-defined]
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await handle.execute_update(name, wanted)
        assert "without its code" in str(caught.value.cause)


async def approve_plan(handle: WorkflowHandle[Any, Any], shown: RequestStatus) -> None:
    """Approve the plan with the code of that answer."""
    (question,) = shown.approvals
    run = (await handle.describe()).run_id
    code = codes.answer_code(SECRET, handle.id, str(run), question, Choice.APPROVE)
    await handle.signal("approve", {"approval": "plan", "code": code})


async def hand_off_with_its_code(handle: WorkflowHandle[Any, Any]) -> None:
    """Hand the task off with the code of that wish."""
    run = (await handle.describe()).run_id
    note = Note(text=retry.hand_off_text("a"), task="a")
    code = codes.note_code(SECRET, handle.id, str(run), note)
    await handle.execute_update(
        "hand_off", HandOff(task="a", code=code), result_type=HandOffReceipt
    )
