"""RequestWorkflow with a task that a person works on: it waits, goes on, or is given up."""

import asyncio
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError

from contracts.continuation import HandOff, HandOffReceipt, TakenOver, TurnChoice, TurnReceipt
from contracts.request import RequestStatus
from contracts.task import TaskState
from contracts.visibility import RunState
from tests.fakes.model import ScriptedReply
from tests.fakes.store import BASE
from tests.workflows.test_request import (
    REVIEWER,
    asked,
    at_work,
    coder,
    failed,
    plan,
    status,
    task,
    waits,
)
from tests.workflows.workflow_env import WorkflowEnv, until
from workflows.request import RequestWorkflow

pytestmark = pytest.mark.system

TAKEN = TakenOver(folder="/handed/a", commit="c" * 40)
SCRIPT = {
    "planner/planner": [plan(task("a"), task("b", "a"), task("c"))],
    **{f"coder/{name}": coder(name) for name in "bc"},
    **{f"reviewer/{name}": REVIEWER for name in "abc"},
}


async def _hand_off(handle: WorkflowHandle[Any, Any], name: str) -> HandOffReceipt:
    wanted = HandOff(task=name)
    found: HandOffReceipt = await handle.execute_update(
        "hand_off", wanted, result_type=HandOffReceipt
    )
    return found


async def _handed_off(
    env: WorkflowEnv, name: str
) -> tuple[WorkflowHandle[Any, RequestStatus], RequestStatus]:
    """Hand task "a" off while its agent waits for a reply; return the request once "c" is done."""
    handle = await env.start(RequestWorkflow, asked(), name=name)

    async def at_work_on_a() -> bool:
        return any(each.agent.startswith("role=coder; task=a;") for each in env.model_calls)

    await until(at_work_on_a)
    receipt = await _hand_off(handle, "a")
    assert receipt == HandOffReceipt(
        message="'a' is with you: its agent has stopped", checkpoint=BASE
    )

    async def others_are_done() -> bool:
        rows = {row.id: row.state for row in (await status(handle)).tasks}
        return rows["c"] is TaskState.DONE

    await until(others_are_done)
    found = await waits(handle, "hand-off/a")
    rows = {row.id: (row.state, row.reason) for row in found.tasks}
    assert rows["a"] == (TaskState.RUNNING, "with a person: its agent has stopped")
    assert rows["b"][0] is TaskState.PENDING, "what depends on it waits"
    return handle, found


def _script(*of_a: ScriptedReply) -> dict[str, list[ScriptedReply]]:
    return {**SCRIPT, "coder/a": list(of_a)}


def _stopped() -> ScriptedReply:
    """Return a reply that never comes: its call is ended."""
    return coder("a", waits=asyncio.Event())[0]


async def test_a_task_that_is_given_back_goes_on_with_what_the_person_made(client: Client) -> None:
    """Its question goes; what depends on it starts when it has landed."""
    async with at_work(client, _script(_stopped(), *coder("a"))) as env:
        handle, _ = await _handed_off(env, "/given-back")
        env.continuations.commit = env.store.commit({"README": "hello", "a": "mine"}, BASE)
        again = await _hand_off(handle, "a")
        assert again.checkpoint == BASE, "a folder that could not be made is made at another try"
        choice = TurnChoice(task="a", words="mine", taken=TAKEN)
        await handle.execute_update("choose_turn", choice, result_type=TurnReceipt)
        done = await handle.result()

    assert (done.state, done.approvals) == (RunState.DONE, ())
    orders = env.calls.of("continue_task")
    assert [(order.looks, order.choice.taken) for order in orders] == [
        (True, None),
        (True, TAKEN),
        (False, TAKEN),
    ]
    assert "You are back." in str(env.messages("coder/a")[-2])


async def test_an_agent_that_is_let_go_on_is_told_what_the_person_says(client: Client) -> None:
    """Approved, or sent back with words: it goes on where it was, under its id."""
    async with at_work(client, _script(_stopped(), *coder("a"))) as env:
        handle, _ = await _handed_off(env, "/let-go-on")
        answer = {"approval": "hand-off/a", "reason": "leave the tests to me"}
        await handle.signal(RequestWorkflow.revise, answer)
        done = await handle.result()

    assert (done.state, done.approvals) == (RunState.DONE, ())
    assert not any(order.choice.taken for order in env.calls.of("continue_task"))
    told = [dict(each.facts) for each in env.model.opened.values() if each.role == "coder"]
    assert any("leave the tests to me" in str(facts) for facts in told)


async def test_a_task_that_the_person_gives_up_fails_and_blocks_what_needs_it(
    client: Client,
) -> None:
    """With their words as the reason."""
    async with at_work(client, _script(_stopped())) as env:
        handle, _ = await _handed_off(env, "/given-up")
        await handle.signal(RequestWorkflow.reject, {"approval": "hand-off/a", "reason": "too big"})
        _, last = await failed(handle)

    rows = {row.id: (row.state, row.reason) for row in last.tasks}
    assert rows["a"] == (TaskState.FAILED, "given up by a person: too big")
    assert rows["b"][0] is TaskState.BLOCKED
    assert rows["c"][0] is TaskState.DONE


async def test_a_request_is_cancelled_while_a_person_works_on_a_task(client: Client) -> None:
    """The task is cancelled with it, and nothing stays leased."""
    async with at_work(client, _script(_stopped())) as env:
        handle, _ = await _handed_off(env, "/cancelled")
        await handle.cancel()
        await asyncio.gather(handle.result(), return_exceptions=True)
        last = await status(handle)

    assert last.state is RunState.CANCELLED
    assert {row.id: row.state for row in last.tasks}["a"] is TaskState.CANCELLED


async def test_only_a_task_that_has_begun_and_is_not_done_is_handed_off(client: Client) -> None:
    """Anything else is refused before it reaches history, and changes nothing."""
    async with at_work(client, _script(_stopped(), *coder("a"))) as env:
        handle, _ = await _handed_off(env, "/refused")
        for name in ("b", "c", "nope"):
            with pytest.raises(WorkflowUpdateFailedError):
                await _hand_off(handle, name)
        await handle.signal(RequestWorkflow.approve, None)
        assert (await handle.result()).state is RunState.DONE

    assert len(env.calls.of("continue_task")) == 1
