"""How long the maps of a large repository take: the first time, and once they are kept."""

import time
from collections.abc import Iterator
from pathlib import Path

from bench.deployment import folder
from bench.figures import Figure, Name
from infra.git.command import GitCommand
from infra.store import Store
from infra.symbols.index import SymbolIndex

_FILES = 20_000
_MAP_BYTES, _FILES_BYTES = 3_000, 4_000
_TASK = "Mend how `compute_total_7` rounds."


def _sources() -> Iterator[tuple[str, str]]:
    """Yield the files of a repository: each defines three names and uses some of others."""
    for number in range(_FILES):
        uses = "\n".join(f"    compute_total_{number * step % _FILES}(x)" for step in (3, 7, 11))
        holder = f"class Holder{number}:\n    def run_{number}(self, x):\n        return x\n\n\n"
        source = f"{holder}def compute_total_{number}(x):\n{uses}\n    return x\n"
        yield f"package_{number % 200}/part_{number % 10}/module_{number}.py", source


def _import_stream() -> bytes:
    lines = [b"commit refs/heads/main\ncommitter a <a@b> 1700000000 +0000\ndata 0\n"]
    for path, text in _sources():
        data = text.encode()
        lines.append(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(data), data))
    return b"".join(lines)


async def measure() -> list[Figure]:
    """Return seconds and milliseconds, beside git's own listing of the same tree."""
    with folder() as place:
        store_path = place / "store"
        store_path.mkdir()
        git = GitCommand(store_path)
        await git("init", "-q", "--bare", str(store_path))
        await git("fast-import", "--quiet", stdin=_import_stream())
        store = Store(store_path)
        try:
            return await _figures(store, place / "cache")
        finally:
            await store.close()


async def _figures(store: Store, cache: Path) -> list[Figure]:
    commit = await store.full_id("refs/heads/main")
    began = time.perf_counter()
    await store.run("ls-tree", "-r", "-l", "-z", "--full-tree", commit, reads=True)
    listed = time.perf_counter() - began
    index = SymbolIndex(cache)
    listing, mapping = [], []
    for _ in range(2):
        began = time.perf_counter()
        assert "package_1/ (100 files)" in await index.files(store, commit, _FILES_BYTES)
        listing.append(time.perf_counter() - began)
        began = time.perf_counter()
        assert "compute_total_" in await index.map(store, commit, _TASK, _MAP_BYTES)
        mapping.append(time.perf_counter() - began)
    return [
        Figure(Name.SYMBOLS_COLD, mapping[0], "s", listed),
        Figure(Name.SYMBOLS_KEPT, mapping[1] * 1_000, "ms", listed * 1_000),
        Figure(Name.FILES_COLD, listing[0], "s", listed),
        Figure(Name.FILES_KEPT, listing[1] * 1_000, "ms", listed * 1_000),
    ]
