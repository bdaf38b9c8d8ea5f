"""The stores of this host, each opened once and shared by all activities of the process."""

import asyncio
from collections import defaultdict
from pathlib import Path

from infra.store import Store


class OpenStores:
    """Stores by repository key, under one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: dict[str, Store] = {}
        # One for each repository: what keeps one of them waiting keeps no other.
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def path(self, key: str) -> Path:
        """Return the path of a repository's store, which need not exist."""
        return self._root / f"{key}.git"

    def keys(self) -> list[str]:
        """Return the keys of all stores on disk, sorted."""
        folders = (path for path in self._root.glob("*.git") if path.is_dir())
        return sorted(path.name.removesuffix(".git") for path in folders)

    async def get(self, key: str) -> Store:
        """Return the open store.

        Raises:
            StoreError: it does not exist or its configuration is not ours.
        """
        store = self._open.get(key)
        if store is not None:
            return store
        async with self._locks[key]:
            if key not in self._open:
                self._open[key] = await Store.open(self.path(key))
            return self._open[key]

    async def clone(self, source: Path, key: str, base: str | None = None) -> Store:
        """Return the open store of a repository, created when it does not exist yet.

        A new one holds what the commit `base` reaches.
        """
        async with self._locks[key]:
            if key not in self._open:
                self._open[key] = await Store.clone(source, self.path(key), base)
            return self._open[key]

    async def close(self) -> None:
        """End the git processes of every store."""
        for key in tuple(self._open):
            async with self._locks[key]:
                await self._open.pop(key).close()
