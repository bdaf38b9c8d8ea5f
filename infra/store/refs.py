"""Moving references: compare-and-swap, all or none, durable, and repaired after a kill."""

import asyncio
import contextlib
import enum
import os
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from infra.fsync import sync_folder
from infra.git.command import GitCommand
from infra.store.errors import RefConflict, StoreError
from infra.store.git_processes import ChildDiedError, UpdateRefProcess
from infra.store.object_format import OID, is_oid

REF_ROOT: Final = "refs/oc/"
"""The folder of all references of the store."""

LOCK_FILE: Final = "oc-refs.turn"
"""The file whose lock guards moving references.

Its name is that of older versions: under another one an old worker that still runs and a new one
would not exclude each other.
"""

REF_LOCK_SECONDS: Final = 1.0
"""A reference's lock file that stays unchanged so long while we hold the lock is a leftover."""

PACKED_LOCK_SECONDS: Final = 10.0
"""The same for `packed-refs.lock`: packing tens of thousands of references takes seconds."""

_KILLED_TRIES = 3
_BLOCKED_TRIES = 200  # git itself waits 0.1 s each time

_LOCK_EXISTS = re.compile(r"Unable to create '(?P<path>[^\n]+\.lock)': File exists")


class AnyValue(enum.Enum):
    """The type of ANY."""

    ANY = "any"
    """The reference may be anywhere, or missing."""


ANY: Final = AnyValue.ANY
"""As the old value of an update: do not compare."""


@dataclass(frozen=True)
class RefUpdate:
    """One move of a reference.

    Attributes:
        ref: full name below `refs/oc/`.
        new: the id it gets; None = delete it.
        old: the id it must have now; None = it must not exist; ANY = not compared.
    """

    ref: str
    new: str | None
    old: str | Literal[AnyValue.ANY] | None


class References:
    """The references of one store."""

    def __init__(self, store: Path, git: GitCommand) -> None:
        self._store = store
        self._writer = UpdateRefProcess(git, store / LOCK_FILE)
        self._durable: set[str] = set()

    async def close(self) -> None:
        """End the long-lived git child."""
        await self._writer.close()

    async def update(self, *updates: RefUpdate) -> None:
        """Move references; see `Store.update_refs`."""
        for update in updates:
            _check_update(update)
        if len({update.ref for update in updates}) != len(updates):
            raise StoreError("one reference occurs twice in one transaction")
        async with self._writer.lock():
            folders = self._folders_to_sync(updates)
            await self._transact(updates)
            if len(folders) == 1:
                self._sync(folders[0])
            else:  # side by side: each waits for the disk
                await asyncio.gather(*(asyncio.to_thread(self._sync, each) for each in folders))

    def _sync(self, folder: str) -> None:
        # The folder goes with its last reference.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            sync_folder(f"{self._store}/{folder}")

    def _folders_to_sync(self, updates: Iterable[RefUpdate]) -> list[str]:
        # git syncs the file of a reference, but not its name in the folder, nor the folder's
        # name in the one above when that had to be created.
        wanted: set[str] = set()
        for update in updates:
            folder = update.ref.rpartition("/")[0]
            wanted.add(folder)
            if update.new is None:
                wanted.add(".")  # packed-refs
            if folder in self._durable and os.path.isdir(f"{self._store}/{folder}"):  # noqa: PTH112
                continue
            self._durable.add(folder)
            while folder:
                folder = folder.rpartition("/")[0]
                wanted.add(folder or ".")
        return sorted(wanted, key=len, reverse=True)

    async def _transact(self, updates: Sequence[RefUpdate]) -> None:
        pending = list(updates)
        leftovers = _Leftovers(self._store)
        while pending:
            commands = b"".join(_command(update) for update in pending)
            try:
                await self._writer.transact(commands)
            except ChildDiedError as died:
                killed = "fatal:" not in died.stderr
                if killed or "fatal: commit" in died.stderr:
                    # What it has moved stays moved; the rest is tried again.
                    pending = [u for u in pending if read_ref(self._store, u.ref) != u.new]
                self._raise_conflict(pending)
                await leftovers.wait_or_remove(died.stderr, killed=killed)
            else:
                return

    def _raise_conflict(self, pending: Iterable[RefUpdate]) -> None:
        for update in pending:
            actual = read_ref(self._store, update.ref)
            if update.old is not ANY and update.old != actual:
                raise RefConflict(update.ref, update.old, actual)


