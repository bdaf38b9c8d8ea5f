"""Probes of another user of the machine at the ports of a server; root makes the other user."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typing_extensions import override

from runtime.connect import connect
from runtime.errors import ServerError
from runtime.gateway import NO_NETWORK
from runtime.records import ServerRecord
from runtime.services.binary import find_binary
from runtime.services.embedded_server import EmbeddedServer
from runtime.settings import Settings, load
from tests.runtime.ports import ports_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("system")]

ADA = 54_321
HELLO = "GET /healthz HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nConnection: close\\r\\n\\r\\n"


def answer_to(user: int, port: int) -> str:
    """Return what a process of this user is answered at a port."""
    script = f"exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{HELLO}' >&3; head -c 15 <&3"
    ran = subprocess.run(
        ["/bin/bash", "-c", script],
        user=user,
        group=user,
        extra_groups=[],
        cwd="/",
        env={"PATH": os.defpath},
        capture_output=True,
        timeout=20,
        check=False,
    )
    return ran.stdout.decode("latin-1")


@pytest.fixture(scope="module")
async def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a person who shares the machine."""
    home = tmp_path_factory.mktemp("shared")
    path = os.environ.get("PATH", os.defpath)
    shared = {"ORCHESTCODE_SHARED_HOST": "yes"}
    return load({"ORCHESTCODE_HOME": str(home), "HOME": str(home), "PATH": path, **shared})


@pytest.fixture(scope="module")
async def server(settings: Settings) -> AsyncIterator[EmbeddedServer]:
    """Its server."""
    server = EmbeddedServer(settings, free_ports=True)
    await server.start()
    yield server
    await server.stop()


@pytest.mark.needs_root
async def test_another_user_reaches_no_port_on_a_shared_host(
    settings: Settings, server: EmbeddedServer
) -> None:
    """Neither the service nor the UI says a word to another user; our own processes go on."""
    record = ServerRecord.read(settings)
    assert record is not None
    assert record.ui_port is not None
    assert record.own_user

    assert answer_to(ADA, record.ui_port) == ""
    assert answer_to(ADA, record.port) == ""
    assert answer_to(os.geteuid(), record.ui_port) == "HTTP/1.1 200 OK"
    await (await connect(settings)).start_workflow("Any", id="own", task_queue="none")


_COMMANDS = (
    ("workflow", "list"),
    ("workflow", "show", "-w", "victim"),
    ("workflow", "start", "--type", "RequestWorkflow", "--task-queue", "none", "-w", "forged"),
    ("workflow", "signal", "-w", "victim", "--name", "approve"),
    ("workflow", "cancel", "-w", "victim"),
    ("workflow", "terminate", "-w", "victim"),
    ("operator", "namespace", "describe", "default"),
)


@pytest.mark.security_long
@pytest.mark.needs_root
async def test_another_user_s_temporal_cli_comes_to_nothing_on_a_shared_host(
    settings: Settings, server: EmbeddedServer
) -> None:
    """Reading, starting, signalling, cancelling and terminating by the CLI at every listening port
    of the machine that the home's processes have: no command succeeds, nothing has happened.
    """
    client = await connect(settings)
    await client.start_workflow("Any", id="victim", task_queue="none")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        binary = Path(shutil.copy(find_binary(settings), folder))
        for port in ports_of(settings):
            for words in _COMMANDS:
                said = await asyncio.to_thread(run_as, ADA, str(binary), *words, port=port)
                assert said.returncode != 0, said.stdout
    events = [
        each.event_id
        for each in (await client.get_workflow_handle("victim").fetch_history()).events
    ]
    found = [each.id async for each in client.list_workflows()]

    assert len(events) == 2
    assert "forged" not in found


def run_as(user: int, *command: str, port: int) -> subprocess.CompletedProcess[bytes]:
    """Run a command of the `temporal` CLI as a user, at a port."""
    return subprocess.run(
        [*command, "--address", f"127.0.0.1:{port}", "--command-timeout", "3s"],
        user=user,
        group=user,
        extra_groups=[],
        cwd="/",
        env={"PATH": os.defpath, "HOME": "/nonexistent"},
        capture_output=True,
        timeout=30,
        check=False,
    )


async def test_a_shared_host_that_cannot_be_kept_is_refused(
    settings: Settings, tmp_path: Path
) -> None:
    """Without a network of its own the server does not start, since everybody would reach it."""
    exposed = load({**settings.environment, "ORCHESTCODE_HOME": str(tmp_path / "home")})

    with pytest.raises(ServerError, match="ORCHESTCODE_SHARED_HOST cannot be kept"):
        await _Exposed(exposed, free_ports=True).start()


class _Exposed(EmbeddedServer):
    """A server on a machine that gives no process a network of its own."""

    @override
    def _gateway_command(self, port: int, ui_port: int | None) -> list[str]:
        return ["/bin/sh", "-c", f"exit {NO_NETWORK}"]
