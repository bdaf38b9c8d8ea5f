"""The records of a pool's worktrees: one JSON file each, replaced whole and synced."""

import dataclasses
import functools
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from infra.fsync import sync_folder
from infra.worktrees.errors import Fenced, WorktreeBroken
from infra.worktrees.layout import CONTROL_FOLDER, Layout

LEASING: Final = "lease"
"""`in_flight` of a worktree that was never made ready under its present lease."""

RESTORING: Final = "restore"
"""`in_flight` of a worktree that is being reset to a checkpoint."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class WorktreeRecord:
    """What the pool remembers of one worktree.

    Attributes:
        holder: who has the lease; None = it is free.
        epoch: counts the leases, from 1; it never goes back.
        commit: at the beginning of the lease.
        base: the commit that HEAD and index of `private_git` stand on; "" = `commit`.
        checkpoint: the commit that the files equal when `in_flight` is None.
        in_flight: the call that may have left them half changed; None = no call has.
        uid: user and group of the files; None = the worker's own.
        heads: branches that commands saw beside their own in leases of before 2026-12.
        view: the record of what commands may see of the store; "" in leases of before 2026-12.
        boot: the boot of the host in which the files were written. After another one their
            content is unknown, because worktree files are never synced.
        scratch: names the content of the scratch folder, anew whenever it was emptied.
        sealed_until: of a sealed clone, when its time is over, in seconds since the epoch; 0.0 of
            a plain worktree.
    """

    name: str
    holder: str | None
    epoch: int
    commit: str
    checkpoint: str
    in_flight: str | None
    uid: int | None
    boot: str
    base: str = ""
    scratch: str = ""
    view: str = ""
    sealed_until: float = 0.0
    heads: Mapping[str, str] = field(default_factory=dict, hash=False)


@functools.cache
def boot_id() -> str:
    """Return the id of the host's present boot."""
    return _BOOT_ID.read_text().strip()


class WorktreeRecords:
    """The records of one pool. Blocking; the caller of `write` holds the worktree's lock."""

    def __init__(self, pool: Path, store: Path) -> None:
        self._pool = pool
        self._store = store

    def read(self, name: str) -> WorktreeRecord | None:
        """Return a worktree's record; None when there is none.

        Raises:
            WorktreeBroken: the record is unreadable, so its epoch is unknown.
        """
        # A name comes from outside: only one that the pool could have given is looked up.
        if not (name.startswith("w") and name[1:].isdecimal() and name.isascii()):
            return None
        file = Layout(self._pool, self._store, name).record
        try:
            return WorktreeRecord(**{"name": name, **json.loads(file.read_bytes())})
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as wrong:
            raise WorktreeBroken(f"the record {file} cannot be read: {wrong}") from wrong

    def leased(self, name: str, epoch: int) -> WorktreeRecord:
        """Return the record of a lease.

        Raises:
            Fenced: the lease is over.
            WorktreeBroken: as `read`.
        """
        record = self.read(name)
        if record is None or record.holder is None or record.epoch != epoch:
            raise Fenced(f"lease {epoch} of {name} is over")
        return record

    def all(self) -> list[WorktreeRecord]:
        """Return every readable record, by number; an unreadable one is never leased again."""
        found: list[WorktreeRecord] = []
        for file in (self._pool / CONTROL_FOLDER).glob("w*.json"):
            try:
                record = self.read(file.name.removesuffix(".json"))
            except WorktreeBroken as broken:
                _log.warning("%s", broken)
                continue
            if record is not None:
                found.append(record)
        return sorted(found, key=lambda record: int(record.name.removeprefix("w")))

    def write(self, record: WorktreeRecord, *, lasting: bool = True) -> None:
        """Write a record, whole or not at all.

        It is durable on return if `lasting`; not where the previous record serves as well after a
        crash of the host.
        """
        fields = dataclasses.asdict(record)
        del fields["name"]
        file = Layout(self._pool, self._store, record.name).record
        fresh = file.with_suffix(".json.new")
        with fresh.open("w") as stream:
            json.dump(fields, stream)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
        if lasting:
            sync_folder(str(file.parent))