def check_ref(ref: str) -> None:
    """Refuse what git does not accept as the name of a reference.

    Raises:
        StoreError: it cannot be a name.
    """
    parts = ref.split("/")
    wrong = (
        re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{", ref) is not None
        or any(not part or part.startswith(".") or part.endswith(".lock") for part in parts)
        or ref.endswith(".")
    )
    if wrong:
        raise StoreError(f"{ref!r} cannot be the name of a reference")


def _check_update(update: RefUpdate) -> None:
    check_ref(update.ref)
    if not update.ref.startswith(REF_ROOT):
        raise StoreError(f"{update.ref} is not below {REF_ROOT}")
    for value in (update.new, update.old):
        if isinstance(value, str) and not is_oid(value):
            raise StoreError(f"{value!r} is not an object id ({update.ref})")


def _command(update: RefUpdate) -> bytes:
    ref, new, old = update.ref, update.new, update.old
    zero = "0" * 40
    if new is None:
        words = ["verify", ref, zero] if old is None else ["delete", ref]
    else:
        words = ["create" if old is None else "update", ref, new]
    if isinstance(old, str):
        words.append(old)
    return os.fsencode(" ".join(words)) + b"\n"


def read_ref(store: Path, ref: str) -> str | None:
    """Return the id a reference holds, read from its file; None = it does not exist."""
    try:
        text = (store / ref).read_text("ascii").strip()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return _read_packed(store, ref)
    return text if OID.fullmatch(text) else None


def _read_packed(store: Path, ref: str) -> str | None:
    try:
        packed = (store / "packed-refs").read_bytes()
    except FileNotFoundError:
        return None
    end = packed.find(b" " + os.fsencode(ref) + b"\n")
    return packed[end - 40 : end].decode("ascii") if end >= 40 else None


class _Leftovers:
    """Decides whether a `.lock` file that is in the way belongs to a dead writer, and removes it.

    Its caller holds the store's lock, so no living writer of the product can hold the file.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._tries = 0
        self._killed = False
        self._seen: tuple[str, int, int] | None = None
        self._since = 0.0

    async def wait_or_remove(self, stderr: str, *, killed: bool) -> None:
        """Wait a moment after a failed transaction, or remove what blocks it.

        Raises:
            StoreError: the failure is no leftover, or happened too often.
        """
        self._tries += 1
        self._killed = self._killed or killed
        blocked = _LOCK_EXISTS.search(stderr)
        limit = _KILLED_TRIES if blocked is None else _BLOCKED_TRIES
        if self._tries > limit or (blocked is None and "fatal:" in stderr):
            raise StoreError(f"references could not be moved: {stderr or 'git was killed'}")
        if blocked is not None:
            self._remove_if_stale(Path(blocked["path"]))
            await asyncio.sleep(0.05)

    def _remove_if_stale(self, file: Path) -> None:
        now = time.monotonic()
        try:
            stat = file.stat()
        except FileNotFoundError:
            return
        identity = (str(file), stat.st_ino, stat.st_mtime_ns)
        if identity != self._seen:
            self._seen, self._since = identity, now
        packed = file.name == "packed-refs.lock"
        limit = PACKED_LOCK_SECONDS if packed else REF_LOCK_SECONDS
        # Our own child was killed in this transaction: the file is its leftover.
        waited = self._killed or now - self._since >= limit
        if waited and file.is_relative_to(self._store):
            file.unlink(missing_ok=True)
