"""The files of one worktree, recorded as a commit.

Every git process here inherits the worktree's lock, so a child that outlives a killed worker keeps
every other process out.
"""

import asyncio
import contextlib
import os
import re
import shutil
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from domain.checkpoints import CheckpointLimits, too_large
from infra.git.command import GitCommand, GitError, GitResult
from infra.store import Store
from infra.store.object_format import EMPTY_TREE
from infra.worktrees.errors import WorktreeBroken
from infra.worktrees.files import allow_owner, paths_too_long, unlock
from infra.worktrees.layout import Layout
from infra.worktrees.plain import make_plain

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
            submodules (both with a final "/"), files that git stores under no circumstances, and
            what was removed because git would not return from it.
        too_large: files that are left out for their size, with it.
        too_deep: files and folders whose path is too long for git, left out with all below them.
    """

    commit: str
    tree: str
    skipped: tuple[str, ...]
    too_large: Mapping[str, int] = field(default_factory=dict)
    too_deep: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    """What a look at the files found: paths that git must not meet, which of them to report."""

    opaque: set[bytes]
    shown: set[bytes]
    too_large: Mapping[bytes, int]
    too_deep: tuple[bytes, ...]


@dataclass(frozen=True)
class Leftovers:
    """What a worktree holds beyond its commit; a folder without tracked files ends with "/".

    Attributes:
        ignored: what git ignores.
        others: what it does not.
        changed: tracked files that are changed or gone.
    """

    ignored: tuple[str, ...]
    others: tuple[str, ...]
    changed: tuple[str, ...]


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

    def __init__(
        self,
        store: Store,
        layout: Layout,
        *,
        lock: int,
        index: ScanIndex,
        limits: CheckpointLimits,
    ) -> None:
        self._store = store
        self._layout = layout
        self._index = index
        self._limits = limits
        self._left_out = frozenset[bytes]()
        # A scan needs no administrative folder, so work can be rescued when that is lost.
        self._git = GitCommand(layout.store, work_tree=layout.path, share=(lock,))

    def leave_out(self, paths: Iterable[str]) -> None:
        """Record none of these files, unless a commit has them already."""
        self._left_out = frozenset(map(os.fsencode, paths))

    async def scan(self, parent: str, message: str) -> Scan:
        """Record the files as a commit on `parent`.

        Nothing in the worktree changes, but that what would stop git is removed.

        Ignored files are left out, unless the parent has them, and so is what is too large. The
        commit is in the store, durable, but not pinned; its time is one second after the parent's,
        which is best the last checkpoint. The same files give the same commit, so it is safe to
        repeat.

        Raises:
            WorktreeBroken: everything is gone, and not by an agent's work in the worktree.
            GitError: git failed.
        """
        if not self._layout.path.is_dir():
            raise WorktreeBroken(f"{self._layout.path} does not exist")
        allow_owner(self._layout.path)
        before = await self._store.get_commit(parent)
        await self._follow(before.tree)
        found = await self._recorded()
        tree = found.tree
        if tree == EMPTY_TREE and before.tree != EMPTY_TREE and not self._layout.linked():
            self._index.forget()
            raise WorktreeBroken(f"all files of {self._layout.path} are gone: is it mounted?")
        self._index.remember(tree)
        if tree == before.tree:
            return replace(found, commit=parent)
        when = before.author_seconds + 1
        commit = await self._store.put_commit(tree, (parent,), message, when=when)
        return replace(found, commit=commit)

    async def leftovers(self) -> Leftovers:
        """Return what the files are beyond the commit that the worktree was brought to.

        What would stop git is removed.

        Raises:
            GitError: git failed.
        """
        allow_owner(self._layout.path)
        await asyncio.to_thread(make_plain, self._layout)
        untracked = ("ls-files", "-z", "-o", "--exclude-standard", "--directory")
        return Leftovers(
            ignored=await self._paths(*untracked, "-i"),
            others=await self._paths(*untracked, "--no-empty-directory"),
            changed=await self._paths("ls-files", "-z", "-m"),
        )

    async def _paths(self, *command: str) -> tuple[str, ...]:
        found = await self._run(*command, reads=True)
        return tuple(sorted({os.fsdecode(row) for row in found.out.split(b"\0") if row}))

    async def _follow(self, tree: str) -> None:
        """Bring the index to a tree, keeping what it knows of unchanged files.

        An edit's checkpoint is made without a scan: without this, an ignored file that the edit
        created would be taken for a deleted one.
        """
        if not self._index.holds(tree):
            self._index.forget()
            await self._run("read-tree", "--reset", tree)

    async def _recorded(self) -> Scan:
        """Bring the index to the files; return its tree and the paths left out."""
        removed = set(await asyncio.to_thread(make_plain, self._layout))
        found = await self._look(removed)
        refused: set[bytes] = set()
        for _ in range(REFUSED_FILES):
            try:
                await self._add({*found.opaque, *found.too_large, *found.too_deep, *refused})
            except GitError as failed:
                more = _refused_by(failed) - refused
                if more:
                    refused |= more
                elif _UNREADABLE.search(failed.stderr):
                    await self._unlock(removed)
                else:
                    raise
            else:
                break
        else:
            raise WorktreeBroken(f"git refuses too many files of {self._layout.name}")
        tree = await self._run("write-tree")
        left_out = found.shown | refused | removed
        return Scan(
            commit="",
            tree=tree.text,
            skipped=tuple(sorted(os.fsdecode(path) for path in left_out)),
            too_large={os.fsdecode(path): size for path, size in found.too_large.items()},
            too_deep=tuple(map(os.fsdecode, found.too_deep)),
        )

    async def _add(self, left_out: Iterable[bytes]) -> None:
        rows = (b".", *(b":(exclude,literal)" + path for path in sorted(left_out)))
        await self._run(
            "add", "-A", "--pathspec-from-file=-", "--pathspec-file-nul", stdin=b"\0".join(rows)
        )

    async def _unlock(self, removed: set[bytes]) -> None:
        """Open every folder, and look at what was hidden in them; add what had to be removed."""
        await asyncio.to_thread(unlock, self._layout.path)
        removed.update(await asyncio.to_thread(make_plain, self._layout))

    async def _look(self, removed: set[bytes]) -> _Found:
        """Return the paths that no git command may look into, and what is too large or too deep.

        What has to be removed is added to `removed`.

        git would start a child in a repository it meets, with that repository's configuration:
        its filters would run here, outside the sandbox.
        """
        # -k: a repository in the place of a tracked file counts as "killed", not as untracked.
        command = ("ls-files", "-z", "-t", "-s", "-o", "-k", "-m", "--exclude-standard")
        listing = await self._run(*command, reads=True)
        if _UNREADABLE.search(listing.err):
            # git only warns of a closed folder, and takes what is in it for deleted.
            await self._unlock(removed)
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
        modified = {row.partition(b"\t")[2] for row in rows if row.startswith(b"C ")}
        too_deep = await asyncio.to_thread(paths_too_long, self._layout.path)
        sizes = self._sizes((untracked | modified) - nested - foreign)
        return _Found(
            opaque=nested | links | foreign | (untracked & self._left_out),
            shown={path + b"/" for path in nested | filled} | foreign,
            too_large=too_large(sizes, self._limits),
            too_deep=too_deep,
        )

    def _sizes(self, paths: Iterable[bytes]) -> dict[bytes, int]:
        """Return the sizes of those paths that are regular files."""
        top = os.fsencode(self._layout.path)
        sizes: dict[bytes, int] = {}
        for path in paths:
            with contextlib.suppress(OSError):
                state = os.lstat(os.path.join(top, path))  # noqa: PTH118
                if stat.S_ISREG(state.st_mode):
                    sizes[path] = state.st_size
        return sizes

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
