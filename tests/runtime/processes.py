"""Helpers of tests that look at the machine's processes."""

import asyncio
from collections.abc import Callable
from pathlib import Path


def of_home(home: Path) -> dict[int, str]:
    """Return the processes that belong to a home, by environment or command line."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if f"ORCHESTCODE_HOME={home}\0".encode() in environment or str(home).encode() in command:
            found[int(folder.name)] = command.replace(b"\0", b" ").decode()
    return found


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not count."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def command_of(pid: int) -> list[str]:
    """Return a process's command line."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def eventually(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Wait until the condition holds; fail after the seconds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)
