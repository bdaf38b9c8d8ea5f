"""What commands may read of a store: the objects that one request's base reaches, and no others.

A store holds more than a command may know: conversations, the work of other tasks and requests,
other branches. So a command gets a folder of its own in the store's place, with packs of exactly
the objects that a view names. Packs are shared by hard links between the folders, so that a new
view costs what is new in it. All of it can be made again from the store at any time.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.fsync import sync_tree
from infra.locks import locked
from infra.store.object_format import is_oid
from infra.store.pack_folders import FOLDER, lay_out, move_packs, origin_of
from infra.store.store import Store

_LOOKED_AT: Final = 16
"""Earlier views that are looked at for one to begin with."""
_MOST_PACKS: Final = 16
"""Of more packs a view is packed anew: git looks for each object in all of them."""
_UNUSED_SECONDS: Final = 86_400.0
"""A view that nothing has used for so long is removed; its next use makes it again."""
_NO_SYNC: Final = ("-c", "core.fsync=none")


@dataclass(frozen=True)
class View:
    """What a command may see beside its own work.

    Attributes:
        origin: the commit whose history it is.
        names: references by full name, each within that history, or a tag of it.
    """

    origin: str
    names: Mapping[str, str]

    def encode(self) -> bytes:
        """Return it as a record of the store: the same view, the same bytes."""
        rows = (f"{oid} {name}\n" for name, oid in sorted(self.names.items()))
        return os.fsencode(f"{self.origin}\n{''.join(rows)}")

    @classmethod
    def decode(cls, data: bytes) -> "View":
        """Return the view of a record."""
        origin, *rows = os.fsdecode(data).splitlines()
        pairs = (row.partition(" ") for row in rows)
        return cls(origin, {name: oid for oid, _, name in pairs})


async def visible(store: Store, oid: str) -> Path:
    """Return the folder, with `objects` in it, of the view whose record has this id.

    Safe to repeat: the folder is made when it is not there, and appears when it is complete.

    Raises:
        ObjectMissing, StoreError: it cannot be made.
    """
    folder = store.path / FOLDER / oid
    if not _used(folder):
        view = View.decode(await store.get_blob(oid))
        folder.parent.mkdir(exist_ok=True)
        async with locked(store.path / f"{FOLDER}.lock"):
            if not _used(folder):
                await _make(store, folder, view)
    return folder


async def own_objects(store: Store, view: View, commit: str, into: Path) -> None:
    """Put what a commit reaches beyond a view into an object folder, as a pack.

    Raises:
        StoreError: git failed.
    """
    if commit != view.origin:
        known = {view.origin, *view.names.values()}
        await _pack(store, [commit], known, into, sync=False)


def _used(folder: Path) -> bool:
    """Note that a view is used now; return whether it is there."""
    try:
        os.utime(folder)
    except FileNotFoundError:
        return False
    return True


async def _make(store: Store, folder: Path, view: View) -> None:
    fresh = folder.with_name(f".new-{secrets.token_hex(6)}")
    earlier = await _earlier(store, folder.parent, view.origin)
    packs = [] if earlier is None else list((earlier / "objects" / "pack").iterdir())
    known = [] if earlier is None else [origin_of(earlier)]
    try:
        await asyncio.to_thread(lay_out, fresh, view.origin, packs)
        wanted = [view.origin, *view.names.values()]
        await _pack(store, wanted, known, fresh / "objects" / "pack")
        await asyncio.to_thread(sync_tree, fresh)
        fresh.rename(folder)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
        raise
    await asyncio.to_thread(_tidy, folder)


async def _pack(
    store: Store, wanted: Iterable[str], known: Iterable[str], into: Path, *, sync: bool = True
) -> None:
    """Write a pack of what some objects reach and others do not; none when that is nothing."""
    rows = "\n".join([*dict.fromkeys(wanted), "--not", *dict.fromkeys(known), ""])
    options = ("--revs", "--non-empty", "--quiet", "--delta-base-offset", "--window=0")
    # git renames what it writes from the store's folder, so it writes there: the disk of the
    # worktrees may be another one.
    # Not named as a view in the making: those are removed by the next maker.
    folder = store.path / FOLDER / f".pack-{secrets.token_hex(6)}"
    await asyncio.to_thread(folder.mkdir, parents=True)
    try:
        words = ("pack-objects", *options, str(folder / "pack"))
        await store.run(*(() if sync else _NO_SYNC), *words, stdin=rows.encode())
        await asyncio.to_thread(move_packs, folder, into)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _earlier(store: Store, folder: Path, origin: str) -> Path | None:
    """Return a view of the same commit or of one before it; None when there is none that helps."""
    for found in await asyncio.to_thread(_candidates, folder):
        commit = origin_of(found)
        if commit == origin:
            return found
        if await store.resolve(commit) is None:
            continue
        words = ("merge-base", "--is-ancestor", commit, origin)
        if (await store.run(*words, ok=(0, 1), reads=True)).code == 0:
            return found
    return None


def _candidates(folder: Path) -> list[Path]:
    """Return the views used last, those of few packs."""
    used: list[tuple[float, Path]] = []
    for each in folder.iterdir():
        with contextlib.suppress(OSError):
            packs = sum(1 for file in (each / "objects" / "pack").glob("*.pack"))
            if packs < _MOST_PACKS and is_oid(origin_of(each)):
                used.append((each.stat().st_mtime, each))
    return [each for _, each in sorted(used, reverse=True)[:_LOOKED_AT]]


def _tidy(newest: Path) -> None:
    """Remove what killed makers left, and views that nothing has used for long."""
    for each in newest.parent.iterdir():
        with contextlib.suppress(OSError):
            unused = each.stat().st_mtime < time.time() - _UNUSED_SECONDS
            if each.name.startswith(".new-") or (unused and each != newest):
                shutil.rmtree(each, ignore_errors=True)
