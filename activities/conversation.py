"""
Conversation logs in the store: append-only, one commit a turn, byte-stable.

    root   config.json  input.json                     the frozen configuration, the opening message
    turn n input.json   reply.json  turn.json  in/ out/  what was appended, what came, its journal

`input.json` is a list of messages; a text that lives in an object of its own stands there as
{"$blob": "<object id>"} and is filled in when the log is read. The commit's parent is the previous
turn, so the head's id names the whole log.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from activities.store import RefUpdate, Store, TreeEntry
from contracts.store import ConversationRef
from contracts.turn import ModelCall, ModelTurn, ToolAnswer
from domain import ids

Message = dict[str, Any]
RECORDED = "Recorded."


def canonical(value: object) -> bytes:
    """
    Return JSON bytes that are the same for the same value, key order kept.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


@dataclass(frozen=True)
class Window:
    """
    One context window as the API is sent it.

    Attributes:
        config: model, system, tools and whatever else must not change within the window.
        messages: oldest first, texts filled in, no cache markers.
    """

    config: dict[str, Any]
    messages: tuple[Message, ...]


def turn_key(call: ModelCall) -> str:
    """
    Return what makes this call the same call again after a lost acknowledgement.
    """
    parts = call.model_dump(mode="json", include={"answers", "message", "documents", "variant"})
    head = call.conversation.id + call.conversation.head
    return hashlib.sha256(head.encode() + canonical(parts)).hexdigest()


class ConversationLog:
    """
    Reads and appends logs; keeps the windows in hand so that a turn need not read its log again.
    """

    def __init__(self, remembered: int = 64) -> None:
        self._windows: OrderedDict[str, Window] = OrderedDict()
        self._remembered = remembered

    async def open(
        self, store: Store, conversation: str, *, config: dict[str, Any], opening: Message
    ) -> str:
        """
        Write a log's root; return its id. The same content opens the same log again.
        """
        blobs = await _entries(
            store, {"config.json": canonical(config), "input.json": canonical([opening])}
        )
        tree = await store.put_tree(blobs)
        head = await store.put_commit(tree, (), f"open {conversation}", when=0)
        ref = ids.conversation_ref(conversation)
        if await store.resolve(ref) is None:
            await store.advance(ref, head, None)
        return head

    async def recorded(self, store: Store, call: ModelCall, key: str) -> ModelTurn | None:
        """
        Return the turn that an earlier attempt of this very call journaled, None if none did.
        """
        tip = await store.resolve(ids.conversation_ref(call.conversation.id))
        if tip is None or tip == call.conversation.head:
            return None
        commit = await store.get_commit(tip)
        if commit.parents[:1] != (call.conversation.head,):
            return None
        turn = json.loads(await store.get_blob(f"{tip}:turn.json"))
        if turn["key"] != key:
            return None
        return _with_head(ModelTurn.model_validate(turn["turn"]), call.conversation, tip)

    async def window(self, store: Store, head: str) -> Window:
        """
        Return the window that ends at this commit, from memory when it is in hand.
        """
        known = self._windows.get(head)
        if known is not None:
            self._windows.move_to_end(head)
            return known
        chain = [head]
        while parents := (await store.get_commit(chain[-1])).parents:
            chain.append(parents[0])
        config = json.loads(await store.get_blob(f"{chain[-1]}:config.json"))
        messages: list[Message] = []
        for commit in reversed(chain):
            messages += await self._said(store, commit, root=commit == chain[-1])
        return self._remember(head, Window(config, tuple(messages)))

    async def append(
        self,
        store: Store,
        call: ModelCall,
        *,
        window: Window,
        message: Message | None,
        reply: Sequence[dict[str, Any]],
        turn: ModelTurn,
        kept: Sequence[tuple[str, bytes]],
    ) -> ModelTurn:
        """
        Journal a turn and move the log's ref to it; return the turn with its head.

        Everything is on disk before this returns. `kept` are the arguments of tool calls by their
        ids. A discarded reply is journaled too, but the returned conversation stays at its parent.
        """
        entries = {
            "input.json": canonical([message] if message else []),
            "reply.json": canonical(list(reply)),
            "turn.json": canonical({"key": turn_key(call), "turn": turn.model_dump(mode="json")}),
        }
        tree = await _entries(store, entries)
        tree += await _folder(store, "in", [(name, data) for name, data in kept])
        tree += await _links(store, "out", call)
        number = call.conversation.turns + 1
        head = await store.put_commit(
            await store.put_tree(sorted(tree, key=lambda entry: entry.name)),
            (call.conversation.head,),
            f"turn {number}",
            when=number,
        )
        await self._move(store, call.conversation, head)
        if not turn.discarded:
            said = await _filled(store, [message]) if message else []
            answer = {"role": "assistant", "content": list(reply)}
            self._remember(head, Window(window.config, (*window.messages, *said, answer)))
        return _with_head(turn, call.conversation, head)

    async def _move(self, store: Store, conversation: ConversationRef, head: str) -> None:
        """
        Move the log's ref; a turn that stands in the way is an abandoned one and is pinned aside.
        """
        ref = ids.conversation_ref(conversation.id)
        tip = await store.resolve(ref)
        if tip == head:
            return
        updates = [RefUpdate(ref, head, tip)]
        if tip is not None and tip != conversation.head:
            aside = ids.abandoned_ref(conversation.id, tip)
            if await store.resolve(aside) is None:
                updates.append(RefUpdate(aside, tip, None))
        await store.update_refs(*updates)

    async def filled(self, store: Store, messages: Sequence[Message]) -> list[Message]:
        """
        Return messages with their linked texts filled in, as they are sent.
        """
        return await _filled(store, messages)

    async def _said(self, store: Store, commit: str, *, root: bool) -> list[Message]:
        messages = await _filled(store, json.loads(await store.get_blob(f"{commit}:input.json")))
        if not root:
            content = json.loads(await store.get_blob(f"{commit}:reply.json"))
            messages.append({"role": "assistant", "content": content})
        return messages

    def _remember(self, head: str, window: Window) -> Window:
        self._windows[head] = window
        while len(self._windows) > self._remembered:
            self._windows.popitem(last=False)
        return window


