"""How many processes a sandbox holds and how much memory, without control groups.

Reads /proc and nothing else. Descendants cannot leave: in a process namespace an orphan becomes
the child of the namespace's first process, not of the machine's. A control group would be exact,
but few workers may make one; what this misses, the kernel's own choice of a victim ends.
"""

import contextlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PARENT, _THREADS, _RESIDENT = 1, 17, 21  # fields of /proc/N/stat, counted after the name
_SHARED_MEMORY = "/dev/shm"  # noqa: S108
_FRESH_SECONDS = 0.1
_DESCRIPTORS = 2_000
_INODE_BYTES = 1_024
_FIRST_VICTIM = b"1000\n"


@dataclass(frozen=True)
class ProcessUse:
    """One process: its number, threads and resident bytes."""

    pid: int
    threads: int
    resident_bytes: int


@dataclass(frozen=True)
class UnnamedFiles:
    """What open files hold that have no name any more, in memory and on disks."""

    memory_bytes: int
    disk_bytes: int


@dataclass
class _Table:
    """All processes of the host by parent, read once for all commands that are watched."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    children: dict[int, list[ProcessUse]] = field(default_factory=dict)
    read_at: float = float("-inf")


_table = _Table()


def family(first: int) -> list[ProcessUse]:
    """Return the descendants of a process; the sandbox's own first process is not counted."""
    children = _children()
    found: list[ProcessUse] = []
    waiting = [first]
    while waiting:
        mine = children.get(waiting.pop(), [])
        found += mine
        waiting += [each.pid for each in mine]
    return found


def _children() -> dict[int, list[ProcessUse]]:
    with _table.lock:
        if time.monotonic() - _table.read_at > _FRESH_SECONDS:
            children: defaultdict[int, list[ProcessUse]] = defaultdict(list)
            for parent, process in _processes():
                children[parent].append(process)
            _table.children, _table.read_at = dict(children), time.monotonic()
        return _table.children


def _processes() -> Iterator[tuple[int, ProcessUse]]:
    """List all processes with their parents; one that ends meanwhile is left out."""
    with os.scandir("/proc") as entries:
        numbers = [entry.name for entry in entries if entry.name.isdigit()]
    for number in numbers:
        try:
            stat = Path("/proc", number, "stat").read_bytes()
        except OSError:
            continue
        # The name is in parentheses and may hold any byte, so count from its end.
        fields = stat.rpartition(b")")[2].split()
        size = int(fields[_RESIDENT]) * _PAGE_BYTES
        yield int(fields[_PARENT]), ProcessUse(int(number), int(fields[_THREADS]), size)


def holds_more(processes: Iterable[ProcessUse], limit_bytes: int) -> bool:
    """Return whether processes together, and their files in memory, hold more than a limit.

    Shared pages count once: the expensive proportional figures are read only when the cheap ones,
    which count such a page for every process, are above the limit.
    """
    every = list(processes)
    files = _shared_memory(every) + unnamed_files(every).memory_bytes
    if files + sum(each.resident_bytes for each in every) <= limit_bytes:
        return False
    shares = [_share(each) for each in every]
    # A file in memory that is also mapped would count twice.
    mapped = sum(shared for _, shared in shares)
    return sum(own for own, _ in shares) + max(mapped, files) > limit_bytes


def keep_first_victims(processes: Iterable[ProcessUse]) -> None:
    """Make processes again what the kernel ends first, should one have taken that back."""
    for each in processes:
        place = Path(f"/proc/{each.pid}/oom_score_adj")
        with contextlib.suppress(OSError):
            if place.read_bytes() != _FIRST_VICTIM:
                place.write_bytes(_FIRST_VICTIM)


def system_kills() -> int:
    """Return how many processes of this host the kernel has killed for want of memory."""
    try:
        rows = Path("/proc/vmstat").read_text("ascii").splitlines()
    except OSError:
        return 0
    return sum(int(row.split()[1]) for row in rows if row.startswith("oom_kill "))


def _share(process: ProcessUse) -> tuple[int, int]:
    """Return a process's proportional share, of memory and of files in memory."""
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text("ascii", "replace")
    except PermissionError:
        return process.resident_bytes, 0
    except OSError:
        return 0, 0  # it ended
    rows = (line.split() for line in text.splitlines() if line.endswith(" kB"))
    sizes = {row[0]: int(row[1]) * 1_024 for row in rows}
    shared = sizes.get("Pss_Shmem:", 0)
    return sizes.get("Pss:", 0) - shared, shared


def _shared_memory(processes: Iterable[ProcessUse]) -> int:
    """Return what the sandbox's /dev/shm holds: bytes, and the kernel's own memory for its files.

    A process that has not entered the sandbox yet would show the host's.
    """
    outside = os.stat(_SHARED_MEMORY).st_dev if os.path.exists(_SHARED_MEMORY) else None  # noqa: PTH110, PTH116
    for each in processes:
        place = f"/proc/{each.pid}/root{_SHARED_MEMORY}"
        try:
            if os.stat(place).st_dev != outside:  # noqa: PTH116
                state = os.statvfs(place)
                used = (state.f_blocks - state.f_bfree) * state.f_frsize
                return used + (state.f_files - state.f_ffree) * _INODE_BYTES
        except OSError:
            continue
    return 0


def unnamed_files(processes: Iterable[ProcessUse]) -> UnnamedFiles:
    """Return what the open files of processes hold that no folder lists, each file once.

    Looks at a bounded number of descriptors, so that a command cannot keep the worker busy.
    """
    sizes: dict[tuple[int, int], tuple[int, bool]] = {}
    left = _DESCRIPTORS
    for each in processes:
        folder = f"/proc/{each.pid}/fd"
        try:
            names = os.listdir(folder)[:left]  # noqa: PTH208
        except OSError:
            continue
        left -= len(names)
        for name in names:
            found = _unnamed(f"{folder}/{name}")
            if found is not None:
                key, size, in_memory = found
                sizes[key] = (size, in_memory)
    memory = sum(size for size, in_memory in sizes.values() if in_memory)
    return UnnamedFiles(memory, sum(size for size, _ in sizes.values()) - memory)


def _unnamed(descriptor: str) -> tuple[tuple[int, int], int, bool] | None:
    try:
        state = os.stat(descriptor)  # noqa: PTH116
        if state.st_nlink or not state.st_blocks:
            return None
        target = os.readlink(descriptor)  # noqa: PTH115
    except OSError:
        return None
    # What lies in /dev/shm is counted there.
    in_shm = target.startswith(f"{_SHARED_MEMORY}/")
    size = 0 if in_shm else state.st_blocks * 512
    return (state.st_dev, state.st_ino), size, target.startswith("/memfd:") or in_shm
