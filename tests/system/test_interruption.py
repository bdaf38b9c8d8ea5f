"""What `run` starts lives on by itself, until nothing is open: however the command ends."""

import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.records import SupervisorRecord
from runtime.services.child_process import ChildProcess
from tests import journal_checks
from tests.local_deployment import LocalDeployment, git, until
from tests.model_scripts import Task, create, done, play, script, turn, writes_file

SMALL = {"README.md": "A small thing.\n"}
NAMES = ("interrupt", "detach", "closed-terminal", "second", "stopped")
SLOW = [{"kind": "slow", "ms": 500}]
"""A reply of a few hundred characters takes many seconds."""


@pytest.fixture(scope="module")
async def bare() -> AsyncIterator[LocalDeployment]:
    """A home where nothing runs, and whose service ends as soon as nothing is open."""
    plays = [
        play(name, writes_file("a", "a.txt", "a\n", delay_ms=700), writes_file("b", "b.txt", "b\n"))
        for name in NAMES
    ]
    talks = Task(
        id="a",
        coder=(turn(create("a.txt", "a\n"), fault=SLOW, say="I talk at length. " * 40), done()),
        writes=("a.txt",),
    )
    plays.append(play("talk", talks))
    environ = {"ORCHESTCODE_IDLE_SECONDS": "1"}
    async with LocalDeployment(script(*plays), services=False, environ=environ) as deployment:
        yield deployment


def _run(bare: LocalDeployment, folder: Path, words: str, log: Path) -> ChildProcess:
    options = ("--repo", str(folder), "--branch", "whole", "--check", "true")
    return bare.open_starter("run", *options, words, log=log)


def _started(said: str) -> str:
    """Return the id of the request that `run` started, without its prefix."""
    return said.split("started request/")[1].split(maxsplit=1)[0]


def _delivered(folder: Path) -> bool:
    return bool(git(folder, "branch", "--list", "whole"))


async def _ended_by_itself(bare: LocalDeployment) -> None:
    """Wait until no process of the home is left; nobody types anything."""
    await until(lambda: bare.processes() == {}, seconds=60)
    assert bare.left_behind() == []


async def test_ctrl_c_ends_only_the_watching(bare: LocalDeployment, tmp_path: Path) -> None:
    """`run` ends with 3 and says truly what goes on; the branch is delivered, then all ends."""
    folder, log = bare.repository("interrupted", SMALL), tmp_path / "run.log"
    run = _run(bare, folder, "interrupt me", log)
    await until(lambda: any(entry.role == "coder" for entry in bare.journal()))
    os.kill(run.pid, signal.SIGINT)
    assert await run.wait() == 3
    told, record = log.read_text(), SupervisorRecord.running(bare.settings)
    assert record is not None
    short = _started(told)
    assert f"goes on in the background (process {record.pid})" in told
    assert f"watch {short}" in told
    assert "Traceback" not in told

    await _ended_by_itself(bare)
    assert git(folder, "diff", "--name-only", "main..whole").split() == ["a.txt", "b.txt"]
    assert journal_checks.repeated(bare.journal(f"request/{short}")) == []


@pytest.mark.minutes
async def test_a_detached_request_goes_on_and_looking_starts_nothing_that_acts(
    bare: LocalDeployment,
) -> None:
    """`run --detach` returns with 3; nobody looks, and the branch is delivered. `list`, `status`
    and `service status` then start no worker.
    """
    folder = bare.repository("detached", SMALL)
    words = ("run", "--repo", str(folder), "--branch", "whole", "--detach", "detach me")
    started = await bare.starter(*words)
    assert started.returncode == 3, started
    short = _started(started.stderr)
    await _ended_by_itself(bare)
    assert git(folder, "diff", "--name-only", "main..whole").split() == ["a.txt", "b.txt"]

    workers = (bare.settings.logs / "worker.log").read_text().count('"worker.ready"')
    assert (
        f"Nothing runs on {bare.settings.home}" in (await bare.starter("service", "status")).stdout
    )
    assert bare.processes() == {}
    assert short in (await bare.starter("list")).stdout
    status = await bare.starter("status", short)
    assert (status.returncode, "DONE" in status.stdout) == (0, True), status
    await _ended_by_itself(bare)
    log = (bare.settings.logs / "worker.log").read_text()
    assert log.count('"worker.ready"') == workers


@pytest.mark.minutes
async def test_a_closed_terminal_and_a_second_run_keep_the_promise(
    bare: LocalDeployment, tmp_path: Path
) -> None:
    """The first `run` loses its terminal, a second one ends with its own request: both requests
    are delivered by one service, which is started again when it is killed.
    """
    first, log = bare.repository("hung-up", SMALL), tmp_path / "first.log"
    run = _run(bare, first, "closed-terminal", log)
    await until(lambda: any(entry.role == "coder" for entry in bare.journal(_id(log))))
    record = SupervisorRecord.running(bare.settings)
    assert record is not None
    os.killpg(run.pid, signal.SIGHUP)
    os.kill(record.pid, signal.SIGHUP)
    assert await run.wait() == -signal.SIGHUP

    second = bare.repository("second", SMALL)
    other = _run(bare, second, "second", tmp_path / "second.log")
    os.kill(record.pid, signal.SIGKILL)
    assert await other.wait() == 0, (tmp_path / "second.log").read_text()
    await _ended_by_itself(bare)
    assert _delivered(first)
    assert _delivered(second)


def _id(log: Path) -> str:
    said = log.read_text() if log.exists() else ""
    return f"request/{_started(said)}" if "started request/" in said else "none"


