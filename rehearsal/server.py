"""
The server: connections, requests and the journal around a stage.

One asyncio loop, kept-open connections, no thread.
A reply's bytes leave in one write and its journal line follows at once,
before anything else runs on the loop.
"""

import asyncio
import contextlib
import dataclasses
import ipaddress
import pathlib
import time
from collections.abc import AsyncIterator, Callable

from rehearsal import connection, delivery, engine, journal, rules, script_loader, wire
from rehearsal.connection import Request
from rehearsal.delivery import Response
from rehearsal.engine import Engine, PlannedResponse
from rehearsal.journal import Entry
from rehearsal.script import Script
from rehearsal.wire import ApiError, Json

Clock = Callable[[], float]
"""Seconds since the epoch."""


class Server:
    """
    A rehearsal server; `serve` starts and ends one.

    Args:
        play: the script.
        path: the journal's file, or None to keep entries in memory only.
        bodies: also journal the raw text of every request.
        clock: what time it is; the cache's lifetimes follow it.

    Attributes:
        base_url: where it listens, without ``/v1``; "" before it does.
    """

    def __init__(
        self, play: Script, *, path: pathlib.Path | None, bodies: bool, clock: Clock
    ) -> None:
        self.base_url = ""
        self._journal = journal.Writer(path)
        self._stage = Engine(play, self._journal.entries)
        self._bodies = bodies
        self._clock = clock
        self._listener: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def entries(self) -> list[Entry]:
        """The journal so far, without bodies, in the order the requests were done."""
        return list(self._journal.entries)

    async def start(self, host: str, port: int) -> None:
        """
        Listen; port 0 takes a free one.

        Raises:
            ValueError: the address is not a loopback address.
            OSError: the port is taken.
        """
        if not loopback(host):
            raise ValueError(f"{host} is not a loopback address")
        self._listener = await asyncio.start_server(
            self._connected, host, port, limit=connection.READ_LIMIT
        )
        address = self._listener.sockets[0].getsockname()
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        self.base_url = f"http://{shown}:{address[1]}"

    async def close(self) -> None:
        """End at once, open connections included; unfinished requests are journaled as such."""
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
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            # The client left or the server ends: either way this connection is over.
            writer.transport.abort()
        finally:
            self._open.pop(task, None)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                request = await connection.read_request(reader, writer, limit=rules.MAX_BODY_BYTES)
            except connection.TooLargeError:
                error = ApiError(413, "Request exceeds the maximum size")
                return await _send(writer, engine.failure(error, "req_too_large"))
            except connection.MalformedHttpError as error:
                return await _send(writer, engine.failure(ApiError(400, str(error)), "req_bad"))
            if request is None:
                return None
            open_still = await self._answer(request, reader, writer)
            if not open_still or not request.keep_alive:
                return None

    async def _answer(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        now = self._clock()
        if request.method == "POST" and request.path == "/v1/messages":
            scene = self._stage.messages(request.headers, request.body, now)
            return await self._perform(scene, request, reader=reader, writer=writer)
        if request.method == "POST" and request.path == "/v1/messages/count_tokens":
            scene = self._stage.count_tokens(request.headers, request.body, now)
            return await self._perform(scene, request, reader=reader, writer=writer)
        await _send(writer, self._other(request), bodyless=request.method == "HEAD")
        return not writer.transport.is_closing()

    def _other(self, request: Request) -> Response:
        if request.method in {"GET", "HEAD"}:
            if request.path == "/v1/models" or request.path.startswith("/v1/models/"):
                return self._stage.look_up(request.headers, request.path)
            if request.path == "/":
                return _hello()
        return engine.failure(ApiError(404, "Not found"), wire.name("req_", request.path))

    async def _perform(
        self,
        scene: PlannedResponse,
        request: Request,
        *,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        first: list[float] = []

        def note() -> None:
            if not first:
                first.append(self._clock())

        plan = delivery.plan(scene.response, scene.fault, delay_seconds=scene.delay_seconds)
        finished = False
        try:
            # One turn of the loop, so that a client which died meanwhile is seen to be gone.
            await asyncio.sleep(0)
            alive = await connection.perform(
                writer, plan.acts, gone=lambda: _gone(reader, writer), on_bytes=note
            )
            # A client that hung up in the meantime has not got what was written.
            finished = plan.whole and alive and not _gone(reader, writer)
        finally:
            self._note(scene, request, first=first[0] if first else None, finished=finished)
        await writer.drain()
        return alive

    def _note(
        self, scene: PlannedResponse, request: Request, *, first: float | None, finished: bool
    ) -> None:
        body = request.body.decode("utf-8", "replace") if self._bodies else None
        self._journal.append(
            dataclasses.replace(
                scene.entry,
                time_first_byte=first,
                time_done=self._clock(),
                finished=finished,
                status=scene.entry.status if first is not None else 0,
                body=body,
            )
        )


async def _send(
    writer: asyncio.StreamWriter, response: Response, *, bodyless: bool = False
) -> None:
    acts = list(delivery.plan(response, None).acts)
    acts = acts[:1] if bodyless else acts
    await connection.perform(writer, acts, gone=lambda: False, on_bytes=lambda: None)
    await writer.drain()


def _gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    return reader.at_eof() or writer.transport.is_closing()


def _hello() -> Response:
    headers = {"x-rehearsed": "true", "content-type": "application/json"}
    return Response(200, headers, [b'{"rehearsal":true}'], streamed=False)


def loopback(host: str) -> bool:
    """Tell whether an address reaches this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.asynccontextmanager
async def serve(
    play: Script | Json | pathlib.Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    journal_path: pathlib.Path | None = None,
    journal_bodies: bool = False,
    clock: Clock = time.time,
) -> AsyncIterator[Server]:
    """
    Run a server for the length of a with-block.

    Args:
        play: a script, its parsed JSON, or its file.
        host: a loopback address.
        port: 0 takes a free one.
        journal_path: a file to append to; entries are kept in memory in any case.
        journal_bodies: also journal the raw text of every request.
        clock: what time it is, seconds since the epoch.

    Yields:
        The server: ``base_url`` and ``entries`` are of interest.

    Raises:
        ScriptError: the script cannot be played.
        ValueError: the address is not a loopback address.
    """
    server = Server(as_script(play), path=journal_path, bodies=journal_bodies, clock=clock)
    try:
        await server.start(host, port)
        yield server
    finally:
        await server.close()


def as_script(play: Script | Json | pathlib.Path) -> Script:
    """
    Return a script in whichever form it was given.

    Raises:
        ScriptError: it cannot be played.
    """
    if isinstance(play, Script):
        return play
    return script_loader.load(play) if isinstance(play, pathlib.Path) else script_loader.read(play)
