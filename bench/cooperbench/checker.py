"""Commands run on a commit as the product runs its checks: in its sandbox, on a clean checkout."""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from contracts.repository import Environment
from infra.commands import CommandRunner
from infra.sandbox import Sandbox
from infra.store import transport
from infra.store.open_stores import OpenStores
from infra.worktrees.open_pools import OpenPools

_SECONDS = 300.0
_KEPT = "refs/oc/checked"
"""Keeps what was fetched, as every commit in a store of the product has a ref."""
_UID = 59_000
"""Apart from the user ids of the product's own worktrees."""


class Checker:
    """Runs commands on commits of repositories."""

    def __init__(
        self, home: Path, sandbox: Sandbox, stores: OpenStores, environment: Environment
    ) -> None:
        self._stores = stores
        self._environment = environment
        uid = _UID if os.geteuid() == 0 else None
        self._pools = OpenPools(stores, home / "worktrees", host_id="bench", uid_base=uid)
        self._runner = CommandRunner(sandbox, hide=())

    async def passes(self, repository: Path, commit: str, command: str) -> bool:
        """Return whether a command is green on a commit of a repository."""
        key = repository.name
        store = await self._stores.clone(repository, key)
        await transport.fetch(store, repository, commit, f"{_KEPT}/{commit}")
        pool = await self._pools.get(key)
        async with pool.checkout(commit) as worktree:
            ran = await self._runner.run(
                worktree, command, self._environment, timeout_seconds=_SECONDS
            )
        return ran.passed


@contextlib.asynccontextmanager
async def checker(home: Path, environment: Environment) -> AsyncIterator[Checker]:
    """Yield a checker with stores and worktrees of its own in `home`."""
    home.mkdir()
    sandbox = Sandbox()
    await sandbox.probe(home)
    stores = OpenStores(home / "stores")
    try:
        yield Checker(home, sandbox, stores, environment)
    finally:
        await stores.close()
