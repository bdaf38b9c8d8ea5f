"""What is red or cannot run before any work is told to planner, agents and person at once."""

import pytest
from temporalio.client import Client

from contracts.checks import RunChecks
from contracts.request import RequestStatus
from contracts.visibility import RunState
from tests.fakes.calls import CallLog
from tests.fakes.store import BASE
from tests.workflows.test_request import CHECK, asked, at_work, plan, scripts, task
from workflows.request import RequestWorkflow

pytestmark = pytest.mark.system
RED = f"`{CHECK}` fails before we started (exit code 1)"
LACKS = "the acceptance command `test a` of a cannot run here: there is no `test`"


def told(calls: CallLog) -> dict[str, str]:
    """Return what each role's opening names as red before any change."""
    opened = calls.of("open_conversation")
    return {each.role: dict(each.facts)["Red before any change"] for each in opened}


async def test_a_check_that_is_red_on_the_base_is_told_to_everyone(client: Client) -> None:
    """It runs once before the planner begins; planner, coder, reviewer and status name it, and no
    patch is held back for it.
    """
    async with at_work(client, scripts([plan(task("a"))], "a")) as env:
        env.checks.passes = lambda run, command: command != CHECK or run.commit != BASE
        handle = await env.start(RequestWorkflow, asked(checks=["make lint", CHECK]))
        done = await handle.result()

    first: list[RunChecks] = env.calls.of("run_checks")[:3]
    assert [(run.commit, run.commands) for run in first[:2]] == [
        (BASE, ("make lint",)),
        (BASE, (CHECK,)),
    ]
    assert first[2].commands == ("test a", "make lint")
    assert told(env.calls) == dict.fromkeys(("planner", "coder", "reviewer"), RED)
    assert done.state is RunState.DONE
    assert done.base_problems == (RED,)


async def test_a_patch_that_breaks_a_check_alone_goes_back_before_it_is_reviewed(
    client: Client,
) -> None:
    """Checks that pass on the base run with the acceptance, so that no agent is told of others'
    work when its own change is red alone.
    """
    work = scripts([plan(task("a"))], "a")
    work["coder/a"] = [*work["coder/a"], *work["coder/a"]]
    async with at_work(client, work) as env:
        env.checks.passes = lambda run, command: (
            command != CHECK or run.commit == BASE or len(env.messages("coder/a")) > 2
        )
        done = await (await env.start(RequestWorkflow, asked())).result()

    assert done.state is RunState.DONE
    (back,) = [message for message in env.messages("coder/a") if message]
    assert f"This one failed (exit code 1):\n    {CHECK}" in back
    assert len(env.messages("reviewer/a")) == 1
    assert len(env.calls.of("enqueue_patch")) == 1


async def test_a_planner_is_told_once_of_commands_that_cannot_run(client: Client) -> None:
    """A valid plan whose tool is not there goes back once; then the task's agents and the person
    are told, and the plan is carried out.
    """
    planner = [plan(task("a")), plan(task("a"))]
    async with at_work(client, scripts(planner, "a")) as env:
        env.surveys.lacks = lambda command: "there is no `test`" if command == "test a" else ""
        done: RequestStatus = await (await env.start(RequestWorkflow, asked())).result()

    _, message = env.messages("planner/planner")
    assert message is not None
    assert LACKS in message
    assert told(env.calls) == {"planner": "", "coder": LACKS, "reviewer": LACKS}
    assert done.base_problems == (LACKS,)


async def test_a_repaired_plan_leaves_nothing_to_tell(client: Client) -> None:
    """Once the planner names commands that can run, nothing is red any more."""
    wrong = task("a").model_copy(update={"acceptance": ("tset a",)})
    async with at_work(client, scripts([plan(wrong), plan(task("a"))], "a")) as env:
        env.surveys.lacks = lambda command: "there is no `tset`" if "tset" in command else ""
        done = await (await env.start(RequestWorkflow, asked())).result()

    assert done.base_problems == ()
    assert told(env.calls)["coder"] == ""
