"""The pool of a store's worktrees: who has which one, since when, and who gets a free one.

A worktree is created once and then reset for each lease, which is many times faster. Its record
and its lock on disk decide who may write into it, so several processes of a host may share a pool.
The lock is held as long as anything may write, also by git processes that outlive a killed worker.
Tasks, tools and workflows are not known here.
"""

import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from domain.checkpoints import CheckpointLimits
from infra.store import Store
from infra.worktrees.errors import WorktreeBusy
from infra.worktrees.handle import WorktreeHandle
from infra.worktrees.layout import CONTROL_FOLDER, Layout, worktree_numbers
from infra.worktrees.locks import WorktreeLocks
from infra.worktrees.records import LEASING, WorktreeRecord, WorktreeRecords, boot_id
from infra.worktrees.scan import ScanIndex
from infra.worktrees.users import user_of

WAIT_SECONDS: Final = 30.0
"""How long an opening waits for the previous one to end."""

_CHECKS = "checks/"  # begins the holder's name of a worktree taken for the system's own checks


class WorktreePool:
    """The worktrees of one store on one host.

    Safe for many tasks of one event loop and for several processes.

    Args:
        store: closed by its owner.
        root: the pool's folder; created when missing. Users of commands must be able to reach it.
        host_id: the host whose task queue serves these worktrees.
        uid_base: each worktree belongs to a user and group of its own after it, see `user_of`;
            None = to the worker, which is right whenever that is not root.
        wait_seconds: how long an opening waits for the previous one to end.
        limits: what a checkpoint leaves out.
    """

    def __init__(
        self,
        store: Store,
        root: Path,
        *,
        host_id: str,
        uid_base: int | None,
        wait_seconds: float = WAIT_SECONDS,
        limits: CheckpointLimits | None = None,
    ) -> None:
        self.host_id = host_id
        self.store = store
        self._root = root.absolute()
        self._uid_base = uid_base
        self._limits = limits or CheckpointLimits()
        self._records = WorktreeRecords(self._root, store.path)
        self._locks = WorktreeLocks(self._root, store.path, wait_seconds=wait_seconds)
        self._indexes: dict[str, ScanIndex] = {}

    def open(self) -> None:
        """Create the pool's folders if missing."""
        control = self._root / CONTROL_FOLDER
        control.mkdir(parents=True, exist_ok=True)
        for folder in (self._root, control):
            folder.chmod(0o711)  # commands must pass through; only the worker may list them

    def leases(self) -> list[WorktreeRecord]:
        """Return the records of the leased worktrees, by number.

        A worktree taken by `checkout` is not leased: it is free as soon as its lock is.
        """
        return [record for record in self._records.all() if not _is_free(record)]

    def commits(self) -> dict[str, str]:
        """Return the commit that each worktree is known to hold, by its name."""
        return {record.name: record.checkpoint for record in self._records.all()}

    # ---- lease and release

    async def lease(
        self, holder: str, commit: str, view: str = "", *, sealed_seconds: float = 0.0
    ) -> WorktreeRecord:
        """Lease a worktree that holds a commit: a free one if there is one, else a new one.

        Commands see what the record `view` names of the store; "" = what the commit reaches.
        With `sealed_seconds` it is a sealed clone, made for this lease and removed with it: it has
        objects of its own, and after so long nothing runs in it any more.
        Safe to repeat: the same holder, still leasing, gets the same lease, and then the commit is
        the one of its first time.

        Raises:
            ObjectMissing: the commit is not in the store.
            WorktreeBusy: the holder's worktree is in use, or too many lease at the same time.
            WorktreeBroken: the files cannot be made equal to the commit.
            GitError: git failed.
        """
        await self.store.require_commit(commit)
        while True:
            async with AsyncExitStack() as stack:
                until = time.time() + sealed_seconds if sealed_seconds else 0.0
                worktree = await self._claim(stack, holder, commit, view, until)
                if worktree is None:
                    continue
                await worktree.prepare()
                return worktree.record

    async def release(self, name: str, epoch: int) -> bool:
        """End a lease; what the worktree holds beyond its checkpoint is pinned first, see `rescue`.

        The files stay as they are until the next lease, but for those of a sealed clone. Safe to
        repeat. Return whether the lease ended now; False = it was over, and nothing was done.

        Raises:
            WorktreeBusy: it is in use.
            GitError: the rescue failed, so the lease goes on.
        """
        if self._records.read(name) is None:
            return False
        async with self._locks.hold(name) as lock:
            record = self._records.read(name)
            if record is None or record.holder is None or record.epoch != epoch:
                return False
            worktree = self._handle(lock, record)
            await worktree.rescue()
            if worktree.sealed:
                await worktree.tear_down()
            await worktree.remove_scratch()
            self._free(record)
        return True

    @asynccontextmanager
    async def checkout(self, commit: str, view: str = "") -> AsyncIterator[WorktreeHandle]:
        """Lend a worktree that holds a commit and nothing else, for the system's own commands.

        `view` as of `lease`. It is free again at the end in every case, and what is in it then is
        lost.

        Raises:
            ObjectMissing, WorktreeBusy, WorktreeBroken, GitError: as `lease`.
        """
        await self.store.require_commit(commit)
        async with AsyncExitStack() as stack:
            async with self._locks.creation():
                worktree = await self._take(stack, f"{_CHECKS}{uuid.uuid4()}", commit, view)
            stack.callback(self._free, worktree.record)
            stack.push_async_callback(worktree.remove_scratch)
            await worktree.prepare()
            yield worktree

    async def _claim(
        self, stack: AsyncExitStack, holder: str, commit: str, view: str, sealed_until: float
    ) -> WorktreeHandle | None:
        """Find the holder's worktree or take one, and hold its lock; None = try again."""
        async with self._locks.creation():
            mine = next((each for each in self._records.all() if each.holder == holder), None)
            if mine is None:
                return await self._take(stack, holder, commit, view, sealed_until)
        lock = await stack.enter_async_context(self._locks.hold(mine.name))
        record = self._records.read(mine.name)
        if record is None or record.holder != holder:
            return None
        return self._handle(lock, record)

    async def _take(
        self,
        stack: AsyncExitStack,
        holder: str,
        commit: str,
        view: str,
        sealed_until: float = 0.0,
    ) -> WorktreeHandle:
        self.open()  # the folders may have been deleted since
        free = [record for record in self._records.all() if _is_free(record)]
        # One that holds the commit already is reset fastest; the sort keeps the order of numbers.
        free.sort(key=lambda record: record.checkpoint != commit)
        for candidate in free:
            with contextlib.suppress(WorktreeBusy):
                lock = await stack.enter_async_context(self._locks.hold(candidate.name, seconds=0))
                record = self._records.read(candidate.name)
                if record is not None and _is_free(record):
                    return self._given(
                        lock, record, holder=holder, commit=commit, view=view, until=sealed_until
                    )
        number = max(worktree_numbers(self._root, self.store.path), default=0) + 1
        lock = await stack.enter_async_context(self._locks.hold(f"w{number}"))
        empty = WorktreeRecord(
            name=f"w{number}", holder=None, epoch=0, commit=commit, checkpoint=commit,
            in_flight=None, uid=None, boot=boot_id(),
        )  # fmt: skip
        return self._given(lock, empty, holder=holder, commit=commit, view=view, until=sealed_until)

    def _given(
        self,
        lock: int,
        record: WorktreeRecord,
        *,
        holder: str,
        commit: str,
        view: str,
        until: float,
    ) -> WorktreeHandle:
        # Written before anything is done: from now on these files are not to be trusted, and the
        # epoch of the lease before is over, also after a crash.
        given = replace(
            record,
            holder=holder,
            epoch=record.epoch + 1,
            commit=commit,
            checkpoint=commit,
            base=commit,
            view=view,
            heads={},
            in_flight=LEASING,
            uid=self._user(record.name),
            sealed_until=until,
        )
        self._records.write(given)
        return self._handle(lock, given)

    def _user(self, name: str) -> int | None:
        if self._uid_base is None:
            return None
        return user_of(self._root.parent, f"{self._root.name}/{name}", self._uid_base)

    def _free(self, record: WorktreeRecord) -> None:
        free = replace(record, holder=None, in_flight=None, scratch="", sealed_until=0.0)
        self._records.write(free)

    # ---- opening

    @asynccontextmanager
    async def open_worktree(
        self, name: str, epoch: int, expected: str, base: str = ""
    ) -> AsyncIterator[WorktreeHandle]:
        """Open a leased worktree at its last checkpoint; one opening at a time, also to read.

        Commands see HEAD and index at `base`, by default at the commit that was leased.

        The files are restored first when the last call did not settle, when they are known to be
        at another commit, or when the host was restarted; then ignored files are lost.

        Raises:
            Fenced: the lease is over.
            WorktreeBusy: the previous opening did not end in time.
            ObjectMissing: the commit is not in the store.
            WorktreeBroken: the files cannot be made equal to the commit.
            GitError: git failed.
        """
        self._records.leased(name, epoch)
        async with self._locks.hold(name) as lock:
            worktree = self._handle(lock, self._records.leased(name, epoch))
            await worktree.restore(expected, base or worktree.record.commit)
            yield worktree

    def _handle(self, lock: int, record: WorktreeRecord) -> WorktreeHandle:
        layout = Layout(self._root, self.store.path, record.name)
        return WorktreeHandle(
            self.store,
            layout,
            record,
            lock=lock,
            records=self._records,
            index=self._indexes.setdefault(record.name, ScanIndex(layout.index)),
            locks=self._locks,
            limits=self._limits,
        )


def _is_free(record: WorktreeRecord) -> bool:
    return record.holder is None or record.holder.startswith(_CHECKS)
