"""
How a response leaves: the acts on the socket, and the faults that bend them.

Pure: bytes in, acts out; `rehearsal.connection` performs them.
Acts that follow each other without a wait are written at once.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from rehearsal import wire
from rehearsal.faults import Fault
from rehearsal.wire import ApiError

_END: Final = b"0\r\n\r\n"
_REASONS: Final[Mapping[int, str]] = {200: "OK", 400: "Bad Request", 404: "Not Found"}
_BEFORE_RESET: Final = 0.05
"""Seconds that sent bytes get to arrive before a reset destroys what was not read."""


class Write(NamedTuple):
    """Send bytes."""

    data: bytes


class Wait(NamedTuple):
    """Send nothing for a while."""

    seconds: float


class Hangup(NamedTuple):
    """Close the connection, by a reset instead of a farewell if asked."""

    reset: bool = False


DeliveryStep = Write | Wait | Hangup


@dataclasses.dataclass(frozen=True)
class Response:
    """
    What is to be sent.

    Attributes:
        status: the HTTP status.
        headers: without framing.
        pieces: the events of a stream, or the parts of one body.
        streamed: chunked framing, one chunk per piece.
    """

    status: int
    headers: Mapping[str, str]
    pieces: Sequence[bytes]
    streamed: bool


@dataclasses.dataclass(frozen=True)
class Delivery:
    """Acts, and whether the client has a whole response when all are done."""

    acts: Sequence[DeliveryStep]
    whole: bool


def plan(response: Response, fault: Fault | None, *, delay_seconds: float = 0.0) -> Delivery:
    """Return the acts that deliver a response, bent by a fault."""
    deliver = _streamed if response.streamed else _single
    delivery = deliver(response, fault)
    if delay_seconds <= 0:
        return delivery
    return dataclasses.replace(delivery, acts=[Wait(delay_seconds), *delivery.acts])


def _streamed(response: Response, fault: Fault | None) -> Delivery:
    head = Write(_head(response, {"transfer-encoding": "chunked"}))
    body = [Write(_chunk(piece)) for piece in response.pieces]
    end = Write(_END)
    if fault is None:
        return Delivery([head, *body, end], whole=True)
    match fault.kind:
        case "cut_clean":
            return Delivery([head, *body[: int(fault.number("after"))], end], whole=False)
        case "cut_close":
            closing = Write(_head(response, {"connection": "close"}))
            plain = [Write(piece) for piece in response.pieces[: int(fault.number("after"))]]
            return Delivery([closing, *plain, Hangup()], whole=False)
        case "error_event":
            broken = Write(_chunk(_error_event(fault, response.headers.get("request-id", ""))))
            return Delivery([head, *body[: int(fault.number("after"))], broken, end], whole=False)
        case "pings_only":
            return Delivery([head, *_pings(fault), end], whole=False)
        case _:
            return _common(head, body, end, fault)


def _single(response: Response, fault: Fault | None) -> Delivery:
    size = sum(map(len, response.pieces))
    head = Write(_head(response, {"content-length": str(size)}))
    body = [Write(piece) for piece in response.pieces]
    if fault is None:
        return Delivery([head, *body], whole=True)
    match fault.kind:
        case "cut_clean":
            short = Write(_head(response, {"content-length": str(len(response.pieces[0]))}))
            return Delivery([short, body[0]], whole=False)
        case "cut_close":
            closing = Write(_head(response, {"connection": "close"}))
            return Delivery([closing, body[0], Hangup()], whole=False)
        case "pings_only":
            return Delivery([Wait(fault.number("seconds")), Hangup()], whole=False)
        case _:
            return _common(head, body, Write(b""), fault)


def _common(head: Write, body: list[Write], end: Write, fault: Fault) -> Delivery:
    """Bend what streams and single bodies have in common."""
    after = int(fault.values.get("after", 0))
    match fault.kind:
        case "no_response" | "lost_ack":
            return Delivery([Hangup()], whole=False)
        case "cut_chunked":
            return Delivery([head, *_first(body, after), Hangup()], whole=False)
        case "reset":
            sent: list[DeliveryStep] = (
                [head, *_first(body, after), Wait(_BEFORE_RESET)] if after else []
            )
            return Delivery([*sent, Hangup(reset=True)], whole=False)
        case "stall":
            wait = Wait(fault.number("seconds"))
            if not after:
                return Delivery([wait, head, *body, end], whole=True)
            return Delivery([head, *body[:after], wait, *body[after:], end], whole=True)
        case "slow":
            wait = Wait(fault.number("ms") / 1_000)
            spaced: list[DeliveryStep] = [act for one in body for act in (wait, one)]
            return Delivery([head, *spaced, end], whole=True)
        case _:
            return Delivery([head, *body, end], whole=True)


def _first(body: list[Write], after: int) -> list[Write]:
    """Return what is sent before a cut, which never is the whole body."""
    return body[: min(after, len(body) - 1)]


def _pings(fault: Fault) -> list[DeliveryStep]:
    every = max(fault.number("every_ms"), 1.0) / 1_000
    count = max(int(fault.number("seconds") / every), 1)
    ping = Write(_chunk(wire.event({"type": "ping"})))
    return [act for _ in range(count) for act in (ping, Wait(every))]


def _error_event(fault: Fault, request_id: str) -> bytes:
    if fault.text("raw"):
        return b"event: error\ndata: %b\n\n" % fault.text("raw").encode()
    code = fault.text("error_code") or None
    error = ApiError(200, fault.text("message"), kind=fault.text("type"), code=code)
    return wire.event(wire.error_body(error, request_id))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _head(response: Response, framing: Mapping[str, str]) -> bytes:
    reason = _REASONS.get(response.status, "Rehearsed")
    lines = [f"HTTP/1.1 {response.status} {reason}"]
    lines += [f"{key}: {value}" for key, value in {**response.headers, **framing}.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
