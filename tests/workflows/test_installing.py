"""An agent's call that needs a setup: asked by its content, run, and made again."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import TimeSkipper

from contracts.approvals import ApprovalKind, Choice, Decision
from contracts.setup import SetupOrigin, SetupRule, WantedSetup
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


async def _question(handle: WorkflowHandle[Any, Any]) -> str:
    """Return the id of the question once it waits."""

    async def asks() -> str | None:
        waiting = (await status(handle)).approvals
        return waiting[0].id if waiting else None

    found: str = await until(asks)
    return found
