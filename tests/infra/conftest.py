"""Fixtures of the activity tests that need every part: one sandbox for all, a bench for each."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.sandbox import Sandbox
from tests.infra.bench import ActivityEnv, Agent, Job, bench, probed


@pytest.fixture(scope="session")
async def proved_sandbox() -> AsyncIterator[Sandbox]:
    """One sandbox whose canary came back clean."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as scratch:
        async with probed(Path(scratch)) as sandbox:
            yield sandbox


@pytest.fixture
async def workbench(proved_sandbox: Sandbox) -> AsyncIterator[ActivityEnv]:
    """A bench with a small repository."""
    async with bench(proved_sandbox) as made:
        yield made


@pytest.fixture
async def job(workbench: ActivityEnv) -> Job:
    """One request on the small repository."""
    return await workbench.open()


@pytest.fixture
async def agent(job: Job) -> Agent:
    """One agent in a worktree of it."""
    return await job.agent()
