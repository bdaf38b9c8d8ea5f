"""Folders of the host that a command finds in its worktree, beside what git holds: dependencies.

The place in the worktree is the agent's, who may have put a link there: nothing is mounted over
one, because it would lead bubblewrap, which may be root, out of the worktree.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from infra.sandbox.types import SharedFolder

_UPPER = "upper"
_WORK = "work"


def mountable(
    folders: Sequence[SharedFolder],
    worktree: Path,
    changes: Path | None,
    *,
    home: Path,
    uid: int | None,
) -> Iterator[tuple[Path, SharedFolder, Path | None]]:
    """Yield where each folder is mounted, and the folder that keeps what is written over it.

    Left out is one that is not there any more, and one whose place in the worktree is taken by a
    file, a link or a folder with content. The folders that are mounted on are made, of user `uid`
    (None = the worker's own), but not in `home`, which is made later; without `changes` nothing
    can be written.
    """
    for folder in folders:
        place = home / folder.path if folder.in_home else _place(worktree, folder, uid)
        if place is None or folder.source.is_symlink() or not folder.source.is_dir():
            continue
        kept = changes is not None and not folder.read_only
        yield place, folder, _changes(changes, folder, uid) if changes and kept else None


def overlay_arguments(source: Path, changes: Path, target: Path) -> Iterator[str]:
    """Yield bubblewrap's arguments for a folder whose changes are kept in another one."""
    yield from ("--overlay-src", str(source))
    yield from ("--overlay", str(changes / _UPPER), str(changes / _WORK), str(target))


def _place(worktree: Path, folder: SharedFolder, uid: int | None) -> Path | None:
    """Return the empty folder to mount on; None = the worktree has something else there."""
    below, place = PurePath(folder.below), PurePath(folder.path)
    here = worktree
    for part in place.parts:
        here /= part
        if here.is_symlink() or (here.exists() and not here.is_dir()):
            return None
        if not here.is_dir():
            if below.is_relative_to(here.relative_to(worktree)):
                return None
            _make(here, uid)
    return None if os.listdir(here) else here  # noqa: PTH208


def _changes(changes: Path, folder: SharedFolder, uid: int | None) -> Path:
    """Return the folder that keeps what commands write over one, made where it is missing.

    Its name says what lies below, because changes over another content would mean nothing.
    """
    kept = changes / folder.name
    for name in (_UPPER, _WORK):
        if not (kept / name).is_dir():
            kept.mkdir(mode=0o755, exist_ok=True)
            _make(kept / name, uid)
    return kept


def _make(folder: Path, uid: int | None) -> None:
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)  # under any umask
    if uid is not None:
        os.chown(folder, uid, uid, follow_symlinks=False)
