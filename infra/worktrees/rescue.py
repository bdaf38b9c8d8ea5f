"""Pinning the work that a worktree holds beyond its checkpoint, before its lease ends."""

import logging
from typing import Final

from infra.store import Store
from infra.worktrees.errors import WorktreeBroken
from infra.worktrees.handle import WorktreeHandle

RESCUES: Final = "refs/oc/rescue"
"""The folder of references that pin rescued work."""

_log = logging.getLogger(__name__)


async def rescue(store: Store, worktree: WorktreeHandle) -> None:
    """Pin what is not in the last checkpoint as `refs/oc/rescue/<name>/<epoch>`.

    Ignored files and nested repositories are not in it.

    Raises:
        GitError: the files cannot be read.
    """
    record = worktree.record
    message = f"Rescued from {record.name}, lease {record.epoch} of {record.holder}\n"
    try:
        scan = await worktree.scan(record.checkpoint, message)
    except WorktreeBroken as gone:
        _log.warning("nothing to rescue from %s: %s", record.name, gone)
        return
    if scan.commit != record.checkpoint:
        await _pin(store, f"{RESCUES}/{record.name}/{record.epoch}", scan.commit)
        _log.info("rescued work from %s: %s", record.name, scan.commit)


async def _pin(store: Store, ref: str, commit: str) -> None:
    # An interrupted rescue may have pinned an earlier state: that one is kept as well.
    taken = await store.refs(ref.rpartition("/")[0])
    if commit in {oid for name, oid in taken.items() if name.partition(".")[0] == ref}:
        return
    suffixes = ("", *(f".{number}" for number in range(2, len(taken) + 3)))
    free = next(ref + suffix for suffix in suffixes if ref + suffix not in taken)
    await store.advance(free, commit, None)
