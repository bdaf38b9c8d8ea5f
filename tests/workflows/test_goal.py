"""A request with a goal goes on in rounds of fresh tasks until its command passes, or ends."""

from collections.abc import Iterable
from typing import Any

import pytest
from temporalio.client import Client

from contracts.checks import RunChecks
from contracts.endings import RequestEnding
from contracts.goal import GoalRound, GoalStatus
from contracts.planning import Plan
from contracts.request import RequestStatus
from contracts.resume import RequestResumed
from contracts.task import TaskState, TaskStatus
from contracts.tools import CoderFinish
from contracts.visibility import RunState
from tests.fakes.model import ScriptedReply, finishes
from tests.fakes.store import BASE
from tests.workflows.test_request import (
    CHECK,
    CUT,
    DEAR_REVIEWER,
    asked,
    at_work,
    dear_coder,
    failed,
    plan,
    scripts,
    status,
    task,
    waits,
)
from tests.workflows.workflow_env import WorkflowEnv, until
from workflows.request import RequestWorkflow

pytestmark = pytest.mark.system

GOAL = "make goal"
PLANNED = [plan(task("a"))]
IDLE = [finishes(CoderFinish(summary="Nothing helps.", no_change="I do not know why it fails."))]


def wanted(**more: object) -> dict[str, object]:
    """A request with a goal, as a person types it."""
    return asked(until=GOAL, **more)


def passes_with(env: WorkflowEnv, *files: str) -> None:
    """Let the goal's command pass on a tree that has these files."""

    def passes(run: RunChecks, command: str) -> bool:
        return command != GOAL or set(files) <= env.written(run.commit)

    env.checks.passes = passes


def failing(env: WorkflowEnv, *tests: str) -> None:
    """Let the goal's command name these tests, each of which a file of its name mends."""
    env.checks.failing = lambda run, _command: tuple(
        test for test in tests if test not in env.written(run.commit)
    )


def goal_of(status: RequestStatus) -> GoalStatus:
    """How a request stands with its goal."""
    assert status.goal is not None
    return status.goal


def task_told(env: WorkflowEnv, name: str) -> str:
    """What a task's coder is told of its task."""
    opened = env.model.opened.values()
    agent = f"/task/{name}/coder-1"
    return next(dict(each.facts)["Task"] for each in opened if each.agent_id.endswith(agent))


async def test_fresh_tasks_go_on_until_the_command_passes(client: Client) -> None:
    """The plan's task and two more rounds make it pass; each round's agent is shown the output and
    what was tried; what lands makes less fail, and one branch is delivered.
    """
    script = scripts(PLANNED, "a", "round-2", "round-3")
    async with at_work(client, script) as env:
        passes_with(env, "a", "round-2", "round-3")
        failing(env, "a", "round-2", "round-3", "b")
        handle = await env.start(RequestWorkflow, wanted(rounds=4))
        done = await handle.result()

    found = goal_of(done)
    assert (done.state, done.ending, done.commit) == (
        RunState.DONE,
        RequestEnding.DELIVERED,
        env.tip,
    )
    assert [each.tasks for each in found.rounds] == [("a",), ("round-2",), ("round-3",)]
    assert [each.failing for each in found.rounds] == [3, 2, 0]
    assert [each.passed for each in found.rounds] == [False, False, True]
    assert all(each.changed and each.cost_usd > 0 for each in found.rounds)
    assert (found.met, found.missed, found.most) == (True, "", 4)
    assert done.checks[-1].command == GOAL
    assert done.checks[-1].passed
    assert env.calls.of("close_request")[0].plan.tasks[-1].id == "round-3"
    told = task_told(env, "round-3")
    assert "2 of its tests fail:\n    round-3\n    b" in told
    assert "Round 1:\n  a (Do a): done, landed as" in told
    assert "Round 2:\n  round-2 (Round 2: make `make goal` pass): done" in told
    shown = next(each for each in env.model.opened.values() if "round-3/coder-1" in each.agent_id)
    assert [label for label, _ in shown.documents] == ["checks"]


async def test_a_command_that_passes_on_the_base_costs_nothing(client: Client) -> None:
    """No model is asked; the request ends well and says so."""
    async with at_work(client, {}) as env:
        done = await (await env.start(RequestWorkflow, wanted())).result()

    assert (done.state, done.ending) == (RunState.DONE, RequestEnding.GOAL_MET)
    assert (done.commit, done.cost_usd) == (None, 0.0)
    assert env.model_calls == []
    assert goal_of(done).met


async def test_a_flake_is_no_failure(client: Client) -> None:
    """Red once and green when run again, it passes: on the base nothing is done."""
    async with at_work(client, {}) as env:
        env.checks.passes = lambda run, command: command != GOAL or run.fresh > 0
        done = await (await env.start(RequestWorkflow, wanted())).result()

    assert done.ending is RequestEnding.GOAL_MET
    assert "flaky at the base" in done.base_problems[0]


