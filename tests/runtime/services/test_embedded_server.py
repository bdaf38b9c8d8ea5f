"""The embedded server, as the real process."""

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
from runtime.records import ServerRecord
from runtime.services.binary import find_binary
from runtime.services.database import read_marker
from runtime.services.embedded_server import DYNAMIC_CONFIG, EmbeddedServer
from runtime.settings import Settings, load
from runtime.tcp_ports import free_port, is_listening
from tests.runtime.processes import alive, command_of, eventually, of_home

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("usual ports")]


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[EmbeddedServer]:
    """A server that is not yet started; no process of the home is left after the test."""
    server = EmbeddedServer(settings, headless=True, free_ports=True)
    yield server
    if server.alive:
        # Quicker than a graceful stop, which has a test of its own.
        os.kill(server.pid, signal.SIGKILL)
    await server.stop()
    # A killed gateway's server is ended by the kernel, a moment later.
    await eventually(lambda: of_home(settings.home) == {})


async def start_open_workflow(settings: Settings) -> None:
    """Start a workflow that stays open, since no worker polls its queue."""
    client = await connect(settings)
    await client.start_workflow("Any", id="kept", task_queue="none")


def spoil_database(settings: Settings) -> None:
    """Overwrite a database with bytes that no server can read."""
    settings.database.with_name("temporal.db-wal").unlink()
    settings.database.write_bytes(b"not a database" * 300)


def program(folder: Path, text: str) -> Path:
    """Write a `temporal` that only prints its version."""
    file = folder / "temporal"
    file.write_text(f"#!/bin/sh\necho '{text}'\n")
    file.chmod(0o755)
    return file


async def test_the_namespace_is_set_up(client: Client) -> None:
    """Closed runs are kept for thirty days, and the search attributes exist."""
    shown = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace="default")
    )
    attributes = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace="default")
    )

    assert shown.config.workflow_execution_retention_ttl.ToTimedelta().days == 30
    assert {"OcState", "OcPendingApprovals"} <= set(attributes.custom_attributes)


async def test_the_server_gets_its_configuration(temporal_server: EmbeddedServer) -> None:
    """Every dynamic configuration value and pragma is on the command line."""
    command = command_of(temporal_server.pid)

    assert {f"{key}={value}" for key, value in DYNAMIC_CONFIG.items()} <= set(command)
    assert {"journal_mode=wal", "synchronous=FULL"} <= set(command)
    assert command[command.index("--ip") + 1] == "127.0.0.1"


async def test_a_second_start_keeps_data_and_ports(settings: Settings) -> None:
    """The port of the web UI included."""
    first = EmbeddedServer(settings)
    await first.start()
    address, ui_url = first.address, first.ui_url
    await start_open_workflow(settings)
    await first.stop()
    second = EmbeddedServer(settings)
    await second.start()
    found = await (await connect(settings)).get_workflow_handle("kept").describe()
    os.kill(second.pid, signal.SIGKILL)
    await second.stop()

    assert (second.address, second.ui_url) == (address, ui_url)
    assert found.id == "kept"
    assert read_marker(settings.database)["server"].startswith("1.")
    # The kernel ends the server when the process around it dies, which takes a moment.
    await eventually(lambda: of_home(settings.home) == {})


async def test_an_unfinished_first_start_is_repeated(
    settings: Settings, server: EmbeddedServer
) -> None:
    """After a kill amid the first start the unfinished database is moved aside."""
    await server.spawn()
    await eventually(settings.database.exists)
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    assert not await server.health()

    await server.start()

    assert await server.health()
    assert settings.database.with_name("temporal.db.half-made-1").exists()


async def test_a_killed_server_loses_nothing(settings: Settings, server: EmbeddedServer) -> None:
    """A database that is damaged without a backup is an error, and is not replaced."""
    await server.start()
    await start_open_workflow(settings)
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    assert ServerRecord.running(settings) is None

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


async def test_a_server_can_be_stopped_before_it_is_ready(settings: Settings) -> None:
    """Its process and its record count as gone."""
    server = EmbeddedServer(settings, headless=True, free_ports=True)
    await server.spawn()

    await server.stop()

    assert not alive(server.pid)
    assert ServerRecord.running(settings) is None


async def test_a_port_of_another_process_is_not_used(settings: Settings) -> None:
    """Another free port is chosen; a required port that is used is an error."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = int(other.getsockname()[1])

        assert is_listening(os.getpid(), port)
        assert not is_listening(os.getppid(), port)
        assert free_port([port]) != port

        wanted = load({**settings.environment, "ORCHESTCODE_TEMPORAL_PORT": str(port)})
        with pytest.raises(ServerError, match=f"port {port}"):
            await EmbeddedServer(wanted, headless=True).start()


async def test_the_last_server_s_port_is_waited_for(settings: Settings) -> None:
    """A killed server can free its lock before its socket; another address would be a surprise."""
    server = EmbeddedServer(settings, headless=True, free_ports=True)
    await server.spawn()
    address, port = server.address, int(server.address.rpartition(":")[2])
    await server.stop()
    with socket.socket() as dying:
        dying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        dying.bind(("127.0.0.1", port))
        dying.listen()
        asyncio.get_running_loop().call_later(0.3, dying.close)
        await server.spawn()

    assert server.address == address
    await server.stop()


async def test_a_preferred_port_is_chosen_when_it_is_free() -> None:
    """Never the excluded one."""
    port = free_port([])

    assert free_port([None, port]) == port
    assert free_port([port], exclude=port) != port


def test_the_bundled_binary_is_preferred(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The `temporal` next to this Python is used, else a new enough one on the person's path."""
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


async def test_of_two_starts_at_once_one_adopts_the_other_server(
    settings: Settings, server: EmbeddedServer
) -> None:
    """Stopping the adopting one keeps the server running."""
    other = EmbeddedServer(settings, headless=True, free_ports=True)
    await asyncio.gather(server.start(), other.start())
    assert server.pid == other.pid
    owner, guest = (server, other) if server._process else (other, server)

    assert guest._process is None
    await guest.stop()

    assert await owner.health()
    await owner.stop()
    assert not await guest.health()
