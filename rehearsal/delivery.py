"""How a response is sent: the steps on the socket, altered by a fault.

Pure functions from bytes to steps; `rehearsal.connection` executes the steps.
Steps without a wait between them are written at once.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from rehearsal import wire
from rehearsal.faults import Fault

_END: Final = b"0\r\n\r\n"
_REASONS: Final[Mapping[int, str]] = {200: "OK", 400: "Bad Request", 404: "Not Found"}
CUT_SHORT: Final = frozenset({"cut_clean", "error_event", "pings_only"})
"""Faults that leave a response incomplete without ending its connection."""
_BEFORE_RESET: Final = 0.05
"""Seconds for sent bytes to arrive before a reset discards what was not read."""


class Wait(NamedTuple):
    """Send nothing for some seconds."""

    seconds: float


class Hangup(NamedTuple):
    """Close the connection, by a TCP reset if `reset`."""

    reset: bool = False


DeliveryStep = bytes | Wait | Hangup
"""Bytes to send, a pause, or the end of the connection."""


@dataclasses.dataclass(frozen=True)
class Response:
    """A response to send.

    Attributes:
        headers: without framing.
        pieces: the events of a stream, or the parts of one body.
        streamed: whether each piece is sent as a chunk.
    """

    status: int
    headers: Mapping[str, str]
    pieces: Sequence[bytes]
    streamed: bool


def plan(
    response: Response, fault: Fault | None = None, *, delay_seconds: float = 0.0
) -> list[DeliveryStep]:
    """Return the steps that send a response, altered by a fault."""
    steps = (_streamed if response.streamed else _single)(response, fault)
    return [Wait(delay_seconds), *steps] if delay_seconds > 0 else steps


def _streamed(response: Response, fault: Fault | None) -> list[DeliveryStep]:
    head = _head(response, {"transfer-encoding": "chunked"})
    body = [_chunk(piece) for piece in response.pieces]
    if fault is None:
        return [head, *body, _END]
    match fault.kind:
        case "cut_clean":
            return [head, *body[: _after(fault)], _END]
        case "cut_close":
            closing = _head(response, {"connection": "close"})
            return [closing, *response.pieces[: _after(fault)], Hangup()]
        case "error_event":
            broken = _error_event(fault, response.headers.get("request-id", ""))
            return [head, *body[: _after(fault)], _chunk(broken), _END]
        case "pings_only":
            return [head, *_pings(fault), _END]
        case _:
            return _common(head, body, _END, fault)


def _single(response: Response, fault: Fault | None) -> list[DeliveryStep]:
    first = response.pieces[0]
    size = sum(map(len, response.pieces))
    head = _head(response, {"content-length": str(size)})
    if fault is None:
        return [head, *response.pieces]
    match fault.kind:
        case "cut_clean":
            return [_head(response, {"content-length": str(len(first))}), first]
        case "cut_close":
            return [_head(response, {"connection": "close"}), first, Hangup()]
        case "pings_only":
            return [Wait(fault.number("seconds")), Hangup()]
        case _:
            return _common(head, response.pieces, b"", fault)


def _common(head: bytes, body: Sequence[bytes], end: bytes, fault: Fault) -> list[DeliveryStep]:
    """Apply a fault that is the same for streams and single bodies."""
    after = _after(fault)
    # At most all but the last piece is sent before a disconnect.
    first = body[: min(after, len(body) - 1)]
    match fault.kind:
        case "no_response" | "lost_ack":
            return [Hangup()]
        case "cut_chunked":
            return [head, *first, Hangup()]
        case "reset" if after == 0:
            return [Hangup(reset=True)]
        case "reset":
            return [head, *first, Wait(_BEFORE_RESET), Hangup(reset=True)]
        case "stall" if after == 0:
            return [Wait(fault.number("seconds")), head, *body, end]
        case "stall":
            wait = Wait(fault.number("seconds"))
            return [head, *body[:after], wait, *body[after:], end]
        case "slow":
            wait = Wait(fault.number("ms") / 1_000)
            return [head, *(step for piece in body for step in (wait, piece)), end]
        case _:
            return [head, *body, end]


def _after(fault: Fault) -> int:
    return int(fault.values.get("after", 0))


def _pings(fault: Fault) -> list[DeliveryStep]:
    every = max(fault.number("every_ms"), 1.0) / 1_000
    count = max(int(fault.number("seconds") / every), 1)
    ping = _chunk(wire.event({"type": "ping"}))
    return [step for _ in range(count) for step in (ping, Wait(every))]


def _error_event(fault: Fault, request_id: str) -> bytes:
    if fault.text("raw"):
        return b"event: error\ndata: %b\n\n" % fault.text("raw").encode()
    return wire.event(wire.error_body(fault.error(200), request_id))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _head(response: Response, framing: Mapping[str, str]) -> bytes:
    reason = _REASONS.get(response.status, "Rehearsed")
    lines = [f"HTTP/1.1 {response.status} {reason}"]
    lines += [f"{key}: {value}" for key, value in {**response.headers, **framing}.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
