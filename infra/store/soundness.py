"""Is what a commit holds in the store, and is it what it was? Read from the disk, not from memory.

An object's id is a hash of its content, so every damage shows; a disk that loses or changes a byte
is found when the object is used.
"""

import re
from collections.abc import Iterable
from typing import Final

from infra.store.errors import ObjectMissing, StoreError
from infra.store.object_format import (
    SUBMODULE_MODE,
    Commit,
    GitObject,
    TreeEntry,
    decode_commit,
    decode_tree,
    object_id,
)
from infra.store.reader import ObjectReader
from infra.store.store import Store

CHECKPOINT_CORRUPTION: Final = "CHECKPOINT_CORRUPTION"
"""The failure mode's name in logs and in what people are told."""

_CORRUPT = re.compile(
    "corrupt|inflate|unpack|mismatch|bad object|garbage|invalid|fatal", re.IGNORECASE
)
_SHOWN = 12


async def damage(
    store: Store, commits: Iterable[str], *, beside: str | None = None, history: bool = False
) -> str:
    """Return what is missing or damaged of commits and their files, in words; "" for nothing.

    `history`: and of the first parent of each, and so on. What equals the files of the commit
    `beside` is not looked at.

    Raises:
        StoreError: the store cannot be read just now; nothing is known.
    """
    # One of its own: what the store has in memory may be gone from the disk.
    reader = ObjectReader(store.path)
    try:
        known = (await _commit(reader, beside)).tree if beside else None
        for commit in commits:
            at: str | None = commit
            while at:
                written = await _commit(reader, at)
                await _walk(reader, written.tree, known, path="")
                at = written.parents[0] if history and written.parents else None
    except _DamageError as found:
        return str(found)
    finally:
        await reader.close()
    return ""


class _DamageError(Exception):
    """Something is missing or damaged; the text says what."""


async def _commit(reader: ObjectReader, oid: str) -> Commit:
    return decode_commit(oid, (await _read(reader, oid, "the commit")).data)


async def _walk(reader: ObjectReader, tree: str, known: str | None, *, path: str) -> None:
    """Read a tree and everything in it that is not at the same place in a known one."""
    if tree == known:
        return
    entries = decode_tree((await _read(reader, tree, f"the folder {path or '/'}")).data)
    before = await _entries(reader, known) if known else {}
    for entry in entries:
        same = before.get(entry.name)
        if entry.mode == SUBMODULE_MODE or (same and same.oid == entry.oid):
            continue
        at = f"{path}{entry.name}"
        if entry.is_tree:
            beside = same.oid if same and same.is_tree else None
            await _walk(reader, entry.oid, beside, path=f"{at}/")
        else:
            await _read(reader, entry.oid, at)


async def _entries(reader: ObjectReader, tree: str) -> dict[str, TreeEntry]:
    return {entry.name: entry for entry in await reader.get_tree(tree)}


async def _read(reader: ObjectReader, oid: str, what: str) -> GitObject:
    try:
        found = await reader.get(oid)
    except ObjectMissing:
        raise _DamageError(f"{what} ({oid[:_SHOWN]}) is missing") from None
    except StoreError as error:
        if not _CORRUPT.search(str(error)):
            raise
        raise _DamageError(f"{what} ({oid[:_SHOWN]}) cannot be read") from error
    if object_id(found.kind, found.data) != oid:
        raise _DamageError(f"{what} ({oid[:_SHOWN]}) is not what it was")
    return found
