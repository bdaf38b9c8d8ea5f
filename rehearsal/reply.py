"""A reply: the message, its usage, and the events that stream it."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from rehearsal import tokens, wire
from rehearsal.cache import TokenSplit
from rehearsal.faults import Fault
from rehearsal.wire import Json

EMPTY_TOKENS: Final = 2
"""The output tokens of an empty reply."""

_MAX_DELTAS: Final = 4
"""A block's content is streamed in at most this many pieces, the last one shorter."""

_MIN_DELTA_LENGTH: Final = 64

_CHANGES: Final[Mapping[str, Mapping[str, Any]]] = {
    "empty_end_turn": {"parts": [], "stop_reason": "end_turn"},
    "no_usage": {"counted": False},
    "unknown_event": {"unknown_event": True},
}


class ReplyPart(NamedTuple):
    """One content block of a reply.

    Attributes:
        block: the block; a tool call without its input.
        raw: a tool call's input as JSON text, complete or not; else None.
        hidden: thinking that is not shown but counts as output.
    """

    block: Json
    raw: str | None = None
    hidden: str = ""


@dataclasses.dataclass(frozen=True)
class GeneratedReply:
    """One finished message.

    Attributes:
        id: msg_….
        model: the name shown, "(rehearsed)" included.
        stop_details: a refusal's category and explanation.
        older: whether tokens are counted as by the models before 4.7.
        usage: fields of usage to overwrite.
        extras: top-level fields of the message: diagnostics, input_transformations.
        counted: whether the reply says its usage.
        unknown_event: whether an event that no client knows is sent too.
        iterations: whether usage lists its iterations, as it does on betas.
    """

    id: str
    model: str
    parts: Sequence[ReplyPart]
    stop_reason: str
    input: TokenSplit
    stop_sequence: str | None = None
    stop_details: Json | None = None
    older: bool = False
    usage: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    extras: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    counted: bool = True
    unknown_event: bool = False
    iterations: bool = False

    def output_tokens(self) -> int:
        """Return the output tokens, hidden thinking included; an empty reply counts two."""
        if not self.parts:
            return 0 if self.stop_reason in {"refusal", "max_tokens"} else EMPTY_TOKENS
        return sum(part_tokens(part, older=self.older) for part in self.parts)

    def thinking_tokens(self) -> int:
        """Return the output tokens of thinking."""
        thoughts = [part for part in self.parts if part.block["type"] == "thinking"]
        return sum(part_tokens(part, older=self.older) for part in thoughts)


def part_tokens(part: ReplyPart, *, older: bool) -> int:
    """Return the output tokens of one block."""
    text = part.raw or part.hidden or part.block.get("text") or part.block.get("thinking") or ""
    return tokens.of_block(len(text.encode("utf-8", "surrogatepass")), older=older)


def tool_part(name: str, value: Any, key: str) -> ReplyPart:
    """Return a part that is a tool call."""
    block = {"type": "tool_use", "id": key, "name": name, "input": {}}
    return ReplyPart(block | {"caller": {"type": "direct"}}, wire.canonical(value).decode())


# --- truncation and faults ------------------------------------------------------------------


def truncate(reply: GeneratedReply, budget: int, *, reason: str) -> GeneratedReply:
    """Truncate a reply to at most `budget` output tokens, and then set its stop reason."""
    parts: list[ReplyPart] = []
    for part in reply.parts:
        size = part_tokens(part, older=reply.older)
        if size > budget:
            share = max(budget - tokens.BLOCK_OVERHEAD, 0) / size
            parts += [_truncated_part(part, share)] if share > 0 else []
            return dataclasses.replace(reply, parts=parts, stop_reason=reason)
        budget -= size
        parts.append(part)
    return reply


def _truncated_part(part: ReplyPart, share: float) -> ReplyPart:
    if part.raw is not None:
        return part._replace(raw=part.raw[: int(len(part.raw) * share)])
    key = "text" if "text" in part.block else "thinking"
    text = part.block.get(key, "")
    cut = {**part.block, key: text[: max(int(len(text) * share), 1)]}
    return ReplyPart(cut) if key == "text" else part


