"""The files of one worktree, brought to a commit.

Every git process here inherits the worktree's lock, so a child that outlives a killed worker keeps
every other process out.
"""

import asyncio
import os
import shutil
from pathlib import Path

from infra.disk_space import is_disk_full
from infra.git.command import GitCommand, GitError
from infra.ownership import own
from infra.store import Store
from infra.worktrees.errors import WorktreeBroken
from infra.worktrees.files import (
    allow_owner,
    discard,
    remove,
    remove_stale_locks,
    tidy,
    unlock,
)
from infra.worktrees.layout import Layout
from infra.worktrees.locks import WorktreeLocks
from infra.worktrees.plain import make_plain
from infra.worktrees.scan import ScanIndex


class WorktreeReset:
    """Resets one worktree; its caller holds the worktree's lock, whose descriptor `lock` is.

    The files belong to `uid`; None = to the worker.
    """

    def __init__(
        self,
        store: Store,
        layout: Layout,
        *,
        lock: int,
        uid: int | None,
        index: ScanIndex,
        locks: WorktreeLocks,
    ) -> None:
        self._store = store
        self._layout = layout
        self._uid = uid
        self._index = index
        self._locks = locks
        self._git = GitCommand(layout.admin, work_tree=layout.path, share=(lock,))

    async def reset(self, commit: str, *, trusted: bool) -> None:
        """Bring every file to a commit and remove everything else; verified.

        What is in the way is lost: the caller has rescued it, or means it to be. Safe to repeat
        after a crash at any moment. The index is `trusted` if it says truly which files are
        unchanged, as it does not after a reboot.

        Raises:
            WorktreeBroken: the files cannot be made equal to the commit.
            GitError: git failed, also on a worktree that was just created.
        """
        if not self._layout.intact():
            await self._create(commit)
        try:
            await self._bring(commit, trusted=trusted)
        except (GitError, WorktreeBroken) as failed:
            if is_disk_full(failed):
                raise  # creating it again would take even more space
            await self._create(commit)
            await self._bring(commit, trusted=True)

    async def index_of(self, commit: str) -> Path:
        """Return a new index that holds a commit, and knows the files that equal it."""
        index = self._layout.index.with_suffix(".base")
        await asyncio.to_thread(shutil.copy2, self._layout.index, index)
        await self._git("read-tree", "-m", commit, index_file=index)
        return index

    async def clear(self) -> None:
        """Remove what no commit holds, to free space; the files equal nothing until a `reset`."""
        await asyncio.to_thread(make_plain, self._layout)
        await self._forced("clean", "-ffdxq")

    async def remove(self) -> None:
        """Remove the working directory and its administrative folder; safe to repeat."""
        await asyncio.to_thread(discard, self._layout)
        async with self._locks.creation():
            await asyncio.to_thread(remove, self._layout.admin)

    async def _create(self, commit: str) -> None:
        """Create the working directory and its administrative folder; the old ones are removed.

        Serialised: while git creates a worktree it is incomplete for a moment, and other git
        processes of the store fail on it.
        """
        layout = self._layout
        await asyncio.to_thread(discard, layout)
        options = ("--no-checkout", "--detach", "--lock", "--reason", "pooled")
        async with self._locks.creation() as lock:
            git = GitCommand(layout.store, share=(lock,))
            remove(layout.admin)
            await git("worktree", "add", "-f", "-f", *options, str(layout.path), commit)
        if not layout.intact():
            raise WorktreeBroken(f"git created no worktree {layout.name} at {layout.path}")

    async def _bring(self, commit: str, *, trusted: bool) -> None:
        layout = self._layout
        allow_owner(layout.path)
        await asyncio.to_thread(remove_stale_locks, layout)
        await asyncio.to_thread(make_plain, layout)
        if not trusted:
            await self._rehash(commit)
        await self._forced("checkout", "-q", "-f", "--detach", commit)
        await self._forced("clean", "-ffdxq")
        folders, links = await self._folders(commit)
        await asyncio.to_thread(tidy, layout, folders=folders, links=links)
        if self._uid is not None:
            await asyncio.to_thread(own, layout.path, self._uid)
        await self._verify(commit)
        await asyncio.to_thread(self._index.replace, layout.admin / "index")
        self._index.remember((await self._store.get_commit(commit)).tree)

    async def _rehash(self, commit: str) -> None:
        """Make an index from what the files really hold."""
        (self._layout.admin / "index").unlink(missing_ok=True)
        await self._git("read-tree", commit)
        await self._git("update-index", "-q", "--refresh", ok=(0, 1))

    async def _forced(self, *args: str) -> None:
        """Run git; when it fails, open every folder to its owner and run it once more."""
        try:
            await self._git(*args)
        except GitError:
            await asyncio.to_thread(unlock, self._layout.path)
            await asyncio.to_thread(make_plain, self._layout)
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
