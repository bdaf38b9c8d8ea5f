"""A stuck task in whose place the planner puts others, with everything real and a worker killed."""

import json

import pytest

from contracts.endings import TaskEnding
from contracts.task import TaskState
from domain.planning import replan
from tests import journal_checks
from tests.local_deployment import LocalDeployment, git, until
from tests.model_scripts import Json, Task, command, create, done, plan_of, play, script, turn

pytestmark = pytest.mark.minutes

NAME = "replanned"
WAIT = 3_000
"""Milliseconds that the planner thinks while its worker dies."""
STUCK = Task(
    id="one",
    writes=("one.txt",),
    acceptance=("test -e never.txt",),
    coder=(turn(create("one.txt", "half\n")), *[turn(command("cat README.md"))] * 12),
)
FIRST = Task(
    id="first",
    writes=("one.txt",),
    acceptance=("grep -q whole one.txt",),
    coder=(
        turn(
            create("one.txt", "whole\n"),
            expect={"last_user_contains": [replan.LEFT, "+half", "in place of the task one"]},
        ),
        done(),
    ),
)
SECOND = Task(
    id="second",
    writes=("two.txt",),
    depends_on=("first",),
    acceptance=("test -e one.txt",),
    coder=(turn(create("two.txt", "2\n")), done()),
)
AFTER = Task(
    id="after",
    writes=("three.txt",),
    depends_on=("one",),
    acceptance=("test -e two.txt",),
    coder=(turn(create("three.txt", "3\n")), done()),
)


def _replanner() -> Json:
    """The planner that is asked about the stuck task; it is told why, and what was tried."""
    told = ["A task of your plan's request is stuck", "cat README.md", "+half"]
    planned = plan_of([FIRST, SECOND], delay_ms=WAIT, expect={"last_user_contains": told})
    match = {"role": "planner", "request": f"request/{NAME}*", "task": "one"}
    return {"match": match, "turns": [planned]}


SCRIPT = script(
    [
        _replanner(),
        *play(NAME, STUCK, FIRST, SECOND, AFTER, planner=[plan_of([STUCK, AFTER])]),
    ]
)


async def test_a_worker_killed_while_other_tasks_are_planned_goes_on_and_pays_nothing_twice() -> (
    None
):
    """They stand in the stuck task's place in the graph, land in their order and are delivered; a
    person sees that the planner is asked, and afterwards which tasks did the work.
    """
    async with LocalDeployment(SCRIPT) as deployment:
        folder = deployment.repository(NAME, {"README.md": "A small thing.\n"})
        handle = await deployment.start_request(NAME, folder, branch="out", checks=["true"])

        async def planner_at_work() -> bool:
            busy = [row.agent for row in (await deployment.status(handle)).tasks if row.agent]
            return any(agent.endswith("/one/planner-1") for agent in busy)

        await until(planner_at_work, seconds=60)
        assert replan.DOING in [row.reason for row in (await deployment.status(handle)).tasks]
        await deployment.kill_worker()
        await deployment.start_worker()
        status = await deployment.delivered(handle, seconds=180)

        rows = {row.id: row for row in status.tasks}
        assert (rows["one"].state, rows["one"].ending) == (
            TaskState.CANCELLED,
            TaskEnding.SUPERSEDED,
        )
        assert rows["one"].reason.endswith("; see first, second")
        assert rows["after"].depends_on == ("second",)
        landed = git(folder, "ls-tree", "--name-only", "out").split()
        assert landed == ["README.md", "one.txt", "three.txt", "two.txt"]
        assert git(folder, "show", "out:one.txt") == "whole"
        entries = deployment.journal(handle.id)
        assert journal_checks.repeated(entries, same_bytes=False) == []
        assert [entry.failure for entry in entries if entry.unexpected] == []
        assert deployment.left_behind() == []

        shown = json.loads((await deployment.starter("status", NAME, "--json")).stdout)
        assert shown["cost_usd"] == pytest.approx(journal_checks.cost_usd(entries), abs=1e-6)
        turns = (await deployment.starter("turns", NAME, "one")).stdout
        assert "planner" in turns
        said = (await deployment.starter("status", NAME)).stdout
        assert "the planner has put in its place" in said
