"""Child processes that end when they should."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from runtime.services.child_process import ChildProcess, log_tail, open_log
from tests.runtime.processes import alive, eventually, open_descriptors

DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
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


async def test_exit_code(tmp_path: Path) -> None:
    """Waiting gives the exit code, and once more when asked again; the output is in the log."""
    child = start("print('hello'); raise SystemExit(3)", tmp_path / "log")

    assert await child.wait() == 3
    assert await child.wait() == 3
    assert not child.alive
    assert log_tail(tmp_path / "log") == "\n  hello"


async def test_stop_deaf(tmp_path: Path) -> None:
    """A child that ignores SIGTERM is killed after the grace."""
    child = start(DEAF, tmp_path / "log")
    await eventually(lambda: "deaf" in log_tail(tmp_path / "log"))

    begun = time.monotonic()
    code = await child.stop(grace_seconds=0.3)

    assert code == -signal.SIGKILL
    assert 0.3 <= time.monotonic() - begun < 3


async def test_group(tmp_path: Path) -> None:
    """What a child left in its process group ends with it."""
    code = "import subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True)"
    child = start(code, tmp_path / "log")
    await eventually(lambda: not child.alive)
    left = int(log_tail(tmp_path / "log"))
    assert alive(left)

    assert await child.wait() == 0

    await eventually(lambda: not alive(left))


async def test_dies_with_parent(tmp_path: Path) -> None:
    """SIGKILL of the parent ends the child, even a deaf one in its own session."""
    parent = start(PARENT, tmp_path / "log", ROOT, DEAF, str(tmp_path / "inner"))
    await eventually(lambda: "deaf" in log_tail(tmp_path / "inner"))
    await eventually(lambda: bool(log_tail(tmp_path / "log")))
    child = int(log_tail(tmp_path / "log"))

    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()

    await eventually(lambda: not alive(child), seconds=5)
    assert not alive(child)


async def test_cancelled_wait(tmp_path: Path) -> None:
    """Giving up to wait leaves the child alive and leaks no descriptor."""
    child = start("import time; time.sleep(60)", tmp_path / "log")
    before = open_descriptors()
    waiting = asyncio.create_task(child.wait())
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert child.alive
    assert open_descriptors() == before
    await child.stop(grace_seconds=1)


def test_long_log(tmp_path: Path) -> None:
    """A log that has grown long is set aside at the next start."""
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(9 * 1024 * 1024)

    with open_log(log) as descriptor:
        os.write(descriptor, b"new")

    assert log.read_bytes() == b"new"
    assert (tmp_path / "log.1").stat().st_size == 9 * 1024 * 1024
