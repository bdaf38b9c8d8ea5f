"""
Files of one worktree, and of nothing else: every path is resolved by the kernel, beneath a root.

openat2 refuses symbolic links and whatever leads out of the root in the same step in which it
opens, so there is no moment between check and use. Files are replaced, never written in place: a
reader or a crash sees the old content or the new, and a hard link to a file elsewhere is broken
instead of followed. Knows nothing of edits, digests seen or journals.
"""

import ctypes
import errno
import hashlib
import os
import posixpath
import secrets
import stat
import struct
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from domain.approvals.paths import path_problem

READ_LIMIT_BYTES = 20 * 1024 * 1024
"""The largest file that is read: the largest that a model takes (a PDF)."""
TEMPORARY_PREFIX = ".orchestcode-"
"""How the name of a half-written file begins; only a killed process leaves one behind."""
_OPENAT2 = 437  # the same number on every architecture
_RESOLVE = 0x08 | 0x04 | 0x02  # BENEATH, NO_SYMLINKS, NO_MAGICLINKS
_TRIES = 64  # openat2 says "again" when a rename elsewhere raced with a resolution
_WALK_LIMIT = 50_000
_CLOSED_FOLDERS = frozenset({"node_modules", "__pycache__", ".venv"})
_NAME_LIMIT_CHARS = 200
_READ_CHUNK_BYTES = 1024 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


class PathRefused(Exception):  # noqa: N818 - an answer, seldom an error
    """A path that is not read or written, and why, in words for the model; no host path in it."""


class EditorUnavailableError(Exception):
    """A kernel that cannot confine paths; nothing is read or written without that."""


@dataclass(frozen=True, slots=True)
class FileState:
    """
    A regular file as it was read.

    Attributes:
        data: the whole content.
        mode: permission bits, without setuid and setgid.
        sha256: of the content, hexadecimal.
        links: how many names the file has; a write through the editor leaves the others alone.
    """

    data: bytes
    mode: int
    sha256: str
    links: int


