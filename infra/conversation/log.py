"""Conversation logs in the store: append-only, one commit a turn, byte-stable.

    root   config.json  agent.json  input.json  (handoff.json  ledger.json  note.json)
                                           what every request begins with, the agent's frozen
                                           configuration, the opening message; of a window after
                                           the first: from which it was handed over, and with what
    turn n turn.json  in.0 …  out.0 …      what was appended, what came, when, and its journal; the
                                           texts

`input` is a list of messages; a text that lives in an object of its own is written as
{"$blob": "<object id>"} and is filled in when the log is read; an entry of the commit's tree keeps
it alive: in.<n> the arguments of the reply's calls, out.<n> what the input refers to. The commit's
parent is the previous turn, so the head's id names the whole log.
"""

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from contracts.model import ModelCall, ModelTurn, ToolUse
from contracts.store import ConversationRef
from domain import ids
from domain.agent import caching
from domain.agent.configuration import AgentConfiguration
from infra.conversation.messages import Message, canonical, filled, replied
from infra.store import Batch, RefUpdate, Store, TreeEntry

REMEMBERED_WINDOWS = 64
HANDOFF_FILE, LEDGER_FILE, NOTE_FILE = "handoff.json", "ledger.json", "note.json"
"""In the root of a window after an agent's first one."""


@dataclass(frozen=True)
class LastCall:
    """The newest call of a window.

    Attributes:
        message: id of its reply; "" in logs from before 2026-12, as `began` is 0.
        fallback: whether the fallback model was asked.
        began: when its request was sent, seconds since the epoch.
        tokens: that the model read.
        held: what was not said yet, with links to its texts.
    """

    message: str = ""
    fallback: bool = False
    began: float = 0.0
    tokens: int = 0
    uses: tuple[ToolUse, ...] = ()
    held: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Window:
    """One context window as the API is sent it.

    Attributes:
        config: model, system, tools and what else must not change within the window.
        messages: oldest first, texts filled in, no cache markers.
        configuration: the agent's; None in logs from before 2026-12.
        last: None before the first turn.
        pauses: a turn before the last one paused for longer than the cache keeps its end.
    """

    config: dict[str, Any]
    messages: tuple[Message, ...]
    configuration: AgentConfiguration | None = None
    last: LastCall | None = None
    pauses: bool = False

    def pauses_long(self, now: float) -> bool:
        """Return whether a turn of it has paused for longer; `now`: the next call begins."""
        last = self.last
        if self.pauses or last is None:
            return self.pauses
        return caching.pauses_long(last.uses, now - last.began if last.began else 0.0)

    def followed(self, call: LastCall, *messages: Message) -> "Window":
        """Return the window after one more turn."""
        return replace(
            self,
            messages=(*self.messages, *messages),
            last=call,
            pauses=self.pauses_long(call.began),
        )


@dataclass(frozen=True)
class WindowRoot:
    """What a window after an agent's first one begins with.

    Attributes:
        head: of the window before it: the same handoff has the same.
        files: further entries of the root's tree, by name: what was handed over.
    """

    head: str
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class OpenedLog:
    """A log's root: its commit, the agent's configuration and the configuration's object id.

    The last two are None and "" in logs from before 2026-12.
    """

    head: str
    configuration: AgentConfiguration | None
    configuration_id: str


@dataclass(frozen=True)
class TurnContent:
    """What one turn adds to a window.

    Attributes:
        message: as it is journaled, its texts linked; None = nothing was said.
        sent: the same with its texts filled in.
        reply: the content that came.
        reply_id: as the service names it.
        began: when the request was sent, seconds since the epoch.
        held: what is said only with a later turn, its texts linked.
        links: further objects that the message refers to.
    """

    message: Message | None
    sent: tuple[Message, ...]
    reply: Sequence[dict[str, Any]]
    reply_id: str = ""
    began: float = 0.0
    held: Sequence[dict[str, Any]] = ()
    links: tuple[str, ...] = ()


def turn_key(call: ModelCall) -> str:
    """Return what makes this call the same call again after a lost acknowledgement."""
    parts = call.model_dump(mode="json", include={"answers", "message", "documents", "variant"})
    head = call.conversation.id + call.conversation.head
    return hashlib.sha256(head.encode() + canonical(parts)).hexdigest()


