"""What requests have cost, read from the journal of their turns without any contract's model.

`list` shows it and must answer at once; `infra.kept.spending` counts the same by task and role.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from domain import ids
from infra.kept.places import store_of
from infra.kept.turn_walk import new_commits
from infra.store import ObjectMissing, Store, StoreError

__all__ = ["StoreError", "costs_microusd"]


async def costs_microusd(stores: Path, request_key: str) -> int | None:
    """Return what a request has cost so far, in millionths of a US dollar.

    None while no store of this host has it. Tokens whose price is not known are not in it.

    Raises:
        StoreError: its store cannot be read.
    """
    folder = store_of(stores, request_key)
    if folder is None:
        return None
    async with await Store.open(folder) as store:
        try:
            return await _cost(store, request_key)
        except ObjectMissing as missing:
            raise StoreError(str(missing)) from missing


async def _cost(store: Store, request_key: str) -> int:
    ended = store.ref(ids.ended_ref(request_key))
    if ended is not None and store.ref(ids.open_ref(request_key)) is None:
        spent = json.loads(await store.get_blob(ended)).get("spent", ())
        return sum(each["cost_microusd"] for each in spent)
    agents = (await store.refs(ids.agent_refs(request_key))).values()
    return sum([await _of_agent(store, await _json(store, agent)) for agent in agents])


async def _of_agent(store: Store, agent: Mapping[str, Any]) -> int:
    conversation = agent["conversation"]
    continues = agent.get("continues")
    known = {continues["head"]} if continues else set()
    commits = await new_commits(store, conversation, known)
    turns = [turn for commit in commits if (turn := await _turn(store, commit))]
    lost = (await store.refs(ids.lost_call_refs(conversation))).values()
    calls = [await _json(store, each) for each in lost]
    parts = [*(turn["turn"] for turn in turns), *calls]
    return sum(part.get("cost_microusd", 0) for part in parts)


async def _turn(store: Store, commit: str) -> Any:
    """Return a turn's record; None of one that is damaged in the store."""
    try:
        return await _json(store, f"{commit}:turn.json")
    except (ObjectMissing, StoreError, ValueError):
        return None


async def _json(store: Store, name: str) -> Any:
    return json.loads(await store.get_blob(name))
