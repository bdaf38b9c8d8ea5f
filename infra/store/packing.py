"""Packing a store: loose objects go into packs, and what nothing reaches any more is removed.

`pack` removes no object, whatever else works on the store meanwhile, and may be killed anywhere:
a loose object goes only once a pack that holds it is on disk under its name.

`prune` removes objects. A request knows objects that no reference reaches, so it is only for a
store without an open request; `pruning` keeps a new one from relying on what is about to go.
"""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from infra.fsync import sync_folder
from infra.git.command import GitCommand, GitError
from infra.locks import locked
from infra.store.errors import StoreError
from infra.store.pack_folders import FIRST, FOLDER
from infra.store.refs import ANY, RefUpdate
from infra.store.store import Store

LOOSE_OBJECTS: Final = 1_000
"""So many loose objects are worth a pack."""
PACKS: Final = 20
"""With more packs the small ones are joined: git looks for an object in each."""
WORKTREES: Final = "refs/oc/worktree/"
"""Below it stands what idle worktrees hold, while a store is pruned."""

_GRACE_SECONDS: Final = 3_600
"""What was written within the last hour stays: its writer may be about to refer to it."""
_LEFTOVER_SECONDS: Final = 86_400
_SECONDS: Final = 1_200.0
_BLOCK: Final = 512
# One thread and little memory: agents and checks go first.
_GENTLY: Final = ("-c", "pack.threads=1", "-c", "pack.windowMemory=64m", "-c", "pack.window=5")
_PACK_LOCK: Final = "oc-pack.turn"
_PRUNE_LOCK: Final = "oc-prune.turn"
_UNPRUNED: Final = "oc-unpruned"


async def pack(store: Store, *, least: int = LOOSE_OBJECTS) -> int:
    """Pack the loose objects that references reach, if there are so many; return the bytes saved.

    Loose objects that nothing reaches stay as they are. Safe to repeat.

    Raises:
        StoreError: git failed; nothing is lost.
    """
    if await asyncio.to_thread(loose_objects, store.path) < least:
        return 0
    async with locked(store.path / _PACK_LOCK):
        before = await asyncio.to_thread(disk_bytes, store.path)
        await asyncio.to_thread(_remove_leftovers, store.path)
        # Without -d: git would remove the loose objects before the name of the pack is synced.
        await _git(store, "repack", "-q")
        await asyncio.to_thread(_sync_packs, store.path)
        await _git(store, "prune-packed", "-q")
        if _packs(store.path) > PACKS:
            await _git(store, "repack", "-q", "-d", "--geometric=2")
            await asyncio.to_thread(_sync_packs, store.path)
        return before - await asyncio.to_thread(disk_bytes, store.path)


@contextlib.asynccontextmanager
async def pruning(store: Path) -> AsyncIterator[None]:
    """Hold what a prune and the opening of a request exclude each other by."""
    async with locked(store / _PRUNE_LOCK):
        yield


def note_unpruned(store: Path) -> None:
    """Note that a store has objects that nothing reaches, until it is pruned."""
    (store / _UNPRUNED).touch()


def is_unpruned(store: Path, *, for_long: bool = False) -> bool:
    """Return whether a store is noted so; `for_long`: since before what is spared as too young."""
    try:
        noted = (store / _UNPRUNED).stat().st_mtime
    except FileNotFoundError:
        return False
    return not for_long or noted < time.time() - _GRACE_SECONDS


async def prune(store: Store, worktrees: Mapping[str, str]) -> int:
    """Remove every object that no reference reaches, but for the last hour's; return bytes freed.

    Only for a store without an open request, inside `pruning`. Safe to repeat.

    Args:
        store: is pruned.
        worktrees: commits that idle worktrees still hold, by name.

    Raises:
        StoreError: git failed; what is reached is still there.
    """
    async with locked(store.path / _PACK_LOCK):
        before = await asyncio.to_thread(disk_bytes, store.path)
        await asyncio.to_thread(_forget_first, store.path)
        await _pin(store, worktrees)
        try:
            old = f"{_GRACE_SECONDS}.seconds.ago"
            await _git(store, "repack", "-q", "-A", "-d", f"--unpack-unreachable={old}")
            await asyncio.to_thread(_sync_packs, store.path)
            await _git(store, "prune", f"--expire={old}")
        finally:
            await _pin(store, {})
        # What is too young now goes the next time.
        if not await asyncio.to_thread(loose_objects, store.path):
            (store.path / _UNPRUNED).unlink(missing_ok=True)
        return before - await asyncio.to_thread(disk_bytes, store.path)


def loose_objects(store: Path) -> int:
    """Return how many loose objects a store has. Blocking."""
    return sum(1 for _ in (store / "objects").glob("[0-9a-f][0-9a-f]/*"))


def disk_bytes(folder: Path) -> int:
    """Return the disk blocks of all that lies below a folder, each file once. Blocking."""
    total, seen = 0, set()
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                found = os.lstat(f"{place}/{name}")
                if (found.st_dev, found.st_ino) not in seen:
                    seen.add((found.st_dev, found.st_ino))
                    total += found.st_blocks * _BLOCK
    return total


async def _git(store: Store, *words: str) -> None:
    git = GitCommand(store.path, options=_GENTLY)
    try:
        await git(*words, timeout_seconds=_SECONDS)
    except GitError as failed:
        raise StoreError(f"{store.path} cannot be packed: {failed}") from failed


async def _pin(store: Store, worktrees: Mapping[str, str]) -> None:
    """Have exactly these commits of worktrees stand below WORKTREES, where they are there."""
    known = await store.refs(WORKTREES.rstrip("/"))
    wanted = {f"{WORKTREES}{name}": oid for name, oid in worktrees.items()}
    found = {name: oid for name, oid in wanted.items() if await store.resolve(oid) == oid}
    gone = (RefUpdate(name, None, ANY) for name in known.keys() - found.keys())
    await store.update_refs(*gone, *(RefUpdate(name, oid, ANY) for name, oid in found.items()))


def _packs(store: Path) -> int:
    return sum(1 for _ in (store / "objects" / "pack").glob("*.pack"))


def _sync_packs(store: Path) -> None:
    sync_folder(str(store / "objects" / "pack"))


def _forget_first(store: Path) -> None:
    """Have the next opening look whether the base is there: it may go."""
    for folder in (store / FOLDER).glob(f"{FIRST}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(store: Path) -> None:
    """Remove what a killed git left half written, long after it can have been at work."""
    for pattern in ("pack/tmp_*", "pack/.tmp-*", "[0-9a-f][0-9a-f]/tmp_obj_*"):
        for file in (store / "objects").glob(pattern):
            with contextlib.suppress(OSError):
                if file.stat().st_mtime < time.time() - _LEFTOVER_SECONDS:
                    file.unlink()
