"""Objects read or written recently, so that a turn need not ask git for what it just wrote."""

from collections import OrderedDict
from typing import Final

from infra.store.object_format import GitObject

KEPT_BYTES: Final = 32 << 20
"""How much is kept in all."""

LARGEST_BYTES: Final = 256 << 10
"""Larger objects are not kept."""


class RecentObjects:
    """Durable objects by id; the least recently used are dropped first.

    An id names one content for ever, so a kept object cannot be out of date.
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
