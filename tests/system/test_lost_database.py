"""
The server's database is lost, or an old one is put back: the stores know what it has forgotten.
"""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from temporalio.service import RPCError

from contracts.visibility import RunState
from rehearsal import journal
from runtime.services.backup import back_up, backup_path
from tests.kill_matrix import model_script as reference
from tests.local_deployment import Handle, LocalDeployment, Script, git, until
from tests.model_scripts import Task, command, create, done, play, script, turn
from tests.system import test_merging

SMALL = {"README.md": "A small thing.\n"}


def _task(name: str, *, seconds: str) -> Task:
    """Return a task whose command can be told from all others by how long it sleeps."""
    return Task(
        id=f"makes-{name}",
        coder=(
            turn(create(f"{name}.txt", f"{name}\n")),
            turn(command(f"sleep {seconds}", timeout_seconds=60)),
            done(),
        ),
        writes=(f"{name}.txt",),
        acceptance=(f"test -f {name}.txt",),
    )


PLAYS = (
    play("known-before", _task("before", seconds="6.011")),
    play("asked-since", _task("since", seconds="4.012")),
    play("given-up-since", _task("never", seconds="9.013")),
)


STORIES: dict[str, tuple[Script, Mapping[str, str], Sequence[str], Sequence[float]]] = {
    reference.NAME: (reference.reference(), reference.FILES, reference.CHECKS, (0.5,)),
    "together": (script(*test_merging.PLAYS), test_merging.NUMBERS, [test_merging.SUM], (0.5, 0)),
}
"""By request: what the model says, the repository's files, the checks, where copies are taken."""


async def _lose(stage: LocalDeployment, copy: Path | None) -> None:
    """Let server and worker die and the database be gone; both are there again with this copy."""
    await stage.kill_worker()
    await stage.kill_server()
    database = stage.settings.database
    kept = {backup_path(database), database.with_name("temporal.db.ready")}
    for file in set(stage.settings.home.glob("temporal.db*")) - kept:
        file.unlink()
    if copy is None:
        backup_path(database).unlink(missing_ok=True)
    elif copy != backup_path(database):
        shutil.copy2(copy, backup_path(database))
    await stage.start_server()
    await stage.start_worker()


@pytest.mark.parametrize("name", [reference.NAME, "together"])
async def test_an_old_database_costs_nothing_that_the_stores_know(name: str) -> None:
    """
    Four coders, reviews and merges, or two patches of which one is sent back by the merge queue:
    copies of the database from the request's midst and beginning are put back once it is done. It
    comes to the very same commit, and no model call is made.
    """
    story, files, checks, shares = STORIES[name]
    async with LocalDeployment(story) as stage:
        folder = stage.repository(name, files)
        handle = await stage.start_request(name, folder, checks=list(checks), branch="out")
        delivered = asyncio.create_task(stage.delivered(handle))
        copies: list[Path] = []
        while not delivered.done():
            await asyncio.to_thread(back_up, stage.settings.database)
            copies.append(stage.folder / f"copy-{len(copies)}")
            shutil.copy2(backup_path(stage.settings.database), copies[-1])
            await asyncio.sleep(0.4)
        commit, calls = (await delivered).commit, len(stage.journal())

        for share in shares:
            copy = copies[int(share * len(copies))]
            await _lose(stage, copy)
            again = await stage.delivered(await stage.handle(name), seconds=60)

            assert again.commit == commit == git(folder, "rev-parse", "out")
            assert len(stage.journal()) == calls
            assert stage.left_behind() == []


async def test_a_request_that_the_server_forgot_is_started_again() -> None:
    """
    One that was begun after the last copy goes on under its id, with every finished call; one that
    was given up since is not begun again. The database is lost twice, at last without any copy.
    """
    async with LocalDeployment(script(*PLAYS)) as stage:
        names = ("known-before", "asked-since", "given-up-since")
        before, since, never = (stage.repository(name, SMALL) for name in names)
        await stage.start_request(names[0], before, branch="made")
        await until(lambda: _sleeps(stage, "6.011"))
        await asyncio.to_thread(back_up, stage.settings.database)
        await stage.start_request(names[1], since, branch="made")
        given_up = await stage.start_request(names[2], never, branch="made")
        await until(lambda: _sleeps(stage, "4.012"))
        await until(lambda: _sleeps(stage, "9.013"))
        await given_up.cancel()
        assert (await stage.ending(given_up)).state is RunState.CANCELLED

        for copy in (backup_path(stage.settings.database), None):
            await _lose(stage, copy)
            await until(lambda: _sleeps(stage, "6.011"))
            await until(lambda: _sleeps(stage, "4.012"))

        for name, folder in zip(names[:2], (before, since), strict=True):
            status = await stage.delivered(await stage.handle(name), seconds=60)
            assert status.commit == git(folder, "rev-parse", "made")
        assert not await _known(stage, names[2])
        assert journal.repeated(stage.journal()) == []
        assert stage.left_behind() == []


async def test_a_request_that_is_unknown_without_a_cause_waits_for_a_word() -> None:
    """
    To a server that was made anew, or restored by others, nothing is started unasked: `reconcile`
    names the request, `reconcile --forgotten` starts it again, and no call is repeated.
    """
    async with LocalDeployment(script(*PLAYS)) as stage:
        folder = stage.repository("asked-since", SMALL)
        await stage.start_request("asked-since", folder, branch="made")
        await until(lambda: _sleeps(stage, "4.012"))
        await stage.kill_worker()
        await stage.kill_server()
        for file in stage.settings.home.glob("temporal.db*"):
            file.unlink()
        await stage.start_server()
        await stage.start_worker()

        told = await stage.starter("reconcile")
        assert "Left alone: request/asked-since is not known to this server" in told.stdout
        assert not await _known(stage, "asked-since")
        would = await stage.starter("reconcile", "--forgotten", "--dry-run")
        assert "Would be repaired: request/asked-since, which the server forgot" in would.stdout
        assert not await _known(stage, "asked-since")
        did = await stage.starter("reconcile", "--forgotten")
        assert "Repaired: request/asked-since, which the server forgot, is started" in did.stdout
        status = await stage.delivered(await stage.handle("asked-since"), seconds=60)

        assert status.commit == git(folder, "rev-parse", "made")
        assert journal.repeated(stage.journal()) == []
        assert stage.left_behind() == []


def _sleeps(stage: LocalDeployment, seconds: str) -> bool:
    return any(f"sleep {seconds}" in line for line in stage.processes().values())


async def _known(stage: LocalDeployment, name: str) -> bool:
    handle: Handle = await stage.handle(name)
    try:
        await handle.describe()
    except RPCError:
        return False
    return True
