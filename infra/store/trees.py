"""Trees changed and listed by path, without an index or a work tree."""

import os
from collections.abc import Mapping

from infra.store.batch import Batch
from infra.store.errors import StoreError
from infra.store.object_format import LINK_MODE, SUBMODULE_MODE, TREE_MODE, TreeEntry
from infra.store.reader import ObjectReader, path_parts
from infra.store.store import Store

_FILES = (b"100644", b"100755")

Entry = tuple[str, str]
"""Mode and object id."""


async def paths(store: ObjectReader, tree: str) -> list[str]:
    """Return every file path below a tree or commit, in git's order."""
    words = ("ls-tree", "-r", "-z", "--name-only", "--full-tree")
    listing = await store.run(*words, await store.full_id(tree), reads=True)
    return [os.fsdecode(name) for name in listing.out.split(b"\0") if name]


async def object_ids(store: Store, tree: str) -> dict[str, str]:
    """Return the object id of every file below a tree or commit, by path."""
    words = ("ls-tree", "-r", "-z", "--full-tree", await store.full_id(tree))
    rows = (row.partition(b"\t") for row in (await store.run(*words, reads=True)).out.split(b"\0"))
    return {os.fsdecode(path): what.split(b" ")[2].decode() for what, _, path in rows if path}


async def sizes(store: Store, tree: str) -> dict[str, tuple[str, int]]:
    """Return the object id and the size in bytes of every file below a tree or commit, by path."""
    words = ("ls-tree", "-r", "-l", "-z", "--full-tree", await store.full_id(tree))
    rows = (row.partition(b"\t") for row in (await store.run(*words, reads=True)).out.split(b"\0"))
    return {
        os.fsdecode(path): (fields[2].decode(), int(fields[3]))
        for what, _, path in rows
        if path and (fields := what.split())[0] in _FILES
    }


async def submodules(store: Store, tree: str) -> list[str]:
    """Return the paths below a tree or commit at which other repositories belong."""
    return list(await _of_mode(store, tree, SUBMODULE_MODE))


async def links(store: Store, tree: str) -> dict[str, str]:
    """Return what the symbolic links below a tree or commit hold, by path."""
    found = await _of_mode(store, tree, LINK_MODE)
    return {path: os.fsdecode(await store.get_blob(oid)) for path, oid in found.items()}


async def _of_mode(store: Store, tree: str, mode: str) -> dict[str, str]:
    """Return the object ids of all entries of one mode, by path."""
    words = ("ls-tree", "-r", "-z", "--full-tree", await store.full_id(tree))
    rows = (row.partition(b"\t") for row in (await store.run(*words, reads=True)).out.split(b"\0"))
    wanted = f"{mode} ".encode()
    return {
        os.fsdecode(path): what.split(b" ")[2].decode()
        for what, _, path in rows
        if what.startswith(wanted)
    }


async def with_paths(
    store: Store, tree: str, entries: Mapping[str, Entry | None], *, batch: Batch | None = None
) -> str:
    """Return the tree that has the given entries at their paths, everything else as before.

    Only the trees along the paths are written. Missing folders are created, emptied ones
    vanish; a file in the way of a folder, or a folder in the way of a file, is replaced.

    Args:
        store: where the trees are.
        tree: or a commit.
        entries: by path, its components separated by "/"; None = remove it.
        batch: the trees are added to it and not written yet; None = write them at once.

    Raises:
        StoreError: an impossible path, or one that lies inside another.
    """
    wanted = {path_parts(path): entry for path, entry in entries.items()}
    names = set(wanted)
    for parts in wanted:
        if any(parts[:depth] in names for depth in range(1, len(parts))):
            raise StoreError(f"{'/'.join(parts)} lies inside another changed path")
    waiting = store.batch() if batch is None else batch
    rows = await _edited(store, await store.get_tree(tree), wanted, waiting)
    edited = waiting.tree(rows)
    if batch is None:
        await waiting.write()
    return edited


async def _edited(
    store: Store,
    rows: tuple[TreeEntry, ...],
    wanted: Mapping[tuple[str, ...], Entry | None],
    batch: Batch,
) -> tuple[TreeEntry, ...]:
    table = {row.name: row for row in rows}
    below: dict[str, dict[tuple[str, ...], Entry | None]] = {}
    for (name, *rest), entry in wanted.items():
        if rest:
            below.setdefault(name, {})[tuple(rest)] = entry
        elif entry is None:
            table.pop(name, None)
        else:
            table[name] = TreeEntry(entry[0], name, entry[1])
    for name, inner in below.items():
        await _edit_folder(store, table, name, inner, batch=batch)
    return tuple(table.values())


async def _edit_folder(
    store: Store,
    table: dict[str, TreeEntry],
    name: str,
    inner: Mapping[tuple[str, ...], Entry | None],
    *,
    batch: Batch,
) -> None:
    there = table.get(name)
    if not any(inner.values()) and (there is None or not there.is_tree):
        return  # nothing to remove there, and what is in the way stays
    rows = await store.get_tree(there.oid) if there is not None and there.is_tree else ()
    edited = await _edited(store, rows, inner, batch)
    if edited:
        table[name] = TreeEntry(TREE_MODE, name, batch.tree(edited))
    else:
        table.pop(name, None)
