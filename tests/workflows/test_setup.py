"""A setup runs before anything is asked of a model; what it comes to is what commands find."""

import datetime as dt

import pytest
from temporalio.client import Client
from temporalio.testing import TimeSkipper

from contracts.approvals import ApprovalKind
from contracts.endings import RequestEnding
from contracts.setup import SetupOrigin, SetupRule, WantedSetup
from contracts.visibility import RunState
from tests.fakes.store import BASE
from tests.workflows.test_request import (
    asked,
    at_work,
    failed,
    plan,
    scripts,
    task,
    waits,
)
from tests.workflows.workflow_env import WorkflowEnv
from workflows.request import RequestWorkflow

pytestmark = pytest.mark.system
WANTED = WantedSetup(
    rule=SetupRule(commands=("npm ci",), stated={"package-lock.json": "a" * 40}),
    origin=SetupOrigin.DETECTED,
    layer="layer",
    because="package-lock.json is there, what it names is not installed.",
    ask=True,
    digest="a" * 64,
)
ALLOWED = WANTED.model_copy(update={"ask": False})


def environments(env: WorkflowEnv) -> set[str]:
    """Return the environments of all checks, surveys and tools."""
    calls = env.calls.of(
        "survey_base", "run_checks", "apply_edit", "run_command", "look_up_commands"
    )
    assert calls
    return {call.repository.environment for call in calls}


async def test_a_setup_waits_for_a_person_and_its_result_is_what_all_commands_find(
    client: Client,
) -> None:
    """The question shows the command; nothing is asked of a model before the answer."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as env:
        env.repositories.setup = WANTED
        handle = await env.start(RequestWorkflow, asked())
        waiting = await waits(handle, "setup")
        assert env.model_calls == []
        assert env.calls.of("run_setup") == []
        await handle.signal("approve", {"approval": "setup", "digest": WANTED.digest, "by": "Ann"})
        done = await handle.result()

    (question,) = waiting.approvals
    assert waiting.state is RunState.WAITING_APPROVAL
    assert question.kind is ApprovalKind.SETUP
    assert question.what == "run the setup `npm ci` with network"
    assert question.why == WANTED.because
    assert question.detail.startswith("$ npm ci\n")
    assert "package-lock.json" in question.detail
    (call,) = env.calls.of("run_setup")
    assert (call.allowed, call.by) == (True, "Ann")
    assert environments(env) == {env.store.blob("environment after the setup")}
    assert done.state is RunState.DONE
    assert "It ran." in done.notes


async def test_a_request_goes_on_without_a_setup_that_a_person_refused(client: Client) -> None:
    """The answer is kept, and the notes say so."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as env:
        env.repositories.setup = WANTED
        handle = await env.start(RequestWorkflow, asked())
        await waits(handle, "setup")
        await handle.signal("reject", {"approval": "setup", "by": "Ann"})
        done = await handle.result()

    assert [call.allowed for call in env.calls.of("run_setup")] == [False]
    assert environments(env) == {env.store.blob("environment")}
    assert done.notes == ("It was refused.",)


async def test_a_setup_that_nobody_answers_ends_the_request_unpaid(client: Client) -> None:
    """The reason says what to do."""
    skipper = TimeSkipper(client)
    async with at_work(client, scripts([])) as env:
        env.repositories.setup = WANTED
        with skipper.with_time_skipping_disabled():
            handle = await env.start(RequestWorkflow, asked(), client=skipper.client)
        await waits(handle, "setup")
        await skipper.fast_forward(handle, dt.timedelta(hours=25))
        error, last = await failed(handle)

    assert error.type == "SetupFailed"
    assert last.reason == (
        "nobody answered within 86,400 seconds whether the setup `npm ci` may run; name it with "
        "--setup to allow it, or leave it out with --no-setup"
    )
    assert env.calls.of("run_setup") == []


async def test_a_setup_that_fails_ends_the_request_before_anything_is_paid(client: Client) -> None:
    """The status has command, exit code and output; base checks, planner and claim are none."""
    async with at_work(client, scripts([])) as env:
        env.repositories.setup = ALLOWED
        env.setups.passes = False
        error, last = await failed(await env.start(RequestWorkflow, asked()))

    assert (error.type, last.ending) == ("SetupFailed", RequestEnding.SETUP_FAILED)
    assert last.reason.startswith("the setup `npm ci` fails (exit code 1): said; mend it, name ")
    assert [(each.command, each.exit_code, each.tail) for each in last.checks] == [
        ("npm ci", 1, "said")
    ]
    assert last.cost_usd == 0
    assert env.model_calls == []
    assert env.calls.of("run_checks", "survey_base") == []
    assert env.store.claims == {}


async def test_a_request_without_a_setup_runs_none(client: Client) -> None:
    """No step is added."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as env:
        await (await env.start(RequestWorkflow, asked())).result()
    assert env.calls.of("run_setup") == []


PATCHED = WANTED.model_copy(update={"because": "the patch changes x.", "diff": "+new"})


async def test_a_patch_that_changes_a_lock_file_waits_for_its_setup(client: Client) -> None:
    """A person sees command and diff; it runs on the patch's commit before the patch's checks."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as env:
        env.patches.setup = PATCHED
        handle = await env.start(RequestWorkflow, asked())
        waiting = await waits(handle, "setup/a/0")
        await handle.signal("approve", {"approval": "setup/a/0", "by": "Ann"})
        done = await handle.result()

    (question,) = waiting.approvals
    assert question.what == "run the setup `npm ci` with network for a"
    assert question.detail.endswith("\n+new")
    (call,) = env.calls.of("run_setup")
    assert (call.allowed, call.by, call.commit == BASE) == (True, "Ann", False)
    assert done.state is RunState.DONE


@pytest.mark.parametrize("refused", [True, False])
async def test_an_agent_hears_why_its_setup_did_not_come_about(
    client: Client,
    refused: bool,  # noqa: FBT001
) -> None:
    """A person's words, or the failed command; the next patch may do without."""
    work = scripts([plan(task("a"))], "a")
    work["coder/a"] = [*work["coder/a"], *work["coder/a"]]
    async with at_work(client, work) as env:
        env.patches.setup = PATCHED.model_copy(update={"ask": refused})
        env.setups.passes = refused
        handle = await env.start(RequestWorkflow, asked())
        if refused:
            await waits(handle, "setup/a/0")
            await handle.signal("reject", {"approval": "setup/a/0", "reason": "no", "by": "Ann"})
        done = await handle.result()

    (back,) = [message for message in env.messages("coder/a") if message]
    said = "Ann does not allow this setup: no; do without" if refused else "exit code 1"
    assert said in back
    assert "npm ci" in back
    assert done.state is RunState.DONE
