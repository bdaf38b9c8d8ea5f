"""A disk that fills up during a request: the request waits, shows how much space it needs, loses
nothing and continues by itself once there is some.

The disks are small file systems in memory, so these tests need the right to mount.
"""

import asyncio
import contextlib
import os
import re
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.request import RequestStatus
from contracts.visibility import OC_STATE, RunState
from runtime.records import SupervisorRecord
from runtime.services.child_process import log_tail
from tests import journal_checks
from tests.local_deployment import Handle, LocalDeployment, git, until
from tests.model_scripts import Task, command, create, done, play, script, turn, writes_file
from tests.small_disk import filled, small_disk

SMALL = {"README.md": "A small thing.\n"}
WRITES = "sleep 2.5; echo made > made.txt"
PLAYS = (
    play("stores", writes_file("a", "stores.txt", "a\n", delay_ms=700)),
    play(
        "worktrees",
        Task(
            id="a",
            coder=(
                turn(command(WRITES)),
                turn(
                    create("worktrees.txt", "a\n"),
                    expect={"results": [{"is_error": False, "contains": ["exit code 0"]}]},
                ),
                done(),
            ),
            writes=("made.txt", "worktrees.txt"),
        ),
    ),
    play(
        "greedy",
        Task(
            id="a",
            coder=(
                turn(command("head -c 900000000 /dev/zero > big.bin")),
                turn(
                    create("greedy.txt", "a\n"),
                    expect={
                        "results": [{"is_error": True, "contains": ["all it wrote was undone"]}]
                    },
                ),
                done(),
            ),
            writes=("greedy.txt",),
        ),
    ),
    play("full-set-up", writes_file("a", "set-up.txt", "a\n")),
    play("database", writes_file("a", "a.txt", "a\n", delay_ms=3_000)),
)


@pytest.fixture(scope="module")
async def small() -> AsyncIterator[LocalDeployment]:
    """A deployment whose stores and worktrees lie on small disks of their own."""
    async with (
        LocalDeployment(script(*PLAYS), services=False) as deployment,
        contextlib.AsyncExitStack() as disks,
    ):
        deployment.settings.ensure_home()
        for folder in (deployment.settings.stores, deployment.settings.worktrees):
            disks.enter_context(small_disk(folder))
        await deployment.start_server()
        await deployment.start_worker()
        disks.push_async_callback(deployment.stop_worker)
        yield deployment


async def _waiting(deployment: LocalDeployment, handle: Handle) -> RequestStatus:
    """Wait until the request waits for disk space, and return its reason."""

    async def waits() -> bool:
        return (await deployment.status(handle)).state is RunState.WAITING_INFRA

    await until(waits)
    return await deployment.status(handle)


async def _amid(deployment: LocalDeployment, name: str) -> None:
    """Wait for a moment with unfinished work: a command runs, or an edit was just made."""

    def works() -> bool:
        command_runs = any(WRITES in line for line in deployment.processes().values())
        return command_runs or deployment.has_file(f"{name}.txt")

    await until(works)


@pytest.mark.parametrize("place", ["stores", "worktrees"])
async def test_a_request_waits_while_the_disk_is_full_and_continues(
    small: LocalDeployment, place: str
) -> None:
    """A full disk under the stores or the worktrees: WAITING_INFRA with how much is free and
    needed, also found by OcState; once there is space it ends, and no finished call is repeated.
    """
    repository = small.repository(place, SMALL)
    handle = await small.start_request(place, repository)
    await _amid(small, place)
    disk = getattr(small.settings, place)

    with filled(disk):
        said = await _waiting(small, handle)
        attributes = (await handle.describe()).search_attributes

    told = rf"the disk of {disk} is full: \d+ MB are free, at least 50 MB are needed"
    assert re.search(told, said.reason), said.reason
    assert attributes[OC_STATE] == [RunState.WAITING_INFRA]
    status = await small.delivered(handle)
    assert git(repository, "show", f"{status.branch}:{place}.txt") == "a"
    assert journal_checks.repeated(small.journal(handle.id)) == []
    assert not [entry for entry in small.journal(handle.id) if entry.unexpected]
    assert small.left_behind() == []


