"""
The files of one pooled worktree: brought to a commit, and read into one.

Every git process here is given the descriptor of the worktree's lock, so that a child which
outlives a killed worker still keeps everybody else out. Nothing is known of leases.
"""

import asyncio
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from typing_extensions import override

from infra.disk_space import is_disk_full
from infra.git.command import GitCommand, GitError, GitResult
from infra.store import Store
from infra.store.objects import EMPTY_TREE
from infra.worktrees.layout import (
    Layout,
    WorktreeBroken,
    allow_owner,
    copy_index,
    discard,
    own,
    remove,
    remove_stale_locks,
    tidy,
    unlock,
)

Creation = Callable[[], AbstractAsyncContextManager[int]]
"""Takes a lock for as long as its context lasts; gives the descriptor of the lock's file."""

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
    """
    The state of a worktree, in the store.

    Attributes:
        commit: a commit of it; the parent itself when nothing differs from that.
        tree: the commit's tree.
        skipped: paths that could not be recorded, sorted: nested repositories, changed
            submodules (both with a final "/"), and files that git stores under no circumstances.
    """

    commit: str
    tree: str
    skipped: tuple[str, ...]


@dataclass
class IndexCache:
    """
    What is known of the index of the scans, to spare reading it again.

    Attributes:
        tree: the tree it stands for.
        mark: the index file as it was then.
    """

    tree: str = ""
    mark: tuple[int, ...] = ()


class LockedGit(GitCommand):
    """
    git whose processes keep a lock for as long as any of them lives.

    Args:
        git_dir: as of GitCommand.
        work_tree: as of GitCommand.
        lock: descriptor of the locked file.
    """

    def __init__(self, git_dir: Path, *, work_tree: Path | None = None, lock: int) -> None:
        super().__init__(git_dir, work_tree=work_tree)
        self._lock = lock

    @override
    async def spawn(
        self,
        *args: str,
        has_input: bool = True,
        reads: bool = False,
        env: Mapping[str, str] | None = None,
        stderr: int | IO[bytes] = asyncio.subprocess.PIPE,
        pass_fds: tuple[int, ...] = (),
    ) -> asyncio.subprocess.Process:
        """Start git as GitCommand does, and share the lock with it."""
        fds = (*pass_fds, self._lock)
        return await super().spawn(
            *args, has_input=has_input, reads=reads, env=env, stderr=stderr, pass_fds=fds
        )


