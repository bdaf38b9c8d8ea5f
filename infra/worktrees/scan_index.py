"""The index of a worktree's scans, and what this process knows of it."""

import shutil
from pathlib import Path


class ScanIndex:
    """One index file, and the tree that it is known to hold, to spare reading that tree again.

    Attributes:
        file: the index.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._tree = ""
        self._mark: tuple[int, ...] = ()

    def holds(self, tree: str) -> bool:
        """Return whether the index is known to hold a tree and unchanged since."""
        return self._tree == tree and self._mark == self._stamp()

    def remember(self, tree: str) -> None:
        """Note that the index holds a tree now."""
        self._tree, self._mark = tree, self._stamp()

    def forget(self) -> None:
        """Note that what the index holds is unknown."""
        self._tree = ""

    def replace(self, source: Path) -> None:
        """Copy an index with its time, by which git knows the entries that it must not trust."""
        fresh = self.file.with_name(f"{self.file.name}.new")
        shutil.copy2(source, fresh)
        fresh.replace(self.file)

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = self.file.stat()
        except FileNotFoundError:
            return ()
        return (found.st_ino, found.st_size, found.st_mtime_ns)
