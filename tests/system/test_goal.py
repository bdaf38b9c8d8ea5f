"""Goals with everything real: rounds of fresh tasks, each of which its worker does not survive."""

import json

import pytest

from contracts.endings import RequestEnding
from contracts.request import RequestStatus
from contracts.visibility import RunState
from tests import journal_checks
from tests.local_deployment import Handle, LocalDeployment, git, until
from tests.model_scripts import Json, Task, create, done, finish, plan_of, play, script, turn

pytestmark = pytest.mark.minutes

SMALL = {"README.md": "A small thing.\n"}
WAIT = 3_000
"""Milliseconds that an agent thinks where its worker is to die."""


def goal(*names: str) -> str:
    """A slow command that fails, naming tests, while files of these names are missing."""
    looks = (
        f"test -e {name}.txt || {{ echo FAILED tests/a.py::test_{name}; red=1; }}" for name in names
    )
    return f"sleep 2; {'; '.join(looks)}; exit ${{red:-0}}"


def _writes(task: str, name: str, *told: str) -> Task:
    expect: Json = {"expect": {"last_user_contains": list(told)}} if told else {}
    first = turn(create(f"{name}.txt", f"{name}\n"), delay_ms=WAIT, **expect)
    acceptance = () if task.startswith("round-") else ("true",)
    return Task(id=task, writes=(f"{name}.txt",), acceptance=acceptance, coder=(first, done()))


ONE = _writes("one", "one")
TWO = _writes("round-2", "two", "FAILED tests/a.py::test_two\n", "[exit code 1]")
THREE = _writes("round-3", "three", "FAILED tests/a.py::test_three", "Round 2:")
IDLE = Task(id="round-2", coder=(turn(finish(summary="No idea.", no_change="Nothing helps.")),))
SCRIPT = script(
    play("killed-goal", ONE, TWO, THREE, planner=[plan_of([ONE])]),
    play("missed-goal", ONE, IDLE, planner=[plan_of([ONE])]),
    play("retried-goal", ONE, TWO, planner=[plan_of([ONE])]),
)


async def _killed(deployment: LocalDeployment, handle: Handle, reason: str, *, agent: str) -> None:
    """Kill the worker once the request says what it does, and that task's agent is at work."""

    async def there() -> bool:
        status = await deployment.status(handle)
        busy = not agent or any(row.id == agent and row.agent for row in status.tasks)
        return reason in status.reason and busy

    await until(there)
    await deployment.kill_worker()
    await deployment.start_worker()


async def test_a_worker_killed_in_each_round_goes_on_and_pays_nothing_twice() -> None:
    """During the first round, during the goal's command and during later rounds: the command
    passes in the third, one branch has all, and no finished call of a model is made again.
    """
    async with LocalDeployment(SCRIPT) as deployment:
        folder = deployment.repository("killed-goal", SMALL)
        command = goal("one", "two", "three")
        handle = await deployment.start_request(
            "killed-goal", folder, branch="out", until=command, rounds=4
        )
        await _killed(deployment, handle, "round 1 of 4: tasks at work", agent="one")
        await _killed(deployment, handle, "round 1 of 4: runs", agent="")
        await _killed(deployment, handle, "round 2 of 4: tasks at work", agent="round-2")
        await _killed(deployment, handle, "round 2 of 4: runs", agent="")
        await _killed(deployment, handle, "round 3 of 4: tasks at work", agent="round-3")
        status = await deployment.delivered(handle, seconds=180)

        _whole(status)
        assert git(folder, "ls-tree", "--name-only", "out").split() == [
            *("README.md", "one.txt", "three.txt", "two.txt"),
        ]
        entries = deployment.journal(handle.id)
        assert journal_checks.repeated(entries, same_bytes=False) == []
        assert [entry.failure for entry in entries if entry.unexpected] == []
        assert deployment.left_behind() == []


def _whole(status: RequestStatus) -> None:
    assert status.goal is not None
    assert [each.tasks for each in status.goal.rounds] == [("one",), ("round-2",), ("round-3",)]
    assert [each.failing for each in status.goal.rounds] == [2, 1, 0]
    assert status.goal.met
    assert sum(each.cost_usd for each in status.goal.rounds) <= status.cost_usd


async def test_a_missed_goal_hands_back_what_has_landed_and_a_retry_goes_on() -> None:
    """From the command line: exit code 1, the branch has what landed, the report says which rounds
    there were and why no other follows; a retry begins with the next round.
    """
    async with LocalDeployment(SCRIPT) as deployment:
        folder = deployment.repository("missed-goal", SMALL)
        command = goal("one", "two")
        ended = await deployment.starter(
            *("run", "--repo", str(folder), "--branch", "out", "--until", command),
            "missed-goal",
        )
        assert ended.returncode == 1, ended
        report = ended.stdout
        assert "the last round changed no file, so `sleep 2;" in report
        assert "Delivered: branch out" in report
        assert "round 1 (one): it fails (exit code 1, tests/a.py::test_two)" in report
        assert "round 2 (round-2): it fails" in report
        assert git(folder, "ls-tree", "--name-only", "out").split() == ["README.md", "one.txt"]
        shown = json.loads((await deployment.starter("status", "missed-goal", "--json")).stdout)
        assert [each["changed"] for each in shown["goal"]["rounds"]] == [True, False]
        why = (await deployment.starter("why", "missed-goal")).stdout
        assert "| FAILED tests/a.py::test_two" in why

        folder = deployment.repository("retried-goal", SMALL)
        handle = await deployment.start_request(
            "retried-goal", folder, branch="again", until=command, rounds=1
        )
        outcome = await deployment.ending(handle)
        assert outcome.status is not None
        assert outcome.status.ending is RequestEnding.GOAL_MISSED
        again = await deployment.starter("retry", "retried-goal")
        assert again.returncode == 0, again
        last = json.loads((await deployment.starter("status", "retried-goal", "--json")).stdout)
        assert (last["state"], last["attempt"]) == (RunState.DONE, 2)
        assert [each["number"] for each in last["goal"]["rounds"]] == [1, 2]
        assert git(folder, "ls-tree", "--name-only", "again").split() == [
            *("README.md", "one.txt", "two.txt"),
        ]
