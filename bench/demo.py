"""The demonstration's request: how long it takes, and how much memory it uses."""

import subprocess
import sys
import time
from pathlib import Path

from bench.figures import Figure, Name
from examples.demo.rehearsed import ROOT

_PAUSE_SECONDS = 0.2
_MIB = 1024


class Processes:
    """The processes of one demonstration, seen through /proc.

    Attributes:
        worker: the most memory that the worker held, in KiB.
        whole: the most that all of them held together, each shared page counted once.
    """

    def __init__(self, first: int) -> None:
        self._known = {first}
        self.worker = 0
        self.whole = 0

    def look(self) -> None:
        """Find who belongs to it now, and add up what they hold."""
        self._find()
        held = {pid: _held(pid) for pid in self._known}
        self.whole = max(self.whole, sum(held.values()))
        for pid, kib in held.items():
            if kib and _runs(pid, "worker.py"):
                self.worker = max(self.worker, _peak(pid))

    def _find(self) -> None:
        # The supervisor leaves its parent, so a process once found stays known.
        parents = {pid: _parent(pid) for pid in _processes()}
        grown = True
        while grown:
            more = {pid for pid, parent in parents.items() if parent in self._known} - self._known
            self._known |= more
            grown = bool(more)


def measure() -> list[Figure]:
    """Run the demonstration once."""
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as demo:
        processes = Processes(demo.pid)
        while demo.poll() is None:
            processes.look()
            time.sleep(_PAUSE_SECONDS)
    seconds = time.perf_counter() - begun
    if demo.returncode:
        raise SystemExit(f"The demonstration failed with exit code {demo.returncode}.")
    return [
        Figure(Name.DEMO_WALL, seconds, "s"),
        Figure(Name.DEMO_WORKER_PEAK, processes.worker / _MIB, "MiB"),
        Figure(Name.DEMO_WHOLE_PEAK, processes.whole / _MIB, "MiB"),
    ]


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _parent(pid: int) -> int:
    return _field(pid, "status", "PPid:")


def _held(pid: int) -> int:
    return _field(pid, "smaps_rollup", "Pss:")


def _peak(pid: int) -> int:
    return _field(pid, "status", "VmHWM:")


def _field(pid: int, file: str, name: str) -> int:
    """Return a number from a file of /proc; 0 when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def _runs(pid: int, script: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(word.endswith(script.encode()) for word in words)
