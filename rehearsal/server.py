"""The server: connections, requests and the journal around an engine.

One asyncio loop, keep-alive connections, no threads.
A reply's bytes are sent in one write, and its journal line is written at once,
before anything else runs on the loop.
"""

import asyncio
import contextlib
import ipaddress
import pathlib
import time
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

from rehearsal import connection, delivery, engine, journal, script_loader, wire
from rehearsal.connection import Request
from rehearsal.delivery import Response
from rehearsal.engine import Engine, PlannedResponse
from rehearsal.journal import Entry
from rehearsal.script import Script
from rehearsal.wire import ApiError, Json

Clock = Callable[[], float]
"""Seconds since the epoch."""


class Server:
    """A rehearsal server; `serve` starts and ends one.

    Args:
        path: the journal's file, or None to hold entries in memory only.
        bodies: also record the raw text of every request.
        clock: the current time, which decides when cache entries expire.

    Attributes:
        base_url: the address without ``/v1``; "" before `start`.
    """

    def __init__(
        self, script: Script, *, path: pathlib.Path | None, bodies: bool, clock: Clock
    ) -> None:
        self.base_url = ""
        self._journal = journal.JournalWriter(path)
        self._engine = Engine(script, self._journal.entries)
        self._bodies = bodies
        self._clock = clock
        self._listener: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def entries(self) -> list[Entry]:
        """The journal entries so far, without bodies, in the order the requests ended."""
        return list(self._journal.entries)

    @property
    def answering(self) -> int:
        """How many requests are being answered now."""
        return self._engine.at_work

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 chooses a free port.

        Raises:
            ValueError: the address is not a loopback address.
            OSError: the port is in use.
        """
        if not is_loopback(host):
            raise ValueError(f"{host} is not a loopback address")
        self._listener = await asyncio.start_server(
            self._connected, host, port, limit=connection.READ_LIMIT
        )
        address = self._listener.sockets[0].getsockname()
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        self.base_url = f"http://{shown}:{address[1]}"

    async def close(self) -> None:
        """Stop at once; requests on open connections are recorded as unfinished."""
        if self._listener is not None:
            self._listener.close()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._journal.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._open[task] = writer
        try:
            await self._serve_requests(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            # The client has disconnected, or the server stops.
            writer.transport.abort()
        finally:
            self._open.pop(task, None)
            writer.close()

    async def _serve_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            try:
                request = await connection.read_request(reader, writer)
            except ApiError as error:
                return await _send(writer, engine.error_response(error, "req_refused"))
            if request is None:
                return None
            still_open = await self._handle(request, reader, writer)
            if not still_open or request.headers.get("connection", "").lower() == "close":
                return None

    async def _handle(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if not _is_own(request):
            await _send(writer, engine.error_response(ApiError(403, "Forbidden"), "req_refused"))
            return False
        now = self._clock()
        endpoints = {
            "/v1/messages": self._engine.messages,
            "/v1/messages/count_tokens": self._engine.count_tokens,
        }
        if request.method == "POST" and request.path in endpoints:
            planned = endpoints[request.path](request.headers, request.body, now)
            return await self._deliver(planned, request, reader=reader, writer=writer)
        await _send(writer, self._other_response(request), bodyless=request.method == "HEAD")
        return not writer.transport.is_closing()

    def _other_response(self, request: Request) -> Response:
        if request.method in {"GET", "HEAD"}:
            if request.path == "/v1/models" or request.path.startswith("/v1/models/"):
                return self._engine.models_response(request.headers, request.path)
            if request.path == "/":
                headers = {"x-rehearsed": "true", "content-type": "application/json"}
                return Response(200, headers, [b'{"rehearsal":true}'], streamed=False)
        return engine.error_response(ApiError(404, "Not found"), wire.name("req_", request.path))

    async def _deliver(
        self,
        planned: PlannedResponse,
        request: Request,
        *,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        entry, fault = planned.entry, planned.fault

        def mark_first_byte() -> None:
            if entry.time_first_byte is None:
                entry.time_first_byte = self._clock()

        steps = delivery.plan(planned.response, fault, delay_seconds=planned.delay_seconds)
        self._engine.at_work += 1
        try:
            # One iteration of the loop, so that a client that died meanwhile is noticed.
            await asyncio.sleep(0)
            alive = await connection.send_steps(
                writer,
                steps,
                client_gone=lambda: _client_gone(reader, writer),
                on_bytes=mark_first_byte,
            )
            # A client that disconnected meanwhile did not get what was written.
            whole = fault is None or fault.kind not in delivery.CUT_SHORT
            entry.finished = whole and alive and not _client_gone(reader, writer)
        finally:
            self._engine.at_work -= 1
            entry.time_done = self._clock()
            if entry.time_first_byte is None:
                entry.status = 0
            entry.body = request.body.decode("utf-8", "replace") if self._bodies else None
            self._journal.append(entry)
        await writer.drain()
        return alive


async def _send(
    writer: asyncio.StreamWriter, response: Response, *, bodyless: bool = False
) -> None:
    steps = delivery.plan(response)[: 1 if bodyless else None]
    await connection.send_steps(writer, steps, client_gone=lambda: False, on_bytes=lambda: None)
    await writer.drain()


def _client_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    return reader.at_eof() or writer.transport.is_closing()


def _is_own(request: Request) -> bool:
    """Return whether a program of this machine asks, not a web page in somebody's browser."""
    try:
        # Programs that write HTTP by hand leave it out; browsers cannot.
        name = urlsplit(f"//{request.headers.get('host', 'localhost')}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name) and "origin" not in request.headers


def is_loopback(host: str) -> bool:
    """Return whether an address is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.asynccontextmanager
async def serve(
    script: Script | Json | pathlib.Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    journal_path: pathlib.Path | None = None,
    journal_bodies: bool = False,
    clock: Clock = time.time,
) -> AsyncIterator[Server]:
    """Run a server for the length of a with-block.

    Args:
        script: a script, its parsed JSON, or its file.
        host: a loopback address.
        port: 0 chooses a free port.
        journal_path: a file to append to; entries are held in memory in any case.
        journal_bodies: also record the raw text of every request.
        clock: the current time, in seconds since the epoch.

    Raises:
        ScriptError: the script is invalid.
        ValueError: the address is not a loopback address.
    """
    if isinstance(script, pathlib.Path):
        script = script_loader.load(script)
    elif not isinstance(script, Script):
        script = script_loader.read(script)
    server = Server(script, path=journal_path, bodies=journal_bodies, clock=clock)
    try:
        await server.start(host, port)
        yield server
    finally:
        await server.close()