@pytest.mark.parametrize(
    ("more", "replies", "why"),
    [
        ({}, IDLE, f"the last round changed no file, so `{GOAL}` still fails"),
        ({"rounds": 2}, None, "after 2 rounds, as many as it may have"),
        ({"rounds": 1}, None, "after 1 round, as many as it may have"),
    ],
    ids=["nothing changes", "its rounds are used up", "one round"],
)
async def test_what_has_landed_is_handed_back(
    client: Client, more: dict[str, object], replies: list[ScriptedReply] | None, why: str
) -> None:
    """A goal that is not reached ends failed, says why, and delivers what passed all else."""
    script: dict[str, Iterable[ScriptedReply]] = scripts(PLANNED, "a", "round-2")
    if replies:
        script["coder/round-2"] = replies
    async with at_work(client, script) as env:
        passes_with(env, "never")
        failing(env, "a", "round-2", "never")
        error, last = await failed(await env.start(RequestWorkflow, wanted(**more)))

    assert error.type == "GoalMissed"
    assert why in last.reason
    assert "(exit code 1" in last.reason
    assert (last.ending, last.commit) == (RequestEnding.GOAL_MISSED, env.tip)
    assert goal_of(last).missed == last.reason
    assert [check.command for check in last.checks] == ["test a", CHECK, GOAL]
    assert [check.passed for check in last.checks] == [True, True, False]


async def test_rounds_that_make_nothing_less_fail_end_it(client: Client) -> None:
    """Two rounds land changes and the same tests fail: it goes on with no third."""
    script = scripts(PLANNED, "a", "round-2", "round-3")
    async with at_work(client, script) as env:
        passes_with(env, "never")
        env.checks.failing = lambda _run, _command: ("one", "two")
        error, last = await failed(await env.start(RequestWorkflow, wanted()))

    assert "2 tests fail, no fewer than before, for 2 rounds in a row" in error.message
    assert [each.tasks for each in goal_of(last).rounds] == [("a",), ("round-2",)]


async def test_a_later_round_does_what_an_earlier_one_did_not(client: Client) -> None:
    """A task that fails is part of the next round's task; once that makes the goal, it counts no
    more, and its row says what became of it.
    """
    script = scripts([plan(task("a"), task("b"), task("c", "b"))], "a", "round-2")
    script["coder/b"] = CUT
    async with at_work(client, script) as env:
        passes_with(env, "a", "round-2")
        failing(env, "a", "round-2")
        done = await (await env.start(RequestWorkflow, wanted())).result()

    told = task_told(env, "round-2")
    assert "Not done so far, and part of your task as far as the request needs it: b (Do b)" in told
    assert "b (Do b): failed: the agent was cut" in told
    assert done.ending is RequestEnding.DELIVERED
    assert [row.state for row in done.tasks][1:3] == [TaskState.FAILED, TaskState.BLOCKED]


async def test_without_money_no_round_begins(client: Client) -> None:
    """At the limit of its budget a request that finishes there hands back what has landed."""
    script = scripts(PLANNED, "a")
    script["coder/a"] = dear_coder("a")
    script["reviewer/a"] = DEAR_REVIEWER
    async with at_work(client, script) as env:
        passes_with(env, "never")
        more = {"budget_usd": 0.14, "on_limit": "finish"}
        _, last = await failed(await env.start(RequestWorkflow, wanted(**more)))

    assert "the request finishes at the limit of its budget" in last.reason
    assert [row.id for row in last.tasks] == ["a"]
    assert last.commit == env.tip


async def test_a_person_who_approves_plans_approves_each_round(client: Client) -> None:
    """A round is asked about like a plan: revised it is asked again with the person's words in its
    task, rejected it is not begun, and what has landed is handed back.
    """
    script = scripts(PLANNED, "a", "round-2")
    async with at_work(client, script) as env:
        passes_with(env, "never")
        failing(env, "a", "round-2", "never")
        handle = await env.start(RequestWorkflow, wanted(approve=["plan"]))
        first = await waits(handle, "plan")
        await handle.signal("approve", "plan")
        second = await _next_plan(handle, first)
        await handle.signal("revise", {"approval": "plan", "reason": "look at the cache"})
        third = await _next_plan(handle, second)
        await handle.signal("approve", "plan")
        await _next_plan(handle, third)
        await handle.signal("reject", {"approval": "plan", "reason": "enough", "by": "Ann"})
        _, last = await failed(handle)

    assert last.reason == "round 3 was rejected by Ann: enough"
    assert last.commit == env.tip
    assert "A person says of this round: look at the cache" in task_told(env, "round-2")


async def _next_plan(handle: Any, before: RequestStatus) -> RequestStatus:
    """The status once another plan waits than before."""

    async def asks() -> RequestStatus | None:
        found = await status(handle)
        (old,) = before.approvals
        new = [each for each in found.approvals if each.digest != old.digest]
        return found if new else None

    found: RequestStatus = await until(asks)
    return found


async def test_a_retry_goes_on_with_fresh_rounds(client: Client) -> None:
    """Rounds are counted on, the next one is told of those before, and no plan is made."""
    done_a = TaskStatus(id="a", title="Do a", state=TaskState.DONE, commit=BASE, workflow_id="x")
    before = GoalRound(number=1, tasks=("a",), commit=BASE, changed=True, outcome="(exit code 9)")
    async with at_work(client, scripts([], "round-2")) as env:
        passes_with(env, "round-2")
        env.repositories.resumed = RequestResumed(
            plan=Plan(summary="a plan", tasks=(task("a"),)),
            approved=True,
            tasks=(done_a,),
            rounds=(before,),
        )
        handle = await env.start(
            RequestWorkflow, wanted(resumes="key", retry={"attempt": 2}), name="/again"
        )
        done = await handle.result()

    assert done.state is RunState.DONE
    assert [each.number for each in goal_of(done).rounds] == [1, 2]
    told = task_told(env, "round-2")
    assert "Round 1:\n  a (Do a): done" in told
    assert "then the command: (exit code 9)" in told