async def test_a_command_that_fills_the_disk_is_undone_and_reported_to_the_model(
    small: LocalDeployment,
) -> None:
    """What the command wrote is removed, which frees the disk, and the agent tries otherwise."""
    repository = small.repository("greedy", SMALL)
    handle = await small.start_request("greedy", repository)

    status = await small.delivered(handle)

    assert git(repository, "diff", "--name-only", f"main..{status.branch}") == "greedy.txt"
    assert not [entry for entry in small.journal(handle.id) if entry.unexpected]


async def test_a_setup_waits_while_the_disk_is_full_and_continues(small: LocalDeployment) -> None:
    """It is visible that the request waits, and how much is free; then the setup runs anew, and no
    half of what it installs is used.
    """
    whole = "head -c 5000000 /dev/zero > node_modules/x; test -s node_modules/x"
    files = {**SMALL, ".gitignore": "node_modules/\n"}
    repository = small.repository("full-set-up", files)
    line = f"mkdir node_modules; touch node_modules/began; sleep 2.5; {whole}"
    check = "test $(stat -c %s node_modules/x) = 5000000"
    handle = await small.start_request("full-set-up", repository, setup=[line], checks=[check])
    await until(lambda: small.has_file("began"))

    with filled(small.settings.worktrees):
        said = await _waiting(small, handle)

    assert f"the disk of {small.settings.worktrees} is full" in said.reason, said.reason
    status = await small.delivered(handle)
    assert git(repository, "show", f"{status.branch}:set-up.txt") == "a"
    assert [each.passed for each in status.checks if each.command == check] == [True]
    assert len(list(small.settings.layers.glob("*/layer.json"))) == 1
    assert small.left_behind() == []


def _told(log: Path, words: str) -> bool:
    return log.exists() and words in log.read_text()


@pytest.mark.minutes
async def test_server_and_worker_killed_on_a_full_disk_restart_when_there_is_space(
    tmp_path: Path,
) -> None:
    """The home is full, and then server and worker are killed: the supervisor reports the full
    disk, and once there is space everything continues by itself, on an intact database.
    """
    async with (
        LocalDeployment(script(*PLAYS), services=False) as deployment,
        contextlib.AsyncExitStack() as disk,
    ):
        home = deployment.settings.ensure_home()
        disk.enter_context(small_disk(home))
        disk.push_async_callback(deployment.stop_supervisor)
        repository, up, run = (
            deployment.repository("database", SMALL),
            tmp_path / "up",
            tmp_path / "run",
        )
        services = deployment.open_starter("up", log=up)
        await until(lambda: _told(up, "Ready:"))
        words = ("--repo", str(repository), "--branch", "whole", "--check", "true")
        watching = deployment.open_starter("run", *words, "database", log=run)
        await until(lambda: deployment.has_file("a.txt"))

        record = SupervisorRecord.running(deployment.settings)
        assert record
        assert record.server_pid
        assert record.worker_pid
        with filled(home):
            os.kill(record.server_pid, signal.SIGKILL)
            os.kill(record.worker_pid, signal.SIGKILL)
            await until(lambda: _told(up, "The worker ended (signal SIGKILL)"))
            await until(lambda: _told(up, "The Temporal server ended (signal SIGKILL)"))
            # With how much is free when it looks, which may be before the disk is quite full.
            await until(lambda: _told(up, f"\nThe disk of {home} is full: "))

        await until(lambda: _told(up, f"The disk of {home} has room again"))
        async with asyncio.timeout(90):
            assert await watching.wait() == 0, log_tail(run, lines=40) + log_tail(up, lines=40)
        assert git(repository, "show", "whole:a.txt") == "a"
        assert journal_checks.repeated(deployment.journal()) == []
        await services.stop(grace_seconds=30)
        with contextlib.closing(sqlite3.connect(deployment.settings.database)) as database:
            assert database.execute("pragma integrity_check").fetchone() == ("ok",)