class WorktreeFiles:
    """
    The files of one worktree, in the hands of whoever holds its lock.

    Args:
        store: where commits come from and go to.
        layout: where the worktree lies.
        lock: descriptor of the worktree's lock.
        uid: who owns the files; None = the worker.
        note: what is known of the index; outlives this object.
        creation: the lock under which worktrees of the store are made, one at a time.
    """

    def __init__(
        self,
        store: Store,
        layout: Layout,
        *,
        lock: int,
        uid: int | None,
        note: IndexCache,
        creation: Creation,
    ) -> None:
        self._store = store
        self._creation = creation
        self._layout = layout
        self._lock = lock
        self._uid = uid
        self._note = note
        self._git = LockedGit(layout.admin, work_tree=layout.path, lock=lock)
        # A scan needs no administrative folder, so work can be rescued when that is lost.
        self._scanner = LockedGit(layout.store, work_tree=layout.path, lock=lock)

    # ---- to a commit

    async def reset(self, commit: str, *, trusted: bool) -> None:
        """
        Bring every file to a commit, with nothing else beside them; verified.

        What is in the way is lost, so the caller has rescued it or means it to be. Safe to
        repeat after a crash at any moment.

        Args:
            commit: full id of a commit in the store.
            trusted: the index says truly which files are unchanged; False after a reboot.

        Raises:
            WorktreeBroken: the files do not come to equal the commit.
            GitError: git failed, also on a worktree made afresh.
        """
        if not self._layout.intact():
            await self._make(commit)
        try:
            await self._bring(commit, trusted=trusted)
        except (GitError, WorktreeBroken) as failed:
            if is_disk_full(failed):
                raise  # making it afresh would take even more room
            await self._make(commit)
            await self._bring(commit, trusted=True)

    async def _make(self, commit: str) -> None:
        """
        Make the working directory and its administrative folder, throwing away what was there.

        Serialised: git leaves a moment in which a new worktree is not whole, and other git
        processes of the store stumble over it.
        """
        layout = self._layout
        await asyncio.to_thread(discard, layout)
        options = ("--no-checkout", "--detach", "--lock", "--reason", "pooled")
        async with self._creation() as lock:
            git = LockedGit(layout.store, lock=lock)
            remove(layout.admin)
            await git("worktree", "add", "-f", "-f", *options, str(layout.path), commit)
        if not layout.intact():
            raise WorktreeBroken(f"git made no worktree {layout.name} at {layout.path}")

    async def clear(self) -> None:
        """
        Remove what no commit holds, for its room; the files then equal nothing until a `reset`.
        """
        await self._forced("clean", "-ffdxq")

    async def _bring(self, commit: str, *, trusted: bool) -> None:
        allow_owner(self._layout.path)
        await asyncio.to_thread(remove_stale_locks, self._layout)
        if not trusted:
            await self._rehash(commit)
        await self._forced("checkout", "-q", "-f", "--detach", commit)
        await self.clear()
        folders, links = await self._folders(commit)
        await asyncio.to_thread(tidy, self._layout, folders=folders, links=links)
        if self._uid is not None:
            await asyncio.to_thread(own, self._layout.path, self._uid)
        await self._verify(commit)
        await asyncio.to_thread(copy_index, self._layout.admin / "index", self._layout.index)
        self._remember((await self._store.get_commit(commit)).tree)

    async def _rehash(self, commit: str) -> None:
        """Make an index from what the files really hold."""
        (self._layout.admin / "index").unlink(missing_ok=True)
        await self._git("read-tree", commit)
        await self._git("update-index", "-q", "--refresh", ok=(0, 1))

    async def _forced(self, *args: str) -> None:
        """Run git; should it fail, once more with every folder open to its owner."""
        try:
            await self._git(*args)
        except GitError:
            await asyncio.to_thread(unlock, self._layout.path)
            await self._git(*args)

    async def _folders(self, commit: str) -> tuple[list[bytes], list[bytes]]:
        listing = await self._git("ls-tree", "-r", "-d", "-z", "--full-tree", commit, reads=True)
        rows = [row.partition(b"\t") for row in listing.out.split(b"\0") if row]
        folders = [path for what, _, path in rows if what.startswith(b"040000")]
        links = [path for what, _, path in rows if what.startswith(b"160000")]
        return folders, links

    async def _verify(self, commit: str) -> None:
        """Compare everything with the commit; this also brings the index up to date."""
        found = await self._git(
            "status", "--porcelain=v2", "-z", "--branch", "--no-ahead-behind", "--no-renames",
            "--untracked-files=normal", "--ignored=traditional", "--ignore-submodules=all",
        )  # fmt: skip
        rows = [os.fsdecode(row) for row in found.out.split(b"\0") if row]
        differing = [row for row in rows if not row.startswith("# ")]
        if f"# branch.oid {commit}" not in rows or differing:
            raise WorktreeBroken(
                f"{self._layout.name} does not equal {commit} after its reset: {differing[:5]}"
            )

    # ---- from the files

    async def scan(self, parent: str, message: str, *, when: int | None = None) -> Scan:
        """
        Record the files as a commit on `parent`; nothing in the worktree changes.

        Ignored files are left out, unless the parent has them. Safe to repeat: the same files
        give the same commit.

        Args:
            parent: full id of a commit, best the last checkpoint.
            message: of the commit.
            when: its time, seconds since the epoch; None = one second after the parent's.

        Raises:
            WorktreeBroken: everything is gone, and not by somebody's work in the worktree.
            GitError: git failed.
        """
        if not self._layout.path.is_dir():
            raise WorktreeBroken(f"{self._layout.path} is not there")
        allow_owner(self._layout.path)
        before = await self._store.get_commit(parent)
        await self._follow(before.tree)
        tree, skipped = await self._recorded()
        if tree == EMPTY_TREE and before.tree != EMPTY_TREE and not self._layout.linked():
            self._note.tree = ""
            raise WorktreeBroken(f"all files of {self._layout.path} are gone: is it mounted?")
        self._remember(tree)
        if tree == before.tree:
            return Scan(commit=parent, tree=tree, skipped=skipped)
        time = before.author_seconds + 1 if when is None else when
        commit = await self._store.put_commit(tree, (parent,), message, when=time)
        return Scan(commit=commit, tree=tree, skipped=skipped)

    async def _follow(self, tree: str) -> None:
        """
        Bring the index to a tree, keeping what it knows of unchanged files.

        An edit's checkpoint is made without a scan: without this, an ignored file that it made
        would be taken for a deleted one.
        """
        if self._note.tree == tree and self._note.mark == self._mark():
            return
        self._note.tree = ""
        await self._indexed("read-tree", "--reset", tree)

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
        tree = await self._indexed("write-tree")
        return tree.text, tuple(sorted(os.fsdecode(path) for path in shown | refused))

    async def _add(self, left_out: Iterable[bytes]) -> None:
        rows = (b".", *(b":(exclude,literal)" + path for path in sorted(left_out)))
        await self._indexed(
            "add", "-A", "--pathspec-from-file=-", "--pathspec-file-nul", stdin=b"\0".join(rows)
        )

    async def _opaque(self) -> tuple[set[bytes], set[bytes]]:
        """
        Return the paths that no git command may look into, and which of them to report.

        git would start a child in a repository it meets, with that repository's configuration:
        its filters would run here, outside the sandbox.
        """
        # -k: a repository in the place of a tracked file counts as "killed", not as untracked.
        command = ("ls-files", "-z", "-t", "-s", "-o", "-k", "--exclude-standard")
        listing = await self._indexed(*command, reads=True)
        if _UNREADABLE.search(listing.err):
            # git only warns of a closed folder, and takes what is in it for deleted.
            await asyncio.to_thread(unlock, self._layout.path)
            listing = await self._indexed(*command, reads=True)
        rows = [row for row in listing.out.split(b"\0") if row]
        links = {row.partition(b"\t")[2] for row in rows if row[2:].startswith(b"160000 ")} - {b""}
        untracked = {row[2:] for row in rows if row.startswith((b"? ", b"K "))}
        nested = {path[:-1] for path in untracked if path.endswith(b"/")} - links
        foreign = {path for path in untracked if _FOREIGN_NAME.search(path)}
        if nested:
            # What the index has in their place is no longer there.
            gone = b"\0".join(sorted(nested)) + b"\0"
            await self._indexed("update-index", "--force-remove", "-z", "--stdin", stdin=gone)
        filled = {path for path in links if self._filled(path)}
        shown = {path + b"/" for path in nested | filled} | foreign
        return nested | links | foreign, shown

    def _filled(self, link: bytes) -> bool:
        place = os.path.join(os.fsencode(self._layout.path), link)  # noqa: PTH118
        try:
            with os.scandir(place) as entries:
                return next(entries, None) is not None
        except OSError:
            return False

    async def _indexed(
        self, *args: str, stdin: bytes | None = None, reads: bool = False
    ) -> GitResult:
        index = self._layout.index
        return await self._scanner(*args, stdin=stdin, reads=reads, index_file=index)

    def _mark(self) -> tuple[int, ...]:
        try:
            found = self._layout.index.stat()
        except FileNotFoundError:
            return ()
        return (found.st_ino, found.st_size, found.st_mtime_ns)

    def _remember(self, tree: str) -> None:
        self._note.tree = tree
        self._note.mark = self._mark()


def _refused_by(error: GitError) -> set[bytes]:
    names = (match["name"] or match["kind"] for match in _REFUSED.finditer(error.stderr))
    return {os.fsencode(name) for name in names}
