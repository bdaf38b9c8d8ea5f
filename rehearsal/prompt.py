"""A request as the model sees it: one flat sequence of blocks, layer by layer.

Cache, signatures, limits, matching and the journal all use this form.
Cache markers are removed from the bytes, string content equals one text block,
and key order is preserved, because the real cache is exact to the byte.
"""

import base64
import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from rehearsal import tokens, wire
from rehearsal.models import Model
from rehearsal.wire import Json

THINKING: Final = ("thinking", "redacted_thinking")
_IMAGE_TOKENS: Final = 1_500


class Block(NamedTuple):
    """One block of a request.

    Attributes:
        layer: "tools", "system" or "messages".
        role: "user", "assistant" or "system"; "" outside of messages.
        kind: the block's ``type``; "tool" for a tool definition.
        data: length, role and canonical JSON without cache markers.
        ttl: "5m" or "1h" for a block with a cache marker, else None.
        path: its position, as the API's error messages name it.
        turn: index of its message; -1 outside of messages.
    """

    layer: str
    role: str
    kind: str
    data: bytes
    tokens: int
    ttl: str | None
    raw: Json
    path: str
    turn: int


@dataclasses.dataclass(frozen=True)
class Prompt:
    """The content of a valid request.

    Attributes:
        blocks: tools, then system, then messages.
        head: how many of them are before the messages.
        body: the request as parsed.
        betas: the beta features that it enables.
    """

    blocks: Sequence[Block]
    head: int
    body: Json
    model: Model
    betas: frozenset[str]

    @property
    def messages(self) -> list[Json]:
        """The messages as received."""
        messages: list[Json] = self.body["messages"]
        return messages

    @functools.cached_property
    def prefixes(self) -> list[str]:
        """The digest of all blocks before each block, and of all blocks."""
        running = hashlib.sha256()
        digests = [_short(running)]
        for block in self.blocks:
            running.update(block.data)
            digests.append(_short(running))
        return digests

    def turn(self) -> int:
        """Return how many finished replies the messages contain.

        Adjacent assistant messages are one reply (a paused one and its rest),
        and a reply at the very end is not finished.
        """
        roles = itertools.pairwise(message["role"] for message in self.messages)
        return sum(a == "assistant" and b != "assistant" for a, b in roles)

    def incoming(self) -> list[Block]:
        """Return the blocks after the assistant's last message."""
        last = max((i for i, m in enumerate(self.messages) if m["role"] == "assistant"), default=-1)
        return [block for block in self.blocks[self.head :] if block.turn > last]

    def results(self) -> list[list[Json]]:
        """Return the tool results of each turn, oldest turn first."""
        found: list[list[Json]] = []
        previous = ""
        for message in self.messages:
            if message["role"] != "assistant" and previous == "assistant":
                found.append([])
            previous = message["role"]
            if found and message["role"] == "user" and isinstance(message["content"], list):
                found[-1] += [b for b in message["content"] if b.get("type") == "tool_result"]
        return found

    @functools.cached_property
    def total_tokens(self) -> int:
        """The input tokens of the whole request."""
        return sum(block.tokens for block in self.blocks)


def text_of(content: object) -> str:
    """Return the text in a message's, a result's or the system's content."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(b["text"] for b in content if isinstance(b, dict) and "text" in b)


def plain_text(blocks: Sequence[Block]) -> str:
    """Return the text of some blocks, without tool output."""
    return "\n".join(block.raw["text"] for block in blocks if block.kind == "text")


def first_text(prompt: Prompt) -> str:
    """Return the text of the first message."""
    return text_of(prompt.messages[0]["content"])


def system_text(prompt: Prompt) -> str:
    """Return the text of the system prompt."""
    return text_of(prompt.body.get("system"))


def content_blocks(content: str | list[Json]) -> list[Json]:
    """Return content as blocks: a string is one text block."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def build(body: Json, model: Model, betas: frozenset[str]) -> Prompt:
    """Flatten a request whose structure is checked."""
    blocks = [
        _block("tools", "", tool, f"tools.{i}", -1, model)
        for i, tool in enumerate(body.get("tools") or ())
    ]
    blocks += [
        _block("system", "", raw, f"system.{i}", -1, model)
        for i, raw in enumerate(content_blocks(body.get("system") or []))
    ]
    head = len(blocks)
    for i, message in enumerate(body["messages"]):
        blocks += [
            _block("messages", message["role"], raw, f"messages.{i}.content.{j}", i, model)
            for j, raw in enumerate(content_blocks(message["content"]))
        ]
    return Prompt(_with_automatic_marker(blocks, body), head, body, model, betas)


def _block(layer: str, role: str, raw: Json, path: str, turn: int, model: Model) -> Block:
    kind = raw.get("type", "custom") if layer != "tools" else "tool"
    data = role.encode() + b"\0" + _bytes(raw, kind)
    size = tokens.of_block(len(data), older=model.older_tokenizer)
    if kind == "image":
        size = _IMAGE_TOKENS
    data = len(data).to_bytes(8, "big") + data
    return Block(layer, role, kind, data, size, ttl(raw), raw, path, turn)


def _bytes(raw: Json, kind: str) -> bytes:
    # The API ignores text that a client adds to an omitted thinking block:
    # only its signature counts.
    if kind == "thinking":
        return wire.canonical({"type": kind, "signature": raw.get("signature")})
    if "cache_control" in raw:
        raw = {key: value for key, value in raw.items() if key != "cache_control"}
    return wire.canonical(raw)


def ttl(raw: Json) -> str | None:
    """Return the time to live of the marker on a block, "5m" or "1h", or None."""
    marker = raw.get("cache_control")
    return str(marker.get("ttl") or "5m") if isinstance(marker, dict) else None


def cacheable(block: Block) -> bool:
    """Return whether a block may have a cache marker."""
    return block.kind not in THINKING and not (block.kind == "text" and not block.raw["text"])


def _with_automatic_marker(blocks: list[Block], body: Json) -> list[Block]:
    marker = ttl(body)
    if marker is None:
        return blocks
    last = max((i for i, block in enumerate(blocks) if cacheable(block)), default=None)
    if last is None:
        return blocks
    return [*blocks[:last], blocks[last]._replace(ttl=marker), *blocks[last + 1 :]]


def digest(blocks: Iterable[Block]) -> str:
    """Return the digest of a sequence of blocks."""
    return _short(hashlib.sha256(b"".join(block.data for block in blocks)))


def _short(running: "hashlib._Hash") -> str:
    return base64.b64encode(running.digest()[:12]).decode()


def thinking_type(body: Json, model: Model) -> str:
    """Return a request's type of thinking, by default the model's."""
    wanted: dict[str, Any] = body.get("thinking") or {}
    return str(wanted.get("type") or model.thinking_default)


def thinking_display(body: Json, model: Model) -> str | None:
    """Return how thinking is shown, "summarized" or "omitted"; None when it is off."""
    if thinking_type(body, model) not in {"adaptive", "enabled"}:
        return None
    return str((body.get("thinking") or {}).get("display") or model.display)
