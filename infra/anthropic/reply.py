"""A reply of the Messages API, put together from the events of its stream.

Total: of whatever comes it makes a reply, or says in a sentence what is wrong with it. It does not
know the connection or what a conversation does with the reply.
"""

import contextlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.model import ReplyOutcome, Usage
from domain.agent.conditions import DISCARDED, Came, Condition, of_reply
from infra.live.entries import Part

_MOST_TOKENS = 100_000_000
"""More than any service can mean: a count above it is cut to it."""
_MOST_CHANGES = 20
_CHARS_PER_TOKEN = 3
"""Fewer than a text has on average, so that an estimate is not too low."""
_TEXTS = {"text_delta": "text", "thinking_delta": "thinking"}
_PARTS = {"text_delta": Part.SAYS, "thinking_delta": Part.THINKS, "input_json_delta": Part.INPUT}
_COUNTS = {
    "input_tokens": "input_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_creation_input_tokens",
    "output_tokens": "output_tokens",
}


Hear = Callable[[Part, str], None]
"""Takes what came next of a reply."""


class MalformedReplyError(Exception):
    """What came is no reply; the text says why."""


@dataclass(frozen=True)
class ModelReply:
    """One complete reply.

    Attributes:
        content: the blocks exactly as they will be sent back.
        condition: the row of the table that holds for its stop reason, and its sentence in `told`.
        message_id: by which the next request names this one.
        cache_miss: why its prefix was not read from the cache, as the service says; "" when it
            says nothing of it.
        missed_tokens: that were read anew because of it.
        transformed: what the service changed in the conversation before the model read it.
    """

    content: list[dict[str, Any]]
    stop_reason: str
    model: str
    usage: Usage
    request_id: str
    condition: Condition
    told: str
    message_id: str = ""
    cache_miss: str = ""
    missed_tokens: int = 0
    transformed: tuple[str, ...] = ()

    @property
    def outcome(self) -> ReplyOutcome:
        """What is done about it."""
        answer = self.condition.answer
        return answer if isinstance(answer, ReplyOutcome) else ReplyOutcome.UNKNOWN

    @property
    def discarded(self) -> bool:
        """Whether nothing of it is run or sent back."""
        return self.outcome in DISCARDED


