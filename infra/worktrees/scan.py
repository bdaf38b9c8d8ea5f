"""The files of one worktree, recorded as a commit.

Every git process here inherits the worktree's lock, so a child that outlives a killed worker keeps
every other process out.
"""

import asyncio
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.git.command import GitCommand, GitError, GitResult
from infra.store import Store
from infra.store.object_format import EMPTY_TREE
from infra.worktrees.errors import WorktreeBroken
from infra.worktrees.files import allow_owner, unlock
from infra.worktrees.layout import Layout

REFUSED_FILES: Final = 20
"""How often a scan starts again without a path that git refuses, before it gives up."""

_FOREIGN_NAME = re.compile(rb"(?:^|[/\\])(?:\.git|git~1)[ .]*(?:$|[/\\:])", re.IGNORECASE)
"""Names that some file system takes for `.git`; git stores none of them."""

_REFUSED = re.compile(
    r"^error: (?:invalid path '(?P<name>.*)'|(?P<kind>.*): can only add regular files)",
    re.MULTILINE,
)
_UNREADABLE = re.compile(r"Permission denied", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Scan:
    """The state of a worktree, in the store.

    Attributes:
        commit: a commit of it; the parent itself when nothing differs from that.
        tree: the commit's tree.
        skipped: paths that could not be recorded, sorted: nested repositories, changed
            submodules (both with a final "/"), and files that git stores under no circumstances.
    """

    commit: str
    tree: str
    skipped: tuple[str, ...]


class ScanIndex:
    """One index file, and the tree that it is known to hold, to spare reading that tree again."""

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


class WorktreeScanner:
    """Scans one worktree; its caller holds the worktree's lock, whose descriptor `lock` is."""

    def __init__(self, store: Store, layout: Layout, *, lock: int, index: ScanIndex) -> None:
        self._store = store
        self._layout = layout
        self._index = index
        # A scan needs no administrative folder, so work can be rescued when that is lost.
        self._git = GitCommand(layout.store, work_tree=layout.path, share=(lock,))

    async def scan(self, parent: str, message: str) -> Scan:
        """Record the files as a commit on `parent`; nothing in the worktree changes.

        Ignored files are left out, unless the parent has them. The commit is in the store,
        durable, but not pinned; its time is one second after the parent's, which is best the last
        checkpoint. The same files give the same commit, so it is safe to repeat.

        Raises:
            WorktreeBroken: everything is gone, and not by an agent's work in the worktree.
            GitError: git failed.
        """
        if not self._layout.path.is_dir():
            raise WorktreeBroken(f"{self._layout.path} does not exist")
        allow_owner(self._layout.path)
        before = await self._store.get_commit(parent)
        await self._follow(before.tree)
        tree, skipped = await self._recorded()
        if tree == EMPTY_TREE and before.tree != EMPTY_TREE and not self._layout.linked():
            self._index.forget()
            raise WorktreeBroken(f"all files of {self._layout.path} are gone: is it mounted?")
        self._index.remember(tree)
        if tree == before.tree:
            return Scan(commit=parent, tree=tree, skipped=skipped)
        when = before.author_seconds + 1
        commit = await self._store.put_commit(tree, (parent,), message, when=when)
        return Scan(commit=commit, tree=tree, skipped=skipped)

    async def _follow(self, tree: str) -> None:
        """Bring the index to a tree, keeping what it knows of unchanged files.

        An edit's checkpoint is made without a scan: without this, an ignored file that the edit
        created would be taken for a deleted one.
        """
        if not self._index.holds(tree):
            self._index.forget()
            await self._run("read-tree", "--reset", tree)

    async def _recorded(self) -> tuple[str, tuple[str, ...]]:
        """Bring the index to the files; return its tree and the paths left out."""
        opaque, shown = await self._opaque()
        refused: set[bytes] = set()
        for _ in range(REFUSED_FILES):
            try:
                await self._add(opaque | refused)
            except GitError as failed:
                more = _refused_by(failed) - refused
                if more:
                    refused |= more
                elif _UNREADABLE.search(failed.stderr):
                    await asyncio.to_thread(unlock, self._layout.path)
                else:
                    raise
            else:
                break
        else:
            raise WorktreeBroken(f"git refuses too many files of {self._layout.name}")
        tree = await self._run("write-tree")
        return tree.text, tuple(sorted(os.fsdecode(path) for path in shown | refused))

    async def _add(self, left_out: Iterable[bytes]) -> None:
        rows = (b".", *(b":(exclude,literal)" + path for path in sorted(left_out)))
        await self._run(
            "add", "-A", "--pathspec-from-file=-", "--pathspec-file-nul", stdin=b"\0".join(rows)
        )

    async def _opaque(self) -> tuple[set[bytes], set[bytes]]:
        """Return the paths that no git command may look into, and which of them to report.

        git would start a child in a repository it meets, with that repository's configuration:
        its filters would run here, outside the sandbox.
        """
        # -k: a repository in the place of a tracked file counts as "killed", not as untracked.
        command = ("ls-files", "-z", "-t", "-s", "-o", "-k", "--exclude-standard")
        listing = await self._run(*command, reads=True)
        if _UNREADABLE.search(listing.err):
            # git only warns of a closed folder, and takes what is in it for deleted.
            await asyncio.to_thread(unlock, self._layout.path)
            listing = await self._run(*command, reads=True)
        rows = [row for row in listing.out.split(b"\0") if row]
        links = {row.partition(b"\t")[2] for row in rows if row[2:].startswith(b"160000 ")} - {b""}
        untracked = {row[2:] for row in rows if row.startswith((b"? ", b"K "))}
        nested = {path[:-1] for path in untracked if path.endswith(b"/")} - links
        foreign = {path for path in untracked if _FOREIGN_NAME.search(path)}
        if nested:
            # What the index has in their place no longer exists.
            gone = b"\0".join(sorted(nested)) + b"\0"
            await self._run("update-index", "--force-remove", "-z", "--stdin", stdin=gone)
        filled = {path for path in links if self._filled(path)}
        shown = {path + b"/" for path in nested | filled} | foreign
        return nested | links | foreign, shown

    def _filled(self, link: bytes) -> bool:
        folder = os.path.join(os.fsencode(self._layout.path), link)  # noqa: PTH118
        try:
            with os.scandir(folder) as entries:
                return next(entries, None) is not None
        except OSError:
            return False

    async def _run(self, *args: str, stdin: bytes | None = None, reads: bool = False) -> GitResult:
        return await self._git(*args, stdin=stdin, reads=reads, index_file=self._index.file)


def _refused_by(error: GitError) -> set[bytes]:
    names = (match["name"] or match["kind"] for match in _REFUSED.finditer(error.stderr))
    return {os.fsencode(name) for name in names}
