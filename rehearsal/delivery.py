"""How a response is sent: the steps on the socket, altered by a fault.

Pure functions from bytes to steps; `rehearsal.connection` executes the steps.
Steps without a wait between them are written at once.
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
"""Seconds for sent bytes to arrive before a reset discards what was not read."""


class Write(NamedTuple):
    """Send bytes."""

    data: bytes


class Wait(NamedTuple):
    """Send nothing for some seconds."""

    seconds: float


class Hangup(NamedTuple):
    """Close the connection, by a TCP reset if `reset`."""

    reset: bool = False


DeliveryStep = Write | Wait | Hangup


@dataclasses.dataclass(frozen=True)
class Response:
    """A response to send.

    Attributes:
        status: the HTTP status.
        headers: without framing.
        pieces: the events of a stream, or the parts of one body.
        streamed: whether each piece is sent as a chunk.
    """

    status: int
    headers: Mapping[str, str]
    pieces: Sequence[bytes]
    streamed: bool


@dataclasses.dataclass(frozen=True)
class DeliveryPlan:
    """Steps, and whether they send a complete response."""

    steps: Sequence[DeliveryStep]
    complete: bool


def plan(response: Response, fault: Fault | None, *, delay_seconds: float = 0.0) -> DeliveryPlan:
    """Return the steps that send a response, altered by a fault."""
    plan_steps = _streamed if response.streamed else _single
    delivery = plan_steps(response, fault)
    if delay_seconds <= 0:
        return delivery
    return dataclasses.replace(delivery, steps=[Wait(delay_seconds), *delivery.steps])


def _streamed(response: Response, fault: Fault | None) -> DeliveryPlan:
    head = Write(_head(response, {"transfer-encoding": "chunked"}))
    body = [Write(_chunk(piece)) for piece in response.pieces]
    end = Write(_END)
    if fault is None:
        return DeliveryPlan([head, *body, end], complete=True)
    match fault.kind:
        case "cut_clean":
            return DeliveryPlan([head, *body[: int(fault.number("after"))], end], complete=False)
        case "cut_close":
            closing = Write(_head(response, {"connection": "close"}))
            plain = [Write(piece) for piece in response.pieces[: int(fault.number("after"))]]
            return DeliveryPlan([closing, *plain, Hangup()], complete=False)
        case "error_event":
            broken = Write(_chunk(_error_event(fault, response.headers.get("request-id", ""))))
            return DeliveryPlan(
                [head, *body[: int(fault.number("after"))], broken, end], complete=False
            )
        case "pings_only":
            return DeliveryPlan([head, *_pings(fault), end], complete=False)
        case _:
            return _common(head, body, end, fault)


def _single(response: Response, fault: Fault | None) -> DeliveryPlan:
    size = sum(map(len, response.pieces))
    head = Write(_head(response, {"content-length": str(size)}))
    body = [Write(piece) for piece in response.pieces]
    if fault is None:
        return DeliveryPlan([head, *body], complete=True)
    match fault.kind:
        case "cut_clean":
            short = Write(_head(response, {"content-length": str(len(response.pieces[0]))}))
            return DeliveryPlan([short, body[0]], complete=False)
        case "cut_close":
            closing = Write(_head(response, {"connection": "close"}))
            return DeliveryPlan([closing, body[0], Hangup()], complete=False)
        case "pings_only":
            return DeliveryPlan([Wait(fault.number("seconds")), Hangup()], complete=False)
        case _:
            return _common(head, body, Write(b""), fault)


def _common(head: Write, body: list[Write], end: Write, fault: Fault) -> DeliveryPlan:
    """Apply a fault that is the same for streams and single bodies."""
    after = int(fault.values.get("after", 0))
    match fault.kind:
        case "no_response" | "lost_ack":
            return DeliveryPlan([Hangup()], complete=False)
        case "cut_chunked":
            return DeliveryPlan([head, *_first(body, after), Hangup()], complete=False)
        case "reset":
            sent: list[DeliveryStep] = (
                [head, *_first(body, after), Wait(_BEFORE_RESET)] if after else []
            )
            return DeliveryPlan([*sent, Hangup(reset=True)], complete=False)
        case "stall":
            wait = Wait(fault.number("seconds"))
            if not after:
                return DeliveryPlan([wait, head, *body, end], complete=True)
            return DeliveryPlan([head, *body[:after], wait, *body[after:], end], complete=True)
        case "slow":
            wait = Wait(fault.number("ms") / 1_000)
            spaced: list[DeliveryStep] = [step for piece in body for step in (wait, piece)]
            return DeliveryPlan([head, *spaced, end], complete=True)
        case _:
            return DeliveryPlan([head, *body, end], complete=True)


def _first(body: list[Write], after: int) -> list[Write]:
    """Return what is sent before a disconnect, at most all but the last piece."""
    return body[: min(after, len(body) - 1)]


def _pings(fault: Fault) -> list[DeliveryStep]:
    every = max(fault.number("every_ms"), 1.0) / 1_000
    count = max(int(fault.number("seconds") / every), 1)
    ping = Write(_chunk(wire.event({"type": "ping"})))
    return [step for _ in range(count) for step in (ping, Wait(every))]


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
