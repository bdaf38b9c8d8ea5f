"""An agent's call that needs a setup: asked by its content, run, and made again."""

import asyncio
import datetime as dt
from collections.abc import Iterable
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import TimeSkipper

from contracts.approvals import Approval, ApprovalKind, Choice, Decision
from contracts.setup import SetupOrigin, SetupRule, WantedSetup
from contracts.tools import ToolCall
from contracts.visibility import RunState
from tests.fakes.model import ScriptedReply, acts
from tests.workflows.test_agent import agent
from tests.workflows.test_request import (
    DONE,
    asked,
    at_work,
    plan,
    scripts,
    status,
    task,
    waits,
)
from tests.workflows.workflow_env import WorkflowEnv, until
from workflows.agent import AgentWorkflow
from workflows.request import RequestWorkflow

pytestmark = pytest.mark.system
WANTED = WantedSetup(
    rule=SetupRule(commands=("npm ci",), stated={"package-lock.json": "a" * 40}),
    origin=SetupOrigin.DETECTED,
    layer="layer",
    because="its agent says: the task bows.",
    ask=True,
    digest="b" * 64,
    update="npm install bow",
    record="refs/oc/x",
)
CALLS = [acts(("install_dependencies", "it bows")), acts(("edit", "a")), DONE]


def work() -> dict[str, Iterable[ScriptedReply]]:
    """Return a request whose coder asks for dependencies before it edits."""
    found = scripts([plan(task("a"))], "a")
    return {**found, "coder/a": CALLS}


async def test_a_setup_that_a_call_needs_waits_for_a_person_and_runs_once(client: Client) -> None:
    """The question shows the commands and why; then the call is made again and the agent goes on
    from the checkpoint that it came to.
    """
    async with at_work(client, work()) as env:
        env.tools.setup = WANTED
        handle = await env.start(RequestWorkflow, asked())
        name = await _question(handle)
        waiting = await waits(handle, name)
        assert env.calls.of("run_setup") == []
        await handle.signal("approve", {"approval": name, "digest": WANTED.digest, "by": "Ann"})
        done = await handle.result()

    (question,) = waiting.approvals
    assert question.kind is ApprovalKind.SETUP
    assert name.startswith("setup/a/")
    assert question.detail.startswith("$ npm install bow\n$ npm ci\n")
    assert question.what == "run the setup `npm install bow`, `npm ci` with network for a"
    assert question.why == WANTED.because
    (run,) = env.calls.of("run_setup")
    assert (run.allowed, run.by, run.setup) == (True, "Ann", WANTED)
    calls = env.calls.of("call_tool")
    assert [each.tool for each in calls] == ["install_dependencies"] * 2
    assert calls[0].call_id == calls[1].call_id
    assert done.state is RunState.DONE


SAME = WANTED.model_copy(update={"same": "c" * 64})


def two_tasks() -> dict[str, Iterable[ScriptedReply]]:
    """Return a request of two tasks whose coders ask for the same dependency."""
    found = scripts([plan(task("a"), task("b"))], "a", "b")
    asks = acts(("install_dependencies", "it bows"))
    return {**found, **{f"coder/{each}": [asks, acts(("edit", each)), DONE] for each in "ab"}}


def other_digests(request: ToolCall) -> str:
    """Return a digest of its own for the call of each task, as other changed files make it."""
    return request.task_ref * 64


async def test_two_tasks_that_ask_for_the_same_at_once_are_one_question(client: Client) -> None:
    """It names both; the answer counts for both, and what runs for both is what the person saw."""
    async with at_work(client, two_tasks()) as env:
        env.tools.setup, env.tools.digest = SAME, other_digests
        handle = await env.start(RequestWorkflow, asked())

        async def both() -> Approval | None:
            waiting = (await status(handle)).approvals
            return next((each for each in waiting if "which asks for the same" in each.why), None)

        question = await until(both)
        assert [each.id for each in (await status(handle)).approvals] == [question.id]
        await handle.signal("approve", {"approval": question.id, "digest": question.digest[:12]})
        done = await handle.result()

    runs = env.calls.of("run_setup")
    assert len(runs) == 2
    assert {(run.commit, run.setup.digest) for run in runs} == {(question.commit, question.digest)}
    assert done.state is RunState.DONE


async def test_a_task_that_asks_for_what_another_was_refused_hears_the_same(client: Client) -> None:
    """A person is asked once in a request; only the task that had the answer can ask again."""
    work = two_tasks()
    free = asyncio.Event()
    work["coder/a"] = [CALLS[0], *CALLS]
    later = acts(("install_dependencies", "it bows"), waits=free)
    work["coder/b"] = [later, acts(("edit", "b")), DONE]
    async with at_work(client, work) as env:
        env.tools.setup = SAME
        handle = await env.start(RequestWorkflow, asked())
        first = await _question(handle)
        await handle.signal("reject", {"approval": first, "reason": "no bows"})
        again = await _question(handle, but=first)
        await handle.signal("reject", {"approval": again, "reason": "none at all"})
        free.set()
        done = await handle.result()

    assert first.startswith("setup/a/")
    assert again.startswith("setup/a/")
    said = [each.text for call in env.model_calls for each in call.answers if each.is_error]
    assert sorted(said) == ["Denied: no bows", "Denied: none at all", "Denied: none at all"]
    assert env.calls.of("run_setup") == []
    assert done.state is RunState.DONE


async def test_a_refused_setup_is_an_error_result_and_the_agent_goes_on(client: Client) -> None:
    """With the person's words; nothing runs."""
    async with at_work(client, work()) as env:
        env.tools.setup = WANTED
        handle = await env.start(RequestWorkflow, asked())
        name = await _question(handle)
        await handle.signal("reject", {"approval": name, "reason": "no bows"})
        done = await handle.result()

    assert env.calls.of("run_setup") == []
    (answer,) = [
        each for call in env.model_calls for each in call.answers if "no bows" in each.text
    ]
    assert answer.is_error
    assert done.state is RunState.DONE


async def test_a_setup_that_was_allowed_before_is_not_asked(client: Client) -> None:
    """It runs at once."""
    async with at_work(client, work()) as env:
        env.tools.setup = WANTED.model_copy(update={"ask": False})
        done = await (await env.start(RequestWorkflow, asked())).result()

    assert [each.allowed for each in env.calls.of("run_setup")] == [None]
    assert done.state is RunState.DONE


async def test_waiting_for_a_setup_takes_nothing_of_an_agents_time(client: Client) -> None:
    """A person who answers after ten hours finds the agent going on, not cut."""
    skipper = TimeSkipper(client)
    env = WorkflowEnv(client, {"coder/x": CALLS})
    env.tools.setup = WANTED
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
    assert result.output


async def _question(handle: WorkflowHandle[Any, Any], *, but: str = "") -> str:
    """Return the id of the question once it waits, other than `but`."""

    async def asks() -> str | None:
        waiting = [each.id for each in (await status(handle)).approvals if each.id != but]
        return waiting[0] if waiting else None

    found: str = await until(asks)
    return found
