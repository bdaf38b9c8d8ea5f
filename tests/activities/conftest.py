"""Fixtures of tests on real activities."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.live.writer import LiveReplies
from infra.store.open_stores import OpenStores
from tests.activities.model_env import ModelEnv
from tests.activities.test_worktrees import empty_store
from tests.infra.conftest import agent, env, job, proved_sandbox

__all__ = ["agent", "env", "job", "proved_sandbox"]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[ModelEnv]:
    """A store without content."""
    async with await empty_store(tmp_path) as store:
        desk = ModelEnv(store, OpenStores(tmp_path), LiveReplies(tmp_path / "live", str))
        try:
            yield desk
        finally:
            for client in desk.clients:
                await client.close()
            await desk.stores.close()
