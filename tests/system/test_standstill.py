"""Frozen processes: they are replaced without a person."""

import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from runtime.records import SupervisorRecord
from tests import journal_checks
from tests.local_deployment import LocalDeployment, git, until
from tests.model_scripts import Task, create, done, play, script, turn, writes_file

pytestmark = pytest.mark.minutes

SMALL = {"README.md": "A small thing.\n"}


@pytest.fixture(scope="module")
async def bare() -> AsyncIterator[LocalDeployment]:
    """A home where nothing runs; what `run` brings up is watched closely."""
    tasks = (writes_file("a", "a.txt", "a\n", delay_ms=700), writes_file("b", "b.txt", "b\n"))
    environ = {"ORCHESTCODE_WATCHDOG_SECONDS": "3", "ORCHESTCODE_IDLE_SECONDS": "1"}
    async with LocalDeployment(
        script(play("standstill", *tasks)), services=False, environ=environ
    ) as deployment:
        yield deployment


def _brought_up(deployment: LocalDeployment) -> SupervisorRecord:
    record = SupervisorRecord.running(deployment.settings)
    assert record is not None
    assert record.worker_pid is not None
    assert record.server_pid is not None
    return record


async def test_a_frozen_worker_and_server_are_replaced_and_the_request_ends(
    bare: LocalDeployment, tmp_path: Path
) -> None:
    """The worker, then the server is stopped during a model call: `run` ends with 0, and only calls
    in flight are repeated.
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
    # A reply that reached the worker while it was stopped is lost: one for each coder.
    assert len(journal_checks.repeated(bare.journal())) <= 2
    await until(lambda: bare.processes() == {}, seconds=30)


@pytest.fixture(scope="module")
async def own() -> AsyncIterator[LocalDeployment]:
    """A deployment whose worker is frozen."""
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
    async with LocalDeployment(script(play("frozen", *tasks))) as deployment:
        yield deployment


async def test_a_worker_frozen_for_good_blocks_nothing_of_its_replacement(
    own: LocalDeployment,
) -> None:
    """Three workers are stopped in turn during their work and never continue; each time the next
    one takes over without waiting for what the frozen ones hold.
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
    # At most the two calls in flight at each stop.
    assert len(journal_checks.repeated(own.journal())) <= 2 * len(frozen)


def _coded(deployment: LocalDeployment, calls: int) -> bool:
    return sum(entry.role == "coder" for entry in deployment.journal()) >= calls


def _moved_on(deployment: LocalDeployment, worker: int | None) -> bool:
    record = SupervisorRecord.running(deployment.settings)
    return record is not None and record.worker_ready and record.worker_pid != worker
