"""HTTP/1.1 on a stream: reads requests and executes the steps that send responses."""

import asyncio
import dataclasses
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rehearsal.delivery import DeliveryStep, Hangup, Wait
from rehearsal.wire import ApiError, bad_request

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
READ_LIMIT: Final = 4 * 1024 * 1024
"""Bytes buffered before the reader pauses the client."""

_POLL_SECONDS: Final = 0.05
"""How often a waiting server checks that its client is still connected."""


@dataclasses.dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        method: upper case.
        path: without the query.
        headers: by lower-case name; of equal names the last.
        body: transfer coding decoded.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


async def read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    """Read the next request of a connection; None when the client has disconnected.

    Raises:
        ApiError: 400 when it is not HTTP; 413 when the body is too large, which is not read.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, headers = _head(head)
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await _body(reader, headers)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except asyncio.LimitOverrunError as error:
        raise bad_request("the head is too long") from error
    return Request(method, path.partition("?")[0], headers, body)


def _head(head: bytes) -> tuple[str, str, dict[str, str]]:
    request_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    parts = request_line.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise bad_request(f"not a request line: {request_line[:100]!r}")
    pairs = (line.partition(":") for line in lines)
    return parts[0].upper(), parts[1], {k.strip().lower(): v.strip() for k, _, v in pairs}


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _chunks(reader)
    try:
        length = int(headers.get("content-length", "0"))
    except ValueError as error:
        raise bad_request("content-length is not a number") from error
    if length > MAX_BODY_BYTES:
        raise ApiError(413, "Request exceeds the maximum size")
    return await reader.readexactly(length) if length > 0 else b""


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError as error:
            raise bad_request("chunk size is not a number") from error
        if len(body) + size > MAX_BODY_BYTES:
            raise ApiError(413, "Request exceeds the maximum size")
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
    """Execute steps in order, and return whether the connection is still open.

    Adjacent writes are sent in one piece, after which `on_bytes` is called;
    `client_gone` is called during waits.
    """
    pending = bytearray()
    for step in steps:
        if isinstance(step, bytes):
            pending += step
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
