"""Child processes end when they should, and leave nothing behind."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from runtime.services.child_process import ChildProcess, log_tail, open_log
from tests.runtime.processes import alive, eventually, open_descriptors

IGNORING = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ignoring", flush=True)
time.sleep(60)
"""
PARENT = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from runtime.services.child_process import ChildProcess
command = [sys.executable, "-c", sys.argv[2]]
child = ChildProcess(command, environment=dict(os.environ), log=Path(sys.argv[3]))
print(child.pid, flush=True)
time.sleep(60)
"""
ROOT = str(Path(__file__).resolve().parents[3])


def start(code: str, log: Path, *arguments: str) -> ChildProcess:
    """Start a Python program."""
    command = [sys.executable, "-c", code, *arguments]
    return ChildProcess(command, environment=dict(os.environ), log=log)


async def test_waiting_returns_the_exit_code_each_time(tmp_path: Path) -> None:
    """The output is in the log."""
    child = start("print('hello'); raise SystemExit(3)", tmp_path / "log")

    assert await child.wait() == 3
    assert await child.wait() == 3
    assert not child.alive
    assert log_tail(tmp_path / "log") == "\n  hello"


async def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """It is killed after the grace period."""
    child = start(IGNORING, tmp_path / "log")
    await eventually(lambda: "ignoring" in log_tail(tmp_path / "log"))

    begun = time.monotonic()
    code = await child.stop(grace_seconds=0.3)

    assert code == -signal.SIGKILL
    assert 0.3 <= time.monotonic() - begun < 60


async def test_processes_left_in_the_childs_group_are_killed(tmp_path: Path) -> None:
    """A grandchild ends once the child's end was waited for."""
    code = "import subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True)"
    child = start(code, tmp_path / "log")
    await eventually(lambda: not child.alive)
    left = int(log_tail(tmp_path / "log"))
    assert alive(left)

    assert await child.wait() == 0

    await eventually(lambda: not alive(left))


async def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    """SIGKILL of the parent kills a child in its own session, even one that ignores SIGTERM."""
    parent = start(PARENT, tmp_path / "log", ROOT, IGNORING, str(tmp_path / "inner"))
    await eventually(lambda: "ignoring" in log_tail(tmp_path / "inner"))
    await eventually(lambda: bool(log_tail(tmp_path / "log")))
    child = int(log_tail(tmp_path / "log"))

    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()

    await eventually(lambda: not alive(child))
    assert not alive(child)


async def test_a_cancelled_wait_leaves_the_child_alive(tmp_path: Path) -> None:
    """It leaks no descriptor."""
    child = start("import time; time.sleep(60)", tmp_path / "log")
    before = open_descriptors()
    waiting = asyncio.create_task(child.wait())
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert child.alive
    assert open_descriptors() == before
    await child.stop(grace_seconds=1)


def test_a_long_log_is_rotated(tmp_path: Path) -> None:
    """A log above the limit is renamed when it is opened next."""
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(9 * 1024 * 1024)

    with open_log(log) as file:
        file.write(b"new")

    assert log.read_bytes() == b"new"
    assert (tmp_path / "log.1").stat().st_size == 9 * 1024 * 1024