def apply_fault(reply: GeneratedReply, fault: Fault, *, key: str) -> GeneratedReply:
    """Apply a fault that changes the message; `key` is the id of a block that it adds."""
    if fault.kind in _CHANGES:
        return dataclasses.replace(reply, **_CHANGES[fault.kind])
    change = _FAULTS.get(fault.kind)
    return change(reply, fault, key) if change else reply


def _paused(reply: GeneratedReply, _: Fault, key: str) -> GeneratedReply:
    thoughts = [part for part in reply.parts if part.block["type"] == "thinking"]
    parts = [*thoughts, _server_call(key)]
    return dataclasses.replace(reply, parts=parts, stop_reason="pause_turn")


def _compacted(reply: GeneratedReply, fault: Fault, _: str) -> GeneratedReply:
    summary = ReplyPart({"type": "compaction", "content": fault.values["content"]})
    return dataclasses.replace(reply, parts=[summary], stop_reason="compaction")


def _transformed(reply: GeneratedReply, fault: Fault, _: str) -> GeneratedReply:
    dropped = {
        "type": "thinking_dropped",
        "path": "messages.1.content.0",
        "reason": fault.text("reason"),
    }
    extras = {**reply.extras, "input_transformations": [dropped]}
    return dataclasses.replace(reply, extras=extras)


def _with_unknown_block(reply: GeneratedReply, _: Fault, key: str) -> GeneratedReply:
    note = "no client knows this"
    unknown = ReplyPart({"type": "rehearsed_block", "id": key, "note": note})
    return dataclasses.replace(reply, parts=[unknown, *reply.parts])


def _cut(reply: GeneratedReply, fault: Fault, _: str) -> GeneratedReply:
    cut = _with_truncated_call(reply, fault.number("keep"))
    return dataclasses.replace(cut, stop_reason=fault.text("stop"))


def _server_call(key: str) -> ReplyPart:
    return ReplyPart(
        {"type": "server_tool_use", "id": key, "name": "web_search", "input": {}},
        '{"query":"rehearsal"}',
    )


def _with_truncated_call(reply: GeneratedReply, keep: float) -> GeneratedReply:
    calls = [i for i, part in enumerate(reply.parts) if part.raw is not None]
    last = calls[-1] if calls else len(reply.parts) - 1
    parts = [*reply.parts[:last], *(_truncated_part(p, keep) for p in reply.parts[last : last + 1])]
    return dataclasses.replace(reply, parts=parts)


def _refused(reply: GeneratedReply, fault: Fault) -> GeneratedReply:
    details = {
        "type": "refusal",
        "category": fault.values["category"],
        "explanation": fault.text("explanation") or None,
    }
    text = [p for p in reply.parts if p.raw is None] if fault.values["mid"] else []
    parts = [*text[:-1], *(_truncated_part(part, 0.5) for part in text[-1:])]
    return dataclasses.replace(reply, parts=parts, stop_reason="refusal", stop_details=details)


def _with_input(reply: GeneratedReply, raw: str) -> GeneratedReply:
    """Return the reply with the same broken input in every tool call."""
    parts = [part if part.raw is None else part._replace(raw=raw) for part in reply.parts]
    return dataclasses.replace(reply, parts=parts)


def _with_broken_signature(part: ReplyPart) -> ReplyPart:
    if part.block["type"] != "thinking":
        return part
    return part._replace(block={**part.block, "signature": "cmVoZWFyc2Vk"})


_FAULTS: Final[Mapping[str, Callable[[GeneratedReply, Fault, str], GeneratedReply]]] = {
    "truncate_tool": _cut,
    "refuse": lambda reply, fault, _: _refused(reply, fault),
    "pause_turn": _paused,
    "stop": lambda reply, fault, _: dataclasses.replace(reply, stop_reason=fault.text("reason")),
    "compaction": _compacted,
    "server_tool": lambda reply, _, key: dataclasses.replace(
        reply, parts=[_server_call(key), *reply.parts]
    ),
    "transformed": _transformed,
    "bad_tool_json": lambda reply, _fault, _key: _with_input(reply, '{"path": nonsense}'),
    "surrogate": lambda reply, _fault, _key: _with_input(reply, '{"path": "half a pair: \\ud800"}'),
    "unknown_block": _with_unknown_block,
    "unseal": lambda reply, _fault, _key: dataclasses.replace(
        reply, parts=[_with_broken_signature(part) for part in reply.parts]
    ),
}
"""What each fault of the message makes of a reply; the key is the id of a block that it adds."""