class ConfinedFiles:
    """
    Reads, replaces and deletes files beneath one folder.

    A context manager, cheap to make: make one for each use, so that a folder that was replaced
    or mounted over in between is not missed. Each method takes some milliseconds.

    Args:
        root: the folder; it must exist.
        owner: user and group id that new files and folders get; None: the process's own, or
            for root the owner of the file replaced.
        synced: what is written is durable on return; False where a checkpoint is.

    Raises:
        EditorUnavailableError: the kernel has no openat2 (Linux before 5.6), or forbids it.
        OSError: the root cannot be opened.
    """

    def __init__(
        self, root: Path, *, owner: tuple[int, int] | None = None, synced: bool = True
    ) -> None:
        self._root_path = root
        self._owner = owner
        self._sync = os.fsync if synced else _unsynced
        self._root = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.close(_openat2(self._root, ".", os.O_PATH))
        except OSError as error:
            os.close(self._root)
            if error.errno not in {errno.ENOSYS, errno.EPERM}:
                raise
            raise EditorUnavailableError(
                "The kernel has no openat2 (Linux 5.6 or newer), or a seccomp profile forbids it;"
                " without it no path can be confined to the worktree."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the root go. Safe to repeat."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def read(self, path: str, *, limit_bytes: int = READ_LIMIT_BYTES) -> FileState | None:
        """
        Return the file's content and mode; None when there is no such file.

        Raises:
            PathRefused: not a path for tools, not a regular file, behind a symbolic link, not
                readable, larger than `limit_bytes`, or another user's file by a hard link.
        """
        _check(path)
        fd = self._open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        if fd is None:
            return None
        try:
            return self._state(path, fd, limit_bytes)
        finally:
            os.close(fd)

    def is_folder(self, path: str) -> bool:
        """
        Whether the path is a folder, reached without symbolic links.

        Raises:
            PathRefused: not a path for tools, or behind a symbolic link.
        """
        _check(path)
        fd = self._open(path, os.O_PATH | os.O_DIRECTORY)
        if fd is None:
            return False
        os.close(fd)
        return True

    def write(self, path: str, data: bytes, *, mode: int | None = None) -> FileState:
        """
        Make `data` the file's content, durably and at once; make the folders it needs.

        Safe to repeat: the same content comes out. When this returns, file and name are on disk.

        Args:
            path: relative to the root.
            data: the whole content.
            mode: permission bits; None keeps the present ones, 0644 for a new file.

        Returns:
            What is there now; `links` counts the names of the file that was replaced, 0 for none.

        Raises:
            PathRefused: not a path for tools, not a regular file, behind a symbolic link, not
                writable.
            OSError: the disk is full or fails.
        """
        _check(path)
        folder, name = _split(path)
        with self._refusals(path), self._folder(folder, make=True) as fd:
            present = self._regular(fd, path, name)
            kept = stat.S_IMODE(present.st_mode) if present else 0o644
            bits = (kept if mode is None else mode) & 0o1777
            _replace(fd, name, data, mode=bits, owner=self._new_owner(present), sync=self._sync)
        sha = hashlib.sha256(data).hexdigest()
        return FileState(data, bits, sha, present.st_nlink if present else 0)

    def delete(self, path: str) -> bool:
        """
        Delete the file; False when there was none. Safe to repeat. Folders stay.

        Raises:
            PathRefused: not a path for tools, not a regular file, or behind a symbolic link.
        """
        _check(path)
        folder, name = _split(path)
        with self._refusals(path):
            try:
                with self._folder(folder, make=False) as fd:
                    return self._delete(fd, path, name)
            except (FileNotFoundError, NotADirectoryError):
                return False

    def list_directory(self, path: str, *, depth: int = 2, limit: int = 200) -> list[str]:
        """
        Return what lies in a folder, as paths relative to the root, sorted.

        Folders end in "/", a symbolic link shows its target, unprintable characters are
        escaped. What is nearer to `path` comes first when `limit` entries do not suffice; then
        a sentence follows as one more entry. Folders of dependencies are named, not entered.

        Raises:
            PathRefused: not a path for tools, no folder, or behind a symbolic link.
        """
        _check(path)
        if not self.is_folder(path):
            raise PathRefused(f"'{_shown(path)}' is not a folder.")
        start = "" if posixpath.normpath(path) == "." else posixpath.normpath(path)
        shown: list[str] = []
        more = 0
        for entry in self._walk(start, depth):
            if len(shown) < limit:
                shown.append(entry)
            else:
                more += 1
        return [*sorted(shown), *([f"[{more} more entries are not shown]"] if more else [])]

    def _walk(self, start: str, depth: int) -> Iterator[str]:
        """Yield the entries level by level, at most `_WALK_LIMIT`."""
        waiting = deque([(start, 1)])
        left = _WALK_LIMIT
        while waiting:
            folder, level = waiting.popleft()
            for name, is_folder, target in self._entries(folder):
                inner = posixpath.join(folder, name)
                yield _shown(inner) + ("/" if is_folder else "") + target
                left -= 1
                if not left:
                    return
                if is_folder and level < depth and name not in _CLOSED_FOLDERS:
                    waiting.append((inner, level + 1))

    def _entries(self, folder: str) -> list[tuple[str, bool, str]]:
        """Return name, whether a folder, and " -> target" of each entry, sorted; gone: nothing."""
        try:
            fd = self._open(folder or ".", os.O_RDONLY | os.O_DIRECTORY)
        except PathRefused:
            return []
        if fd is None:
            return []
        try:
            with os.scandir(fd) as entries:
                found = [e for e in entries if _listed(e.name)]
                return sorted(
                    (e.name, e.is_dir(follow_symlinks=False), _target(fd, e)) for e in found
                )
        finally:
            os.close(fd)

    def _state(self, path: str, fd: int, limit_bytes: int) -> FileState:
        status = os.fstat(fd)
        _regular_only(path, status)
        # A hard link to someone else's file would lend the reader's rights to whoever made it.
        if status.st_nlink > 1 and self._owner and status.st_uid != self._owner[0]:
            raise PathRefused(f"'{_shown(path)}' is a hard link to another user's file.")
        data = b""
        if status.st_size <= limit_bytes:
            data = _read(fd, limit_bytes + 1)
        if max(status.st_size, len(data)) > limit_bytes:
            raise PathRefused(f"'{_shown(path)}' is larger than {limit_bytes:,} bytes.")
        mode = stat.S_IMODE(status.st_mode) & 0o1777
        return FileState(data, mode, hashlib.sha256(data).hexdigest(), status.st_nlink)

    def _delete(self, folder: int, path: str, name: str) -> bool:
        if self._regular(folder, path, name) is None:
            return False
        os.unlink(name, dir_fd=folder)
        os.fsync(folder)
        return True

    def _regular(self, folder: int, path: str, name: str) -> os.stat_result | None:
        """Return the status of the regular file `name`, None when there is nothing."""
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if stat.S_ISLNK(status.st_mode):
            self._refuse_link(path)
        _regular_only(path, status)
        return status

    def _new_owner(self, present: os.stat_result | None) -> tuple[int, int] | None:
        if self._owner is None and present is not None and os.geteuid() == 0:
            return present.st_uid, present.st_gid
        return self._owner

    def _open(self, path: str, flags: int) -> int | None:
        """Return a descriptor; None when there is nothing of that name, or no folder."""
        with self._refusals(path):
            try:
                return _openat2(self._root, path, flags)
            except (FileNotFoundError, NotADirectoryError):
                return None

    @contextmanager
    def _refusals(self, path: str) -> Iterator[None]:
        """Turn what the kernel says about a path into words; leave what it says about the disk."""
        try:
            yield
        except OSError as error:
            if error.errno == errno.ELOOP:
                self._refuse_link(path)
            sentence = _SENTENCES.get(error.errno or 0)
            if sentence is None:
                raise
            raise PathRefused(sentence.format(path=_shown(path))) from error

    def _refuse_link(self, path: str) -> NoReturn:
        """Refuse, and say which part of the path is the link and which path to use instead."""
        parts = [part for part in path.split("/") if part not in {"", "."}]
        for count in range(1, len(parts) + 1):
            link = "/".join(parts[:count])
            target = self._link_target(link)
            if target is not None:
                self._explain_link(link, target, rest=parts[count:])
        raise PathRefused(f"'{_shown(path)}' leads through a symbolic link.")

    def _link_target(self, path: str) -> str | None:
        try:
            fd = _openat2(self._root, path, os.O_PATH | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            return os.readlink("", dir_fd=fd)
        except OSError:
            return None
        finally:
            os.close(fd)

    def _explain_link(self, link: str, target: str, *, rest: list[str]) -> NoReturn:
        if target.startswith("/"):
            inside = Path(target).is_relative_to(self._root_path)
            real = str(Path(target).relative_to(self._root_path)) if inside else ".."
        else:
            real = posixpath.normpath(posixpath.join(posixpath.dirname(link), target))
        if real == ".." or real.startswith("../"):
            raise PathRefused(f"'{_shown(link)}' is a symbolic link that leaves the repository.")
        use = posixpath.normpath(posixpath.join(real, *rest))
        raise PathRefused(
            f"'{_shown(link)}' is a symbolic link to '{_shown(real)}': use '{_shown(use)}'."
        )

    @contextmanager
    def _folder(self, path: str, *, make: bool) -> Iterator[int]:
        """Open a folder for work by descriptor; with `make`, create what is missing of it."""
        flags = os.O_RDONLY | os.O_DIRECTORY
        try:
            fd = _openat2(self._root, path, flags)
        except FileNotFoundError:
            if not make:
                raise
            fd = self._made(path)
        try:
            yield fd
        finally:
            os.close(fd)

    def _made(self, path: str) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY
        fd = _openat2(self._root, ".", flags)
        for part in path.split("/"):
            parent = fd
            try:
                fd = _openat2(parent, part or ".", flags)
            except FileNotFoundError:
                fd = self._make_one(parent, part)
            finally:
                os.close(parent)
        return fd

    def _make_one(self, parent: int, name: str) -> int:
        with suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=parent)
        fd = _openat2(parent, name, os.O_RDONLY | os.O_DIRECTORY)
        if os.fstat(fd).st_uid == os.geteuid():  # ours, not one that took its place
            os.fchmod(fd, 0o755)  # whatever the umask
            if self._owner:
                os.fchown(fd, *self._owner)
        self._sync(parent)
        return fd


_SENTENCES = {
    errno.EXDEV: "'{path}' leads out of the repository.",
    errno.EACCES: "Permission denied: '{path}'.",
    errno.EPERM: "Permission denied: '{path}'.",
    errno.EROFS: "Permission denied: '{path}' is on a read-only file system.",
    errno.EISDIR: "'{path}' is a folder, not a file.",
    errno.ENOTDIR: "'{path}' has a file where a folder is needed.",
    errno.ENAMETOOLONG: "The path is too long.",
    errno.ENXIO: "'{path}' is not a regular file.",
    errno.ENODEV: "'{path}' is not a regular file.",
    errno.ENOENT: "A folder of '{path}' was removed meanwhile.",
    errno.EAGAIN: "'{path}' keeps changing while it is opened.",
}


def _openat2(folder: int, path: str, flags: int) -> int:
    """Open beneath `folder`, through no link; the descriptor is not inherited by children."""
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, 0, _RESOLVE)
    code = 0
    for _ in range(_TRIES):
        fd = int(_libc.syscall(_OPENAT2, folder, os.fsencode(path), how, len(how)))
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        if code not in {errno.EAGAIN, errno.EINTR}:
            break
    raise OSError(code, os.strerror(code))


