"""Reading a file of which nothing is known, which may be a FIFO or a device."""

import os
import stat
from pathlib import Path
from typing import Final

_MOST_BYTES: Final = 64 << 20


def regular_content(file: Path) -> bytes | None:
    """Return the content of a regular file of at most 64 MB; None for anything else."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as opened:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        content = opened.read(_MOST_BYTES + 1)
    return content if len(content) <= _MOST_BYTES else None
