"""What the files of a commit define, found within a time limit."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from domain import ids
from domain.memory.symbols import (
    Definition,
    FileSymbols,
    TaskWords,
    reading_order,
    symbol_map,
)
from infra.git.process_group import dies_with_parent, end_group, start
from infra.store import Store, StoreError, trees
from infra.symbols.cache import SymbolCache

SUFFIXES: Final = frozenset(
    "py pyi js cjs mjs jsx ts cts mts tsx go rs java".split()  # noqa: SIM905 - read as one line
)
"""Of the files that are parsed."""
_SECONDS: Final = 1.2
"""For parsing all others, once a map; what is not parsed by then is not in it."""
_START_SECONDS: Final = 10.0
"""For the first file: a small repository is read whole, also on a slow machine."""
_GREP_SECONDS: Final = 0.6
_PARSED_BYTES: Final = 8 << 20
_FILE_BYTES: Final = 256 << 10
"""Larger files are generated, or data."""
_FILES: Final = 5_000
"""Whose symbols are compared for one map."""
_LINE: Final = 4 << 20
_HERE: Final = str(Path(__file__).resolve().parents[2])


class SymbolIndex:
    """Maps of what commits define; `cache` keeps what contents define."""

    def __init__(self, cache: Path) -> None:
        self._cache = SymbolCache(cache)

    async def map(self, store: Store, commit: str, words: str, limit_bytes: int) -> str:
        """Return the definitions of a commit that a task needs first; "" for none.

        Files of no known language, large ones, and those for which there is no time are left out.
        The same map of the same tree is made once.
        """
        tree = (await store.get_commit(commit)).tree
        key = f"map {ids.digest(tree, words, str(limit_bytes), length=32)}"
        if made := (await asyncio.to_thread(self._cache.known, [key])).get(key):
            return made.decode()
        task = TaskWords(words)
        found = await self.symbols(store, commit, task)
        text = await asyncio.to_thread(symbol_map, found, task, limit_bytes)
        await asyncio.to_thread(self._cache.keep, {key: text.encode()} if text else {})
        return text

    async def symbols(self, store: Store, commit: str, words: TaskWords) -> list[FileSymbols]:
        """Return what the files of a commit define, those first which the words name."""
        listed = await trees.sizes(store, commit)
        sizes = {
            path: size
            for path, (_, size) in listed.items()
            if path.rpartition(".")[2] in SUFFIXES and size <= _FILE_BYTES
        }
        order = reading_order(sizes, words, await _holders(store, commit, words.names))[:_FILES]
        known = await asyncio.to_thread(self._cache.known, [listed[path][0] for path in order])
        missing = [path for path in order if listed[path][0] not in known]
        fresh = await self._parsed(store, _within(missing, sizes), listed)
        if fresh:
            await asyncio.to_thread(self._cache.keep, fresh)
        lines = {**known, **fresh}
        return await asyncio.to_thread(
            _read, {path: lines[oid] for path in order if (oid := listed[path][0]) in lines}
        )

    async def _parsed(
        self, store: Store, paths: Sequence[str], listed: Mapping[str, tuple[str, int]]
    ) -> dict[str, bytes]:
        """Return a line of JSON for each content that was parsed in time, by object id."""
        found: dict[str, bytes] = {}
        if not paths:
            return found
        process = await _started()
        feeding = asyncio.create_task(_feed(process, store, paths, listed))
        try:
            async with asyncio.timeout(_START_SECONDS) as limit:
                await _collect(process, [listed[path][0] for path in paths], found, limit)
        except (TimeoutError, ValueError):
            pass  # what there is by now serves; a line beyond the limit ends it, too
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            await end_group(process)
        return found


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


async def _feed(
    process: asyncio.subprocess.Process,
    store: Store,
    paths: Sequence[str],
    listed: Mapping[str, tuple[str, int]],
) -> None:
    assert process.stdin is not None  # noqa: S101 - a pipe was asked for
    with contextlib.suppress(ConnectionError):
        for path in paths:
            data = await store.get_blob(listed[path][0])
            header = f"{path.rpartition('.')[2]} {len(data)}\n".encode()
            process.stdin.write(header + data)
            await process.stdin.drain()
        process.stdin.close()


async def _collect(
    process: asyncio.subprocess.Process,
    oids: Sequence[str],
    found: dict[str, bytes],
    limit: asyncio.Timeout,
) -> None:
    """Read answers; once there is one, the others have `_SECONDS`."""
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    for oid in oids:
        line = await process.stdout.readline()
        if not line.endswith(b"\n"):
            return
        if not found:
            limit.reschedule(asyncio.get_running_loop().time() + _SECONDS)
        found[oid] = line


async def _started() -> asyncio.subprocess.Process:
    words = (sys.executable, "-P", "-m", "infra.symbols")
    return await start(
        *dies_with_parent(), *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PYTHONPATH": os.pathsep.join(filter(None, (_HERE, *sys.path)))},
        cwd="/",
        limit=_LINE,
    )  # fmt: skip


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
