"""The prompt cache: which input tokens a request reads, writes and pays for in full.

Entries are digests of exact prefixes. A prefix is read only through a marker,
which looks back at most twenty positions.
The caller passes the time, in seconds since the epoch.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rehearsal import prompt, wire
from rehearsal.prompt import Block, Prompt
from rehearsal.wire import Json

LOOK_BACK: Final = 20
"""Positions that a marker checks, its own included; a run of calls or of results is one."""

TTL_SECONDS: Final[Mapping[str, int]] = {"5m": 300, "1h": 3_600}
_LAYERS: Final[Mapping[str, int]] = {"tools": 0, "system": 1, "messages": 2}
_REMEMBERED: Final = 4_096


@dataclasses.dataclass(frozen=True)
class TokenSplit:
    """How a request's input tokens split; the four sum up to the whole input."""

    read: int
    written_1h: int
    written_5m: int
    fresh: int


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """What diagnostics compare a later request with."""

    model: str
    salts: tuple[bytes, ...]
    tools: str
    system: str
    blocks: int
    prefix: bytes
    tokens: int


@dataclasses.dataclass(frozen=True)
class CacheLookup:
    """What a request finds in the cache; nothing is stored before `Cache.commit`."""

    tokens: TokenSplit
    refreshed: Sequence[tuple[bytes, int]]
    fingerprint: Fingerprint
    digests: Sequence[bytes]


class Cache:
    """The entries of one workspace and the fingerprints of its recent replies."""

    def __init__(self) -> None:
        self._entries: dict[bytes, tuple[float, int]] = {}
        self._replies: dict[str, Fingerprint] = {}

    def look_up(self, request: Prompt, now: float) -> CacheLookup:
        """Look a request's prefixes up without changing the cache."""
        blocks = request.blocks
        salts = _salts(request)
        digests = _digests(request, salts)
        totals = list(itertools.accumulate(block.tokens for block in blocks))
        least = request.model.min_cacheable_tokens
        marks = [i for i, b in enumerate(blocks) if b.ttl and totals[i] >= least]
        hit = self._hit(blocks, digests, marks=marks, now=now)
        refreshed = [(digests[i], TTL_SECONDS[blocks[i].ttl or "5m"]) for i in marks]
        if hit is not None and hit not in marks:
            refreshed.append((digests[hit], TTL_SECONDS["5m"]))
        split = _split(blocks, totals, marks=marks, hit=hit)
        fingerprint = Fingerprint(
            request.model.id,
            salts,
            prompt.digest(block for block in blocks if block.layer == "tools"),
            prompt.digest(block for block in blocks if block.layer == "system"),
            len(blocks),
            digests[-1],
            totals[-1],
        )
        return CacheLookup(split, refreshed, fingerprint, digests)

    def _hit(
        self, blocks: Sequence[Block], digests: Sequence[bytes], *, marks: list[int], now: float
    ) -> int | None:
        for mark in reversed(marks):
            for i in _lookback(blocks, mark):
                if self._entries.get(digests[i], (0.0, 0))[0] > now:
                    return i
        return None

    def commit(self, lookup: CacheLookup, now: float, *, message_id: str) -> None:
        """Store the entries that a request wrote and refresh those it read.

        Called when the reply begins, with the time of the request.
        A live entry keeps its time to live, a new one gets its marker's.
        """
        for key, seconds in lookup.refreshed:
            expires, own = self._entries.get(key, (0.0, 0))
            lifetime = own if expires > now else seconds
            self._entries[key] = (now + lifetime, lifetime)
        self._replies[message_id] = lookup.fingerprint
        if len(self._replies) > _REMEMBERED:
            del self._replies[next(iter(self._replies))]

    def evict(self) -> None:
        """Remove every entry, as the API may at any time."""
        self._entries.clear()

    def diagnose(self, lookup: CacheLookup, previous: str | None) -> Json | None:
        """Return the reply's ``diagnostics``: where a request diverges from an earlier one.

        `previous` is the id of the reply to that one, None on a first turn.
        Returns None when nothing diverged.
        """
        if previous is None:
            return None
        old = self._replies.get(previous)
        if old is None:
            return {"cache_miss_reason": {"type": "previous_message_not_found"}}
        reason = _divergence(old, lookup)
        if reason is None:
            return None
        if reason == "unavailable":
            return {"cache_miss_reason": {"type": reason}}
        missed = max(old.tokens - lookup.tokens.read, 0)
        return {"cache_miss_reason": {"type": reason, "cache_missed_input_tokens": missed}}


def _lookback(blocks: Sequence[Block], mark: int) -> Iterator[int]:
    """Yield the positions that a marker checks, nearest first."""
    positions = 0
    previous = ""
    for i in range(mark, -1, -1):
        kind = blocks[i].kind
        if kind != previous or kind not in {"tool_use", "tool_result"}:
            positions += 1
        if positions > LOOK_BACK:
            return
        previous = kind
        yield i


def _split(
    blocks: Sequence[Block], totals: list[int], *, marks: list[int], hit: int | None
) -> TokenSplit:
    read = totals[hit] if hit is not None else 0
    for_an_hour = [totals[m] for m in marks if blocks[m].ttl == "1h"]
    hour = max([read, *for_an_hour])
    marked = max((totals[m] for m in marks), default=0)
    return TokenSplit(read, hour - read, max(marked - hour, 0), totals[-1] - max(read, marked))


def _digests(request: Prompt, salts: tuple[bytes, ...]) -> list[bytes]:
    """Return the running digest at each block; a layer's first block carries its salt."""
    running = hashlib.sha256()
    digests = []
    salted = 0
    for block in request.blocks:
        while salted <= _LAYERS[block.layer]:
            running.update(salts[salted])
            salted += 1
        running.update(block.data)
        digests.append(running.digest())
    return digests


def _salts(request: Prompt) -> tuple[bytes, ...]:
    """Return what each layer's entries depend on besides blocks, defaults resolved."""
    body = request.body
    output = body.get("output_config") or {}
    tools = [request.model.id]
    system = [body.get("speed") or "standard"]
    messages = [
        body.get("tool_choice") or {"type": "auto"},
        prompt.thinking_display(body, request.model),
        prompt.thinking_type(body, request.model),
        (body.get("thinking") or {}).get("budget_tokens"),
        output.get("effort") or request.model.effort_default,
        output.get("format"),
        output.get("task_budget"),
        any(block.kind == "image" for block in request.blocks),
    ]
    return tuple(wire.canonical(salt) for salt in (tools, system, messages))


def _divergence(old: Fingerprint, lookup: CacheLookup) -> str | None:
    new = lookup.fingerprint
    if old.model != new.model or old.salts[:2] != new.salts[:2]:
        return "model_changed"
    if old.system != new.system:
        return "system_changed"
    if old.tools != new.tools:
        return "tools_changed"
    if old.salts != new.salts:
        return "unavailable"
    unchanged = old.blocks <= new.blocks and lookup.digests[old.blocks - 1] == old.prefix
    return None if unchanged else "messages_changed"
