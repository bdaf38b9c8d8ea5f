"""
One stage for all system tests that do not kill anything; its script is what the modules rehearse.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.request import RequestStatus
from tests.local_deployment import CHECK, LocalDeployment, git, snapshot
from tests.model_scripts import Json, script


@dataclass(frozen=True)
class CompletedRun:
    """
    The demo's request, carried out without any disturbance.

    Attributes:
        status: its last word.
        tree: of the delivered branch.
        before, after: snapshots of the user's repository.
    """

    repository: Path
    status: RequestStatus
    tree: str
    before: dict[str, str]
    after: dict[str, str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder: all need a Temporal server."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[LocalDeployment]:
    """The stage that all share; the plays of every collected module are rehearsed on it."""
    async with LocalDeployment(script(*_plays(request.session))) as shared:
        yield shared


def _plays(session: pytest.Session) -> Iterator[list[Json]]:
    modules = {item.module for item in session.items if isinstance(item, pytest.Function)}
    for module in modules:
        yield from getattr(module, "PLAYS", ())


@pytest.fixture(scope="session")
async def performance(stage: LocalDeployment) -> CompletedRun:
    """
    The demo's request without any disturbance; the modules that ask for it rehearse `demo-whole`.
    """
    repository = stage.repository("whole")
    _customise(repository)
    before = snapshot(repository)
    handle = await stage.start_request("demo-whole", repository, checks=[CHECK])
    status = await stage.delivered(handle)
    return CompletedRun(
        repository=repository,
        status=status,
        tree=git(repository, "rev-parse", f"{status.branch}^{{tree}}"),
        before=before,
        after=snapshot(repository),
    )


def _customise(repository: Path) -> None:
    """
    Give a repository what must survive: hooks that would be noticed, config, refs, half-done work.
    """
    for name in ("pre-push", "pre-receive", "update", "post-receive", "reference-transaction"):
        hook = repository / ".git" / "hooks" / name
        hook.write_text("#!/bin/sh\ntouch hook-ran\nexit 1\n")
        hook.chmod(0o755)
    git(repository, "-c", "core.hooksPath=/dev/null", "tag", "v1")
    git(repository, "-c", "core.hooksPath=/dev/null", "branch", "other")
    git(repository, "config", "core.fsmonitor", "touch fsmonitor-ran; false")
    (repository / "README.md").write_text("half done\n")
