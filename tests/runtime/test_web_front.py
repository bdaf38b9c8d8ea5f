"""The guard in front of a web UI that runs elsewhere, as a process of its own."""

import http.client
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typing_extensions import override

from runtime.tcp_ports import free_port
from tests.local_deployment import ROOT
from tests.runtime.processes import eventually


class _Ui(ThreadingHTTPServer):
    """A web UI that looks at no header; `reached` are the Hosts that it was asked by."""

    reached: list[str]


class _Answers(BaseHTTPRequestHandler):
    server: _Ui

    def do_GET(self) -> None:
        self.server.reached.append(self.headers["Host"])
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET  # noqa: N815 - the base class finds it by this name

    @override
    def log_message(self, *_args: object) -> None:
        """Print nothing."""


@contextmanager
def web_front(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command as the compose file does."""
    command = [sys.executable, "-m", "runtime.gateway.web_front", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture
def behind() -> Iterator[_Ui]:
    """A UI that answers everything."""
    with _Ui(("127.0.0.1", 0), _Answers) as ui:
        ui.reached = []
        threading.Thread(target=ui.serve_forever, daemon=True).start()
        yield ui
        ui.shutdown()


def ask(port: int, method: str, headers: Mapping[str, str]) -> int:
    """Send one request and return the response's status; 0 when nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, "/", headers=dict(headers))
        return connection.getresponse().status
    except (ConnectionError, http.client.RemoteDisconnected):
        return 0
    finally:
        connection.close()


async def test_a_web_page_s_requests_do_not_reach_the_ui_behind(behind: _Ui) -> None:
    """Neither by DNS rebinding nor from another origin; the person's and the UI's own do."""
    port = free_port(())
    with web_front(f"--port={port}", f"localhost:{behind.server_port}") as process:
        await eventually(lambda: ask(port, "GET", {}) == 200)
        behind.reached.clear()
        for method in ("GET", "POST"):
            assert ask(port, method, {"Host": "evil.example"}) == 421
            assert ask(port, method, {"Origin": "http://evil.example"}) == 403
            assert ask(port, method, {"Sec-Fetch-Site": "cross-site"}) == 403
        assert behind.reached == []
        own = {"Host": "localhost:8080", "Origin": "http://localhost:8080"}
        assert ask(port, "POST", own) == 200
        assert behind.reached == ["localhost:8080"]
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.parametrize("arguments", [("8080",), ("--port=0", "ui:8080"), ("--port=1", "ui")])
def test_an_address_that_is_none_is_refused(arguments: tuple[str, ...]) -> None:
    """The message says how the command is written."""
    with web_front(*arguments) as process:
        _, said = process.communicate(timeout=20)

    assert process.returncode == 2
    assert "usage: python -m runtime.gateway.web_front" in said
