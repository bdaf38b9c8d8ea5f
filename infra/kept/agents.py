"""The agents of a request and the turns of their conversations, as the store has them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.model import ModelTurn
from contracts.spending import AgentOpened
from domain import ids
from infra.kept.turn_walk import new_commits
from infra.store import Store


@dataclass(frozen=True)
class TurnRecord:
    """One journaled turn.

    Attributes:
        commit: in the log, or pinned beside it.
        number: from 1; a reply that was discarded has the number of the one after it.
        at: seconds since the epoch; 0.0 in logs from before 2026-12.
        input: the messages that were appended, their texts linked.
        reply: the blocks that came.
    """

    commit: str
    number: int
    at: float
    turn: ModelTurn
    input: tuple[Mapping[str, Any], ...]
    reply: tuple[Mapping[str, Any], ...]


async def agents(store: Store, request_key: str) -> list[AgentOpened]:
    """Return the agents of a request in the order in which they began."""
    found = await store.refs(ids.agent_refs(request_key))
    opened = [AgentOpened.model_validate_json(await store.get_blob(oid)) for oid in found.values()]
    return sorted(opened, key=lambda each: each.opened)


async def new_turns(store: Store, conversation: str, known: set[str]) -> list[TurnRecord]:
    """Return the turns of a conversation that are not known yet, in order, and note them as known.

    Also those that were put aside: a reply that was discarded is paid for.
    """
    commits = await new_commits(store, conversation, known)
    turns = [await _turn(store, commit) for commit in commits]
    return sorted(turns, key=lambda turn: (turn.number, turn.at))


async def _turn(store: Store, commit: str) -> TurnRecord:
    record = json.loads(await store.get_blob(f"{commit}:turn.json"))
    return TurnRecord(
        commit=commit,
        number=(await store.get_commit(commit)).author_seconds,
        at=record.get("at", 0.0),
        turn=ModelTurn.model_validate(record["turn"]),
        input=tuple(record["input"]),
        reply=tuple(record["reply"]),
    )