# --- wire format ----------------------------------------------------------------------------


def final_usage(reply: GeneratedReply) -> Json:
    """Return the usage of the finished message, overwritten fields included."""
    return {**_usage(reply, reply.output_tokens()), **reply.usage}


def _usage(reply: GeneratedReply, output: int) -> Json:
    split = reply.input
    usage: Json = {
        "input_tokens": split.fresh,
        "cache_creation_input_tokens": split.written_5m + split.written_1h,
        "cache_read_input_tokens": split.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": split.written_5m,
            "ephemeral_1h_input_tokens": split.written_1h,
        },
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": min(reply.thinking_tokens(), output)},
        "service_tier": "standard",
    }
    if reply.iterations:
        keys = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        one = {"type": "message", **{key: usage[key] for key in keys}, "output_tokens": output}
        usage["iterations"] = [one]
    return usage


def message(reply: GeneratedReply) -> Json:
    """Return the message of a request without ``stream``."""
    return {
        "id": reply.id,
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": [_with_input_object(part) for part in reply.parts],
        "stop_reason": reply.stop_reason,
        "stop_sequence": reply.stop_sequence,
        "stop_details": reply.stop_details,
        "usage": final_usage(reply) if reply.counted else None,
        **reply.extras,
    }


def _with_input_object(part: ReplyPart) -> Json:
    if part.raw is None:
        return part.block
    try:
        value = json.loads(part.raw)
    except ValueError:
        value = {}
    return {**part.block, "input": value}


def events(reply: GeneratedReply) -> Iterator[Json]:
    """Yield the events that stream a reply, in the API's order."""
    yield {"type": "message_start", "message": _message_start(reply)}
    yield {"type": "ping"}
    if reply.unknown_event:
        yield {"type": "rehearsed_event", "note": "no client knows this"}
    for index, part in enumerate(reply.parts):
        yield {"type": "content_block_start", "index": index, "content_block": _block_start(part)}
        for delta in _deltas(part):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield _message_delta(reply)
    yield {"type": "message_stop"}


def _message_start(reply: GeneratedReply) -> Json:
    start: Json = {"content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None}
    usage = {**_usage(reply, 1), **reply.usage, "output_tokens": 1}
    usage.pop("output_tokens_details")
    usage.pop("iterations", None)
    return {**message(reply), **start, "usage": usage if reply.counted else None}


def _message_delta(reply: GeneratedReply) -> Json:
    usage = final_usage(reply)
    for key in ("cache_creation", "service_tier"):
        usage.pop(key, None)
    whole = message(reply)
    delta = {key: whole[key] for key in ("stop_reason", "stop_sequence", "stop_details")}
    counted = {"usage": usage} if reply.counted else {}
    return {"type": "message_delta", "delta": delta, **counted}


def _block_start(part: ReplyPart) -> Json:
    match part.block["type"]:
        case "text":
            return {"type": "text", "text": ""}
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case _:
            return part.block


def _deltas(part: ReplyPart) -> Iterator[Json]:
    match part.block["type"]:
        case "text":
            for piece in _pieces(part.block["text"]):
                yield {"type": "text_delta", "text": piece}
        case "thinking":
            for piece in _pieces(part.block["thinking"]):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": part.block["signature"]}
        case "tool_use" | "server_tool_use":
            yield {"type": "input_json_delta", "partial_json": ""}
            for piece in _pieces(part.raw or ""):
                yield {"type": "input_json_delta", "partial_json": piece}


def _pieces(text: str) -> list[str]:
    size = max(-(-len(text) // _MAX_DELTAS), _MIN_DELTA_LENGTH)
    return [text[i : i + size] for i in range(0, len(text), size)]
