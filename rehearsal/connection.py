"""HTTP/1.1 on a stream: reads requests and executes the steps that send responses."""

import asyncio
import dataclasses
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rehearsal.delivery import DeliveryStep, Hangup, Wait, Write

READ_LIMIT: Final = 4 * 1024 * 1024
"""Bytes buffered before the reader pauses the client."""

_POLL_SECONDS: Final = 0.05
"""How often a waiting server checks that its client is still connected."""


class MalformedHttpError(Exception):
    """Bytes that are not an HTTP request."""


class TooLargeError(Exception):
    """A body above the limit, which is not read."""


@dataclasses.dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        method: upper case.
        path: without the query.
        headers: by lower-case name; of equal names the last.
        body: the bytes, transfer coding decoded.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def keep_alive(self) -> bool:
        """Whether the client keeps the connection open."""
        return self.headers.get("connection", "").lower() != "close"


async def read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, limit: int
) -> Request | None:
    """Read the next request of a connection; None when the client has disconnected.

    Raises:
        MalformedHttpError: not HTTP.
        TooLargeError: the body is longer than ``limit`` bytes.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, headers = _head(head)
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await _body(reader, headers, limit)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except asyncio.LimitOverrunError as error:
        raise MalformedHttpError("the head is too long") from error
    return Request(method, path.partition("?")[0], headers, body)


def _head(head: bytes) -> tuple[str, str, dict[str, str]]:
    request_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    parts = request_line.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise MalformedHttpError(f"not a request line: {request_line[:100]!r}")
    pairs = (line.partition(":") for line in lines)
    return parts[0].upper(), parts[1], {k.strip().lower(): v.strip() for k, _, v in pairs}


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str], limit: int) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _chunks(reader, limit)
    try:
        length = int(headers.get("content-length", "0"))
    except ValueError as error:
        raise MalformedHttpError("content-length is not a number") from error
    if length > limit:
        raise TooLargeError
    return await reader.readexactly(length) if length > 0 else b""


async def _chunks(reader: asyncio.StreamReader, limit: int) -> bytes:
    body = bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError as error:
            raise MalformedHttpError("chunk size is not a number") from error
        if len(body) + size > limit:
            raise TooLargeError
        body += (await reader.readexactly(size + 2))[:size]
        if size == 0:
            return bytes(body)


async def send_steps(
    writer: asyncio.StreamWriter,
    steps: Sequence[DeliveryStep],
    *,
    client_gone: Callable[[], bool],
    on_bytes: Callable[[], None],
) -> bool:
    """Execute steps in order; adjacent writes are sent in one piece.

    Args:
        writer: the connection.
        steps: the steps.
        client_gone: returns whether the client has disconnected; called during waits.
        on_bytes: called after every piece that was written.

    Returns:
        Whether the connection is still open.
    """
    pending = bytearray()
    for step in steps:
        if isinstance(step, Write):
            pending += step.data
            continue
        _flush(writer, pending, on_bytes)
        if isinstance(step, Hangup):
            _hang_up(writer, reset=step.reset)
            return False
        if not await _pause(writer, step, client_gone):
            return False
    _flush(writer, pending, on_bytes)
    return not writer.transport.is_closing()


def _flush(writer: asyncio.StreamWriter, pending: bytearray, on_bytes: Callable[[], None]) -> None:
    if pending and not writer.transport.is_closing():
        writer.write(bytes(pending))
        on_bytes()
    pending.clear()


async def _pause(writer: asyncio.StreamWriter, step: Wait, client_gone: Callable[[], bool]) -> bool:
    """Wait while the client is connected; return whether it still is."""
    await writer.drain()
    remaining = step.seconds
    while remaining > 0:
        if client_gone():
            return False
        await asyncio.sleep(min(remaining, _POLL_SECONDS))
        remaining -= _POLL_SECONDS
    return not client_gone()


def _hang_up(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if not reset:
        writer.close()
        return
    # A linger time of 0 makes the kernel send a reset instead of a FIN.
    client = writer.get_extra_info("socket")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
