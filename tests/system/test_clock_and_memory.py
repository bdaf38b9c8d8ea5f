"""A clock that jumps and a worker without memory: nothing is lost or taken for progress."""

import asyncio
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.records import SupervisorRecord
from tests import journal_checks
from tests.local_deployment import LocalDeployment, git, until
from tests.model_scripts import Task, command, create, done, play, script, turn

pytestmark = pytest.mark.minutes

SMALL = {"README.md": "A small thing.\n"}
DAYS = 3 * 86_400.0
HEADROOM_BYTES = 2_000_000
SITECUSTOMIZE = '''\
"""The wall clock of this process, shifted by the seconds in a file."""

import os
import time

_time, _time_ns = time.time, time.time_ns


def _shift():
    with open(os.environ["ORCHESTCODE_TEST_SHIFT"]) as file:
        return float(file.read())


time.time = lambda: _time() + _shift()
time.time_ns = lambda: _time_ns() + int(_shift() * 1e9)
'''


def _task(first: str, second: str) -> Task:
    """Return a task of two commands with an edit between them."""
    hand = (
        turn(command(first)),
        turn(create("a.txt", "a\n"), delay_ms=500),
        turn(command(second), delay_ms=1_000),
        done(),
    )
    return Task(id="a", coder=hand, writes=("a.txt",), acceptance=("test -s a.txt",))


def _set(file: Path, seconds: float) -> None:
    """Shift the clock; readers see the old or the new shift."""
    draft = file.with_suffix(".draft")
    draft.write_text(str(seconds))
    draft.replace(file)


def _clock(environ: dict[str, str]) -> float:
    """Return what a Python process with this environment takes for the time."""
    words = [sys.executable, "-c", "import time; print(time.time())"]
    return float(subprocess.check_output(words, env={**os.environ, **environ}))


async def test_a_clock_that_jumps_changes_nothing(tmp_path: Path) -> None:
    """The worker's wall clock jumps three days forward during a command, then six back: no lease is
    lost, no call repeated, no check times out, and the request ends at its first attempt.
    """
    shift = tmp_path / "shift"
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)
    environ = {"PYTHONPATH": str(tmp_path), "ORCHESTCODE_TEST_SHIFT": str(shift)}
    _set(shift, 0)
    plays = play("jump", _task("sleep 1.2", "sleep 0.5"))
    async with LocalDeployment(script(plays), environ=environ) as deployment:
        repository = deployment.repository("jump", SMALL)
        handle = await deployment.start_request("jump", repository, checks=["sleep 0.5"])
        await until(lambda: any("sleep 1.2" in line for line in deployment.processes().values()))
        _set(shift, DAYS)
        assert abs(_clock(environ) - time.time() - DAYS) < 60
        await until(lambda: deployment.has_file("a.txt"))
        _set(shift, -DAYS)

        status = await deployment.delivered(handle)

        assert [task.rounds for task in status.tasks] == [0]
        assert journal_checks.repeated(deployment.journal()) == []
        assert deployment.left_behind() == []
        assert git(repository, "show", f"{status.branch}:a.txt") == "a"


async def test_a_worker_at_its_memory_limit_is_replaced(tmp_path: Path) -> None:
    """A worker that gets no more memory ends; the supervisor reports it and starts another, the
    request is delivered, and no finished model call is repeated.
    """
    log = tmp_path / "run.log"
    plays = play("remember", _task("true", "head -c 9000000 /dev/zero | tr '\\0' x"))
    async with LocalDeployment(script(plays), services=False) as deployment:
        repository = deployment.repository("remember", SMALL)
        words = ("--repo", str(repository), "--branch", "whole", "--check", "true", "remember")
        run = deployment.open_starter("run", *words, log=log)
        await until(lambda: deployment.has_file("a.txt") or not run.alive)
        assert run.alive, log.read_text()
        record = SupervisorRecord.running(deployment.settings)
        assert record
        assert record.worker_pid
        limit = _address_space(record.worker_pid) + HEADROOM_BYTES
        resource.prlimit(record.worker_pid, resource.RLIMIT_AS, (limit, limit))

        async with asyncio.timeout(90):
            assert await run.wait() == 0, log.read_text()

        told = (deployment.settings.logs / "supervisor.log").read_text()
        assert "The worker ended (signal SIG" in told
        assert journal_checks.repeated(deployment.journal()) == []
        assert git(repository, "show", "whole:a.txt") == "a"


def _address_space(pid: int) -> int:
    """Return the bytes of address space that a process has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    return pages * resource.getpagesize()
