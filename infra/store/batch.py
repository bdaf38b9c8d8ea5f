"""Objects that name each other, written together."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from infra.store.object_format import ObjectKind, TreeEntry, encode_commit, encode_tree, object_id

Content = tuple[ObjectKind, bytes]


class Batch:
    """Objects that name each other, collected first and then written side by side.

    Their ids are known at once, so blobs, their tree and its commit need not wait for each
    other: on a busy disk they share its waits. No id may leave before `write` returned.
    """

    def __init__(self, put: Callable[[Mapping[str, Content]], Awaitable[None]]) -> None:
        self._put = put
        self._waiting: dict[str, Content] = {}

    def blob(self, data: bytes) -> str:
        """Add bytes; return their object id."""
        return self._add("blob", data)

    def tree(self, entries: Iterable[TreeEntry]) -> str:
        """Add a tree, its entries in any order; return its id.

        Raises:
            StoreError: an impossible name, mode or id, or a name that occurs twice.
        """
        return self._add("tree", encode_tree(entries))

    def commit(self, tree: str, parents: Sequence[str], message: str, *, when: int) -> str:
        """Add a commit; see `Store.put_commit`."""
        return self._add("commit", encode_commit(tree, parents, message, when=when))

    async def write(self) -> None:
        """Write everything added; durable when it returns, and safe to repeat."""
        await self._put(self._waiting)
        self._waiting = {}

    def _add(self, kind: ObjectKind, data: bytes) -> str:
        oid = object_id(kind, data)
        self._waiting[oid] = (kind, data)
        return oid
