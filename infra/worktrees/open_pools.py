"""The worktree pools of this host, one a store, opened once each."""

import asyncio
from collections import defaultdict
from pathlib import Path

from domain.checkpoints import CheckpointLimits
from infra.store.open_stores import OpenStores
from infra.worktrees.pool import WorktreePool


class OpenPools:
    """Pools by repository key.

    Args:
        uid_base: the users of worktrees begin after it; None when the worker is not root.
    """

    def __init__(
        self,
        stores: OpenStores,
        root: Path,
        *,
        host_id: str,
        uid_base: int | None,
        limits: CheckpointLimits | None = None,
    ) -> None:
        self._stores = stores
        self._root = root
        self._host_id = host_id
        self._uid_base = uid_base
        self._limits = limits
        self._pools: dict[str, WorktreePool] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(self, key: str) -> WorktreePool:
        """Return the pool of a repository's store."""
        async with self._locks[key]:
            if key not in self._pools:
                pool = WorktreePool(
                    await self._stores.get(key),
                    self._root / key,
                    host_id=self._host_id,
                    uid_base=self._uid_base,
                    limits=self._limits,
                )
                pool.open()
                self._pools[key] = pool
            return self._pools[key]
