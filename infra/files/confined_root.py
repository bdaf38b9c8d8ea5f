"""A folder that paths cannot leave: opened beneath it, or refused with a sentence for the model.

openat2 refuses symbolic links and paths out of the root in the same step in which it opens, so
there is no moment between check and use.
"""

import errno
import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, Self

from domain.approvals.paths import path_problem
from infra.files.openat2 import open_beneath

_NAME_LIMIT_CHARS = 200

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


class PathRefused(Exception):  # noqa: N818 - an answer, seldom an error
    """A path that is not read or written, and why, in words for the model; no host path in it."""


class ConfinementUnavailableError(Exception):
    """The kernel cannot confine paths; nothing is read or written without that."""


class ConfinedRoot:
    """An open folder, and paths beneath it.

    A context manager, cheap to make: make one for each use, so that a folder that was replaced
    or mounted over in between is not missed.

    Args:
        root: the folder; it must exist.

    Raises:
        ConfinementUnavailableError: the kernel has no openat2 (Linux before 5.6), or forbids it.
        OSError: the root cannot be opened.
    """

    def __init__(self, root: Path) -> None:
        self._path = root
        self._root = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.close(open_beneath(self._root, ".", os.O_PATH))
        except OSError as error:
            os.close(self._root)
            if error.errno not in {errno.ENOSYS, errno.EPERM}:
                raise
            raise ConfinementUnavailableError(
                "The kernel has no openat2 (Linux 5.6 or newer), or a seccomp profile forbids it;"
                " without it no path can be confined to the worktree."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the directory descriptor. Safe to repeat."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def open(self, path: str, flags: int) -> int | None:
        """Open a path; None when there is nothing of that name, or no folder.

        Raises:
            PathRefused: behind a symbolic link, or not to be opened in this way.
        """
        with self.refusals(path):
            try:
                return open_beneath(self._root, path, flags)
            except (FileNotFoundError, NotADirectoryError):
                return None

    def is_folder(self, path: str) -> bool:
        """Return whether the path is a folder, reached without symbolic links.

        Raises:
            PathRefused: not a path for tools, or behind a symbolic link.
        """
        check_path(path)
        fd = self.open(path, os.O_PATH | os.O_DIRECTORY)
        if fd is None:
            return False
        os.close(fd)
        return True

    @contextmanager
    def refusals(self, path: str) -> Iterator[None]:
        """Turn what the kernel says about a path into words; leave what it says about the disk."""
        try:
            yield
        except OSError as error:
            if error.errno == errno.ELOOP:
                self.refuse_link(path)
            sentence = _SENTENCES.get(error.errno or 0)
            if sentence is None:
                raise
            raise PathRefused(sentence.format(path=printable(path))) from error

    def refuse_link(self, path: str) -> NoReturn:
        """Refuse, and say which part of the path is the link and which path to use instead."""
        parts = [part for part in path.split("/") if part not in {"", "."}]
        for count in range(1, len(parts) + 1):
            link = "/".join(parts[:count])
            target = self._link_target(link)
            if target is not None:
                self._explain_link(link, target, rest=parts[count:])
        raise PathRefused(f"'{printable(path)}' leads through a symbolic link.")

    def _link_target(self, path: str) -> str | None:
        try:
            fd = open_beneath(self._root, path, os.O_PATH | os.O_NOFOLLOW)
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
            inside = Path(target).is_relative_to(self._path)
            real = str(Path(target).relative_to(self._path)) if inside else ".."
        else:
            real = posixpath.normpath(posixpath.join(posixpath.dirname(link), target))
        shown = printable(link)
        if real == ".." or real.startswith("../"):
            raise PathRefused(f"'{shown}' is a symbolic link that leaves the repository.")
        use = printable(posixpath.normpath(posixpath.join(real, *rest)))
        raise PathRefused(f"'{shown}' is a symbolic link to '{printable(real)}': use '{use}'.")


def check_path(path: str) -> None:
    """Refuse a path that tools may not name.

    Raises:
        PathRefused: it is absolute, climbs, or is git's own.
    """
    problem = path_problem(path)
    if problem:
        raise PathRefused(problem)


def printable(text: str) -> str:
    """Return a name for a message: printable, and not longer than a line."""
    safe = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in escaped(text))
    return safe if len(safe) <= _NAME_LIMIT_CHARS else safe[:_NAME_LIMIT_CHARS] + "…"


def escaped(text: str) -> str:
    """Return a name with its bytes that are not UTF-8 escaped."""
    return text.encode(errors="backslashreplace").decode()
