"""Which files a commit has, and what they define, found within a time limit."""

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from domain import ids
from domain.memory.repo_map import repository_map
from domain.memory.symbols import (
    Definition,
    FileSymbols,
    TaskWords,
    reading_order,
    symbol_map,
)
from infra.store import Store, StoreError, trees
from infra.symbols.cache import SymbolCache
from infra.symbols.parsers import parse

SUFFIXES: Final = frozenset(
    "py pyi js cjs mjs jsx ts cts mts tsx go rs java".split()  # noqa: SIM905 - read as one line
)
"""Of the files that are parsed."""
_GREP_SECONDS: Final = 0.6
_PARSED_BYTES: Final = 8 << 20
_FILE_BYTES: Final = 256 << 10
"""Larger files are generated, or data."""
_FILES: Final = 5_000
"""Whose symbols are compared for one map."""


class SymbolIndex:
    """Maps of commits; `cache` keeps them, and what contents define."""

    def __init__(self, cache: Path) -> None:
        self._cache = SymbolCache(cache)

    async def map(self, store: Store, commit: str, words: str, limit_bytes: int) -> str:
        """Return the definitions of a commit that a task needs first; "" for none.

        Files of no known language, large ones, and those for which there is no time are left out.
        The same map of the same tree is made once.
        """

        async def make() -> str:
            task = TaskWords(words)
            found = await self.symbols(store, commit, task)
            return await asyncio.to_thread(symbol_map, found, task, limit_bytes)

        tree = (await store.get_commit(commit)).tree
        return await self._once(f"map {_key(tree, words, limit_bytes)}", make)

    async def files(self, store: Store, commit: str, limit_bytes: int) -> str:
        """Return the list of a commit's files, folders in place of files where they are too many.

        The same list of the same tree is made once.
        """

        async def make() -> str:
            return repository_map(await trees.paths(store, tree), limit_bytes)

        tree = (await store.get_commit(commit)).tree
        return await self._once(f"files {_key(tree, limit_bytes)}", make)

    async def _once(self, key: str, make: Callable[[], Awaitable[str]]) -> str:
        """Return the text that is kept under a key, else the one that is made."""
        if kept := (await asyncio.to_thread(self._cache.known, [key])).get(key):
            return kept.decode()
        text = await make()
        await asyncio.to_thread(self._cache.keep, {key: text.encode()} if text else {})
        return text

    async def symbols(self, store: Store, commit: str, words: TaskWords) -> list[FileSymbols]:
        """Return what the files of a commit define, those first which the words name."""
        listed, holders = await _listed(store, commit, words)
        sizes = {path: size for path, (_, size) in listed.items()}
        oids = {path: listed[path][0] for path in reading_order(sizes, words, holders)[:_FILES]}
        known = await asyncio.to_thread(self._cache.known, oids.values())
        missing = _within([path for path in oids if oids[path] not in known], sizes)
        fresh = await parse(
            store.git, {oids[path]: (path.rpartition(".")[2], sizes[path]) for path in missing}
        )
        lines = {**known, **fresh}
        _, found = await asyncio.gather(
            asyncio.to_thread(self._cache.keep, fresh),
            asyncio.to_thread(
                _read, {path: lines[oid] for path, oid in oids.items() if oid in lines}
            ),
        )
        return found


async def _listed(
    store: Store, commit: str, words: TaskWords
) -> tuple[dict[str, tuple[str, int]], frozenset[str]]:
    """Return object ids and sizes of the files that may be parsed, and those that name the words.

    Git lists the tree and searches it at the same time.
    """
    searching = asyncio.create_task(_holders(store, commit, words.names))
    try:
        listed = await trees.sizes(store, commit)
        parsed = {
            path: (oid, size)
            for path, (oid, size) in listed.items()
            if path.rpartition(".")[2] in SUFFIXES and size <= _FILE_BYTES
        }
        return parsed, await searching
    finally:
        searching.cancel()
        await asyncio.gather(searching, return_exceptions=True)


def _key(*parts: object) -> str:
    return ids.digest(*map(str, parts), length=32)


async def _holders(store: Store, commit: str, names: Sequence[str]) -> frozenset[str]:
    """Return the files in which any of the names stands; none where git takes too long."""
    if not names:
        return frozenset()
    tree = (await store.get_commit(commit)).tree
    words = ("grep", "-l", "-z", "-w", "-F", *(word for name in names for word in ("-e", name)))
    with contextlib.suppress(TimeoutError, StoreError):
        async with asyncio.timeout(_GREP_SECONDS):
            found = await store.run(*words, tree, ok=(0, 1), reads=True)
        rows = found.out.split(b"\0")
        return frozenset(os.fsdecode(row.partition(b":")[2]) for row in rows if row)
    return frozenset()


def _within(paths: Sequence[str], sizes: Mapping[str, int]) -> list[str]:
    """Return the first paths whose files together are not too large."""
    room, kept = _PARSED_BYTES, list[str]()
    for path in paths:
        room -= sizes[path]
        if room < 0:
            break
        kept.append(path)
    return kept


def _read(lines: Mapping[str, bytes]) -> list[FileSymbols]:
    found = []
    for path, line in lines.items():
        record = json.loads(line)
        definitions = tuple(Definition(*row) for row in record["definitions"])
        found.append(FileSymbols(path, definitions, record["names"]))
    return found
