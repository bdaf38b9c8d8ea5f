"""How much disk the files of one agent take, looked at only where its disk has lost room."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

_FIND = "/usr/bin/find"
_SUSPECT_SHARE = 8
_REST_FACTOR = 4
_LEAST_REST_SECONDS = 1.0


class DiskWatch:
    """Watches folders while a command runs in them; made before it starts.

    Measuring many files takes a while, so it is done when the disk lost an eighth of what the
    command may take, by whomever, and not again for four times as long as it took.
    """

    def __init__(self, folders: Sequence[Path], limit_bytes: int) -> None:
        self._folders = folders
        self._began = time.time()
        self._free = {folder: _free(folder) for folder in folders}
        half = min(self._free.values(), default=limit_bytes * 2) // 2
        self._all_bytes = limit_bytes
        self._new_bytes = min(limit_bytes, half)
        self._rest_until = 0.0

    def exceeded(self, unnamed_bytes: int, *, at_once: bool = False) -> bool:
        """Return whether the files are too large, or the command's own take half of the disk.

        `unnamed_bytes` are in files that its processes hold open and no folder lists; `at_once`
        measures although that was done a moment ago.
        """
        lost = max((free - _free(folder) for folder, free in self._free.items()), default=0)
        resting = time.monotonic() < self._rest_until and not at_once
        if lost * _SUSPECT_SHARE < self._new_bytes or resting:
            return False
        began = time.monotonic()
        every, new = measured(self._folders, since=self._began)
        took = time.monotonic() - began
        self._rest_until = time.monotonic() + max(_REST_FACTOR * took, _LEAST_REST_SECONDS)
        return every + unnamed_bytes > self._all_bytes or new + unnamed_bytes > self._new_bytes


def measured(folders: Sequence[Path], *, since: float) -> tuple[int, int]:
    """Return the bytes on disk of everything in folders, and of what changed since a time.

    find enters folders of any depth, and prints no name.
    """
    search = (_FIND, "-P", *map(str, folders), "-printf", "%b %C@ %D:%i\n")
    try:
        found = subprocess.run(search, capture_output=True, check=False, env={}, cwd="/")
    except OSError:
        return 0, 0
    rows = [line.split() for line in found.stdout.splitlines()]
    # A file of several names counts once.
    files = {inode: (int(blocks) * 512, float(changed)) for blocks, changed, inode in rows}
    every = sum(size for size, _ in files.values())
    return every, sum(size for size, changed in files.values() if changed >= since - 1)


def _free(folder: Path) -> int:
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize
