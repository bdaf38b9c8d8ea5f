"""The embedded server, against the real one."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from runtime.connect import connect
from runtime.errors import ServerError
from runtime.records import running_server
from runtime.services.binary import find_binary
from runtime.services.database import read_marker
from runtime.services.server import DYNAMIC_CONFIG, EmbeddedServer
from runtime.settings import Settings, load
from runtime.tcp_ports import free_port, listens
from tests.runtime.processes import alive, command_of, eventually, of_home

pytestmark = pytest.mark.system


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[EmbeddedServer]:
    """A server of the test's own, not yet started; none is left afterwards."""
    server = EmbeddedServer(settings, headless=True, free_ports=True)
    yield server
    if server.alive:
        # Quicker than a second of good manners; they have a test of their own.
        os.kill(server.pid, signal.SIGKILL)
    await server.stop()
    assert of_home(settings.home) == {}


async def leave_a_run(settings: Settings) -> None:
    """Start a workflow that stays open, for nobody runs it."""
    client = await connect(settings)
    await client.start_workflow("Any", id="kept", task_queue="none")


def spoil_database(settings: Settings) -> None:
    """Leave of a database what no server can read."""
    settings.database.with_name("temporal.db-wal").unlink()
    settings.database.write_bytes(b"not a database" * 300)


def program(folder: Path, text: str) -> Path:
    """Write a `temporal` that only tells its version."""
    file = folder / "temporal"
    file.write_text(f"#!/bin/sh\necho '{text}'\n")
    file.chmod(0o755)
    return file


async def test_namespace(client: Client) -> None:
    """Closed runs stay for thirty days, and the search attributes exist."""
    shown = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace="default")
    )
    attributes = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace="default")
    )

    assert shown.config.workflow_execution_retention_ttl.ToTimedelta().days == 30
    assert {"OcState", "OcPendingApprovals"} <= set(attributes.custom_attributes)


async def test_flags(temporal_server: EmbeddedServer) -> None:
    """The server runs with every configuration value that the product's speed rests on."""
    command = command_of(temporal_server.pid)

    assert {f"{key}={value}" for key, value in DYNAMIC_CONFIG.items()} <= set(command)
    assert {"journal_mode=wal", "synchronous=FULL"} <= set(command)
    assert command[command.index("--ip") + 1] == "127.0.0.1"


async def test_again(settings: Settings) -> None:
    """A second start finds the data and the same ports, web UI included."""
    first = EmbeddedServer(settings)
    await first.start()
    address, ui_url = first.address, first.ui_url
    await leave_a_run(settings)
    await first.stop()
    second = EmbeddedServer(settings)
    await second.start()
    found = await (await connect(settings)).get_workflow_handle("kept").describe()
    os.kill(second.pid, signal.SIGKILL)
    await second.stop()

    assert (second.address, second.ui_url) == (address, ui_url)
    assert found.id == "kept"
    assert read_marker(settings.database)["server"].startswith("1.")
    assert of_home(settings.home) == {}


async def test_killed_first_start(settings: Settings, server: EmbeddedServer) -> None:
    """A server killed in the middle of its first start is started anew, what it left set aside."""
    await server.spawn()
    await eventually(settings.database.exists)
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    assert not await server.health()

    await server.start()

    assert await server.health()
    assert settings.database.with_name("temporal.db.half-made-1").exists()


async def test_killed_later(settings: Settings, server: EmbeddedServer) -> None:
    """SIGKILL of a finished server loses nothing; a lost database is an error, never redone."""
    await server.start()
    await leave_a_run(settings)
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    assert running_server(settings) is None

    await server.start()
    found = await (await connect(settings)).get_workflow_handle("kept").describe()
    assert found.id == "kept"
    assert not list(settings.home.glob("*half-made*"))

    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    spoil_database(settings)
    with pytest.raises(ServerError, match="not a database"):
        await server.start()
    assert settings.database.read_bytes().startswith(b"not a database")


async def test_stop_before_ready(settings: Settings) -> None:
    """A server can be stopped while it comes up."""
    server = EmbeddedServer(settings, headless=True, free_ports=True)
    await server.spawn()

    await server.stop()

    assert not alive(server.pid)
    assert running_server(settings) is None


async def test_port_of_another(settings: Settings) -> None:
    """A port that another holds is not taken for ours, and the next free one is used."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = int(other.getsockname()[1])

        assert listens(os.getpid(), port)
        assert not listens(os.getppid(), port)
        assert free_port([port]) != port

        wanted = load({**settings.environment, "ORCHESTCODE_TEMPORAL_PORT": str(port)})
        with pytest.raises(ServerError, match=f"port {port}"):
            await EmbeddedServer(wanted, headless=True).start()


async def test_wished_ports() -> None:
    """A free wished port is taken, never the one that is spoken for."""
    port = free_port([])

    assert free_port([None, port]) == port
    assert free_port([port], but=port) != port


def test_binary(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program beside this Python is used, else a new enough one on the person's path."""
    assert find_binary(settings) == Path(sys.executable).with_name("temporal")

    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    on_path = load({**settings.environment, "PATH": str(tmp_path)})
    with pytest.raises(ServerError, match=r"No `temporal` program was found; run `make setup`"):
        find_binary(on_path)

    program(tmp_path, "temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)")
    with pytest.raises(ServerError, match="too old"):
        find_binary(on_path)

    newer = program(tmp_path, "temporal version 1.10.0 (Server 1.33.0, UI 2.60.0)")
    assert find_binary(on_path) == newer


async def test_two_at_once(settings: Settings, server: EmbeddedServer) -> None:
    """Of two that start at once on a new home one starts the server and the other adopts it."""
    other = EmbeddedServer(settings, headless=True, free_ports=True)
    await asyncio.gather(server.start(), other.start())
    owner, guest = (server, other) if server.owned else (other, server)

    await guest.stop()

    assert owner.owned
    assert not guest.owned
    assert guest.pid == owner.pid
    assert await owner.health()
    await owner.stop()
    assert not await guest.health()
