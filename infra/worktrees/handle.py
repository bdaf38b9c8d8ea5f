"""One worktree whose lock is held: what may be done in it, and the record of what was done."""

import asyncio
import logging
import secrets
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from domain.checkpoints import CheckpointLimits
from infra.store import Store, names
from infra.store.visible import View, own_objects, visible
from infra.worktrees.errors import WorktreeBroken
from infra.worktrees.files import create_scratch, remove, remove_scratch
from infra.worktrees.layout import Layout
from infra.worktrees.locks import WorktreeLocks
from infra.worktrees.private_git import PrivateGit
from infra.worktrees.records import LEASING, RESTORING, WorktreeRecord, WorktreeRecords, boot_id
from infra.worktrees.reset import WorktreeReset
from infra.worktrees.scan import Leftovers, Scan, ScanIndex, WorktreeScanner

_RESCUED = "refs/oc/rescue"
_log = logging.getLogger(__name__)


class WorktreeHandle:
    """A worktree for as long as its lock is held; the pool makes it.

    Attributes:
        name, path, store, private_git, gitfile, scratch, changes: as of `Layout`.
        visible: what commands see of the store, once the worktree is ready.
        uid: user and group that own the files and run the commands; None = the worker's own.
            What the worker itself writes must be given to it.
        record: as it was last written.
        limits: what its checkpoints leave out.
    """

    def __init__(
        self,
        store: Store,
        layout: Layout,
        record: WorktreeRecord,
        *,
        lock: int,
        records: WorktreeRecords,
        index: ScanIndex,
        locks: WorktreeLocks,
        limits: CheckpointLimits,
    ) -> None:
        self.name = layout.name
        self.path = layout.path
        self.store = layout.store
        self.private_git = layout.private_git
        self.gitfile = layout.gitfile
        self.scratch = layout.scratch
        self.changes = layout.changes
        self.visible = layout.store
        self.uid = record.uid
        self.record = record
        self.limits = limits
        self._layout = layout
        self._records = records
        self._store = store
        self._resets = locks.resets
        self._reset = WorktreeReset(
            store, layout, lock=lock, uid=record.uid, index=index, locks=locks
        )
        self._scanner = WorktreeScanner(store, layout, lock=lock, index=index, limits=limits)

    @property
    def sealed(self) -> bool:
        """Whether it is a clone for one lease, with objects of its own."""
        return self.record.sealed_until > 0

    def seconds_left(self) -> float | None:
        """Return how long a sealed clone still lasts, 0.0 once its time is over; None: for ever."""
        return max(self.record.sealed_until - time.time(), 0.0) if self.sealed else None

    # ---- made ready by the pool

    async def prepare(self) -> None:
        """Bring a worktree that was just leased to its commit; nothing when that was done."""
        if self.record.in_flight != LEASING:
            return
        if self.sealed:
            await self.tear_down()  # what a lease before left is no part of a clone
        await self._bring(self.record.commit)
        await self._create_private_git(self.record.commit)
        self._write(replace(self.record, in_flight=None, scratch=await self.empty_scratch()))

    async def restore(self, expected: str, base: str) -> None:
        """Bring the files to the last checkpoint, unless they are known to equal it.

        HEAD and index, as commands see them, are brought to `base` when that is another one than
        before: what commands did to them is lost then.
        """
        # What an interrupted call left there cannot be undone, and of a crash of the host nothing
        # is known.
        sound = self.record.in_flight is None and self.record.boot == boot_id()
        await self._restore_files(expected, base)
        if not (sound and self.record.scratch and self.scratch.is_dir()):
            self._write(replace(self.record, scratch=await self.empty_scratch()))
        if base != (self.record.base or self.record.commit) or not self.record.view:
            await self._create_private_git(base)
            self._write(replace(self.record, base=base))
        self.visible = await self._visible(self.record.view)

    async def _visible(self, view: str) -> Path:
        """Return the folder that commands have in the store's place; of a clone an empty one."""
        if not self.sealed:
            return await visible(self._store, view)
        empty = self._layout.sealed_store
        await asyncio.to_thread(empty.mkdir, mode=0o755, exist_ok=True)
        return empty

    async def _restore_files(self, expected: str, base: str) -> None:
        record, layout = self.record, self._layout
        settled = record.in_flight is None and record.checkpoint == expected
        if settled and record.boot == boot_id() and layout.intact():
            return
        await self._store.require_commit(expected)
        leasing = record.in_flight == LEASING  # this lease never had its private directory
        self._write(replace(record, in_flight=LEASING if leasing else RESTORING))
        await self._bring(expected)
        if leasing or not layout.private_git.is_dir() or not layout.gitfile.is_file():
            await self._create_private_git(base)
        self._write(replace(self.record, checkpoint=expected, in_flight=None))

    async def empty_scratch(self) -> str:
        """Make the scratch folder new and empty; return the name of its content."""
        await asyncio.to_thread(create_scratch, self._layout, self.record.uid)
        return secrets.token_hex(8)

    async def remove_scratch(self) -> None:
        """Remove the scratch folder at the end of a lease; nothing of it is kept."""
        await asyncio.to_thread(remove_scratch, self._layout)

    async def _create_private_git(self, base: str) -> None:
        """Create it anew, and note the view by which that was done."""
        record, store = self.record, self._store
        oid = record.view or await names.write_view(store, record.commit, record.heads)
        view = View.decode(await store.get_blob(oid))
        seen = await visible(store, oid)
        self.visible = await self._visible(oid)
        index = await self._reset.index_of(base)
        git = PrivateGit(self._layout, base, view.names, seen, borrows=not self.sealed)
        await asyncio.to_thread(git.create, index)
        await own_objects(store, view, base, git.packs)
        await asyncio.to_thread(git.give_to, record.uid)
        self.record = replace(record, view=oid)

    async def _bring(self, commit: str) -> None:
        """Reset the files; the record of this boot is not yet written."""
        async with self._resets:
            await self._reset.reset(commit, trusted=self.record.boot == boot_id())
        self.record = replace(self.record, boot=boot_id())

    # ---- during a call

    def begin(self, call_id: str) -> None:
        """Note that a call is about to change files; call it before the first change.

        Until `settle`, every opening restores the files first: the note outlives this process. It
        need not outlive a crash of the host, because files of another boot are never trusted.
        """
        self._write(replace(self.record, in_flight=call_id), lasting=False)

    def settle(self, checkpoint: str) -> None:
        """Note that the files equal a commit that is pinned; as lasting as what `begin` notes."""
        self._write(replace(self.record, checkpoint=checkpoint, in_flight=None), lasting=False)

    async def scan(self, parent: str, message: str) -> Scan:
        """Record the files as a commit on `parent`; see `WorktreeScanner.scan`."""
        return await self._scanner.scan(parent, message)

    def leave_out(self, paths: Iterable[str]) -> None:
        """Record none of these files in a scan, unless a commit has them already."""
        self._scanner.leave_out(paths)

    async def leftovers(self) -> Leftovers:
        """Return what a command left beyond the commit; see `WorktreeScanner.leftovers`."""
        return await self._scanner.leftovers()

    async def clear(self) -> None:
        """Delete what a call wrote, to free space; the caller must not settle afterwards."""
        await self._reset.clear()

    async def undo(self, commit: str) -> None:
        """Bring the files back to the last checkpoint after a call that filled the disk."""
        # Without some free space git cannot even write what it needs for the rest.
        await self._reset.clear()
        if self.record.scratch:
            self.record = replace(self.record, scratch=await self.empty_scratch())
        await self._reset.reset(commit, trusted=False)

    # ---- at the end of the lease

    async def tear_down(self) -> None:
        """Remove all that a sealed clone is made of; safe to repeat after a kill."""
        await self._reset.remove()
        layout = self._layout
        parts = (layout.private_git, layout.gitfile, layout.sealed_store, layout.index)
        for each in parts:
            await asyncio.to_thread(remove, each)

    async def rescue(self) -> None:
        """Pin what is not in the last checkpoint as `refs/oc/rescue/<name>/<epoch>`.

        Ignored files, nested repositories and what is too large are not in it.

        Raises:
            GitError: the files cannot be read.
        """
        record = self.record
        message = f"Rescued from {record.name}, lease {record.epoch} of {record.holder}\n"
        try:
            scan = await self.scan(record.checkpoint, message)
        except WorktreeBroken as gone:
            _log.warning("nothing to rescue from %s: %s", record.name, gone)
            return
        if scan.commit != record.checkpoint:
            await self._pin(f"{_RESCUED}/{record.name}/{record.epoch}", scan.commit)
            _log.info("rescued work from %s: %s", record.name, scan.commit)

    async def _pin(self, ref: str, commit: str) -> None:
        # An interrupted rescue may have pinned an earlier state: that one is kept as well.
        pinned = await self._store.refs(ref.rpartition("/")[0])
        if commit in {oid for name, oid in pinned.items() if name.partition(".")[0] == ref}:
            return
        suffixes = ("", *(f".{number}" for number in range(2, len(pinned) + 3)))
        free = next(ref + suffix for suffix in suffixes if ref + suffix not in pinned)
        await self._store.advance(free, commit, None)

    def _write(self, record: WorktreeRecord, *, lasting: bool = True) -> None:
        self._records.write(record, lasting=lasting)
        self.record = record
