"""The messages of a conversation: composed, kept with links to their texts, and filled in."""

import json
from collections.abc import Sequence
from typing import Any

from contracts.model import ToolAnswer
from infra.store import Store

Message = dict[str, Any]
RECORDED = "Recorded."


def canonical(value: object) -> bytes:
    """Return JSON bytes that are the same for the same value, key order kept."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


# ---- the opening, made of facts and documents


def opening(facts: Sequence[tuple[str, str]], files: str) -> str:
    """Return the opening message's first text."""
    parts = [_section(label, text) for label, text in facts if text.strip()]
    return "\n\n".join([*parts, _section("Files of the repository", files)])


def _section(label: str, text: str) -> str:
    tag = json.dumps(label, ensure_ascii=False)
    return f"<section name={tag}>\n{text.strip()}\n</section>"


def documents_linked(documents: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the blocks of documents, given by label and object id."""
    return [
        {"type": "text", "text": {"$blob": document, "$label": label}}
        for label, document in documents
    ]


# ---- what is said in each turn


def compose(
    open_calls: Sequence[str],
    answers: Sequence[ToolAnswer],
    *,
    message: str | None,
    documents: Sequence[tuple[str, str]],
) -> Message | None:
    """Return the user message of a call: every open call answered, results first, then texts.

    None when there is nothing to say, as before the first turn and after a pause.
    """
    given = {answer.tool_use_id: answer for answer in answers}
    blocks = [_result(call, given.get(call)) for call in open_calls]
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


async def filled(store: Store, messages: Sequence[Message]) -> list[Message]:
    """Return messages with their linked texts filled in, as they are sent."""
    return [
        {**message, "content": [await _fill(store, block) for block in message["content"]]}
        for message in messages
    ]


async def _fill(store: Store, block: dict[str, Any]) -> dict[str, Any]:
    for field in ("text", "content"):
        link = block.get(field)
        if isinstance(link, dict) and "$blob" in link:
            text = (await store.get_blob(link["$blob"])).decode("utf-8", "replace")
            label = link.get("$label")
            whole = f"<document name={json.dumps(label)}>\n{text}\n</document>" if label else text
            return {**block, field: whole or "(no output)"}
    return block
