"""Checks of a rehearsal journal, pure functions over its entries.

One proves, for instance, that no finished model call was repeated.
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from contracts.model import Usage
from domain.agent.models import cost_microusd, facts
from rehearsal.journal import Entry

_LAYERS: Final = ("tools", "system")


def repeated(entries: Iterable[Entry], *, same_bytes: bool = True) -> list[Entry]:
    """Return the model calls that were finished a second time, and so paid twice.

    Args:
        entries: in journal order.
        same_bytes: only calls with a request of the same bytes;
            otherwise every second finished call of a turn, which is stricter
            but includes deliberate repeats, such as one with larger max_tokens.
    """
    done: set[tuple[str, int, str]] = set()
    second = []
    for entry in entries:
        if not entry.finished or entry.kind != "messages" or entry.message_id is None:
            continue
        owner = (entry.agent or entry.conversation) if same_bytes else entry.conversation
        key = (owner, entry.turn, entry.digest if same_bytes else "")
        if key in done:
            second.append(entry)
        done.add(key)
    return second


def cost_usd(entries: Iterable[Entry]) -> float:
    """Return what the finished model calls cost by the service's own counts, each call once.

    A reply that was written whole just before its reader was killed is asked for again.
    """
    calls = {
        (entry.agent, entry.turn, entry.digest): entry
        for entry in entries
        if entry.finished and entry.billed and entry.usage
    }
    return sum(map(microusd, calls.values())) / 1e6


def microusd(entry: Entry) -> int:
    """Return what a call costs at today's prices."""
    used = entry.usage or {}
    usage = Usage(
        input_tokens=used["input_tokens"],
        cache_read_tokens=used["cache_read_input_tokens"],
        cache_write_tokens=used["cache_creation_input_tokens"],
        output_tokens=used["output_tokens"],
        cache_write_1h_tokens=used["cache_creation"]["ephemeral_1h_input_tokens"],
    )
    return cost_microusd(facts(entry.model or ""), usage)


def early_retries(entries: Iterable[Entry]) -> list[Entry]:
    """Return the retries sent before the retry-after of their turn was over."""
    early = []
    for calls in _conversations(entries).values():
        earliest: dict[int, float] = {}
        for entry in calls:
            if entry.time_received < earliest.get(entry.turn, 0.0):
                early.append(entry)
            if entry.retry_after_seconds is not None:
                earliest[entry.turn] = entry.time_done + entry.retry_after_seconds
    return early


def prefix_breaks(entries: Iterable[Entry]) -> list[tuple[Entry, Entry, str]]:
    """Return the pairs of successive requests where the later one rewrote the history.

    Within a conversation the blocks of each request, without cache markers,
    must be a prefix, to the byte, of the blocks of the next request.

    Args:
        entries: with bodies (``--journal-bodies``).

    Returns:
        Earlier entry, later entry, and where they first differ.

    Raises:
        ValueError: an entry has no body.
    """
    breaks = []
    for calls in _conversations(entries).values():
        for before, after in _successive(calls):
            where = _first_difference(_blocks(before), _blocks(after))
            if where is not None:
                breaks.append((before, after, where))
    return breaks


def changed_prefixes(entries: Iterable[Entry]) -> list[Entry]:
    """Return the requests whose prefix the service found changed since the one before.

    Needs no bodies: the product asks for the diagnosis with each request.
    """
    return [entry for entry in entries if (entry.cache_miss or "").endswith("_changed")]


def _conversations(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Return the model calls of each conversation, in the order they were received."""
    found: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda each: each.time_received):
        if entry.kind == "messages" and entry.conversation:
            found.setdefault(entry.conversation, []).append(entry)
    return found


def _successive(calls: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    billed = [entry for entry in calls if entry.billed]
    return [(a, b) for a, b in itertools.pairwise(billed) if b.turn >= a.turn]


def _first_difference(before: Sequence[str], after: Sequence[str]) -> str | None:
    """Return the first block of ``before`` that ``after`` does not repeat, or None."""
    for i, block in enumerate(before):
        if i >= len(after):
            return f"block {i} is gone: {block[:200]}"
        if after[i] != block:
            return f"block {i} was {block[:200]}, became {after[i][:200]}"
    return None


def _blocks(entry: Entry) -> list[str]:
    if entry.body is None:
        raise ValueError(f"request {entry.n} was recorded without its body")
    body = json.loads(entry.body)
    blocks = [
        f"{layer} {_stripped(item)}" for layer in _LAYERS for item in _listed(body.get(layer))
    ]
    for message in body["messages"]:
        blocks += [f"{message['role']} {_stripped(item)}" for item in _listed(message["content"])]
    return blocks


def _listed(content: str | list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def _stripped(block: dict[str, Any]) -> str:
    rest = {key: value for key, value in block.items() if key != "cache_control"}
    return json.dumps(rest, ensure_ascii=False, separators=(",", ":"))
