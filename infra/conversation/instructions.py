"""A repository's own instructions for agents, read at a commit: an agent cannot change its own."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

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
from infra.store import StoreError, TreeEntry, trees
from infra.store.object_format import LINK_MODE
from infra.store.reader import ObjectReader

_FILES = frozenset({"100644", "100755", "100664"})
_MOST_BYTES = 4 << 20


@dataclass(frozen=True)
class FoundInstructions:
    """What a scope's instructions are made of.

    Attributes:
        files: those that count, outer ones first.
        left_out: path and reason of those that were met and do not count.
    """

    files: tuple[InstructionFile, ...]
    left_out: tuple[tuple[str, str], ...]


async def instructions(store: ObjectReader, commit: str, scope: Sequence[str]) -> str:
    """Return the instructions that hold for the paths of a scope, "" when there are none."""
    return assembled((await found_instructions(store, commit, scope)).files)


async def found_instructions(
    store: ObjectReader, commit: str, scope: Sequence[str]
) -> FoundInstructions:
    """Return the files of a commit whose instructions hold for the paths of a scope."""
    reader = _Reader(store, commit)
    paths = await trees.paths(store, commit) if scope else ()
    for folder in folders(scope, paths):
        await reader.read_folder(folder)
    return FoundInstructions(tuple(reader.files), tuple(reader.left_out))


class _Reader:
    """Reads each file once, by its content."""

    def __init__(self, store: ObjectReader, commit: str) -> None:
        self._store = store
        self._commit = commit
        self._known: dict[str, str] = {}
        self.files: list[InstructionFile] = []
        self.left_out: list[tuple[str, str]] = []

    async def read_folder(self, folder: str) -> None:
        """Read the first file of a folder that is not empty, with what it imports."""
        first = ""
        for name in NAMES:
            path = posixpath.join(folder, name)
            found = await self._text(path)
            if found is None:
                continue
            if first or not found[1]:
                self.left_out.append((path, f"{first} counts there" if first else "it is empty"))
                continue
            first = path
            await self._take(path, *found, hops=IMPORT_HOPS, why=f"of {folder or 'the root'}")

    async def _take(self, path: str, oid: str, text: str, *, hops: int, why: str) -> None:
        if oid in self._known:
            if path != self._known[oid]:
                self.left_out.append((path, f"it says the same as {self._known[oid]}"))
            return
        self._known[oid] = path
        imported = imports(path, text)
        if imported and text.split() == [text]:
            self.left_out.append((path, f"it only imports {imported[0]}"))
        else:
            self.files.append(InstructionFile(path, text, oid, why))
        for inner in imported:
            found = await self._text(inner) if hops else None
            if found is not None and found[1]:
                why = f"imported by {path}"
                await self._take(inner, *found, hops=hops - 1, why=why)
            else:
                missing = "there is no such text" if hops else f"more than {IMPORT_HOPS} imports"
                self.left_out.append((inner, f"imported by {path}: {missing}"))

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
