"""Small file systems in memory that can be filled; mounting needs the right to."""

import contextlib
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SIZE_MB = 320
"""More than a request must find free at its start."""
PIECES = (64 << 20, 1 << 20, 1 << 16, 4096)
"""Bytes taken at a time, so long as they fit."""


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Put a small file system on an empty folder."""
    options = f"size={SIZE_MB}m,mode={stat.S_IMODE(folder.stat().st_mode):o}"
    words = ["mount", "-t", "tmpfs", "-o", options, "orchestcode-test", str(folder)]
    mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.fail(f"this test must be able to mount (run it as root): {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Fill a file system for as long as the block lasts."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        for piece in PIECES:
            with contextlib.suppress(OSError):
                while True:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), piece)
    try:
        yield
    finally:
        ballast.unlink()
