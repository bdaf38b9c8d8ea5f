"""Probes of the ports of a running server: as a web page reaches them, and as a program does."""

import http.client
import json
import os
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from typing_extensions import override

from runtime.connect import connect
from runtime.gateway import NO_NETWORK
from runtime.records import ServerRecord
from runtime.services.embedded_server import EmbeddedServer
from runtime.settings import Settings, load
from runtime.tcp_ports import free_port
from tests.runtime.ports import listening, ports_of
from tests.runtime.processes import eventually, of_home
from tests.runtime.test_web_front import web_front

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("system")]

START = "/api/v1/namespaces/default/workflows/forged"
SIGNAL = "/api/v1/namespaces/default/workflows/victim/signal/approve"
FOREIGN: Mapping[str, Mapping[str, str]] = {
    "a foreign Host": {"Host": "evil.example"},
    "a foreign Origin": {"Origin": "http://evil.example"},
    "a page without a name": {"Origin": "null"},
    "a page of another port": {"Origin": "http://127.0.0.1:3000"},
    "an older browser's page": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
}


@pytest.fixture(scope="module")
async def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings on a home of this module's own."""
    home = tmp_path_factory.mktemp("doors")
    path = os.environ.get("PATH", os.defpath)
    return load({"ORCHESTCODE_HOME": str(home), "HOME": str(home), "PATH": path})


@pytest.fixture(scope="module")
async def server(settings: Settings) -> AsyncIterator[EmbeddedServer]:
    """A server with its web UI, and a workflow that waits."""
    server = EmbeddedServer(settings, free_ports=True)
    await server.start()
    await (await connect(settings)).start_workflow("Any", id="victim", task_queue="none")
    # The server's UI finds its own service a moment after clients do.
    await eventually(lambda: ask(ui_port(settings), "GET", "/api/v1/namespaces", {}) == 200)
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def own_client(settings: Settings, server: EmbeddedServer) -> Client:
    """A client of that server."""
    return await connect(settings, address=server.address)


def ui_port(settings: Settings) -> int:
    """Return the UI's port."""
    record = ServerRecord.read(settings)
    assert record is not None
    assert record.ui_port is not None
    return record.ui_port


def ask(port: int, method: str, path: str, headers: Mapping[str, str], body: str = "") -> int:
    """Send one request and return the response's status; 0 when there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body.encode())
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


async def signals(client: Client) -> int:
    """Return how many signals the waiting workflow got."""
    history = await client.get_workflow_handle("victim").fetch_history()
    return sum(
        event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
        for event in history.events
    )


def test_only_the_service_and_the_ui_listen_on_the_machine(
    settings: Settings, server: EmbeddedServer
) -> None:
    """Of the server's ports (HTTP API, metrics, its own services) no other can be reached."""
    port = int(server.address.rpartition(":")[2])

    assert ports_of(settings) == {port, ui_port(settings)}


def test_no_port_of_the_server_s_own_network_answers_outside(
    settings: Settings, server: EmbeddedServer
) -> None:
    """Each port at which the server listens inside is tried from outside, unless taken there."""
    assert server.alive
    gateway = [pid for pid, line in of_home(settings.home).items() if "-m runtime.gateway" in line]
    behind = of_home(settings.home).keys() - set(gateway)
    inside = {p for pid in behind for p in listening(Path(f"/proc/{pid}/net/tcp")).values()}
    hidden = inside - set(listening(Path("/proc/net/tcp")).values())

    assert len(hidden) >= 3
    for port in hidden:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("how", FOREIGN)
async def test_a_web_page_starts_signals_and_reads_nothing(
    settings: Settings, own_client: Client, how: str
) -> None:
    """By text/plain POST, DNS rebinding or GET, at each port: every answer is a refusal."""
    headers = {**FOREIGN[how], "Content-Type": "text/plain"}
    start = json.dumps({"workflowType": {"name": "Any"}, "taskQueue": {"name": "none"}})
    for port in ports_of(settings):
        assert ask(port, "POST", START, headers, start) in (0, 403, 421)
        assert ask(port, "POST", SIGNAL, headers, "{}") in (0, 403, 421)
        assert ask(port, "GET", "/api/v1/namespaces", headers) in (0, 403, 421)
        assert ask(port, "GET", "/", headers) in (0, 403, 421)
    found = [each.id async for each in own_client.list_workflows()]

    assert "forged" not in found
    assert await signals(own_client) == 0


async def test_the_ui_s_own_page_reads_and_signals(settings: Settings, own_client: Client) -> None:
    """The same requests with the UI's own Host and Origin are answered."""
    port = ui_port(settings)
    own = {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}

    assert ask(port, "GET", "/", {}) == 200
    assert ask(port, "GET", "/api/v1/namespaces", own) == 200
    assert ask(port, "POST", SIGNAL, own, "{}") == 200
    assert await signals(own_client) == 1


async def test_a_real_ui_is_served_by_the_guard_of_the_compose_file(
    settings: Settings, own_client: Client
) -> None:
    """It reads and signals by the guard's port, which another page cannot use."""
    port = free_port(())
    own = {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}
    before = await signals(own_client)
    with web_front(f"--port={port}", f"127.0.0.1:{ui_port(settings)}"):
        await eventually(lambda: ask(port, "GET", "/api/v1/namespaces", own) == 200)
        assert ask(port, "POST", SIGNAL, own, "{}") == 200
        assert ask(port, "POST", SIGNAL, FOREIGN["a foreign Host"], "{}") == 421

    assert await signals(own_client) == before + 1


async def test_a_second_request_on_a_connection_is_never_read(
    settings: Settings, own_client: Client
) -> None:
    """What follows an admitted request on its connection goes nowhere, however it is hidden."""
    port = ui_port(settings)
    before = await signals(own_client)
    forged = f"POST {SIGNAL} HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 2\r\n\r\n{{}}"
    own = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    for first in (own + "\r\n", own + "Content-Length: 0\r\nConnection: keep-alive\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
            raw.sendall((first + forged).encode())
            answer = b"".join(iter(lambda raw=raw: raw.recv(65536), b""))  # type: ignore[misc]
        assert answer.count(b"HTTP/1.1 ") <= 1

    assert await signals(own_client) == before


def test_a_head_without_an_end_is_refused(settings: Settings, server: EmbeddedServer) -> None:
    """A client that only ever sends fields gets an answer and loses its connection."""
    assert server.alive
    with socket.create_connection(("127.0.0.1", ui_port(settings)), timeout=5) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000)
        assert raw.recv(65536).startswith(b"HTTP/1.1 431 ")


async def test_without_a_network_of_its_own_the_server_has_no_ui(
    settings: Settings, tmp_path: Path
) -> None:
    """Where the machine refuses one, the server runs all the same, says so, and its HTTP API, at
    whichever port, still answers no foreign Host.
    """
    exposed = load({**settings.environment, "ORCHESTCODE_HOME": str(tmp_path / "home")})
    server = _Exposed(exposed, free_ports=True)
    await server.start()
    try:
        ports = ports_of(exposed)
        answers = {ask(port, "GET", "/api/v1/namespaces", {}) for port in ports}

        assert server.ui_url is None
        assert "no network of its own" in server.warning
        assert len(ports) >= 4
        assert 403 in answers
        assert 200 not in answers
    finally:
        await server.stop()


class _Exposed(EmbeddedServer):
    """A server on a machine that gives no process a network of its own."""

    @override
    def _gateway_command(self, port: int, ui_port: int | None) -> list[str]:
        return ["/bin/sh", "-c", f"exit {NO_NETWORK}"]
