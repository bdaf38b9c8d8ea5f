"""The messages of a conversation: composed, kept with links to their texts, and filled in."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from contracts.model import ToolAnswer
from domain.agent.sections import document
from infra.store import Store

Message = dict[str, Any]
RECORDED = "Recorded."
INTERRUPTED = ToolAnswer(tool_use_id="", text="Interrupted, not executed.", is_error=True)
_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_NAME_CHARS = 64
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})


def canonical(value: object) -> bytes:
    """Return JSON bytes that are the same for the same value, key order kept."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def documents_linked(documents: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the blocks of documents, given by label and object id."""
    return [
        {"type": "text", "text": {"$blob": oid, "$label": label, "$marked": True}}
        for label, oid in documents
    ]


# ---- what is said in each turn


def compose(
    open_calls: Sequence[str],
    answers: Sequence[ToolAnswer],
    *,
    message: str | None,
    documents: Sequence[tuple[str, str]],
    held: Sequence[dict[str, Any]] = (),
) -> Message | None:
    """Return the user message of a call: every open call answered, results first, then texts.

    `held` was to be said before. None when there is nothing to say, as before the first turn and
    after a pause.
    """
    given = {answer.tool_use_id: answer for answer in answers}
    blocks = [_result(call, given.get(call)) for call in open_calls]
    blocks += held
    if message:
        blocks.append({"type": "text", "text": message})
    blocks += documents_linked(documents)
    return {"role": "user", "content": blocks} if blocks else None


def _result(call: str, answer: ToolAnswer | None) -> dict[str, Any]:
    text: object = answer.text if answer else RECORDED
    if answer and answer.output:
        text = {"$blob": answer.output}
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": call, "content": text}
    if answer and answer.is_error:
        block["is_error"] = True
    return block


def held_back(
    messages: Sequence[Message], message: Message | None
) -> tuple[Message | None, list[dict[str, Any]]]:
    """Return what is said after a reply, and the blocks that are said only after the next one.

    A reply that waits for a tool of the service's own takes results, and no word beside them.
    """
    last = messages[-1]["content"] if messages[-1]["role"] == "assistant" else []
    ended = {block.get("tool_use_id") for block in last}
    waits = any(_is_server_call(block) and block.get("id") not in ended for block in last)
    if message is None or not waits:
        return message, []
    results = [block for block in message["content"] if block["type"] == "tool_result"]
    rest = [block for block in message["content"] if block["type"] != "tool_result"]
    return ({"role": "user", "content": results} if results else None), rest


def _is_server_call(block: Mapping[str, Any]) -> bool:
    return block.get("type") == "server_tool_use"


def with_missing_answers(messages: Sequence[Message], message: Message | None) -> Message | None:
    """Return a message that also answers the last reply's calls that it leaves out.

    None when it leaves none out, so that nothing is mended by it.
    """
    said = list(message["content"]) if message else []
    given = {block.get("tool_use_id") for block in said}
    last = messages[-1] if messages and messages[-1]["role"] == "assistant" else None
    calls = [str(each["id"]) for each in last["content"] if is_call(each)] if last else []
    missing = [call for call in calls if call not in given]
    if not missing:
        return None
    answers = [_result(call, INTERRUPTED) for call in missing]
    return {"role": "user", "content": [*answers, *said]}


# ---- what came, as it is sent back


def kept(content: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return a reply's content in a form that the service takes back; `names` are its calls' ids.

    A call has its own id, an object as its input and a name of the letters that are allowed.
    """
    own = iter(names)
    return [_call(block, own) if is_call(block) else dict(block) for block in content]


def is_call(block: Mapping[str, Any]) -> bool:
    """Return whether a block of a reply is a tool call."""
    return block.get("type") == "tool_use"


def _call(block: Mapping[str, Any], names: Iterator[str]) -> dict[str, Any]:
    name = _NAME.sub("_", str(block.get("name", "")))[:_NAME_CHARS] or "unnamed"
    given = block.get("input")
    return {
        **block,
        "id": next(names),
        "name": name,
        "input": given if isinstance(given, dict) else {},
    }


def replied(content: Sequence[dict[str, Any]]) -> list[Message]:
    """Return the message of a reply, none when it says nothing: the service refuses empty ones."""
    blocks = [block for block in content if not _blank(block)]
    if all(block.get("type") in _THOUGHTS for block in blocks):
        return []
    return [{"role": "assistant", "content": blocks}]


def _blank(block: Mapping[str, Any]) -> bool:
    return block.get("type") == "text" and not str(block.get("text") or "").strip()


async def filled(store: Store, messages: Sequence[Message]) -> list[Message]:
    """Return messages with their linked texts filled in, as they are sent."""
    return [
        {**message, "content": [await _fill(store, block) for block in message["content"]]}
        for message in messages
    ]


def _unmarked(label: str, text: str) -> str:
    """Return a document as conversations have it that were written before 2026-12."""
    return f"<document name={json.dumps(label)}>\n{text}\n</document>"


async def _fill(store: Store, block: dict[str, Any]) -> dict[str, Any]:
    for field in ("text", "content"):
        link = block.get(field)
        if isinstance(link, dict) and "$blob" in link:
            text = (await store.get_blob(link["$blob"])).decode("utf-8", "replace")
            label = link.get("$label")
            if label:
                text = document(label, text) if link.get("$marked") else _unmarked(label, text)
            return {**block, field: text or "(no output)"}
    return block
