"""
The id of this host: made once, kept on disk, so that a restarted worker serves the same leases.
"""

import os
import re
import secrets
import socket
from pathlib import Path

from runtime.settings import Settings

_LONGEST_NAME = 24


def host_id(settings: Settings) -> str:
    """
    Return this host's id: its name for people and eight random hex digits, always the same.

    The first caller makes it; of several at once one wins and all return the winner's.
    """
    settings.ensure_home()
    path = settings.host_id_file
    if not path.exists():
        _create(path, f"{_name()}-{secrets.token_hex(4)}")
    return path.read_text(encoding="ascii").strip()


def _create(path: Path, value: str) -> None:
    """Write a file that either is whole or is not there, and never replace one."""
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
    return name[:_LONGEST_NAME].strip("-") or "host"
