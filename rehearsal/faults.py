"""Faults: their kinds and parameters, and which attempt gets which.

A fault is data; `rehearsal.reply` alters the message and `rehearsal.delivery` the bytes.
A turn lists its faults in order, each for a number of attempts,
so a client that retries gets the next fault and finally the real reply.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rehearsal.wire import ApiError

KINDS: Final[Mapping[str, Mapping[str, Any]]] = {
    # instead of a reply
    "status": {
        "code": 500,
        "headers": {},
        "type": "",
        "message": "rehearsed failure",
        "error_code": "",
        "body": "",
    },
    "html_200": {},
    "json_200": {},
    # the message is altered
    "truncate_tool": {"keep": 0.5, "stop": "max_tokens"},
    "refuse": {"category": "cyber", "explanation": "", "mid": False},
    "pause_turn": {},
    "stop": {"reason": "rehearsed_stop"},
    "compaction": {"content": "A summary."},
    "server_tool": {},
    "transformed": {"reason": "prefix_binding_mismatch"},
    "empty_end_turn": {},
    "bad_tool_json": {},
    "surrogate": {},
    "no_usage": {},
    "unknown_event": {},
    "unknown_block": {},
    "unseal": {},
    # the bytes are altered
    "error_event": {
        "after": 4,
        "type": "overloaded_error",
        "message": "Overloaded",
        "error_code": "",
        "raw": "",
    },
    "cut_chunked": {"after": 4},
    "cut_clean": {"after": 4},
    "cut_close": {"after": 4},
    "reset": {"after": 4},
    "no_response": {},
    "lost_ack": {},
    "stall": {"after": 4, "seconds": 1.0},
    "pings_only": {"seconds": 1.0, "every_ms": 100.0},
    "slow": {"ms": 50.0},
    # the cache is altered
    "evict": {},
}
"""Every kind with its parameters and their defaults."""

NO_MODEL_RUNS: Final = frozenset({"status", "html_200", "json_200", "no_response"})
"""Kinds with which no model runs: nothing is cached and nothing is billed."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        kind: a key of `KINDS`.
        times: the number of attempts, at least 1.
        values: every parameter of the kind, defaults filled in.
    """

    kind: str
    times: int
    values: Mapping[str, Any]

    @classmethod
    def read(cls, kind: str, times: int, values: Mapping[str, Any]) -> "Fault":
        """Fill in a kind's defaults.

        Raises:
            ValueError: the kind, a parameter or a parameter's type is unknown.
        """
        defaults = KINDS.get(kind)
        if defaults is None:
            raise ValueError(f"unknown kind {kind!r}; known: {', '.join(KINDS)}")
        if times < 1:
            raise ValueError("times must be at least 1")
        for key, value in values.items():
            _check(kind, key, value=value)
        return cls(kind, times, {**defaults, **values})

    def error(self, status: int) -> ApiError:
        """Return the API's error with the fault's message, type, code and headers."""
        return ApiError(
            status,
            self.text("message"),
            kind=self.text("type") or None,
            code=self.text("error_code") or None,
            headers={str(k): str(v) for k, v in self.values.get("headers", {}).items()},
        )

    def number(self, key: str) -> float:
        """Return a parameter that is a number."""
        return float(self.values[key])

    def text(self, key: str) -> str:
        """Return a parameter that is a text; "" for null."""
        return str(self.values[key] or "")


def _check(kind: str, key: str, *, value: object) -> None:
    defaults = KINDS[kind]
    if key not in defaults:
        raise ValueError(f"{kind} has no {key!r}; it takes {sorted(defaults)}")
    wanted = type(defaults[key])
    if value is None and wanted is str:
        return
    matches = int | float if wanted in {int, float} else wanted
    if not isinstance(value, matches) or (isinstance(value, bool) and wanted is not bool):
        raise ValueError(f"{kind}.{key} must be of type {wanted.__name__}")


def random_fault(faults: Sequence[Fault], rate: float, *, key: str, attempt: int) -> Fault | None:
    """Return a random fault, always the same for the same key; a share (`rate`) of keys has one.

    Attempts are counted from 1; a fault lasts for its number of attempts.
    """
    chance = hashlib.sha256(key.encode()).digest()
    if int.from_bytes(chance[:4], "big") >= rate * 2**32:
        return None
    return fault_for_attempt([faults[chance[4] % len(faults)]], attempt)


def fault_for_attempt(faults: Sequence[Fault], attempt: int) -> Fault | None:
    """Return the fault of an attempt, counted from 1; None after the last fault."""
    for fault in faults:
        if attempt <= fault.times:
            return fault
        attempt -= fault.times
    return None