class ReplyBuilder:
    """Takes the events of one stream, in order.

    Args:
        request: by its length its tokens are estimated when the service does not count them.
        hear: gets each piece as it comes; what it raises is left aside.
        on_begin: called when the model begins.

    Attributes:
        began: a model is at work on the reply, so it may be paid for.
    """

    def __init__(
        self,
        request: Mapping[str, Any],
        hear: Hear | None = None,
        on_begin: Callable[[], None] = lambda: None,
    ) -> None:
        self._request = request
        self._hear = hear
        self._on_begin = on_begin
        self._received_chars = 0
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, str] = {}
        self._counts: dict[str, int] = {}
        self._written_1h = 0
        self._stopped = False
        self._stop_reason = self._model = self._detail = ""
        self._message_id = self._cache_miss = ""
        self._missed = 0
        self._transformed: tuple[str, ...] = ()
        self.began = False

    def add(self, event: object) -> None:
        """Take one event; an unknown one is left aside.

        Raises:
            MalformedReplyError: it does not fit those before it.
        """
        fields = _mapping(event)
        match fields.get("type"):
            case "message_start":
                self.began = True
                self._on_begin()
                self._begin(_mapping(fields.get("message")))
            case "content_block_start":
                self._begin_block(fields)
            case "content_block_delta":
                self._extend_block(fields)
            case "message_delta":
                delta = _mapping(fields.get("delta"))
                self._stop_reason = str(delta.get("stop_reason") or "")[:200]
                details = _mapping(delta.get("stop_details"))
                self._detail = str(details.get("category") or "")[:200]
                self._count(fields.get("usage"))
            case "message_stop":
                self._stopped = True

    def reply(self, request_id: str) -> ModelReply | None:
        """Return the reply, None when the stream ended before it did.

        Raises:
            MalformedReplyError: no model has answered, or a call's arguments cannot be read.
        """
        if not self.began:
            raise MalformedReplyError("what came is not a reply of the Messages API")
        if not self._stopped or not self._stop_reason:
            return None
        came = Came(stop_reason=self._stop_reason, says=self._detail or self._stop_reason)
        condition = of_reply(came)
        return ModelReply(
            content=[self._finished(place, condition) for place in sorted(self._blocks)],
            stop_reason=self._stop_reason,
            model=self._model,
            usage=self.usage(),
            request_id=request_id,
            condition=condition,
            told=condition.sentence(came),
            message_id=self._message_id,
            cache_miss=self._cache_miss,
            missed_tokens=self._missed,
            transformed=self._transformed,
        )

    def usage(self) -> Usage:
        """Return the tokens as the service counts them; estimated, not too low, where it does not.

        Without that a service that counts nothing would be outside of every budget.
        """
        counts = dict(self._counts)
        if not counts.keys() - {"output_tokens"}:
            counts["input_tokens"] = _estimate(len(str(self._request)))
        if not self._stopped or "output_tokens" not in counts:
            # Before its end a stream tells how much came only at the first token.
            seen = counts.get("output_tokens", 0)
            counts["output_tokens"] = max(seen, _estimate(self._received_chars))
        written_1h = min(self._written_1h, counts.get("cache_write_tokens", 0))
        return Usage(**counts, cache_write_1h_tokens=written_1h)

    def _begin(self, message: Mapping[str, Any]) -> None:
        self._model = _text(message.get("model"))[:200]
        self._message_id = _text(message.get("id"))[:200]
        self._count(message.get("usage"))
        diagnosis = _mapping(message.get("diagnostics"))
        reason = _mapping(diagnosis.get("cache_miss_reason"))
        self._cache_miss = _text(reason.get("type"))[:80]
        self._missed = _tokens(reason.get("cache_missed_input_tokens")) or 0
        changes = message.get("input_transformations")
        listed = [_mapping(each) for each in changes] if isinstance(changes, list) else []
        self._transformed = tuple(_change(each) for each in listed[:_MOST_CHANGES])

    def _begin_block(self, fields: Mapping[str, Any]) -> None:
        block = fields.get("content_block")
        if not isinstance(block, Mapping) or not isinstance(block.get("type"), str):
            raise MalformedReplyError("a block of the reply has no type")
        self._blocks[_place(fields)] = dict(block)
        if name := _text(block.get("name")):
            self._tell(Part.CALLS, name)

    def _extend_block(self, fields: Mapping[str, Any]) -> None:
        place, delta = _place(fields), _mapping(fields.get("delta"))
        block = self._blocks.get(place)
        if block is None:
            raise MalformedReplyError("a part belongs to a block that never began")
        kind = delta.get("type")
        if kind in _TEXTS:
            name = _TEXTS[str(kind)]
            block[name] = _text(block.get(name)) + self._received(kind, delta.get(name))
        elif kind == "input_json_delta":
            self._inputs[place] = self._inputs.get(place, "") + self._received(
                kind, delta.get("partial_json")
            )
        elif kind == "signature_delta":
            block["signature"] = _text(delta.get("signature"))
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta.get("citation")]

    def _received(self, kind: object, value: object) -> str:
        text = _text(value)
        self._received_chars += len(text)
        self._tell(_PARTS[str(kind)], text)
        return text

    def _tell(self, part: Part, text: str) -> None:
        if self._hear is not None and text:
            with contextlib.suppress(Exception):
                self._hear(part, text)

    def _count(self, usage: object) -> None:
        counted = _mapping(usage)
        for name, key in _COUNTS.items():
            if (tokens := _tokens(counted.get(key))) is not None:
                self._counts[name] = tokens
        hour = _mapping(counted.get("cache_creation")).get("ephemeral_1h_input_tokens")
        self._written_1h = _tokens(hour) or self._written_1h

    def _finished(self, place: int, condition: Condition) -> dict[str, Any]:
        block, text = self._blocks[place], self._inputs.get(place, "")
        if not text:
            return block
        try:
            value = json.loads(text, parse_constant=_refused)
            json.dumps(value, ensure_ascii=False).encode()  # half a character can be sent nowhere
        except (ValueError, RecursionError) as error:
            if condition.answer in DISCARDED:
                return {**block, "input": {}}  # nothing of it is run
            raise MalformedReplyError(f"a call's arguments are not JSON: {error}") from error
        return {**block, "input": value}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _change(change: Mapping[str, Any]) -> str:
    """Return what the service changed, in one line."""
    parts = (_text(change.get(name))[:80] for name in ("type", "path", "reason"))
    return " ".join(part for part in parts if part)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _place(fields: Mapping[str, Any]) -> int:
    place = fields.get("index")
    if isinstance(place, int):
        return place
    raise MalformedReplyError("a block of the reply has no number")


def _tokens(value: object) -> int | None:
    """Return a count within what is possible, None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return min(max(int(value), 0), _MOST_TOKENS)


def _estimate(chars: int) -> int:
    return -(-chars // _CHARS_PER_TOKEN)


def _refused(name: str) -> object:
    raise ValueError(f"{name} is not a JSON value")
