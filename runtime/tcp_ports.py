"""Ports of the loopback interface: which is free, and who listens."""

import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path

from runtime.errors import ServerError


def free_port(wished: Sequence[int | None], *, but: int | None = None) -> int:
    """
    Return the first wished port that is free, else any free one, never `but`.

    Raises:
        ServerError: none is left.
    """
    for port in (*wished, 0):
        if port is None or port == but:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise ServerError("No free port is left on the loopback interface.")


def listens(pid: int, port: int) -> bool:
    """Say whether that very process listens on the port, by the kernel's tables."""
    local = f":{port:04X}"
    inodes = set()
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(local) and fields[3] == "0A":
            inodes.add(f"socket:[{fields[9]}]")
    return bool(inodes) and not inodes.isdisjoint(_open_files(pid))


def _open_files(pid: int) -> set[str]:
    names = set()
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                names.add(str(entry.readlink()))
    return names