@pytest.mark.minutes
async def test_stop_says_what_is_open_and_up_goes_on_with_it(bare: LocalDeployment) -> None:
    """A request that waits for a person keeps the service alive; `stop` ends it, `watch` then says
    that nothing works on it, and `up --detach` goes on where it was.
    """
    folder = bare.repository("stopped", SMALL)
    words = ("--branch", "whole", "--approve", "plan", "--detach", "stopped")
    short = _started((await bare.starter("run", "--repo", str(folder), *words)).stderr)
    handle = await bare.handle(short)
    await bare.waiting(handle)
    status = json.loads((await bare.starter("service", "status", "--json")).stdout)
    record = SupervisorRecord.running(bare.settings)
    assert record is not None
    assert (status["running"], status["pid"], status["open"]) == (True, record.pid, [handle.id])
    assert status["ends_at"] is None
    shown = (await bare.starter("service", "status")).stdout
    assert f"{short} (WAITING_APPROVAL)" in shown
    assert "until nothing is open, and 1.0 s longer" in shown
    refused = await bare.starter("up")
    assert (refused.returncode, "already runs in the background" in refused.stderr) == (1, True)

    stopped = await bare.starter("stop")
    assert f"1 request is open and goes on at the next `up` or `run`:\n  {short}" in stopped.stdout
    assert bare.processes() == {}
    assert "Nothing runs on" in (await bare.starter("stop")).stdout
    looking = await bare.starter("status", short)
    assert "no worker runs, so open requests do not go on" in looking.stderr
    assert (await bare.starter("up", "--detach")).returncode == 0
    approved = await bare.starter("approve", short)
    assert approved.returncode == 0, approved
    await _ended_by_itself(bare)
    assert _delivered(folder)
    assert journal_checks.repeated(bare.journal(handle.id)) == []


@pytest.mark.minutes
async def test_stop_says_what_it_waits_for_while_a_reply_comes(bare: LocalDeployment) -> None:
    """`stop` says how long it may take, keeps the reply that was coming, and the request goes on
    without asking for it once more; a `stop` that has nothing to wait for says nothing of it.
    """
    folder = bare.repository("talking", SMALL)
    words = ("--repo", str(folder), "--branch", "whole", "--detach", "talk to me")
    short = _started((await bare.starter("run", *words)).stderr)
    await bare.reply_comes("length")

    stopped = await bare.starter("stop")
    assert stopped.returncode == 0, stopped
    assert "replies of the model that are coming are paid for" in stopped.stderr
    assert "may take up to 60 s" in stopped.stderr
    assert bare.processes() == {}
    assert (await bare.starter("stop")).stderr == ""

    assert (await bare.starter("up", "--detach")).returncode == 0
    await _ended_by_itself(bare)
    assert _delivered(folder)
    entries = bare.journal(f"request/{short}")
    assert [each.turn for each in entries if each.role == "coder"] == [0, 1]


@pytest.mark.minutes
async def test_supervisor_and_keeper_start_each_other_again(bare: LocalDeployment) -> None:
    """Either is killed while no command looks: both run again, until `stop`."""
    ready = await bare.starter("up", "--detach", environ={"ORCHESTCODE_IDLE_SECONDS": "600"})
    assert "It ends 10 min 00 s after nothing is open any more" in ready.stdout

    async def both(*killed: int) -> list[int]:
        found: list[int] = []

        def run() -> bool:
            found[:] = _supervisor_and_keeper(bare)
            record = SupervisorRecord.running(bare.settings)
            whole = len(found) == 2 and set(found).isdisjoint(killed)
            return whole and record is not None and record.pid == found[0]

        await until(run, seconds=30)
        return found

    supervisor, keeper = await both()
    os.kill(supervisor, signal.SIGKILL)
    assert (await both(supervisor))[1] == keeper
    os.kill(keeper, signal.SIGKILL)
    await both(supervisor, keeper)
    assert (await bare.starter("stop")).returncode == 0
    assert bare.processes() == {}


_FAILS_ONCE = """
import os, shutil, sys

def disk_usage(path, usage=shutil.disk_usage):
    planted = {planted!r}
    if "--until-idle" in sys.argv and os.path.exists(planted):
        os.unlink(planted)
        raise RuntimeError("planted")
    return usage(path)

shutil.disk_usage = disk_usage
"""
"""Has a supervisor fail as no code foresees, once the file `planted` is there."""


@pytest.mark.minutes
async def test_a_supervisor_that_fails_is_started_again_by_its_keeper(
    bare: LocalDeployment, tmp_path: Path
) -> None:
    """It says in its log why, ends server and worker, and the next one has both ready again."""
    planted = tmp_path / "planted"
    (tmp_path / "sitecustomize.py").write_text(_FAILS_ONCE.format(planted=str(planted)))
    environ = {"ORCHESTCODE_IDLE_SECONDS": "600", "PYTHONPATH": str(tmp_path)}
    await bare.starter("up", "--detach", environ=environ)
    await until(lambda: len(_supervisor_and_keeper(bare)) == 2)
    first = SupervisorRecord.running(bare.settings)
    assert first is not None

    planted.touch()

    def again() -> bool:
        record = SupervisorRecord.running(bare.settings)
        return record is not None and record.pid != first.pid and record.ready

    await until(again, seconds=60)
    assert not planted.exists()
    log = (bare.settings.logs / "supervisor.log").read_text()
    assert "The supervisor failed: RuntimeError('planted')." in log
    assert (await bare.starter("stop")).returncode == 0
    await until(lambda: bare.processes() == {})


def _supervisor_and_keeper(bare: LocalDeployment) -> list[int]:
    """Return the process ids of the two, without one that does not run."""
    lines = {pid: line for pid, line in bare.processes().items() if " up --until-idle" in line}
    return sorted(lines, key=lambda pid: "keeper" in lines[pid])
