"""The server's database is lost or restored from an old copy: the stores have the rest."""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from temporalio.service import RPCError

from contracts.visibility import RunState
from runtime.services.backup import back_up, backup_path
from tests import journal_checks
from tests.kill_matrix import model_script as reference
from tests.local_deployment import Handle, LocalDeployment, Script, git, until
from tests.model_scripts import Task, command, create, done, play, script, turn
from tests.system import test_merging

pytestmark = pytest.mark.minutes

SMALL = {"README.md": "A small thing.\n"}


def _task(name: str, *, seconds: str) -> Task:
    """Return a task whose command is recognised by how long it sleeps."""
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
    play("known-before", _task("before", seconds="12.011")),
    play("asked-since", _task("since", seconds="10.012")),
    play("given-up-since", _task("never", seconds="9.013")),
)


STORIES: dict[str, tuple[Script, Mapping[str, str], Sequence[str], Sequence[float]]] = {
    reference.NAME: (reference.reference(), reference.FILES, reference.CHECKS, (0.5,)),
    "together": (script(*test_merging.PLAYS), test_merging.NUMBERS, [test_merging.SUM], (0.5, 0)),
}
"""By request: the model's script, the repository's files, the checks, where copies are taken."""


async def _lose(deployment: LocalDeployment, copy: Path | None) -> None:
    """Let server and worker die and the database be gone; both are there again with this copy."""
    await deployment.kill_worker()
    await deployment.kill_server()
    database = deployment.settings.database
    kept = {backup_path(database), database.with_name("temporal.db.ready")}
    for file in set(deployment.settings.home.glob("temporal.db*")) - kept:
        file.unlink()
    if copy is None:
        backup_path(database).unlink(missing_ok=True)
    elif copy != backup_path(database):
        shutil.copy2(copy, backup_path(database))
    await deployment.start_server()
    await deployment.start_worker()


@pytest.mark.parametrize("name", [reference.NAME, "together"])
async def test_a_restored_database_repeats_no_step_that_the_store_has(name: str) -> None:
    """Four coders, reviews and merges, or two patches of which one is sent back by the merge queue:
    copies of the database from during the request are restored after its end. It ends with the same
    commit, and no model call is made.
    """
    story, files, checks, shares = STORIES[name]
    async with LocalDeployment(story) as deployment:
        folder = deployment.repository(name, files)
        handle = await deployment.start_request(name, folder, checks=list(checks), branch="out")
        delivered = asyncio.create_task(deployment.delivered(handle))
        copies: list[Path] = []
        while not delivered.done():
            await asyncio.to_thread(back_up, deployment.settings.database)
            copies.append(deployment.folder / f"copy-{len(copies)}")
            shutil.copy2(backup_path(deployment.settings.database), copies[-1])
            await asyncio.sleep(0.4)
        commit, calls = (await delivered).commit, len(deployment.journal())

        for share in shares:
            copy = copies[int(share * len(copies))]
            await _lose(deployment, copy)
            again = await deployment.delivered(await deployment.handle(name), seconds=60)

            assert again.commit == commit == git(folder, "rev-parse", "out")
            assert len(deployment.journal()) == calls
            assert deployment.left_behind() == []


async def test_a_request_missing_from_the_server_is_started_again() -> None:
    """A request begun after the last copy continues under its id, with every finished call; one
    that ended since then is not started again. The database is lost twice, at last without a copy.
    """
    async with LocalDeployment(script(*PLAYS)) as deployment:
        names = ("known-before", "asked-since", "given-up-since")
        before, since, never = (deployment.repository(name, SMALL) for name in names)
        await deployment.start_request(names[0], before, branch="made")
        await until(lambda: _sleeps(deployment, "12.011"))
        await asyncio.to_thread(back_up, deployment.settings.database)
        await deployment.start_request(names[1], since, branch="made")
        given_up = await deployment.start_request(names[2], never, branch="made")
        await asyncio.gather(
            until(lambda: _sleeps(deployment, "10.012")),
            until(lambda: _sleeps(deployment, "9.013")),
        )
        await given_up.cancel()
        assert (await deployment.ending(given_up)).state is RunState.CANCELLED

        for copy in (backup_path(deployment.settings.database), None):
            await _lose(deployment, copy)
            await until(lambda: _goes_on(deployment, names[0], "12.011"))
            await until(lambda: _goes_on(deployment, names[1], "10.012"))

        for name, folder in zip(names[:2], (before, since), strict=True):
            await _delivers(deployment, name, folder)
        assert not await _known(deployment, names[2])
        assert journal_checks.repeated(deployment.journal()) == []
        assert deployment.left_behind() == []


async def test_a_request_missing_without_a_restore_waits_for_a_command() -> None:
    """A new or restored server without a loss of ours starts nothing by itself: `reconcile` names
    the request, `reconcile --forgotten` starts it again, and no call is repeated.
    """
    async with LocalDeployment(script(*PLAYS)) as deployment:
        folder = deployment.repository("asked-since", SMALL)
        await deployment.start_request("asked-since", folder, branch="made")
        await until(lambda: _sleeps(deployment, "10.012"))
        await deployment.kill_worker()
        await deployment.kill_server()
        for file in deployment.settings.home.glob("temporal.db*"):
            file.unlink()
        await deployment.start_server()
        await deployment.start_worker()

        told = await deployment.starter("reconcile")
        assert "Left alone: request/asked-since is not known to this server" in told.stdout
        assert not await _known(deployment, "asked-since")
        would = await deployment.starter("reconcile", "--forgotten", "--dry-run")
        assert "Would be repaired: request/asked-since, which the server forgot" in would.stdout
        assert not await _known(deployment, "asked-since")
        did = await deployment.starter("reconcile", "--forgotten")
        assert "Repaired: request/asked-since, which the server forgot, is started" in did.stdout
        status = await deployment.delivered(await deployment.handle("asked-since"), seconds=60)

        assert status.commit == git(folder, "rev-parse", "made")
        assert journal_checks.repeated(deployment.journal()) == []
        assert deployment.left_behind() == []


async def _delivers(deployment: LocalDeployment, name: str, folder: Path) -> None:
    """Wait for a request's branch; on a slow machine it may have ended before the last loss."""
    await until(lambda: bool(git(folder, "branch", "--list", "made")))
    if await _known(deployment, name):
        status = await deployment.delivered(await deployment.handle(name), seconds=60)
        assert status.commit == git(folder, "rev-parse", "made")


def _sleeps(deployment: LocalDeployment, seconds: str) -> bool:
    return any(f"sleep {seconds}" in line for line in deployment.processes().values())


def _goes_on(deployment: LocalDeployment, request: str, seconds: str) -> bool:
    """Tell whether the command runs, or has ended: a turn after it is in the journal.

    On a slow machine one command can be over before the other begins.
    """
    entries = deployment.journal(f"request/{request}")
    turns = [entry.turn for entry in entries if entry.role == "coder"]
    return _sleeps(deployment, seconds) or max(turns, default=0) > 1


async def _known(deployment: LocalDeployment, name: str) -> bool:
    handle: Handle = await deployment.handle(name)
    try:
        await handle.describe()
    except RPCError:
        return False
    return True
