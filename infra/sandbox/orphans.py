"""Sandboxes whose worker is dead: found in /proc, and killed.

bubblewrap asks the kernel to be killed with its parent only after it has started, and its inner
process only after the outer one has let it go on. A worker that is killed in between leaves a
process that waits for ever, or a command that no worker supervises.
"""

import contextlib
import os
import signal
from pathlib import Path

_LAUNCHER = b"bwrap"
_WORKER = b"worker.py"


def find_orphans(home: Path) -> list[int]:
    """Return the sandbox processes of a home that belong to no living worker, lowest id first.

    Args:
        home: the product's data folder; every command line of a sandbox of ours names it.
    """
    pids = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return sorted(pid for pid in pids if _orphaned(pid, home))


def end_orphan(pid: int, home: Path) -> bool:
    """Kill an orphan and with it everything in its sandbox; False = it had ended already."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        # Checked again under the descriptor: the id may have been reused for another process.
        if not _orphaned(pid, home):
            return False
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        return True
    finally:
        os.close(descriptor)


def _orphaned(pid: int, home: Path) -> bool:
    """Return whether a process is a sandbox of this home without a worker among its ancestors."""
    if not _ours(_command(pid), home):
        return False
    parent = _parent(pid)
    while parent:
        command = _command(parent)
        if parent == os.getpid() or any(part.endswith(_WORKER) for part in command):
            return False
        if not _ours(command, home):
            return True
        parent = _parent(parent)
    return parent == 0


def _ours(command: list[bytes], home: Path) -> bool:
    """Return whether a command line is that of a sandbox of this home."""
    if not command or not command[0].endswith(_LAUNCHER):
        return False
    inside = os.fsencode(home)
    return any(part == inside or part.startswith(inside + b"/") for part in command)


def _command(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _parent(pid: int) -> int | None:
    """Return a process's parent; 0 = none, None = the process has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None
