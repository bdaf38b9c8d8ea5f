"""Which objects the packs hold, read from their index files without a git process."""

import mmap
import os
import struct
import threading
from bisect import bisect_left
from pathlib import Path


class PackIndexes:
    """Answers whether a pack holds an object, without a git process.

    The folder is listed again whenever its time stamp changes.

    Args:
        folder: the `objects/pack` folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()  # large objects are written in threads
        self._stamp = -1
        self._maps: dict[Path, mmap.mmap] = {}

    def holds(self, oid: str) -> bool:
        """Return whether a pack holds the object; its pack is then kept from the next prune."""
        with self._lock:
            return self._holds(bytes.fromhex(oid))

    def _holds(self, wanted: bytes) -> bool:
        self._refresh()
        for path, view in self._maps.items():
            if _index_holds(view, wanted):
                try:
                    os.utime(path.with_suffix(".pack"))
                except OSError:
                    continue
                return True
        return False

    def close(self) -> None:
        """Release the mapped files."""
        for view in self._maps.values():
            view.close()
        self._maps.clear()
        self._stamp = -1

    def _refresh(self) -> None:
        try:
            stamp = self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            stamp = -1
        if stamp == self._stamp:
            return
        self.close()
        for path in self._folder.glob("*.idx"):
            try:
                with path.open("rb") as file:
                    view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError):
                continue  # gone or empty: the object is then simply written once more
            self._maps[path] = view
        self._stamp = stamp


def _index_holds(view: mmap.mmap, wanted: bytes) -> bool:
    if view[:8] != b"\xfftOc\0\0\0\2":
        return False
    first = wanted[0]
    low = _fanout(view, first - 1) if first else 0
    high = _fanout(view, first)

    def name(at: int) -> bytes:
        start = 8 + 4 * 256 + 20 * at
        return view[start : start + 20]

    at = bisect_left(range(high), wanted, low, high, key=name)
    return at < high and name(at) == wanted


def _fanout(view: mmap.mmap, first: int) -> int:
    return int(struct.unpack_from(">I", view, 8 + 4 * first)[0])
