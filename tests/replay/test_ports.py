"""Workflows call activities through ports. An implementation's bound method is registered, the
port's method is called, and a replay needs neither the implementation nor any vendor.

An implementation's bound method is registered, the port's method is called, and a replay needs
neither the implementation nor any vendor.
"""

import asyncio
import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from activities.repository import UserRepositories
from contracts.repository import Environment, OpenRepository, RepositoryOpened
from contracts.task_queue import TaskQueue
from infra.cloud_lane import CloudLane
from infra.layers import Layers
from infra.store.open_stores import OpenStores
from runtime.workflow_sandbox import workflow_runner
from tests.local_deployment import ROOT, commit, git
from tests.replay.flows.ported import PortedWorkflow

pytestmark = pytest.mark.system


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of one commit."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "a.txt").write_text("a\n")
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "The beginning")
    return folder


async def _opened(client: Client, repository: Path) -> tuple[RepositoryOpened, str]:
    """What the real activity returned through its port, and the run's history."""
    name = uuid.uuid4().hex
    stores = OpenStores(repository.parent / "stores")
    environment = Environment(path="/usr/bin:/bin")
    layers = Layers(repository.parent / "layers")
    real = UserRepositories(
        stores, host_id="here", fallback=environment, layers=layers, cloud=CloudLane(60)
    )
    request = OpenRepository(
        request_id=name,
        request_key=name,
        path=str(repository),
        base=None,
        branch=None,
        suggested_branch="branch",
        checks=(),
    )
    git_worker = Worker(client, task_queue=TaskQueue.GIT, activities=[real.open_repository])
    flow_worker = Worker(
        client, task_queue=name, workflows=[PortedWorkflow], workflow_runner=workflow_runner()
    )
    try:
        async with git_worker, flow_worker:
            handle = await client.start_workflow(
                PortedWorkflow.run, request, id=name, task_queue=name
            )
            opened = await handle.result()
            return opened, (await handle.fetch_history()).to_json()
    finally:
        await stores.close()


async def _replayed(history: str, folder: Path, *, module: str, name: str) -> dict[str, Any]:
    """What a process without activities, anthropic and git makes of the history."""
    file = folder / "history.json"
    file.write_text(history)
    command = [sys.executable, "-m", "tests.replay.bare", str(file), module, name]

    def run() -> str:
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    found: dict[str, Any] = json.loads((await asyncio.to_thread(run)).splitlines()[-1])
    return found


async def test_a_port_replays_without_its_implementation_and_not_under_another_name(
    client: Client, repository: Path, tmp_path: Path
) -> None:
    """A call through a port runs the implementation, is recorded under the port's name, replays
    without the implementation and its vendors, and does not replay under another name.
    """
    opened, history = await _opened(client, repository)
    same = await _replayed(
        history, tmp_path, module="tests.replay.flows.ported", name="PortedWorkflow"
    )
    renamed = await _replayed(
        history, tmp_path, module="tests.replay.flows.renamed", name="RenamedWorkflow"
    )

    assert opened.base == git(repository, "rev-parse", "HEAD")
    assert '"open_repository"' in history
    assert same == {"loaded": [], "failure": None}
    assert renamed["loaded"] == []
    assert "[TMPRL1100]" in renamed["failure"]
