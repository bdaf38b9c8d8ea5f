"""How much memory a process and all its descendants hold, without control groups.

Reads /proc and nothing else. Descendants cannot leave: in a process namespace an orphan becomes
the child of the namespace's first process, not of the machine's.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PARENT, _RESIDENT = 1, 21  # fields of /proc/N/stat, counted after the name


def holds_more(first: int, limit_bytes: int) -> bool:
    """Return whether a process and its descendants together hold more memory than a limit.

    Shared pages count once: the expensive proportional figures are read only when the cheap ones,
    which count such a page for every process, are above the limit. Anonymous and mapped memory
    counts, files in a tmpfs do not.
    """
    resident = dict(_family(first))
    if sum(resident.values()) <= limit_bytes:
        return False
    return sum(_share(process, size) for process, size in resident.items()) > limit_bytes


def _family(first: int) -> Iterator[tuple[int, int]]:
    """List a process and its descendants with their resident bytes."""
    children: dict[int, list[int]] = defaultdict(list)
    resident: dict[int, int] = {}
    for process, parent, size in _processes():
        children[parent].append(process)
        resident[process] = size
    waiting = [first]
    while waiting:
        process = waiting.pop()
        waiting += children[process]
        if process in resident:
            yield process, resident[process]


def _processes() -> Iterator[tuple[int, int, int]]:
    """List all processes: number, parent, resident bytes; one that ends meanwhile is left out."""
    with os.scandir("/proc") as entries:
        numbers = [entry.name for entry in entries if entry.name.isdigit()]
    for number in numbers:
        try:
            stat = Path("/proc", number, "stat").read_bytes()
        except OSError:
            continue
        # The name is in parentheses and may hold any byte, so count from its end.
        fields = stat.rpartition(b")")[2].split()
        yield int(number), int(fields[_PARENT]), int(fields[_RESIDENT]) * _PAGE_BYTES


def _share(process: int, resident_bytes: int) -> int:
    """Return a process's proportional share; all of it where unreadable, 0 once it ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text("ascii", "replace").splitlines()
    except PermissionError:
        return resident_bytes
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
