"""The id of this host, kept on disk, so that a restarted worker serves the same leases."""

import os
import re
import secrets
import socket
from pathlib import Path

from runtime.settings import Settings

_MAX_NAME_LENGTH = 24


def host_id(settings: Settings) -> str:
    """Return this host's id, the host name and eight random hex digits; it never changes.

    The first caller creates it; several at once all return the id of the one that was first.
    """
    settings.ensure_home()
    path = settings.host_id_file
    if not path.exists():
        _create(path, f"{_name()}-{secrets.token_hex(4)}")
    return path.read_text(encoding="ascii").strip()


def _create(path: Path, value: str) -> None:
    """Write a file completely or not at all; never replace an existing one."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with draft.open("x", encoding="ascii") as file:
            file.write(f"{value}\n")
            file.flush()
            os.fsync(file.fileno())
        # A hard link, unlike a rename, fails when another process was first.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)


def _name() -> str:
    name = re.sub(r"[^a-z0-9]+", "-", socket.gethostname().split(".")[0].lower())
    return name[:_MAX_NAME_LENGTH].strip("-") or "host"
