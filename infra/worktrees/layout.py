"""Where a pooled worktree lies on disk; the lease, its record and its files are not known here."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

CONTROL_FOLDER: Final = ".pool"
"""The pool's folder for records, locks, indexes and private git directories."""


class Layout:
    """The paths of one worktree.

    Attributes:
        path: the working directory.
        admin: the worktree's administrative folder in the store: GIT_DIR of the worker's git.
        private_git: the git directory of sandboxed commands; the worker's git never runs in it.
        gitfile: the file that the sandbox mounts over the worktree's `.git`.
        scratch: what commands of a lease have as /tmp.
        changes: what commands of a lease wrote over folders that are the person's; made by the
            first command that finds any.
        sealed_store: the empty folder that commands of a sealed clone have in the store's place.
        index: of the scans, separate from the one that a person may use.
    """

    def __init__(self, pool: Path, store: Path, name: str) -> None:
        control = pool / CONTROL_FOLDER
        self.pool = pool
        self.store = store
        self.name = name
        self.path = pool / name
        self.admin = store / "worktrees" / name
        self.private_git = control / f"{name}.git"
        self.gitfile = control / f"{name}.gitfile"
        self.scratch = control / f"{name}.scratch"
        self.changes = control / f"{name}.changes"
        self.sealed_store = control / f"{name}.store"
        self.index = control / f"{name}.index"
        self.record = control / f"{name}.json"
        self.lock = control / f"{name}.lock"

    def intact(self) -> bool:
        """Return whether working directory and administrative folder exist and are linked."""
        head = _content(self.admin / "HEAD") or ""
        return (
            self.path.is_dir()
            and not self.path.is_symlink()
            and _content(self.admin / "commondir") == "../.."
            and _content(self.admin / "gitdir") == str(self.path / ".git")
            and (head.startswith("ref: refs/") or len(head) == 40)
        )

    def linked(self) -> bool:
        """Return whether the working directory holds the `.git` file that the pool put there.

        An unmounted or replaced folder does not: that it is empty is not an agent's work.
        """
        return _content(self.path / ".git") == f"gitdir: {self.admin}"


def worktree_numbers(pool: Path, store: Path) -> Iterator[int]:
    """Yield the number of every worktree that left any trace on disk."""
    for folder in (pool, pool / CONTROL_FOLDER, store / "worktrees"):
        if not folder.is_dir():
            continue
        for entry in folder.iterdir():
            digits = entry.name.split(".")[0].removeprefix("w")
            if entry.name.startswith("w") and digits.isdecimal():
                yield int(digits)


def _content(file: Path) -> str | None:
    """Return the stripped text of a small regular file; None for anything else."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        return os.fsdecode(os.read(handle, 4_096)).strip()
    finally:
        os.close(handle)
