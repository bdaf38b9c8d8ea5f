"""Connections that are passed on: bytes both ways, and a web request once it is admitted."""

import asyncio
from collections.abc import Callable
from typing import cast

from typing_extensions import override

from runtime.gateway.web_guard import MAX_HEAD_BYTES, Refusal, admit

_LOOPBACK = "127.0.0.1"
_END_OF_HEAD = b"\r\n\r\n"


class _Side(asyncio.Protocol):
    """One end of a connection that is passed on; what it receives goes to the other end."""

    def __init__(self) -> None:
        self.other: _Side | None = None
        self.transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        if self.other and self.other.transport:
            self.other.transport.write(data)

    @override
    def eof_received(self) -> bool:
        if self.other and self.other.transport and self.other.transport.can_write_eof():
            self.other.transport.write_eof()
        return self.other is not None

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self.other and self.other.transport:
            self.other.transport.close()

    @override
    def pause_writing(self) -> None:
        if self.other and self.other.transport:
            self.other.transport.pause_reading()

    @override
    def resume_writing(self) -> None:
        if self.other and self.other.transport:
            self.other.transport.resume_reading()


class Incoming(_Side):
    """A client's end: its peer is looked at, then the connection to the server is made.

    Args:
        port: of the server, by default in the gateway's own network.
        admits: whether a client at this port of the machine is served.
        host: of the server.
    """

    def __init__(self, port: int, admits: Callable[[int], bool], *, host: str = _LOOPBACK) -> None:
        super().__init__()
        self._host = host
        self._port = port
        self._admits = admits
        self._connecting: asyncio.Task[None] | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._admits(transport.get_extra_info("peername")[1]):
            self._begin()
        else:
            self._client.abort()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        super().connection_lost(exc)

    @property
    def _client(self) -> asyncio.Transport:
        assert self.transport is not None  # noqa: S101 - set when the connection was made
        return self.transport

    def _begin(self) -> None:
        self._connect(b"")

    def _connect(self, first: bytes) -> None:
        """Connect to the server, send it these bytes first, then pass everything on."""
        self._client.pause_reading()
        self._connecting = asyncio.get_running_loop().create_task(self._link(first))

    async def _link(self, first: bytes) -> None:
        server = _Side()
        server.other = self
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_connection(lambda: server, self._host, self._port)
        except OSError:
            # The server is not up yet, or has ended.
            self._client.abort()
            return
        self.other, self._connecting = server, None
        transport.write(first)
        if self._client.is_closing():
            transport.close()
        else:
            self._client.resume_reading()


class IncomingWeb(Incoming):
    """A browser's end: its request is passed on only when the guard admits it."""

    def __init__(self, port: int, admits: Callable[[int], bool], *, host: str = _LOOPBACK) -> None:
        super().__init__(port, admits, host=host)
        self._head = b""

    @override
    def _begin(self) -> None:
        """Wait for the request's head."""

    @override
    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            super().data_received(data)
            return
        self._head += data
        head, end, rest = self._head.partition(_END_OF_HEAD)
        if end:
            self._decide(admit(head + end), rest)
        elif len(self._head) > MAX_HEAD_BYTES:
            self._decide(Refusal("431 Request Header Fields Too Large", "Too long a request."), b"")

    def _decide(self, verdict: bytes | Refusal, rest: bytes) -> None:
        if isinstance(verdict, Refusal):
            self._client.pause_reading()
            self._client.write(verdict.response())
            self._client.close()
        else:
            self._connect(verdict + rest)
