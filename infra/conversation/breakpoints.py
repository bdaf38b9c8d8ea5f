"""A request as it is sent: the window's fields, its messages, and the marks of the prompt cache.

Four of them: after tools and system, which all agents of a role share; after the opening; after the
last request's end; after this one's. The first two are kept for an hour. What follows is kept for
five minutes, or for an hour too where the conversation pauses for longer, as for a person.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from infra.conversation.messages import Message

_HOUR = {"type": "ephemeral", "ttl": "1h"}
_SHORT = {"type": "ephemeral"}
_UNMARKED = frozenset({"thinking", "redacted_thinking"})


def request(
    config: Mapping[str, Any],
    messages: Sequence[Message],
    *,
    max_tokens: int,
    model: str,
    long_tail: bool = False,
    previous: str | None = None,
) -> dict[str, Any]:
    """Return what is sent.

    Args:
        config: the window's.
        messages: the window's and what is said now, oldest first, without marks.
        max_tokens: of the reply.
        model: the one that is asked.
        long_tail: keep what follows the opening for an hour.
        previous: id of the reply before, to which this request's prefix is compared; None when
            there is none of this model.
    """
    marked = list(messages)
    tails = [place for place in range(1, len(marked)) if marked[place]["role"] == "user"]
    for place in tails[-2:]:
        marked[place] = _marked(marked[place], _HOUR if long_tail else _SHORT)
    marked[0] = _marked(messages[0], _HOUR)
    fields = {name: value for name, value in config.items() if name != "role"}
    fields["model"] = model
    fields["system"] = [{"type": "text", "text": config["system"], "cache_control": dict(_HOUR)}]
    return {
        **fields,
        "messages": marked,
        "max_tokens": max_tokens,
        "diagnostics": {"previous_message_id": previous},
    }


def _marked(message: Message, marker: Mapping[str, str]) -> Message:
    *before, tail = message["content"]
    if tail.get("type") in _UNMARKED:
        return message
    return {**message, "content": [*before, {**tail, "cache_control": dict(marker)}]}
