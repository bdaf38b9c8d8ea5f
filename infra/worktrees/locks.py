"""The locks of a pool: one for each worktree, one for leasing and creating them."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from infra.locks import holder, locked
from infra.worktrees.errors import WorktreeBusy
from infra.worktrees.layout import Layout

STORE_LOCK: Final = "oc-worktrees.lock"
"""The lock file, in the store, under which leases are given and worktrees are created."""

CREATION_WAIT_SECONDS: Final = 120.0
"""How long a lease waits for the leases before it: each takes milliseconds."""

RESETS: Final = 4
"""Resets at the same time: more would only share the disk."""


class WorktreeLocks:
    """Locks against the other tasks of this process and against other processes.

    A lock belongs to the open file, so a git child that inherits the descriptor keeps the lock
    after its parent's death: the next holder waits until that child has stopped writing. Each
    method yields the descriptor.

    Attributes:
        resets: limits how many worktrees are reset at the same time.
    """

    def __init__(self, pool: Path, store: Path, *, wait_seconds: float) -> None:
        self.resets = asyncio.Semaphore(RESETS)
        self._pool = pool
        self._store = store
        self._wait_seconds = wait_seconds
        self._mutexes: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def hold(self, name: str, *, seconds: float | None = None) -> AsyncIterator[int]:
        """Hold a worktree's lock, waiting for `seconds`: 0 = not at all, None = the pool's time.

        Raises:
            WorktreeBusy: it stayed locked.
        """
        wait = self._wait_seconds if seconds is None else seconds
        file = Layout(self._pool, self._store, name).lock
        async with _held(self._mutexes[name], file, seconds=wait) as lock:
            yield lock

    @asynccontextmanager
    async def creation(self) -> AsyncIterator[int]:
        """Hold the lock under which worktrees of the store are leased and created, one at a time.

        Its holder never waits for the lock of a worktree in use, so taking one inside the other
        cannot deadlock.
        """
        file = self._store / STORE_LOCK
        async with _held(self._mutexes[STORE_LOCK], file, seconds=CREATION_WAIT_SECONDS) as lock:
            yield lock


@asynccontextmanager
async def _held(mutex: asyncio.Lock, file: Path, *, seconds: float) -> AsyncIterator[int]:
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(seconds):
                await stack.enter_async_context(mutex)
                handle = await stack.enter_async_context(locked(file))
        except TimeoutError:
            by = f" by {holder(file)}" if seconds else ""
            raise WorktreeBusy(f"{file.stem} is in use{by}") from None
        yield handle
