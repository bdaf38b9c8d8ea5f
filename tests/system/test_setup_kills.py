"""A worker that is killed while a setup runs: it goes on, whole or not at all, and pays once."""

from collections.abc import AsyncIterator

import pytest

from contracts.request import RequestStatus
from tests import journal_checks
from tests.activities.test_setup import Counted, counting
from tests.local_deployment import Handle, LocalDeployment, git, until
from tests.model_scripts import Task, command, done, install, play, script, turn, writes_file

pytestmark = pytest.mark.minutes

FINDS = "cmp names vendored/names"
"""Fails on half of a layer, and on another one's."""
CHANGES = command("echo hello again > names")
PLAYS = [
    play("killed-base", writes_file("one", "one.txt", "1\n")),
    play(
        "killed-patch",
        Task(id="one", coder=(turn(CHANGES), done()), writes=("names",), acceptance=(FINDS,)),
    ),
    play(
        "killed-call",
        Task(
            id="one",
            coder=(turn(CHANGES, install()), turn(command(FINDS)), done()),
            writes=("names",),
            acceptance=(FINDS,),
        ),
    ),
]


@pytest.fixture(scope="module")
async def own() -> AsyncIterator[LocalDeployment]:
    """A deployment whose worker is killed."""
    async with LocalDeployment(script(*PLAYS)) as deployment:
        yield deployment


def line(counted: Counted) -> str:
    """Return a setup that is counted, long enough to be met, and half done meanwhile."""
    return (
        f"mkdir vendored && echo half > vendored/names && {counted.line} && sleep 3 && "
        "cp names vendored/names"
    )


async def begun(own: LocalDeployment, name: str, setup: str) -> Handle:
    """Start a request in a repository of its own."""
    files = {
        ".gitignore": "vendored/\n",
        "names": f"hello {name}\n",
    }
    folder = own.repository(name, files)
    return await own.start_request(name, folder, setup=[setup], checks=[FINDS])


async def killed_in(own: LocalDeployment, counted: Counted, runs: int) -> None:
    """Kill the worker in the middle of that run of a setup, and start it again."""
    await until(lambda: counted.runs == runs)
    await own.kill_worker()
    await own.start_worker()


async def ended(own: LocalDeployment, handle: Handle, *, layers: int) -> RequestStatus:
    """Return the last status of a request that lost nothing."""
    status = await own.delivered(handle)
    assert [each.passed for each in status.checks if each.command == FINDS] == [True]
    assert journal_checks.repeated(own.journal(handle.id)) == []
    assert not [each for each in own.journal(handle.id) if each.unexpected]
    folder = own.settings.layers
    made = [each for each in folder.glob("*/layer.json") if "vendored" in each.read_text()]
    assert len(made) == layers
    assert not list(folder.glob(".draft-*"))
    assert own.left_behind() == []
    for each in made:
        each.unlink()  # the next test counts its own
    return status


async def test_a_worker_killed_while_a_setup_runs_runs_it_anew(own: LocalDeployment) -> None:
    """Before any agent starts: no model was asked, and no half of a layer is used."""
    with counting() as counted:
        handle = await begun(own, "killed-base", line(counted))
        await until(lambda: counted.runs == 1)
        assert own.journal(handle.id) == []
        await killed_in(own, counted, 1)
        await ended(own, handle, layers=1)
        assert counted.runs == 2


async def test_a_worker_killed_while_the_setup_of_a_patch_runs_runs_it_anew(
    own: LocalDeployment,
) -> None:
    """It is asked once; the agent that changed the file is not called again."""
    with counting() as counted:
        handle = await begun(own, "killed-patch", line(counted))
        asked = await own.waiting(handle)
        assert [each.id for each in asked.approvals] == ["setup/one/0"]
        answered = await own.starter("approve", "killed-patch", "setup/one/0")
        assert answered.returncode == 0, answered
        await killed_in(own, counted, 2)
        status = await ended(own, handle, layers=2)
        assert counted.runs == 3
    show = f"{status.branch}:names"
    assert git(own.folder / "killed-patch", "show", show) == "hello again"


async def test_a_worker_killed_while_the_setup_of_a_call_runs_runs_it_anew(
    own: LocalDeployment,
) -> None:
    """The agent is answered once, and asks a person once."""
    with counting() as counted:
        handle = await begun(own, "killed-call", line(counted))
        asked = await own.waiting(handle)
        (question,) = asked.approvals
        answered = await own.starter("approve", "killed-call", question.id)
        assert answered.returncode == 0, answered
        await killed_in(own, counted, 2)
        await ended(own, handle, layers=2)
        assert counted.runs == 3