class ConversationLog:
    """Reads and appends logs; caches windows, so that a turn need not read its log again."""

    def __init__(self) -> None:
        self._windows: OrderedDict[str, Window] = OrderedDict()

    async def open(
        self,
        store: Store,
        conversation: str,
        *,
        configuration: AgentConfiguration,
        opening: Message,
        resumed: bool = False,
        window: WindowRoot | None = None,
    ) -> OpenedLog:
        """Write a log's root, or return the one that is there if it has the same opening.

        A repeated attempt, or one of a history older than the store, thus goes on with the
        configuration of the first, and finds the turns that follow it. `resumed`: whatever its
        opening is. A window that was handed over from the same turn is the same, too.
        """
        ref = ids.conversation_ref(conversation)
        tip = store.ref(ref)
        same = None if resumed or window else opening
        first = await _first(store, tip, same) if tip is not None else None
        if first is not None and (
            resumed or window is None or await came_from(store, first.head) == window.head
        ):
            return first
        batch = store.batch()
        agent = batch.blob(configuration.model_dump_json().encode())
        config = {"role": configuration.role, **configuration.request_fields()}
        files = {
            "config.json": batch.blob(canonical(config)),
            "agent.json": agent,
            "input.json": batch.blob(canonical([opening])),
            **{name: batch.blob(data) for name, data in (window.files if window else {}).items()},
        }
        head = batch.commit(_tree(batch, files), (), f"open {conversation}", when=0)
        await batch.write()
        if tip is None:
            await store.advance(ref, head, None)
        elif window is not None:
            await _put_aside(store, conversation, head, tip)
        return OpenedLog(head, configuration, agent)

    async def recorded(self, store: Store, call: ModelCall, key: str) -> ModelTurn | None:
        """Return the turn that this very call got before, None if it never got one.

        It is the log's last one after a lost acknowledgement. It is an older one, or in what was
        put aside, when the server's database is older than the store, as one from a backup is.
        Of a resumed request it is the log's next one, whatever else was told with it.
        """
        conversation = call.conversation
        tip = store.ref(ids.conversation_ref(conversation.id))
        if tip is None or tip == conversation.head:
            return None
        found = await _after(store, tip, conversation, key)
        asides = {} if found else await store.refs(ids.abandoned_refs(conversation.id))
        for aside in asides.values():
            found = found or await _after(store, aside, conversation, key)
        if found is None and call.resumed:
            return await _after(store, tip, conversation, None)
        return found

    async def window(self, store: Store, head: str) -> Window:
        """Return the window that ends at this commit, from memory when it is in hand."""
        known = self._windows.get(head)
        if known is not None:
            self._windows.move_to_end(head)
            return known
        root, *turns = reversed(await _chain(store, head))
        config = json.loads(await store.get_blob(f"{root}:config.json"))
        configuration, _ = await _configuration(store, root)
        opening = json.loads(await store.get_blob(f"{root}:input.json"))
        window = Window(config, tuple(await filled(store, opening)), configuration)
        for commit in turns:
            record = json.loads(await store.get_blob(f"{commit}:turn.json"))
            said = await filled(store, record["input"])
            window = window.followed(_last(record), *said, *replied(record["reply"]))
        return self._remember(head, window)

    async def append(
        self,
        store: Store,
        call: ModelCall,
        *,
        batch: Batch,
        window: Window,
        said: TurnContent,
        turn: ModelTurn,
    ) -> ModelTurn:
        """Journal a turn and move the log's ref to it; return the turn with its head.

        Everything is on disk before this returns, the arguments of the turn's tool calls too,
        which wait in the batch. A discarded reply is journaled as well, but the returned
        conversation stays at its parent.
        """
        record = {
            "key": turn_key(call),
            "at": round(time.time(), 3),
            "turn": turn.model_dump(mode="json"),
            "input": [said.message] if said.message else [],
            "reply": list(said.reply),
            "reply_id": said.reply_id,
            "began": round(said.began, 3),
            "fallback": call.fallback,
            "held": list(said.held),
        }
        if call.parts:
            record["parts"] = [list(part) for part in call.parts]
        written = canonical(record)
        files = {"turn.json": batch.blob(written), **_links(call, turn, said.links)}
        number = call.conversation.turns + 1
        head = batch.commit(
            _tree(batch, files), (call.conversation.head,), f"turn {number}", when=number
        )
        await batch.write()
        faster = await self.recorded(store, call, str(record["key"]))
        if faster is not None:
            return faster  # of another attempt, as when this process was stopped meanwhile
        await self._move(store, call.conversation, head)
        if not turn.discarded:
            # As it was written, so that memory and store can never differ.
            kept = json.loads(written)
            self._remember(head, window.followed(_last(kept), *said.sent, *replied(kept["reply"])))
        return _with_head(turn, call.conversation, head)

    async def _move(self, store: Store, conversation: ConversationRef, head: str) -> None:
        """Move the log's ref; an abandoned turn in its place is pinned aside."""
        ref = ids.conversation_ref(conversation.id)
        tip = store.ref(ref)
        if tip == head:
            return
        if tip is not None and tip != conversation.head:
            await _put_aside(store, conversation.id, head, tip)
        else:
            await store.update_refs(RefUpdate(ref, head, tip))

    def _remember(self, head: str, window: Window) -> Window:
        self._windows[head] = window
        if len(self._windows) > REMEMBERED_WINDOWS:
            self._windows.popitem(last=False)
        return window


