"""HTTP/1.1 on a stream: requests in, acts out. Knows nothing of messages."""

import asyncio
import dataclasses
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rehearsal.delivery import DeliveryStep, Hangup, Wait, Write

READ_LIMIT: Final = 4 * 1024 * 1024
"""Bytes buffered before the reader pauses the client."""


_LOOK_SECONDS: Final = 0.05
"""How often a waiting server looks whether its client is still there."""


class MalformedHttpError(Exception):
    """Bytes that are no HTTP request."""


class TooLargeError(Exception):
    """A body above the limit; it is not read."""


@dataclasses.dataclass(frozen=True)
class Request:
    """
    One request.

    Attributes:
        method: upper case.
        path: without the query.
        headers: by lower-case name, the last one wins.
        body: as sent, transfer coding undone.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def keep_alive(self) -> bool:
        """Whether the client will use the connection again."""
        return self.headers.get("connection", "").lower() != "close"


async def read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, limit: int
) -> Request | None:
    """
    Read the next request of a connection; None when the client is gone.

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
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise MalformedHttpError(f"not a request line: {first[:100]!r}")
    pairs = (line.partition(":") for line in lines)
    return parts[0].upper(), parts[1], {k.strip().lower(): v.strip() for k, _, v in pairs}


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str], limit: int) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _chunks(reader, limit)
    try:
        length = int(headers.get("content-length", "0"))
    except ValueError as error:
        raise MalformedHttpError("content-length is no number") from error
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
            raise MalformedHttpError("chunk size is no number") from error
        if len(body) + size > limit:
            raise TooLargeError
        body += (await reader.readexactly(size + 2))[:size]
        if size == 0:
            return bytes(body)


async def perform(
    writer: asyncio.StreamWriter,
    acts: Sequence[DeliveryStep],
    *,
    gone: Callable[[], bool],
    on_bytes: Callable[[], None],
) -> bool:
    """
    Do the acts in order; neighbouring writes leave in one piece.

    Args:
        writer: the connection.
        acts: what to do.
        gone: whether the client has left; asked while nothing is sent.
        on_bytes: called after every piece that was written.

    Returns:
        Whether the connection is still open.
    """
    waiting = bytearray()
    for act in acts:
        if isinstance(act, Write):
            waiting += act.data
            continue
        _flush(writer, waiting, on_bytes)
        if isinstance(act, Hangup):
            _hang_up(writer, reset=act.reset)
            return False
        if not await _pause(writer, act, gone):
            return False
    _flush(writer, waiting, on_bytes)
    return not writer.transport.is_closing()


def _flush(writer: asyncio.StreamWriter, waiting: bytearray, on_bytes: Callable[[], None]) -> None:
    if waiting and not writer.transport.is_closing():
        writer.write(bytes(waiting))
        on_bytes()
    waiting.clear()


async def _pause(writer: asyncio.StreamWriter, act: Wait, gone: Callable[[], bool]) -> bool:
    """Wait, but not for a client that has left; tell whether it is still there."""
    await writer.drain()
    left = act.seconds
    while left > 0:
        if gone():
            return False
        await asyncio.sleep(min(left, _LOOK_SECONDS))
        left -= _LOOK_SECONDS
    return not gone()


def _hang_up(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if not reset:
        writer.close()
        return
    # Lingering for no time at all makes the kernel send a reset instead of a farewell.
    connected = writer.get_extra_info("socket")
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
