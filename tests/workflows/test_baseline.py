"""What is red or cannot run before any work is told to planner, agents and person at once."""

import pytest
from temporalio.client import Client, WorkflowFailureError

from contracts.checks import FailedBefore, RunChecks
from contracts.endings import RequestEnding
from contracts.lanes import Lane
from contracts.request import RequestStatus
from contracts.visibility import RunState
from tests.fakes.calls import CallLog
from tests.fakes.store import BASE
from tests.workflows.test_request import (
    CHECK,
    asked,
    at_work,
    failed,
    plan,
    scripts,
    task,
    waits,
)
from workflows.request import RequestWorkflow

pytestmark = pytest.mark.system
RED = f"`{CHECK}` fails before we started (exit code 1)"
COUNTS = (
    "A check that fails here is not held against the patch of one task, as long as no more of it "
    "fails; the final result must pass it: run it, and see that a change makes nothing more of it "
    "fail."
)
FLAKY = f"`{CHECK}` is flaky at the base: it failed, then passed when run again (exit code 1)"
CANNOT = f"`{CHECK}` cannot run here (exit code 127)"
LACKS = "the acceptance command `test a` of a cannot run here: there is no `test`"


def told(calls: CallLog) -> dict[str, str]:
    """Return what each role's opening names as red before any change."""
    opened = calls.of("open_conversation")
    return {each.role: dict(each.facts)["Red or flaky before any change"] for each in opened}


def runs(calls: CallLog) -> list[tuple[str, tuple[str, ...], int]]:
    """Return commit, commands and rerun of each run of checks, in order."""
    made: list[RunChecks] = calls.of("run_checks")
    return [(run.commit, run.commands, run.fresh) for run in made]


async def test_a_check_that_is_red_on_the_base_is_told_to_everyone(client: Client) -> None:
    """It runs before the planner begins, once more when it is red; planner, coder, reviewer and
    status name it, and no patch is held back for it.
    """
    async with at_work(client, scripts([plan(task("a"))], "a")) as env:
        env.checks.passes = lambda run, command: command != CHECK or run.commit != BASE
        handle = await env.start(RequestWorkflow, asked(checks=["make lint", CHECK]))
        done = await handle.result()

    *on_base, of_task = runs(env.calls)[:4]
    assert on_base == [
        (BASE, ("make lint",), 0),
        (BASE, (CHECK,), 0),
        (BASE, (CHECK,), 1),
    ]
    assert of_task[1:] == (("test a", "make lint"), 0)
    assert told(env.calls) == dict.fromkeys(("planner", "coder", "reviewer"), f"{RED}\n{COUNTS}")
    assert done.state is RunState.DONE
    assert done.base_problems == (RED,)


async def test_a_patch_that_makes_more_of_a_red_check_fail_goes_back(client: Client) -> None:
    """A check that is red on the base is compared, test by test: what fails only with the patch
    sends it back before it is reviewed, and again the merge queue looks; the old failure does not.
    """
    work = scripts([plan(task("a"))], "a")
    work["coder/a"] = [*work["coder/a"], *work["coder/a"]]

    async with at_work(client, work) as env:

        def failing(run: RunChecks, _command: str) -> tuple[str, ...]:
            broken = run.commit != BASE and len(env.messages("coder/a")) <= 2
            return ("old", "new") if broken else ("old",)

        env.checks.passes = lambda _run, command: command != CHECK
        env.checks.failing = failing
        handle = await env.start(RequestWorkflow, asked())
        with pytest.raises(WorkflowFailureError):
            await handle.result()

    (back,) = [message for message in env.messages("coder/a") if message]
    assert "These of its tests did not fail then:\n    new\n" in back
    assert len(env.messages("reviewer/a")) == 1
    of_patches = [run for run in env.calls.of("run_checks") if run.commit != BASE]
    before = FailedBefore(command=CHECK, exit_code=1, failing=("old",))
    # Twice in its first round, once in its second, once in the queue; at the end nothing counts.
    assert [run.failed_before for run in of_patches] == [(before,)] * 4 + [()]
    (opening,) = (each for each in env.calls.of("open_conversation") if each.role == "reviewer")
    assert dict(opening.facts)["Commands that passed on it"] == (
        f"test a\n{CHECK} (fails, in nothing that did not fail before)"
    )


async def test_a_check_that_is_red_once_on_the_base_is_told_as_flaky(client: Client) -> None:
    """Red, then green when run again, it is told as flaky to planner, coder, reviewer and person;
    a patch is held to it, and goes back for it only when it is red twice.
    """
    work = scripts([plan(task("a"))], "a")
    work["coder/a"] = [*work["coder/a"], *work["coder/a"]]
    async with at_work(client, work) as env:
        # On the base and on the patch's second round it passes when run again.
        env.checks.passes = lambda run, command: (
            command != CHECK
            or (run.fresh > 0 and (run.commit == BASE or len(env.messages("coder/a")) > 2))
        )
        done = await (await env.start(RequestWorkflow, asked())).result()

    assert told(env.calls) == dict.fromkeys(("planner", "coder", "reviewer"), FLAKY)
    assert done.state is RunState.DONE
    assert done.base_problems == (FLAKY,)
    of_patches = [
        (commands, fresh) for commit, commands, fresh in runs(env.calls) if commit != BASE
    ]
    assert of_patches[:4] == [(("test a", CHECK), fresh) for fresh in (0, 1, 0, 1)]
    (back,) = [message for message in env.messages("coder/a") if message]
    assert f"This one failed (exit code 1):\n    {CHECK}" in back
    assert len(env.messages("reviewer/a")) == 1


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


