"""One deployment for all system tests that kill nothing; its script is the modules' PLAYS."""

from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.request import RequestStatus
from tests.local_deployment import CHECK, LocalDeployment, git, snapshot
from tests.model_scripts import Json, script

_ON_THE_SHARED = frozenset({"deployment", "completed_run"})
"""Fixtures of tests that run on the one deployment for all."""
_ON_THE_USUAL_PORTS = frozenset(
    {
        "test_clock_and_memory",
        "test_disk_full",
        "test_interruption",
        "test_server_loss",
        "test_standstill",
    }
)


@dataclass(frozen=True)
class CompletedRun:
    """The demo's request, executed without any fault.

    Attributes:
        status: its last status.
        tree: of the delivered branch.
        before, after: snapshots of the user's repository.
    """

    repository: Path
    status: RequestStatus
    tree: str
    before: dict[str, str]
    after: dict[str, str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder: it needs a Temporal server.

    Modules on the shared deployment run in one process; so do those whose services are started by
    commands, on the usual ports. Any other module has ports of its own and a group of its own.
    """
    here = Path(__file__).parent
    ours = [item for item in items if item.path.is_relative_to(here)]
    shared = {item.path for item in ours if _ON_THE_SHARED & set(getattr(item, "fixturenames", ()))}
    for item in ours:
        item.add_marker(pytest.mark.system)
        item.add_marker(pytest.mark.xdist_group(_group(item.path, shared)))


def _group(module: Path, shared: Collection[Path]) -> str:
    if module in shared:
        return "shared deployment"
    usual = module.stem in _ON_THE_USUAL_PORTS
    return "usual ports" if usual else f"deployments of {module.stem}"


@pytest.fixture(scope="session")
async def deployment(request: pytest.FixtureRequest) -> AsyncIterator[LocalDeployment]:
    """The shared deployment; its script is the plays of every collected module."""
    async with LocalDeployment(script(*_plays(request.session))) as shared:
        yield shared


def _plays(session: pytest.Session) -> Iterator[list[Json]]:
    modules = {item.module for item in session.items if isinstance(item, pytest.Function)}
    for module in modules:
        yield from getattr(module, "PLAYS", ())


@pytest.fixture(scope="session")
async def completed_run(deployment: LocalDeployment) -> CompletedRun:
    """The demo's request without any fault; its modules have the play `demo-whole`."""
    repository = deployment.repository("whole")
    _customise(repository)
    before = snapshot(repository)
    handle = await deployment.start_request("demo-whole", repository, checks=[CHECK])
    status = await deployment.delivered(handle)
    return CompletedRun(
        repository=repository,
        status=status,
        tree=git(repository, "rev-parse", f"{status.branch}^{{tree}}"),
        before=before,
        after=snapshot(repository),
    )


def _customise(repository: Path) -> None:
    """Prepare what must survive: hooks that leave a trace, config, refs, uncommitted work."""
    for name in ("pre-push", "pre-receive", "update", "post-receive", "reference-transaction"):
        hook = repository / ".git" / "hooks" / name
        hook.write_text("#!/bin/sh\ntouch hook-ran\nexit 1\n")
        hook.chmod(0o755)
    git(repository, "-c", "core.hooksPath=/dev/null", "tag", "v1")
    git(repository, "-c", "core.hooksPath=/dev/null", "branch", "other")
    git(repository, "config", "core.fsmonitor", "touch fsmonitor-ran; false")
    (repository / "README.md").write_text("half done\n")
