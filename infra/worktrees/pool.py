"""
Pooled worktrees: leased, fenced, restored, checkpointed, given back.

A worktree is made once and then reset for each lease, which is many times faster. Who may write
into it is decided by its record and its lock on disk, so several processes of a host may share a
pool. The lock is held as long as anything may write, also by git processes that outlive a killed
worker. Nothing is known of tasks, tools or workflows.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from infra.store import ObjectMissing, Store
from infra.worktrees.files import IndexCache, Scan, WorktreeFiles
from infra.worktrees.layout import (
    CONTROL_FOLDER,
    Fenced,
    Layout,
    WorktreeBroken,
    WorktreeBusy,
    WorktreeRecord,
    boot_id,
    held,
    make_private_git,
    numbers,
    read_record,
    write_record,
)

__all__ = [
    "Fenced",
    "Leased",
    "Scan",
    "WorktreeBroken",
    "WorktreeBusy",
    "WorktreeHandle",
    "WorktreePool",
    "WorktreeRecord",
]

RESCUES: Final = "refs/oc/rescue"
"""Where work is pinned that was in a worktree when it was given back."""

STORE_LOCK: Final = "oc-worktrees.lock"
"""The lock file, in the store, under which leases are given and worktrees are made."""

WAIT_SECONDS: Final = 30.0
"""How long an entry waits for another one to end."""

CREATION_WAIT_SECONDS: Final = 120.0
"""How long a lease waits for the leases before it: each takes milliseconds."""

RESETS: Final = 4
"""Checkouts at the same time: more only share the disk."""

_CHECKS = "checks/"  # begins the holder's name of a worktree taken for the system's own checks
_LEASING = "lease"  # in_flight of a worktree that was never ready under this lease
_RESTORING = "restore"  # in_flight of one that is being brought to a checkpoint

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Leased:
    """
    A lease.

    Attributes:
        name: the worktree.
        path: its working directory, absolute.
        epoch: counts the worktree's leases, from 1.
        commit: the commit it held at the beginning of the lease.
    """

    name: str
    path: Path
    epoch: int
    commit: str


@dataclass
class _Member:
    """What this process keeps of one worktree between entries."""

    mutex: asyncio.Lock = field(default_factory=asyncio.Lock)
    note: IndexCache = field(default_factory=IndexCache)


@dataclass(frozen=True)
class _Held:
    """A worktree whose lock is held, and its record."""

    lock: int
    record: WorktreeRecord


class WorktreeHandle:
    """
    A worktree from the inside, for as long as its lock is held.

    Attributes:
        name: the worktree.
        path: its working directory, absolute.
        store: the store's folder.
        private_git: the git directory for commands in the sandbox.
        gitfile: the file to mount over `.git` of the working directory.
        uid: user and group that own the files and run the commands; None = the worker's own.
            What the worker itself writes must be given to it.
    """

    def __init__(
        self, layout: Layout, files: WorktreeFiles, record: WorktreeRecord, *, write: bool
    ) -> None:
        self.name = layout.name
        self.path = layout.path
        self.store = layout.store
        self.private_git = layout.private_git
        self.gitfile = layout.gitfile
        self.uid = record.uid
        self._layout = layout
        self._files = files
        self._record = record
        self._writable = write

    def begin(self, call_id: str) -> None:
        """
        Note that a call is about to change files; call it before the first change.

        Until `settle`, every entry restores the files first: the note outlives this process. It
        need not outlive the host's fall, because files of another boot are never trusted.
        """
        self._write(replace(self._record, in_flight=call_id))

    async def settle(self, checkpoint: str) -> None:
        """
        Note that the files equal a commit; as lasting as what `begin` notes.

        Args:
            checkpoint: full id of a commit that is in the store, pinned.
        """
        self._write(replace(self._record, checkpoint=checkpoint, in_flight=None))

    async def scan(self, parent: str, message: str, *, when: int | None = None) -> Scan:
        """
        Record the files as a commit on `parent`, and say what could not be recorded.

        Files that are ignored stay out, unless the parent has them. The commit is in the store,
        durable, but not pinned. The same files give the same commit.

        Args:
            parent: full id of a commit: the last checkpoint.
            message: of the commit.
            when: its time, seconds since the epoch; None = one second after the parent's.

        Returns:
            The commit; it is the parent itself when nothing changed.

        Raises:
            WorktreeBroken: everything is gone, and the working directory is not ours any more.
            GitError: git failed.
        """
        return await self._files.scan(parent, message, when=when)

    async def clear(self) -> None:
        """Give back the room of what a call wrote; the entry must not settle afterwards."""
        await self._files.clear()

    async def undo(self, commit: str) -> None:
        """
        Bring the files back to a commit after a call that filled the disk.

        Args:
            commit: full id of a commit: the last checkpoint.
        """
        # Without a first bit of room git cannot even write what it needs for the rest.
        await self._files.clear()
        await self._files.reset(commit, trusted=False)

    def _write(self, record: WorktreeRecord) -> None:
        if not self._writable:
            raise RuntimeError(f"{self.name} was entered to read only")
        write_record(self._layout, record, lasting=False)
        self._record = record


class WorktreePool:
    """
    The worktrees of one store on one host.

    Safe for many tasks of one event loop and for several processes.

    Args:
        store: open, and closed by its owner.
        root: the pool's folder; made when missing. Users of commands must be able to reach it.
        host_id: the host whose queue runs what touches these worktrees.
        uid_base: worktree n belongs to user and group `uid_base` + n; None = to the worker, which
            is right whenever that is not root.
        wait_seconds: how long an entry waits for another one to end.

    Attributes:
        host_id: as given.
        store: as given.
    """

    def __init__(
        self,
        store: Store,
        root: Path,
        *,
        host_id: str,
        uid_base: int | None,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self.host_id = host_id
        self.store = store
        self._root = root.absolute()
        self._uid_base = uid_base
        self._wait_seconds = wait_seconds
        self._members: dict[str, _Member] = {}
        self._creation_mutex = asyncio.Lock()
        self._resets = asyncio.Semaphore(RESETS)
        self._boot = boot_id()

    async def open(self) -> tuple[str, ...]:
        """
        Make the pool's folders if they are missing; return the names of its worktrees.

        Safe to repeat.
        """
        control = self._root / CONTROL_FOLDER
        control.mkdir(parents=True, exist_ok=True)
        for folder in (self._root, control):
            folder.chmod(0o711)  # commands must pass through; only the worker may look around
        return tuple(record.name for record in self._records())

    def leases(self) -> list[WorktreeRecord]:
        """
        Return the records of the leased worktrees, by number.

        A worktree taken by `checkout` is none: it is free as soon as nobody holds its lock.
        """
        return [record for record in self._records() if not _free(record)]

    # ---- lease and release

    async def lease(self, holder: str, commit: str) -> Leased:
        """
        Lease a worktree that holds a commit, a free one if there is one, else a new one.

        Safe to repeat: the same holder, still leasing, gets the same lease, and then the commit
        is the one of its first time.

        Args:
            holder: who asks; not empty.
            commit: full id of a commit in the store.

        Raises:
            ObjectMissing: the commit is not in the store.
            WorktreeBusy: the holder's worktree is in use, or too many lease at the same time.
            WorktreeBroken: the files do not come to equal the commit.
            GitError: git failed.
        """
        await self._check(commit)
        while True:
            async with AsyncExitStack() as stack:
                claim = await self._claim(stack, holder, commit)
                if claim is None:
                    continue
                record = await self._made_ready(claim)
                layout = self._layout(record.name)
                return Leased(
                    name=record.name, path=layout.path, epoch=record.epoch, commit=record.commit
                )

    async def release(self, name: str, epoch: int) -> bool:
        """
        Give a worktree back; what it holds beyond its checkpoint is pinned first.

        The rescued commit is `refs/oc/rescue/<name>/<epoch>`; ignored files and nested
        repositories are not in it. The files stay as they are until the next lease. Safe to
        repeat.

        Args:
            name: the worktree.
            epoch: of the lease.

        Returns:
            Whether the lease ended now; False = it was over, and nothing was done.

        Raises:
            WorktreeBusy: it is in use.
            GitError: the rescue failed, so the lease goes on.
        """
        if self._read(name) is None:
            return False
        async with self._hold(name) as lock:
            record = self._read(name)
            if record is None or record.holder is None or record.epoch != epoch:
                return False
            await self._rescue(lock, record)
            self._set_free(record)
        return True

    async def _claim(self, stack: AsyncExitStack, holder: str, commit: str) -> _Held | None:
        """Find the holder's worktree or take one, and hold its lock; None = try again."""
        async with self._creation():
            mine = next((each for each in self._records() if each.holder == holder), None)
            if mine is None:
                return await self._take(stack, holder, commit)
        lock = await stack.enter_async_context(self._hold(mine.name))
        record = self._read(mine.name)
        return _Held(lock, record) if record is not None and record.holder == holder else None

    async def _take(self, stack: AsyncExitStack, holder: str, commit: str) -> _Held:
        await self.open()  # the folders may have been deleted since
        free = [record for record in self._records() if _free(record)]
        # One that holds the commit already is reset fastest.
        free.sort(key=lambda record: (record.checkpoint != commit, _number(record.name)))
        for candidate in free:
            with contextlib.suppress(WorktreeBusy):
                lock = await stack.enter_async_context(self._hold(candidate.name, seconds=0))
                record = self._read(candidate.name)
                if record is not None and _free(record):
                    return self._given(lock, record, holder=holder, commit=commit)
        number = max(numbers(self._root, self.store.path), default=0) + 1
        lock = await stack.enter_async_context(self._hold(f"w{number}"))
        empty = WorktreeRecord(
            name=f"w{number}", holder=None, epoch=0, commit=commit, checkpoint=commit,
            in_flight=None, uid=None, boot=self._boot,
        )  # fmt: skip
        return self._given(lock, empty, holder=holder, commit=commit)

    def _given(self, lock: int, record: WorktreeRecord, *, holder: str, commit: str) -> _Held:
        # Written before anything is done: whatever happens next, these files are not to be
        # trusted, and the epoch of the lease before is over.
        given = replace(
            record,
            holder=holder,
            epoch=record.epoch + 1,
            commit=commit,
            checkpoint=commit,
            in_flight=_LEASING,
            uid=None if self._uid_base is None else self._uid_base + _number(record.name),
        )
        write_record(self._layout(record.name), given)
        return _Held(lock, given)

    async def _made_ready(self, claim: _Held) -> WorktreeRecord:
        record = claim.record
        if record.in_flight != _LEASING:
            return record
        record = await self._reset(claim, record.commit)
        layout = self._layout(record.name)
        await asyncio.to_thread(make_private_git, layout, record.commit, record.uid)
        record = replace(record, in_flight=None)
        write_record(layout, record)
        return record

    async def _rescue(self, lock: int, record: WorktreeRecord) -> None:
        message = f"Rescued from {record.name}, lease {record.epoch} of {record.holder}\n"
        try:
            scan = await self._files(lock, record).scan(record.checkpoint, message)
        except WorktreeBroken as gone:
            _log.warning("nothing to rescue from %s: %s", record.name, gone)
            return
        if scan.commit != record.checkpoint:
            await self._pin(f"{RESCUES}/{record.name}/{record.epoch}", scan.commit)
            _log.info("rescued work from %s: %s", record.name, scan.commit)

    async def _pin(self, ref: str, commit: str) -> None:
        # A rescue cut short may have pinned an earlier state: that one is kept as well.
        taken = await self.store.refs(ref.rpartition("/")[0])
        if commit in {oid for name, oid in taken.items() if name.partition(".")[0] == ref}:
            return
        suffixes = ("", *(f".{number}" for number in range(2, len(taken) + 3)))
        free = next(ref + suffix for suffix in suffixes if ref + suffix not in taken)
        await self.store.advance(free, commit, None)

    # ---- entries

    @asynccontextmanager
    async def enter(
        self, name: str, epoch: int, expected: str, *, write: bool = True
    ) -> AsyncIterator[WorktreeHandle]:
        """
        Enter a leased worktree, alone, its files equal to a commit.

        They are brought there first when the last call did not settle, when they are known to
        be at another commit, or when the host was restarted; then ignored files are lost.

        Args:
            name: the worktree.
            epoch: of the lease.
            expected: full id of the commit that the files shall equal: the last checkpoint.
            write: whether the caller may `begin` and `settle`. Readers are alone, too: the
                calls of one turn come together in one entry.

        Raises:
            Fenced: the lease is over.
            WorktreeBusy: another entry did not end in time.
            ObjectMissing: the commit is not in the store.
            WorktreeBroken: the files do not come to equal the commit.
            GitError: git failed.
        """
        self._leased(name, epoch)
        async with self._hold(name) as lock:
            record = await self._restored(_Held(lock, self._leased(name, epoch)), expected)
            yield WorktreeHandle(self._layout(name), self._files(lock, record), record, write=write)

    @asynccontextmanager
    async def checkout(self, commit: str) -> AsyncIterator[WorktreeHandle]:
        """
        Lend a worktree that holds a commit and nothing else, for the system's own commands.

        It is free again at the end, whatever happens, and what is in it then is lost.

        Args:
            commit: full id of a commit in the store.

        Raises:
            ObjectMissing, WorktreeBusy, WorktreeBroken, GitError: as `lease`.
        """
        await self._check(commit)
        async with AsyncExitStack() as stack:
            claim = await self._claim(stack, f"{_CHECKS}{uuid.uuid4()}", commit)
            if claim is None:  # the name is new, so it was taken, not found
                raise WorktreeBusy("a worktree for checks was taken away")
            stack.callback(self._set_free, claim.record)
            record = await self._made_ready(claim)
            files = self._files(claim.lock, record)
            yield WorktreeHandle(self._layout(record.name), files, record, write=False)

    def _leased(self, name: str, epoch: int) -> WorktreeRecord:
        record = self._read(name)
        if record is None or record.holder is None or record.epoch != epoch:
            raise Fenced(f"lease {epoch} of {name} is over")
        return record

    async def _restored(self, entry: _Held, expected: str) -> WorktreeRecord:
        record = entry.record
        layout = self._layout(record.name)
        settled = record.in_flight is None and record.checkpoint == expected
        if settled and record.boot == self._boot and layout.intact():
            return record
        await self._check(expected)
        leasing = record.in_flight == _LEASING  # this lease never had its private directory
        record = replace(record, in_flight=_LEASING if leasing else _RESTORING)
        write_record(layout, record)
        record = await self._reset(_Held(entry.lock, record), expected)
        if leasing or not layout.private_git.is_dir() or not layout.gitfile.is_file():
            await asyncio.to_thread(make_private_git, layout, expected, record.uid)
        record = replace(record, checkpoint=expected, in_flight=None)
        write_record(layout, record)
        return record

    async def _reset(self, entry: _Held, commit: str) -> WorktreeRecord:
        """Bring the files to a commit; return the record of this boot, not yet written."""
        record = entry.record
        async with self._resets:
            trusted = record.boot == self._boot
            await self._files(entry.lock, record).reset(commit, trusted=trusted)
        return replace(record, boot=self._boot)

    async def _check(self, commit: str) -> None:
        if await self.store.resolve(f"{commit}^{{commit}}") != commit:
            raise ObjectMissing(commit)

    # ---- pieces

    def _layout(self, name: str) -> Layout:
        return Layout(self._root, self.store.path, name)

    def _member(self, name: str) -> _Member:
        return self._members.setdefault(name, _Member())

    def _files(self, lock: int, record: WorktreeRecord) -> WorktreeFiles:
        return WorktreeFiles(
            self.store,
            self._layout(record.name),
            lock=lock,
            uid=record.uid,
            note=self._member(record.name).note,
            creation=self._creation,
        )

    @asynccontextmanager
    async def _hold(self, name: str, *, seconds: float | None = None) -> AsyncIterator[int]:
        wait = self._wait_seconds if seconds is None else seconds
        async with held(self._member(name).mutex, self._layout(name).lock, seconds=wait) as lock:
            yield lock

    @asynccontextmanager
    async def _creation(self) -> AsyncIterator[int]:
        # Whoever has this lock never waits for a worktree's, so one may be taken inside the other.
        file = self.store.path / STORE_LOCK
        async with held(self._creation_mutex, file, seconds=CREATION_WAIT_SECONDS) as lock:
            yield lock

    def _read(self, name: str) -> WorktreeRecord | None:
        # A name comes from outside: only one that the pool could have given is looked up.
        if not (name.startswith("w") and name[1:].isdecimal() and name.isascii()):
            return None
        return read_record(self._layout(name))

    def _records(self) -> list[WorktreeRecord]:
        """Return every readable record, by number; an unreadable one is never leased again."""
        found: list[WorktreeRecord] = []
        for file in (self._root / CONTROL_FOLDER).glob("w*.json"):
            try:
                record = self._read(file.name.removesuffix(".json"))
            except WorktreeBroken as broken:
                _log.warning("%s", broken)
                continue
            if record is not None:
                found.append(record)
        return sorted(found, key=lambda record: _number(record.name))

    def _set_free(self, record: WorktreeRecord) -> None:
        write_record(self._layout(record.name), replace(record, holder=None, in_flight=None))


def _number(name: str) -> int:
    return int(name.removeprefix("w"))


def _free(record: WorktreeRecord) -> bool:
    return record.holder is None or record.holder.startswith(_CHECKS)
