"""Reading a store: objects and ids by every name that git understands, and git's own commands."""

import re
from collections import OrderedDict
from pathlib import Path
from typing import Final, Literal

from infra.git.command import GitCommand, GitError, GitResult
from infra.store.errors import ObjectMissing, StoreError
from infra.store.git_processes import CatFileProcess, ChildDiedError
from infra.store.object_format import (
    Commit,
    GitObject,
    TreeEntry,
    decode_commit,
    decode_tree,
    is_oid,
)

KEPT_BYTES: Final = 32 << 20
"""How much of the objects read or written recently is kept in memory."""

LARGEST_BYTES: Final = 256 << 10
"""Larger objects are not kept."""

CACHED_TREES: Final = 512
"""Decoded trees kept in memory."""


class RecentObjects:
    """Durable objects by id, so that a turn need not ask git for what it just wrote.

    An id names one content for ever, so a kept object cannot be out of date. The least recently
    used are dropped first.
    """

    def __init__(self) -> None:
        self._objects: OrderedDict[str, GitObject] = OrderedDict()
        self._bytes = 0

    def get(self, oid: str) -> GitObject | None:
        """Return the object; None when it is not kept."""
        found = self._objects.get(oid)
        if found is not None:
            self._objects.move_to_end(oid)
        return found

    def keep(self, found: GitObject) -> None:
        """Keep an object; only one that is in the store, durably."""
        if len(found.data) > LARGEST_BYTES or found.oid in self._objects:
            return
        self._objects[found.oid] = found
        self._bytes += len(found.data)
        while self._bytes > KEPT_BYTES:
            self._bytes -= len(self._objects.popitem(last=False)[1].data)


class ObjectReader:
    """Reads the objects of one store, a bare repository.

    A name is an id, a reference, or `<tree-ish>:<path>`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.git = GitCommand(self.path)
        self._recent = RecentObjects()
        self._cat_file = CatFileProcess(self.git)
        self._trees: OrderedDict[str, tuple[TreeEntry, ...]] = OrderedDict()

    async def close(self) -> None:
        """End the long-lived git child."""
        await self._cat_file.close()

    async def get(self, name: str) -> GitObject:
        """Return an object.

        Raises:
            ObjectMissing: there is none of that name; so for all that read.
        """
        found = self._recent.get(name)
        if found is not None:
            return found
        try:
            found = await self._cat_file.contents(name)
        except ValueError:
            found = await self._get_by_walk(name)
        except ChildDiedError as died:
            raise StoreError(f"reading {name!r}: {died.stderr}") from died
        if found is None:
            raise ObjectMissing(name)
        self._recent.keep(found)
        return found

    async def get_blob(self, name: str) -> bytes:
        """Return a blob's bytes.

        Raises:
            StoreError: it is not a blob.
        """
        found = await self.get(name)
        if found.kind != "blob":
            raise StoreError(f"{name} is a {found.kind}, not a blob")
        return found.data

    async def get_tree(self, name: str) -> tuple[TreeEntry, ...]:
        """Return the entries of a tree, or of the tree of a commit or tag, in git's order.

        Raises:
            StoreError: it is a blob.
        """
        if name in self._trees:
            self._trees.move_to_end(name)
            return self._trees[name]
        found = await self._peeled(name, "tree")
        entries = decode_tree(found.data)
        self._trees[found.oid] = entries
        if len(self._trees) > CACHED_TREES:
            self._trees.popitem(last=False)
        return entries

    async def get_commit(self, name: str) -> Commit:
        """Return a commit, or the one that a tag names.

        Raises:
            StoreError: it is not a commit.
        """
        found = await self._peeled(name, "commit")
        return decode_commit(found.oid, found.data)

    async def entry_at(self, tree: str, path: str) -> TreeEntry | None:
        """Return the entry at a path below a tree or commit; None = nothing is there.

        Raises:
            StoreError: the path is empty, absolute, or climbs.
        """
        entry: TreeEntry | None = None
        at = tree
        for name in path_parts(path):
            if entry is not None and not entry.is_tree:
                return None
            entries = await self.get_tree(at)
            entry = next((row for row in entries if row.name == name), None)
            if entry is None:
                return None
            at = entry.oid
        return entry

    async def resolve(self, name: str) -> str | None:
        """Return the id of an object; None = there is none of that name."""
        try:
            return await self._cat_file.identify(name)
        except ValueError:
            found = await self._get_by_walk(name)
            return None if found is None else found.oid
        except ChildDiedError as died:
            raise StoreError(f"resolving {name!r}: {died.stderr}") from died

    async def full_id(self, name: str) -> str:
        """Return the id of an object, for a git command: no id is read as an option or a path."""
        if is_oid(name):
            return name
        found = await self.resolve(name)
        if found is None:
            raise ObjectMissing(name)
        return found

    async def require_commit(self, oid: str) -> None:
        """Check that a full id names a commit in the store.

        Raises:
            ObjectMissing: it does not.
        """
        if await self.resolve(f"{oid}^{{commit}}") != oid:
            raise ObjectMissing(oid)

    async def run(
        self,
        *args: str,
        stdin: bytes | None = None,
        ok: tuple[int, ...] = (0,),
        reads: bool = False,
        max_bytes: int | None = None,
        work_tree: Path | None = None,
    ) -> GitResult:
        """Run a git command in the store; arguments as of `GitCommand`.

        `work_tree` stands for the files of the bare repository.

        Raises:
            ObjectMissing: git misses an object.
            StoreError: git failed.
        """
        try:
            git = self.git if work_tree is None else GitCommand(self.path, work_tree=work_tree)
            return await git(*args, stdin=stdin, ok=ok, reads=reads, max_bytes=max_bytes)
        except GitError as failed:
            if failed.code > 0 and re.search(r"bad object|not a tree object", failed.stderr):
                raise ObjectMissing(args[-1], failed.stderr) from failed
            raise StoreError(str(failed)) from failed

    async def _get_by_walk(self, name: str) -> GitObject | None:
        # A name with a newline cannot be sent in one line; only a path can hold one.
        tree, _, path = name.partition(":")
        entry = await self.entry_at(tree, path) if tree and path else None
        return None if entry is None else await self.get(entry.oid)

    async def _peeled(self, name: str, kind: Literal["tree", "commit"]) -> GitObject:
        found = await self.get(name)
        if found.kind == kind:
            return found
        if found.kind == "tag" or (found.kind == "commit" and kind == "tree"):
            return await self.get(f"{found.oid}^{{{kind}}}")
        raise StoreError(f"{name} is a {found.kind}, not a {kind}")


def path_parts(path: str) -> tuple[str, ...]:
    """Split a path of a tree into its components.

    Raises:
        StoreError: it is empty, absolute, or climbs.
    """
    parts = tuple(path.split("/"))
    if any(part in {"", ".", ".."} for part in parts) or "\0" in path:
        raise StoreError(f"{path!r} is not a path inside a tree")
    return parts
