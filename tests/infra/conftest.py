"""Fixtures of tests on real activities: one sandbox for all, an environment for each."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.sandbox import Sandbox
from tests.infra.bench import ActivityEnv, Agent, Job, activity_env, probed_sandbox


@pytest.fixture(scope="session")
async def proved_sandbox() -> AsyncIterator[Sandbox]:
    """One sandbox whose canary came back clean."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as scratch:
        async with probed_sandbox(Path(scratch)) as sandbox:
            yield sandbox


@pytest.fixture
async def env(proved_sandbox: Sandbox) -> AsyncIterator[ActivityEnv]:
    """An environment with a small repository."""
    async with activity_env(proved_sandbox) as made:
        yield made


@pytest.fixture
async def job(env: ActivityEnv) -> Job:
    """One request on the small repository."""
    return await env.open()


@pytest.fixture
async def agent(job: Job) -> Agent:
    """One agent in a worktree of it."""
    return await job.agent()