async def _put_aside(store: Store, conversation: str, head: str, tip: str) -> None:
    """Move a log's ref; what stands in its place is pinned aside."""
    updates = [RefUpdate(ids.conversation_ref(conversation), head, tip)]
    aside = ids.abandoned_ref(conversation, tip)
    if store.ref(aside) is None:
        updates.append(RefUpdate(aside, tip, None))
    await store.update_refs(*updates)


async def came_from(store: Store, root: str) -> str:
    """Return the last turn of the window before the one with this root, "" of a first window."""
    entry = await store.entry_at(root, HANDOFF_FILE)
    return json.loads(await store.get_blob(entry.oid))["head"] if entry else ""


async def configuration(store: Store, head: str) -> AgentConfiguration | None:
    """Return the configuration that a log's agent began with; None in logs from before 2026-12."""
    found, _ = await _configuration(store, (await _chain(store, head))[-1])
    return found


async def pinned(store: Store, head: str) -> tuple[AgentConfiguration, str] | None:
    """Return the same with its object id; None in logs from before 2026-12."""
    found, oid = await _configuration(store, (await _chain(store, head))[-1])
    return (found, oid) if found else None


async def _chain(store: Store, head: str) -> list[str]:
    """Return the commits of a log, the newest first."""
    chain = [head]
    while parents := (await store.get_commit(chain[-1])).parents:
        chain.append(parents[0])
    return chain


async def _first(store: Store, tip: str, opening: Message | None) -> OpenedLog | None:
    """Return the root of a log that has this opening, or any; None when it has another."""
    head = (await _chain(store, tip))[-1]
    if opening is not None and await store.get_blob(f"{head}:input.json") != canonical([opening]):
        return None
    return OpenedLog(head, *await _configuration(store, head))


async def _configuration(store: Store, root: str) -> tuple[AgentConfiguration | None, str]:
    entry = await store.entry_at(root, "agent.json")
    if entry is None:
        return None, ""
    data = await store.get_blob(entry.oid)
    return AgentConfiguration.model_validate_json(data), entry.oid


async def _after(
    store: Store, tip: str, conversation: ConversationRef, key: str | None
) -> ModelTurn | None:
    """Return the turn that follows the conversation's head in a log, if it is this call's.

    Without a key it is, unless it was discarded.
    """
    following, parents = tip, (await store.get_commit(tip)).parents
    while parents and parents[0] != conversation.head:
        following, parents = parents[0], (await store.get_commit(parents[0])).parents
    if not parents:
        return None
    record = json.loads(await store.get_blob(f"{following}:turn.json"))
    turn = ModelTurn.model_validate(record["turn"])
    if turn.discarded if key is None else record["key"] != key:
        return None
    return _with_head(turn, conversation, following)


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


def _last(record: Mapping[str, Any]) -> LastCall:
    turn = ModelTurn.model_validate(record["turn"])
    return LastCall(
        message=record.get("reply_id", ""),
        fallback=record.get("fallback", False),
        began=record.get("began", 0.0),
        tokens=turn.usage.context_tokens,
        uses=turn.tool_uses,
        held=tuple(record.get("held", ())),
    )


def _tree(batch: Batch, files: Mapping[str, str]) -> str:
    return batch.tree(TreeEntry("100644", name, oid) for name, oid in files.items())


def _links(call: ModelCall, turn: ModelTurn, further: Sequence[str]) -> dict[str, str]:
    """Return a name for every object that the turn refers to, so that it stays alive."""
    given = [use.arguments for use in turn.tool_uses if use.arguments]
    linked = [answer.output for answer in call.answers if answer.output]
    linked += [*(oid for _, oid in call.documents), *further]
    return {
        **{f"in.{number}": oid for number, oid in enumerate(given)},
        **{f"out.{number}": oid for number, oid in enumerate(linked)},
    }