def _unsynced(_handle: int) -> None:
    """Stand for fsync where nothing need outlive the host's fall."""


def _replace(
    folder: int,
    name: str,
    data: bytes,
    *,
    mode: int,
    owner: tuple[int, int] | None,
    sync: Callable[[int], None],
) -> None:
    temporary = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600, dir_fd=folder)
    try:
        try:
            _write(fd, data)
            if owner:
                os.fchown(fd, *owner)
            os.fchmod(fd, mode)
            sync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    sync(folder)


def _write(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def _read(fd: int, limit_bytes: int) -> bytes:
    chunks: list[bytes] = []
    while limit_bytes > 0 and (chunk := os.read(fd, min(limit_bytes, _READ_CHUNK_BYTES))):
        chunks.append(chunk)
        limit_bytes -= len(chunk)
    return b"".join(chunks)


def _check(path: str) -> None:
    problem = path_problem(path)
    if problem:
        raise PathRefused(problem)


def _split(path: str) -> tuple[str, str]:
    """Return the folder, "." for the root, and the name of a file."""
    folder, _, name = path.rpartition("/")
    if name in {"", "."}:
        raise PathRefused(f"'{_shown(path)}' is a folder, not a file.")
    return folder or ".", name


def _regular_only(path: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise PathRefused(f"'{_shown(path)}' is a folder, not a file.")
    if not stat.S_ISREG(status.st_mode):
        raise PathRefused(f"'{_shown(path)}' is not a regular file.")


def _target(folder: int, entry: os.DirEntry[str]) -> str:
    if not entry.is_symlink():
        return ""
    try:
        target = os.readlink(entry.name, dir_fd=folder)
    except OSError:
        return ""
    return " -> a place outside" if target.startswith("/") else f" -> {_shown(target)}"


def _listed(name: str) -> bool:
    return path_problem(_safe(name)) is None and not name.startswith(TEMPORARY_PREFIX)


def _safe(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _shown(text: str) -> str:
    """Return a name as it may stand in a message: printable, and not longer than a line."""
    safe = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in _safe(text))
    return safe if len(safe) <= _NAME_LIMIT_CHARS else safe[:_NAME_LIMIT_CHARS] + "…"
