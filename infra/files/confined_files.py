"""Files of one worktree, and of nothing else.

Files are replaced, never written in place: a reader or a kill sees the old content or the new, and
a hard link to a file elsewhere is broken instead of followed. Nothing is synced: a checkpoint is
what outlives a crash of the host. Edits, digests and journals are not known here.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from infra.files.confined_root import ConfinedRoot, PathRefused, check_path, printable
from infra.files.openat2 import open_beneath

READ_LIMIT_BYTES = 20 * 1024 * 1024
"""The largest file that is read: the largest that a model takes (a PDF)."""
TEMPORARY_PREFIX = ".orchestcode-"
"""How the name of an incomplete file begins; only a killed process leaves one behind."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY


@dataclass(frozen=True, slots=True)
class FileState:
    """A regular file as it was read or written; its mode is without setuid and setgid."""

    data: bytes
    mode: int


class ConfinedFiles(ConfinedRoot):
    """Reads and replaces files beneath one folder. Each method takes some milliseconds.

    New files and folders get the user and group id of `owner`; None: the process's own, or for
    root the owner of the file replaced. `of_tools`: paths that control git or this system are
    refused too, as for a tool of an agent.
    """

    def __init__(
        self, root: Path, *, owner: tuple[int, int] | None = None, of_tools: bool = True
    ) -> None:
        super().__init__(root)
        self._owner = owner
        self._of_tools = of_tools

    def read(self, path: str, *, limit_bytes: int = READ_LIMIT_BYTES) -> FileState | None:
        """Return the file's content and mode; None when there is no such file.

        Raises:
            PathRefused: not a path for tools, not a regular file, behind a symbolic link, not
                readable, larger than `limit_bytes`, or another user's file by a hard link.
        """
        self._check(path)
        fd = self.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        if fd is None:
            return None
        try:
            return self._state(path, fd, limit_bytes)
        finally:
            os.close(fd)

    def write(self, path: str, data: bytes, *, mode: int | None = None) -> FileState:
        """Make `data` the file's content at once; create the folders it needs.

        Safe to repeat: the same content comes out. Without a `mode` an existing file keeps its
        own, a new one is 0644.

        Raises:
            PathRefused: not a path for tools, not a regular file, behind a symbolic link, not
                writable.
            OSError: the disk is full or fails.
        """
        self._check(path)
        folder, name = _split(path)
        with self.refusals(path), self._folder(folder) as fd:
            present = self._regular(fd, path, name)
            kept = stat.S_IMODE(present.st_mode) if present else 0o644
            mode = (kept if mode is None else mode) & 0o1777
            _replace(fd, name, data, mode=mode, owner=self._new_owner(present))
        return FileState(data, mode)

    def remove(self, path: str) -> None:
        """Remove a file, and the folders that it leaves empty, as git does.

        Safe to repeat: a file that is not there is no error.

        Raises:
            PathRefused: not a path for tools, not a regular file, behind a symbolic link, not
                removable.
        """
        self._check(path)
        folder, name = _split(path)
        fd = self.open(folder, _FOLDER)
        if fd is None:
            return
        try:
            with self.refusals(path):
                if self._regular(fd, path, name) is not None:
                    os.unlink(name, dir_fd=fd)
        finally:
            os.close(fd)
        self._remove_empty(folder)

    def _remove_empty(self, folder: str) -> None:
        """Remove a folder and those above it, as long as they are empty."""
        while folder not in {"", "."}:
            above, _, name = folder.rpartition("/")
            fd = self.open(above or ".", _FOLDER)
            if fd is None:
                return
            try:
                os.rmdir(name, dir_fd=fd)
            except OSError:
                return  # not empty, or not ours to remove: it may stay
            finally:
                os.close(fd)
            folder = above

    def _check(self, path: str) -> None:
        if self._of_tools:
            check_path(path)

    def _state(self, path: str, fd: int, limit_bytes: int) -> FileState:
        status = os.fstat(fd)
        _regular_only(path, status)
        # A hard link to another user's file would lend the reader's rights to who made the link.
        if status.st_nlink > 1 and self._owner and status.st_uid != self._owner[0]:
            raise PathRefused(f"'{printable(path)}' is a hard link to another user's file.")
        data = b""
        if status.st_size <= limit_bytes:
            with os.fdopen(fd, "rb", closefd=False) as file:
                data = file.read(limit_bytes + 1)
        if max(status.st_size, len(data)) > limit_bytes:
            raise PathRefused(f"'{printable(path)}' is larger than {limit_bytes:,} bytes.")
        return FileState(data, stat.S_IMODE(status.st_mode) & 0o1777)

    def _regular(self, folder: int, path: str, name: str) -> os.stat_result | None:
        """Return the status of the regular file `name`, None when there is nothing."""
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if stat.S_ISLNK(status.st_mode):
            self.refuse_link(path)
        _regular_only(path, status)
        return status

    def _new_owner(self, present: os.stat_result | None) -> tuple[int, int] | None:
        if self._owner is None and present is not None and os.geteuid() == 0:
            return present.st_uid, present.st_gid
        return self._owner

    @contextmanager
    def _folder(self, path: str) -> Iterator[int]:
        """Open a folder for work by descriptor; create what is missing of it."""
        try:
            fd = open_beneath(self._root, path, _FOLDER)
        except FileNotFoundError:
            fd = self._created(path)
        try:
            yield fd
        finally:
            os.close(fd)

    def _created(self, path: str) -> int:
        fd = open_beneath(self._root, ".", _FOLDER)
        for part in path.split("/"):
            parent = fd
            try:
                fd = open_beneath(parent, part or ".", _FOLDER)
            except FileNotFoundError:
                fd = self._create_one(parent, part)
            finally:
                os.close(parent)
        return fd

    def _create_one(self, parent: int, name: str) -> int:
        with suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=parent)
        fd = open_beneath(parent, name, _FOLDER)
        if os.fstat(fd).st_uid == os.geteuid():  # ours, not one that took its place
            os.fchmod(fd, 0o755)  # under any umask
            if self._owner:
                os.fchown(fd, *self._owner)
        return fd


def _replace(
    folder: int, name: str, data: bytes, *, mode: int, owner: tuple[int, int] | None
) -> None:
    temporary = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600, dir_fd=folder)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            if owner:
                os.fchown(fd, *owner)
            os.fchmod(fd, mode)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _split(path: str) -> tuple[str, str]:
    """Return the folder, "." for the root, and the name of a file."""
    folder, _, name = path.rpartition("/")
    if name in {"", "."}:
        raise PathRefused(f"'{printable(path)}' is a folder, not a file.")
    return folder or ".", name


def _regular_only(path: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise PathRefused(f"'{printable(path)}' is a folder, not a file.")
    if not stat.S_ISREG(status.st_mode):
        raise PathRefused(f"'{printable(path)}' is not a regular file.")
