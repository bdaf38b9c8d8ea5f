"""Results too long for a window: shortened once, when appended, with a handle to the whole.

What is shortened is written as an object of its own, so that the window stays the same to the byte
whatever the limits are later; the whole stays beside it, for the agent to read by its handle.
"""

from dataclasses import replace

from domain.handoff.facts import shortened as shortened_text
from domain.handoff.handles import Handle
from infra.conversation.messages import Message
from infra.store import Store

RESULT_CHARS = 50_000
"""Of one result, about 14,000 tokens."""
ALL_CHARS = 150_000
"""Of the results of one reply together."""
_FEWEST_CHARS = 4_000
_MARK = "\n[… {{cut}} characters are left out here; history_read {at} shows them]\n"


async def shortened(
    store: Store, message: Message | None, *, turn: Handle
) -> tuple[Message | None, tuple[str, ...]]:
    """Return a message with its long results shortened, and the objects that it then refers to.

    `turn` is the one whose calls the results answer.
    """
    if message is None:
        return None, ()
    blocks, links, left, number = [], [], ALL_CHARS, 0
    for block in message["content"]:
        number += block.get("type") == "tool_result"
        link = block.get("content")
        if not isinstance(link, dict):
            blocks.append(block)
            continue
        text = (await store.get_blob(link["$blob"])).decode("utf-8", "replace")
        most = max(min(RESULT_CHARS, left), _FEWEST_CHARS)
        if len(text) > most:
            mark = _MARK.format(at=replace(turn, result=number))
            short = await store.put_blob(shortened_text(text, most, mark).encode())
            links.append(short)
            block = {**block, "content": {"$blob": short, "$whole": link["$blob"]}}  # noqa: PLW2901
        left -= min(len(text), most)
        blocks.append(block)
    return {**message, "content": blocks}, tuple(links)
