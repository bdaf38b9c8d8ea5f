"""TCP ports of the loopback interface: which is free, and which process listens."""

import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path

from runtime.errors import ServerError


def free_port(preferred: Sequence[int | None], *, exclude: int | None = None) -> int:
    """Return the first free preferred port, else any free one, never `exclude`; or ServerError."""
    for port in (*preferred, 0):
        if port is None or port == exclude:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise ServerError("No port is free on the loopback interface.")


def is_listening(pid: int, port: int) -> bool:
    """Return whether that process itself listens on the port, by the kernel's tables."""
    local = f":{port:04X}"
    inodes = set()
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(local) and fields[3] == "0A":
            inodes.add(f"socket:[{fields[9]}]")
    return bool(inodes) and not inodes.isdisjoint(_descriptor_targets(pid))


def _descriptor_targets(pid: int) -> set[str]:
    names = set()
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                names.add(str(entry.readlink()))
    return names
