"""The agents of a request and the turns of their conversations, as the store has them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.model import ModelTurn
from contracts.spending import AgentOpened
from contracts.store import ConversationRef
from domain import ids
from infra.kept.turn_walk import new_commits
from infra.store import ObjectMissing, Store, StoreError


@dataclass(frozen=True)
class TurnRecord:
    """One journaled turn.

    Attributes:
        commit: in the log, or pinned beside it.
        parent: the commit of the turn before it, or of the log's root.
        number: from 1; a reply that was discarded has the number of the one after it.
        at: seconds since the epoch; 0.0 in logs from before 2026-12.
        input: the messages that were appended, their texts linked.
        parts: of which texts the message is made: the kind and length of each.
        reply: the blocks that came.
        fallback: the agent's fallback model was asked.
        damage: what of it cannot be read, in words; then it has neither input nor reply.
    """

    commit: str
    parent: str
    number: int
    at: float
    turn: ModelTurn
    input: tuple[Mapping[str, Any], ...]
    reply: tuple[Mapping[str, Any], ...]
    fallback: bool = False
    damage: str = ""
    parts: tuple[tuple[str, int], ...] = ()


async def agents(store: Store, request_key: str) -> list[AgentOpened]:
    """Return the agents of a request in the order in which they began."""
    found = await store.refs(ids.agent_refs(request_key))
    opened = [AgentOpened.model_validate_json(await store.get_blob(oid)) for oid in found.values()]
    return sorted(opened, key=lambda each: each.opened)


async def turns_until(store: Store, head: str) -> tuple[str, list[TurnRecord]]:
    """Return the root of the window that ends at a commit, and its turns, the first one first."""
    turns, at = [], head
    while parents := (await store.get_commit(at)).parents:
        turns.append(await turn_at(store, "", at))
        at = parents[0]
    return at, turns[::-1]


async def new_turns(store: Store, conversation: str, known: set[str]) -> list[TurnRecord]:
    """Return the turns of a conversation that are not known yet, in order, and note them as known.

    Also those that were put aside: a reply that was discarded is paid for. One that is damaged in
    the store stands in its place, with what is damaged.
    """
    commits = await new_commits(store, conversation, known)
    turns = [await turn_at(store, conversation, commit) for commit in commits]
    return sorted(turns, key=lambda turn: (turn.number, turn.at))


async def turn_at(store: Store, conversation: str, commit: str) -> TurnRecord:
    """Return one turn of a conversation."""
    written = await store.get_commit(commit)
    try:
        record = json.loads(await store.get_blob(f"{commit}:turn.json"))
    except (ObjectMissing, StoreError, ValueError) as error:
        lost = ModelTurn(
            conversation=ConversationRef(id=conversation, head=commit), stop_reason="damaged"
        )
        record, turn, why = {"input": (), "reply": ()}, lost, str(error)
    else:
        turn, why = ModelTurn.model_validate(record["turn"]), ""
    return TurnRecord(
        commit=commit,
        parent=written.parents[0],
        number=written.author_seconds,
        at=record.get("at", 0.0),
        turn=turn,
        input=tuple(record["input"]),
        reply=tuple(record["reply"]),
        fallback=record.get("fallback", False),
        damage=why,
        parts=tuple((str(kind), int(length)) for kind, length in record.get("parts", ())),
    )