@pytest.mark.parametrize(("asked_for", "counts"), [(None, 50_000), (70_000, 70_000)])
async def test_every_agent_has_the_window_that_the_request_or_its_repository_says(
    client: Client, asked_for: int | None, counts: int
) -> None:
    """It is recorded with each agent's opening, and shown; the request counts first."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as env:
        env.repositories.window_tokens = 50_000
        done = await (await env.start(RequestWorkflow, asked(window_tokens=asked_for))).result()

    opened = env.calls.of("open_conversation")
    assert {each.models.window_tokens for each in opened} == {counts}
    assert len(opened) == 3
    assert done.models == f"windows of {counts:,} tokens"


async def test_checks_of_the_settings_are_run_like_those_of_a_request(client: Client) -> None:
    """On the base, on each patch and on the merged tree; agents are told of them, and the status
    says who names them and that they passed before any work.
    """
    async with at_work(client, scripts([plan(task("a"))], "a")) as env:
        env.repositories.settings_checks = ("npm test",)
        done = await (await env.start(RequestWorkflow, asked(checks=[]))).result()

    assert runs(env.calls)[0] == (BASE, ("npm test",), 0)
    assert all("npm test" in commands for _, commands, _ in runs(env.calls))
    assert [check.command for check in done.checks][-1] == "npm test"
    opened = env.calls.of("open_conversation")
    names = ("Checks that must pass on the final result", "The person's checks, run by the system")
    assert [text for each in opened for name, text in each.facts if name.startswith(names)] == [
        "npm test"
    ] * 2
    assert done.checks_from == ".orchestcode/settings.json of the base"
    assert (done.checks_asked, done.base_passes) == (("npm test",), ("npm test",))


async def test_a_check_that_cannot_start_is_asked_about_before_anything_is_paid(
    client: Client,
) -> None:
    """Sentence and remedy stand in the question; a person's no ends the request with them."""
    async with at_work(client, scripts([])) as env:
        env.checks.exit_code, env.checks.passes = 127, lambda _run, command: command != CHECK
        handle = await env.start(RequestWorkflow, asked(checks=["make lint", CHECK]))
        waiting = await waits(handle, "checks")
        await handle.signal("reject", {"approval": "checks", "reason": "a typo", "by": "Ann"})
        error, last = await failed(handle)

    (question,) = waiting.approvals
    assert question.what == "go on although 1 check cannot run here"
    assert question.why == CANNOT
    assert error.type == "ChecksFailed"
    assert last.ending is RequestEnding.CHECKS_UNUSABLE
    assert last.reason == f"{CANNOT} (Ann: a typo)"
    assert (env.model_calls, last.cost_usd) == ([], 0)


async def test_a_request_goes_on_with_a_check_that_cannot_start_yet_when_a_person_says_so(
    client: Client,
) -> None:
    """An agent may make what is missing."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as env:
        env.checks.exit_code = 127
        env.checks.passes = lambda run, command: command != CHECK or run.commit != BASE
        handle = await env.start(RequestWorkflow, asked())
        await waits(handle, "checks")
        await handle.signal("approve", {"approval": "checks"})
        done = await handle.result()

    assert done.state is RunState.DONE
    assert done.base_problems == (CANNOT,)


@pytest.mark.parametrize(
    ("asked_for", "of_settings", "untrusted", "lane"),
    [
        (None, None, False, "worktree"),
        (None, Lane.CLOUD, False, "cloud"),
        (Lane.CLOUD, None, False, "cloud"),
        (Lane.WORKTREE, Lane.CLOUD, False, "worktree"),
        (None, None, True, "cloud"),
    ],
)
async def test_a_task_and_its_reviewer_run_in_the_lane_that_is_asked_for(
    client: Client, asked_for: Lane | None, of_settings: Lane | None, *, untrusted: bool, lane: str
) -> None:
    """The request counts before its repository's settings; a stranger's words go to the cloud.
    The planner and what prepares the base have a plain worktree; the status says which, and why.
    """
    async with at_work(client, scripts([plan(task("a"))], "a")) as env:
        env.repositories.lane = of_settings
        start = asked(lane=asked_for, untrusted=untrusted)
        done = await (await env.start(RequestWorkflow, start)).result()

    leases = env.calls.of("lease_worktree")
    facts = [each.lane for each in leases if each.lane]
    assert len(facts) == 2
    assert {(each.asked, each.untrusted) for each in facts} == {
        (asked_for or of_settings, untrusted)
    }
    assert done.tasks[0].lane.startswith(f"{lane}: ")
