"""Helpers of tests that look at who listens at which port."""

import contextlib
from pathlib import Path

from runtime.settings import Settings
from tests.runtime.processes import of_home


def listening(table: Path) -> dict[str, int]:
    """Return the listening sockets of a kernel's table: inode to port."""
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    return {row[9]: int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}


def ports_of(settings: Settings) -> set[int]:
    """Return the ports of this machine at which a process of the home listens."""
    names = set()
    for pid in of_home(settings.home):
        with contextlib.suppress(FileNotFoundError):  # a process that has ended meanwhile
            for each in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    names.add(str(each.readlink()))
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    found = [pair for table in tables for pair in listening(table).items()]
    return {port for inode, port in found if f"socket:[{inode}]" in names}
