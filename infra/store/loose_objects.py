"""Loose objects on disk, written durably. Blocking; references and git are not known here."""

import contextlib
import os
import secrets
import time
import zlib
from pathlib import Path

from infra.fsync import sync_folder
from infra.store.object_format import ObjectKind, object_id

_TRIES = 100
_LOOSE_LEVEL = 1  # what git uses for loose objects: speed; packing compresses again


class LooseObjects:
    """Writes objects as loose files so that they survive a power cut once the call returns.

    Every file is synced under a temporary name, renamed into place, and its folder synced.
    Several processes may write the same object at once: each rename puts the same bytes there. One
    that only a pack holds is written once more, which costs less than looking for it there.

    Attributes:
        pace_seconds: how long the last written object took, most of it waiting for the disk.
    """

    def __init__(self, folder: Path) -> None:
        self.pace_seconds = 0.0
        self._folder = str(folder)

    def put(self, kind: ObjectKind, data: bytes) -> str:
        """Store one object and return its id; nothing is written when it is there already."""
        oid = object_id(kind, data)
        folder = f"{self._folder}/{oid[:2]}"
        path = f"{folder}/{oid[2:]}"
        if _refreshed(path):
            _sync_name(folder)  # its writer may not have synced the name yet
        else:
            start = time.perf_counter()
            self._write(folder, path, b"%s %d\0" % (kind.encode(), len(data)) + data)
            self.pace_seconds = time.perf_counter() - start
        return oid

    def _write(self, folder: str, path: str, content: bytes) -> None:
        packed = zlib.compress(content, _LOOSE_LEVEL)
        # git's own gc removes forgotten files of this name.
        temporary = f"{folder}/tmp_obj_{secrets.token_hex(8)}"  # noqa: S108 - not in /tmp
        handle, made_folder = _create_in(folder, temporary)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(packed)
                file.flush()
                os.fsync(handle)
            os.rename(temporary, path)  # noqa: PTH104 - strings on the path of every turn
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        if made_folder:
            sync_folder(self._folder)
        _sync_name(folder)


def _create_in(folder: str, path: str) -> tuple[int, bool]:
    """Create a file, and its folder, which packing removes whenever it is empty.

    Returns a handle, and whether the folder had to be made.
    """
    for tries in range(_TRIES):
        try:
            return _create(path), tries > 0
        except FileNotFoundError:
            Path(folder).mkdir(exist_ok=True)
    return _create(path), True


def _sync_name(folder: str) -> None:
    """Make the names in a folder durable; what was in one that is gone lies in a synced pack."""
    with contextlib.suppress(FileNotFoundError):
        sync_folder(folder)


def _create(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)


def _refreshed(path: str) -> bool:
    # Like git: a new time stamp keeps the old object from the next prune. An empty file is what
    # a power cut leaves of an object that was never synced; it is written again.
    try:
        if os.stat(path).st_size == 0:  # noqa: PTH116
            return False
        os.utime(path)
    except OSError:
        return False
    return True
