"""A repository's own instructions for agents, read at a commit: an agent cannot change its own."""

import posixpath
from collections.abc import Sequence

from domain.agent.instructions import (
    IMPORT_HOPS,
    NAMES,
    InstructionFile,
    assembled,
    folders,
    imports,
    prose,
)
from domain.text import for_people
from infra.store import Store, StoreError, TreeEntry, trees
from infra.store.object_format import LINK_MODE

_FILES = frozenset({"100644", "100755", "100664"})
_MOST_BYTES = 4 << 20


async def instructions(store: Store, commit: str, scope: Sequence[str]) -> str:
    """Return the instructions that hold for the paths of a scope, "" when there are none."""
    reader = _Reader(store, commit)
    paths = await trees.paths(store, commit) if scope else ()
    for folder in folders(scope, paths):
        await reader.read_folder(folder)
    return assembled(reader.files)


class _Reader:
    """Reads each file once, by its content."""

    def __init__(self, store: Store, commit: str) -> None:
        self._store = store
        self._commit = commit
        self._known: set[str] = set()
        self.files: list[InstructionFile] = []

    async def read_folder(self, folder: str) -> None:
        """Read the first file of a folder that is not empty, with what it imports."""
        for name in NAMES:
            path = posixpath.join(folder, name)
            found = await self._text(path)
            if found is not None and found[1]:
                await self._take(path, *found, hops=IMPORT_HOPS)
                return

    async def _take(self, path: str, oid: str, text: str, *, hops: int) -> None:
        if oid in self._known:
            return
        self._known.add(oid)
        imported = imports(path, text)
        if not (imported and text.split() == [text]):  # more than one import
            self.files.append(InstructionFile(path, text))
        for inner in imported if hops else ():
            found = await self._text(inner)
            if found is not None and found[1]:
                await self._take(inner, *found, hops=hops - 1)

    async def _text(self, path: str) -> tuple[str, str] | None:
        """Return a file's object id and its text; None = there is none, or it is no text."""
        entry = await self._entry(path)
        if entry is not None and entry.mode == LINK_MODE:
            target = (await self._store.get_blob(entry.oid)).decode("utf-8", "replace")
            beside = posixpath.join(posixpath.dirname(path), target)
            entry = await self._entry(posixpath.normpath(beside))
        if entry is None or entry.mode not in _FILES:
            return None
        data = await self._store.get_blob(entry.oid)
        if len(data) > _MOST_BYTES or b"\0" in data:
            return None
        text = data.decode("utf-8", "replace")
        return entry.oid, prose(for_people(text, len(text)))

    async def _entry(self, path: str) -> TreeEntry | None:
        try:
            return await self._store.entry_at(self._commit, path)
        except StoreError:  # a link that climbs, or is absolute
            return None