def _with_head(turn: ModelTurn, conversation: ConversationRef, head: str) -> ModelTurn:
    if turn.discarded:
        return turn.model_copy(update={"conversation": conversation})
    after = conversation.model_copy(
        update={
            "head": head,
            "turns": conversation.turns + 1,
            "context_tokens": turn.usage.context_tokens + turn.usage.output_tokens,
            "open_calls": tuple(use.id for use in turn.tool_uses),
        }
    )
    return turn.model_copy(update={"conversation": after})


def compose(
    open_calls: Sequence[str],
    answers: Sequence[ToolAnswer],
    *,
    message: str | None,
    documents: Sequence[tuple[str, str]],
) -> Message | None:
    """
    Return the user message of a call: every open call answered, results first, then texts.

    None when there is nothing to say, as before the first turn and after a pause.
    """
    given = {answer.tool_use_id: answer for answer in answers}
    blocks = [_result(call, given.get(call)) for call in open_calls]
    if message:
        blocks.append({"type": "text", "text": message})
    for label, document in documents:
        blocks.append({"type": "text", "text": {"$blob": document, "$label": label}})
    return {"role": "user", "content": blocks} if blocks else None


def _result(call: str, answer: ToolAnswer | None) -> dict[str, Any]:
    text: object = answer.text if answer else RECORDED
    if answer and answer.output:
        text = {"$blob": answer.output}
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": call, "content": text}
    if answer and answer.is_error:
        block["is_error"] = True
    return block


async def _filled(store: Store, messages: Sequence[Message]) -> list[Message]:
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


async def _entries(store: Store, blobs: dict[str, bytes]) -> list[TreeEntry]:
    return [
        TreeEntry(mode="100644", name=name, oid=await store.put_blob(data))
        for name, data in sorted(blobs.items())
    ]


async def _folder(store: Store, name: str, blobs: Sequence[tuple[str, bytes]]) -> list[TreeEntry]:
    if not blobs:
        return []
    tree = await store.put_tree(await _entries(store, dict(blobs)))
    return [TreeEntry(mode="40000", name=name, oid=tree)]


async def _links(store: Store, name: str, call: ModelCall) -> list[TreeEntry]:
    """
    Return a folder that names every object which the input refers to, so that it stays alive.
    """
    linked = {answer.tool_use_id: answer.output for answer in call.answers if answer.output}
    linked |= {f"document-{i}": oid for i, (_, oid) in enumerate(call.documents)}
    if not linked:
        return []
    entries = [TreeEntry(mode="100644", name=key, oid=oid) for key, oid in sorted(linked.items())]
    return [TreeEntry(mode="40000", name=name, oid=await store.put_tree(entries))]
