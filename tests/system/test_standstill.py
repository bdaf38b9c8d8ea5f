"""Processes that live but do not move: nobody has to notice, nobody has to act."""

import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from rehearsal import journal
from runtime.records import SupervisorRecord, running_supervisor
from tests.local_deployment import LocalDeployment, git, until
from tests.model_scripts import Task, create, done, play, script, turn, writes_file

SMALL = {"README.md": "A small thing.\n"}


@pytest.fixture(scope="module")
async def bare() -> AsyncIterator[LocalDeployment]:
    """A home where nothing runs; what `run` brings up is watched closely."""
    tasks = (writes_file("a", "a.txt", "a\n", delay_ms=700), writes_file("b", "b.txt", "b\n"))
    environ = {"ORCHESTCODE_WATCHDOG_SECONDS": "3"}
    async with LocalDeployment(
        script(play("standstill", *tasks)), services=False, environ=environ
    ) as stage:
        yield stage


def _brought_up(stage: LocalDeployment) -> SupervisorRecord:
    record = running_supervisor(stage.settings)
    assert record is not None
    assert record.worker_pid is not None
    assert record.server_pid is not None
    return record


async def test_a_worker_and_a_server_that_stand_still_are_replaced_and_the_request_ends(
    bare: LocalDeployment, tmp_path: Path
) -> None:
    """
    The worker is stopped amid a model call, then the server: `run` ends with 0, and only calls that
    were under way are made again.
    """
    folder, log = bare.repository("standstill", SMALL), tmp_path / "run.log"
    words = ("run", "--repo", str(folder), "--branch", "whole", "--check", "true", "standstill")
    run = bare.open_starter(*words, log=log)
    await until(lambda: any(entry.role == "coder" for entry in bare.journal()))
    stopped = _brought_up(bare)
    os.kill(stopped.worker_pid or 0, signal.SIGSTOP)
    await until(lambda: _moved_on(bare, stopped.worker_pid), seconds=30)
    os.kill(stopped.server_pid or 0, signal.SIGSTOP)

    assert await run.wait() == 0, log.read_text()
    told = log.read_text()
    assert "The worker has not moved for 3 s (it is stopped, or hangs)." in told
    assert "The worker ended (signal SIGKILL); it starts again in 0.2 s." in told
    assert "The Temporal server has not answered for 3 s." in told
    assert git(folder, "diff", "--name-only", "main..whole").split() == ["a.txt", "b.txt"]
    # A reply that reached the worker while it was stopped is kept by nobody: one for each coder.
    assert len(journal.repeated(bare.journal())) <= 2
    await until(lambda: bare.processes() == {}, seconds=30)


@pytest.fixture(scope="module")
async def own() -> AsyncIterator[LocalDeployment]:
    """A stage whose worker is frozen."""
    tasks = [
        Task(
            id=name,
            coder=(
                *(turn(create(f"{name}{n}.txt", "x\n"), delay_ms=150) for n in range(6)),
                done(),
            ),
            writes=(f"{name}*.txt",),
        )
        for name in ("a", "b")
    ]
    async with LocalDeployment(script(play("frozen", *tasks))) as stage:
        yield stage


async def test_a_worker_that_is_frozen_for_good_keeps_nothing_from_the_one_that_replaces_it(
    own: LocalDeployment,
) -> None:
    """
    Three workers one after the other are stopped amid their work and never go on; each time the
    next one takes over, and what the frozen ones hold is not waited for.
    """
    repository = own.repository("frozen", SMALL)
    handle = await own.start_request("frozen", repository)
    frozen = []
    try:
        for calls in (2, 5, 8):
            await until(partial(_coded, own, calls), seconds=60)
            os.kill(own.worker.pid, signal.SIGSTOP)
            frozen.append(own.worker)
            await own.start_worker()
        status = await own.delivered(handle, seconds=90)
    finally:
        for process in frozen:
            process.kill()
            await process.wait()

    changed = git(repository, "diff", "--name-only", f"main..{status.branch}").split()
    assert changed == [f"{name}{n}.txt" for name in "ab" for n in range(6)]
    assert own.left_behind() == []
    # At most the two calls under way at each blow.
    assert len(journal.repeated(own.journal())) <= 2 * len(frozen)


def _coded(stage: LocalDeployment, calls: int) -> bool:
    return sum(entry.role == "coder" for entry in stage.journal()) >= calls


def _moved_on(stage: LocalDeployment, worker: int | None) -> bool:
    record = running_supervisor(stage.settings)
    return record is not None and record.worker_ready and record.worker_pid != worker
