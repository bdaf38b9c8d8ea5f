"""Several files changed together: all of them, checked by reading them again, or none."""

from collections.abc import Sequence
from dataclasses import dataclass

from infra.files.confined_files import ConfinedFiles, FileState
from infra.files.confined_root import PathRefused, printable

_RUNNABLE = 0o111


@dataclass(frozen=True, slots=True)
class FileWrite:
    """A file before and after; None = there is none.

    Attributes:
        executable: whether it may be run afterwards; None = as before.
    """

    path: str
    before: FileState | None
    after: bytes | None
    executable: bool | None = None


def write_all(files: ConfinedFiles, writes: Sequence[FileWrite]) -> list[FileState | None]:
    """Make every file what it is to be, in order, and read it again; return what is there now.

    When one cannot be written, or does not hold what was written, all are made what they were.

    Raises:
        PathRefused: one cannot be written, or was changed meanwhile; nothing is changed.
        OSError: the disk is full or fails; what is there may be neither old nor new.
    """
    begun: list[FileWrite] = []
    try:
        for each in writes:
            begun.append(each)
            _write(files, each)
        return [_verified(files, each) for each in writes]
    except PathRefused:
        for each in reversed(begun):
            _restore(files, each)
        raise


def _write(files: ConfinedFiles, each: FileWrite) -> None:
    if each.after is None:
        files.remove(each.path)
        return
    mode = each.before.mode if each.before else 0o644
    if each.executable is not None:
        mode = mode | _RUNNABLE & (mode >> 2 | 0o100) if each.executable else mode & ~_RUNNABLE
    files.write(each.path, each.after, mode=mode)


def _verified(files: ConfinedFiles, each: FileWrite) -> FileState | None:
    found = files.read(each.path)
    if (found.data if found else None) != each.after:
        raise PathRefused(f"'{printable(each.path)}' does not hold what was written to it.")
    return found


def _restore(files: ConfinedFiles, each: FileWrite) -> None:
    """Make a file what it was.

    Raises:
        OSError: that cannot be done: the worktree has to be made new.
    """
    try:
        if each.before is not None:
            files.write(each.path, each.before.data, mode=each.before.mode)
        elif files.read(each.path) is not None:
            files.remove(each.path)
    except PathRefused as error:
        raise OSError(f"a file cannot be made what it was: {error}") from error
