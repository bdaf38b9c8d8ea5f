"""What the command line needs of memories: a repository's store, its memories, their search."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from domain import ids
from domain.memory.memory import Memory
from infra.memory.memories import Memories, MemoryState, Used
from infra.memory.recall import Recall, RecallError, recall_cache
from infra.store import ObjectMissing, Store, StoreError
from infra.store.open_stores import OpenStores

__all__ = [
    "Memories",
    "Memory",
    "MemoryState",
    "Recall",
    "RecallError",
    "StoreError",
    "Used",
    "open_store",
    "recall_cache",
    "repository_store",
]


def repository_store(stores: Path, folder: Path) -> str | None:
    """Return the key of the store of the repository that a folder lies in; None for none here."""
    here = folder.resolve()
    known = OpenStores(stores)
    keys = (ids.repository_key(str(place)) for place in (here, *here.parents))
    return next((key for key in keys if known.path(key).is_dir()), None)


@asynccontextmanager
async def open_store(stores: Path, key: str) -> AsyncIterator[Store]:
    """Open a store for as long as the block lasts.

    Raises:
        StoreError: it cannot be opened, or an object of it is missing.
    """
    async with await Store.open(OpenStores(stores).path(key)) as store:
        try:
            yield store
        except ObjectMissing as missing:
            raise StoreError(str(missing)) from missing
