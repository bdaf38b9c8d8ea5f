"""Single files, copied into a worktree.

A layer has what a build leaves between the sources, a checkout what its include file names. The
worktree is the agent's, who may have put links there: none is followed, and nothing that is there
is replaced. A folder is made for a file of the person's alone.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from contracts.repository import Dependencies

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def place_files(worktree: Path, wanted: Iterable[Dependencies], uid: int | None) -> None:
    """Copy the files that are missing; they belong to `uid`, None = to the worker."""
    for each in wanted:
        with contextlib.suppress(FileExistsError, FileNotFoundError, NotADirectoryError):
            _place(worktree, each, uid)


def _place(worktree: Path, wanted: Dependencies, uid: int | None) -> None:
    path, source = PurePosixPath(wanted.path), Path(wanted.source)
    with contextlib.ExitStack() as stack:
        folder = os.open(worktree, _FOLDER)
        stack.callback(os.close, folder)
        for part in path.parts[:-1]:
            if not wanted.layer:
                _make_folder(part, folder, uid)
            try:
                folder = os.open(part, _FOLDER, dir_fd=folder)
            except OSError as error:  # ELOOP: a link
                raise NotADirectoryError(part) from error
            stack.callback(os.close, folder)
        if not stat.S_ISREG(source.lstat().st_mode):  # another one since it was named
            return
        mode = source.stat().st_mode & 0o755 | 0o600
        handle = os.open(path.name, _NEW, 0o600, dir_fd=folder)
        try:
            with source.open("rb") as content, os.fdopen(handle, "wb") as copy:
                shutil.copyfileobj(content, copy)
                copy.flush()
                os.fchmod(handle, mode)
                if uid is not None:
                    os.fchown(handle, uid, uid)
        except BaseException:
            os.unlink(path.name, dir_fd=folder)
            raise


def _make_folder(name: str, parent: int, uid: int | None) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=parent)
        if uid is not None:
            os.chown(name, uid, uid, dir_fd=parent, follow_symlinks=False)
