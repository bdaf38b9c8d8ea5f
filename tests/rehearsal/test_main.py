"""The command `python -m rehearsal`, as a process with a socket."""

import asyncio
import contextlib
import json
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from rehearsal import journal
from rehearsal.server import is_loopback, serve
from tests.rehearsal.client_fixtures import OPUS, Json, one_cast

ROOT = Path(__file__).parents[2]
KEY = {"x-api-key": "any", "anthropic-version": "2026-10-21"}
ASK: Json = {"model": OPUS, "max_tokens": 99, "messages": [{"role": "user", "content": "x"}]}


@contextlib.asynccontextmanager
async def command(*arguments: str) -> AsyncIterator[Process]:
    """Run the command; kill it at the end if it still runs."""
    line = [sys.executable, "-m", "rehearsal", *arguments]
    process = await asyncio.create_subprocess_exec(*line, cwd=ROOT, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def url_of(process: Process) -> str:
    """Wait until the process listens and return its address."""
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
    assert line.startswith("rehearsal listening on http://127.0.0.1:")
    return line.split()[-1]


def script_file(folder: Path, script: Json) -> Path:
    """Write a script to a file."""
    path = folder / "script.json"
    path.write_text(json.dumps(script), encoding="utf-8")
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_at_once_even_amid_a_reply(tmp_path: Path, number: int) -> None:
    """Open connections do not delay it; the current reply is recorded as unfinished."""
    script = one_cast({"say": "x", "fault": [{"kind": "stall", "seconds": 60}]})
    path = tmp_path / "journal.jsonl"
    options = ("--script", str(script_file(tmp_path, script)), "--journal", str(path))
    async with command(*options) as process, httpx2.AsyncClient(trust_env=False) as client:
        url = await url_of(process)
        stream = client.stream(
            "POST", f"{url}/v1/messages", headers=KEY, json=ASK | {"stream": True}
        )
        async with stream as response:
            assert response.status_code == 200
            started = time.monotonic()
            process.send_signal(number)
            code = await asyncio.wait_for(process.wait(), 10)
            took = time.monotonic() - started

    assert code == 0
    assert took < 2
    assert [(line.finished, line.fault) for line in journal.read(path)] == [(False, "stall")]


async def test_the_journal_survives_a_kill(tmp_path: Path) -> None:
    """Every request that was answered before SIGKILL is on disk."""
    path = tmp_path / "journal.jsonl"
    script = script_file(tmp_path, {"casts": [{"generate": {"turns": 1, "say": "x"}}]})
    options = ("--script", str(script), "--journal", str(path), "--journal-bodies")
    async with command(*options) as process, httpx2.AsyncClient(trust_env=False) as client:
        url = await url_of(process)
        for _ in range(5):
            response = await client.post(f"{url}/v1/messages?beta=true", headers=KEY, json=ASK)
            assert response.status_code == 200
        await asyncio.sleep(0.1)
        process.kill()
        await process.wait()
    lines = journal.read(path)

    assert [line.finished for line in lines] == [True] * 5
    assert json.loads(lines[0].body or "") == ASK


async def test_an_invalid_script_is_reported(tmp_path: Path) -> None:
    """The path of the mistake is on standard error, and the exit code is 2."""
    script = script_file(tmp_path, {"casts": [{"turns": [{"sya": "typo"}]}]})
    async with command("--script", str(script), "--check") as process:
        _, errors = await process.communicate()

    assert process.returncode == 2
    assert "script.casts[0].turns[0]: unknown keys ['sya']" in errors.decode()


async def test_an_unknown_placeholder_is_reported(tmp_path: Path) -> None:
    """Before a request needs it, with its place."""
    script = script_file(tmp_path, one_cast({"say": "{{turn}} {{trn}}"}))
    async with command("--script", str(script), "--check") as process:
        _, errors = await process.communicate()

    assert process.returncode == 2
    assert "casts[0].turns[0].say: unknown placeholder {{trn}}" in errors.decode()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", "::"])
async def test_only_loopback_addresses_are_served(host: str) -> None:
    """A server that accepts any key must not be reachable from other machines."""
    assert not is_loopback(host)
    with pytest.raises(ValueError, match="not a loopback address"):
        async with serve(one_cast({"say": "x"}), host=host):
            pass


async def test_one_connection_serves_many_requests() -> None:
    """Also after errors; HEAD and unknown paths are answered too."""
    script = {"casts": [{"generate": {"turns": 1, "say": "x"}}]}
    async with serve(script) as server:
        port = int(server.base_url.rsplit(":", 1)[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = json.dumps(ASK).encode()
        statuses = []
        for head in (
            b"HEAD / HTTP/1.1\r\n\r\n",
            b"GET /nowhere HTTP/1.1\r\n\r\n",
            b"POST /v1/messages HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}",
            b"POST /v1/messages HTTP/1.1\r\nx-api-key: k\r\nanthropic-version: x\r\n"
            b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        ):
            writer.write(head)
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines[1:] if line)
            if not head.startswith(b"HEAD"):
                await reader.readexactly(int(headers["content-length"]))
            statuses.append(int(lines[0].split()[1]))
            assert headers["x-rehearsed"] == "true"
        writer.close()
        await writer.wait_closed()

    assert statuses == [200, 404, 401, 200]


@pytest.mark.parametrize(
    "field", [b"host: evil.example", b"host: [", b"origin: http://evil.example", b"origin: null"]
)
async def test_a_web_page_gets_no_reply(field: bytes) -> None:
    """A foreign Host or any Origin is forbidden, and nothing of the script is used up."""
    async with serve(one_cast({"say": "x"})) as server:
        port = int(server.base_url.rsplit(":", 1)[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v1/messages HTTP/1.1\r\n%b\r\ncontent-length: 2\r\n\r\n{}" % field)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()

    assert answer.split()[1] == b"403"
    assert server.entries == []


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(b"nonsense\r\n\r\n", b"400", id="no-http"),
        pytest.param(
            b"POST /v1/messages HTTP/1.1\r\ncontent-length: 33554433\r\n\r\n",
            b"413",
            id="too-large",
        ),
        pytest.param(b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n", b"400", id="bad-length"),
    ],
)
async def test_invalid_http_is_refused_and_disconnected(head: bytes, status: bytes) -> None:
    """Bodies above 32 MB are refused without reading them."""
    async with serve(one_cast({"say": "x"})) as server:
        port = int(server.base_url.rsplit(":", 1)[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()

    assert answer.split()[1] == status
