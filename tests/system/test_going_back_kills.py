"""The worker is killed while a task goes back or is forked: that happens once, nothing is lost."""

import asyncio
import json
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateStage

from contracts.visibility import RunState
from tests import journal_checks
from tests.local_deployment import Handle, LocalDeployment, git, until
from tests.model_scripts import Json, Task, approves, create, done, play, script, turn

pytestmark = pytest.mark.minutes

SMALL = {"README.md": "A small thing.\n"}
FIRST = turn(create("a.txt", "a\n"))


def _back(request: str, task: str, agent: str, text: str) -> list[Json]:
    """Return the casts of an agent that goes on from the first turn, and of its reviewer."""
    who = {"request": f"request/{request}*", "task": task}
    coder = [FIRST, turn(create("good.txt", text)), done(delay_ms=5_000)]
    return [
        {"match": {"role": "coder", **who, "agent": agent}, "turns": coder},
        {"match": {"role": "reviewer", **who}, "turns": [approves()]},
    ]


def _task() -> Task:
    late = turn(create("good.txt", "late\n"), delay_ms=60_000)
    return Task(
        id="work",
        writes=("a.txt", "good.txt"),
        acceptance=("test -e good.txt",),
        coder=(FIRST, late, done()),
    )


SCRIPT = script(
    [
        *_back("killed-back", "work", "*/rollback-1-1-*", "good\n"),
        *play("killed-back", _task()),
    ],
    [
        *_back("killed-fork", "work-fork", "*", "fork\n"),
        *play("killed-fork", _task()),
    ],
)


async def _first_turn(deployment: LocalDeployment, name: str) -> str:
    """Wait for the first turn of the task, and return its commit."""
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        listed = await deployment.starter("turns", name, "work", "--json")
        if listed.returncode == 0:
            found.extend(json.loads(listed.stdout))
        return any(turn["files"] for turn in found)

    await until(there)
    commit: str = found[0]["commit"]
    return commit


async def _killed_meanwhile(
    deployment: LocalDeployment, handle: Handle, choice: dict[str, str]
) -> None:
    """Choose a turn, and kill the worker once the choice is in the request's history."""
    chosen = await handle.start_update(
        "choose_turn", choice, wait_for_stage=WorkflowUpdateStage.ACCEPTED
    )
    await deployment.kill_worker()
    await deployment.start_worker()
    async with asyncio.timeout(90):
        await chosen.result()
    # Once more, when the new agent has acted and thinks.
    await until(lambda: deployment.has_file("good.txt"))
    await deployment.kill_worker()
    await deployment.start_worker()


async def test_a_worker_killed_while_a_task_goes_back_or_is_forked_loses_nothing() -> None:
    """As the choice was taken, and again with the new agent at work: the right files are delivered,
    no finished call is made again, and nothing is left behind.
    """
    async with LocalDeployment(SCRIPT) as deployment:
        folder = deployment.repository("killed-back", SMALL)
        handle = await deployment.start_request("killed-back", folder, branch="out")
        commit = await _first_turn(deployment, "killed-back")
        await _killed_meanwhile(deployment, handle, {"task": "work", "turn": commit})
        await deployment.delivered(handle)
        assert git(folder, "show", "out:good.txt") == "good"
        assert journal_checks.repeated(deployment.journal(handle.id), same_bytes=False) == []

        folder = deployment.repository("killed-fork", SMALL)
        handle = await deployment.start_request("killed-fork", folder, branch="out")
        commit = await _first_turn(deployment, "killed-fork")
        await handle.execute_update("set_budget", {"usd": 20})
        choice = {"task": "work", "turn": commit, "fork": "work-fork", "words": "fork it"}
        await _killed_meanwhile(deployment, handle, choice)
        # The first one is still at work: it is ended once the fork is done.
        status = await deployment.waiting(handle)
        (fork,) = status.approvals
        await handle.signal("approve", fork.id)
        assert (await deployment.delivered(handle)).state is RunState.DONE
        assert git(folder, "show", "out:good.txt") == "fork"
        assert journal_checks.repeated(deployment.journal(handle.id), same_bytes=False) == []
        assert deployment.left_behind() == []
