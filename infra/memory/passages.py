"""The turns of past conversations as texts to be searched: what was told, said, called and given.

Thoughts are left out. Long texts are cut: what a search has to find stands at their beginning.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from contracts.spending import AgentOpened
from infra.conversation.messages import filled, is_call
from infra.kept.agents import TurnRecord, new_turns
from infra.store import Store

_TOLD_CHARS: Final = 4_000
_OUTPUT_CHARS: Final = 1_500
_CALL_CHARS: Final = 600
_ENVIRONMENT: Final = 'name="Environment">'
_OPEN: Final = re.compile(r'<(?:section|document)-[0-9a-f]{12} name="([^"\n]*)">\n?')
_CLOSE: Final = re.compile(r"\n?</(?:section|document)-[0-9a-f]{12}>|<section-[0-9a-f]{12} $")


@dataclass(frozen=True, slots=True)
class Passage:
    """The text of one turn.

    Attributes:
        commit: of the turn.
        turn: its number, 0 for the opening.
        at: seconds since 1970.
    """

    commit: str
    turn: int
    at: float
    text: str


async def new_passages(store: Store, agent: AgentOpened, known: set[str]) -> list[Passage]:
    """Return the passages of a conversation whose commits are not known; the opening with them."""
    begun = bool(known)
    turns = await new_turns(store, agent.conversation, set(known))
    found = [await _passage(store, turn, agent.opened) for turn in turns]
    if turns and not begun:
        found.insert(0, await _opening(store, turns[0].commit, agent.opened))
    return found


async def _opening(store: Store, commit: str, at: float) -> Passage:
    root = commit
    while parents := (await store.get_commit(root)).parents:
        root = parents[0]
    (message, *_) = json.loads(await store.get_blob(f"{root}:input.json"))
    # Its facts; what follows, environment and files, is told to every agent.
    facts = str(message["content"][0].get("text", "")).partition(_ENVIRONMENT)[0]
    return Passage(root, 0, at, _plain(facts)[:_TOLD_CHARS])


async def _passage(store: Store, turn: TurnRecord, opened: float) -> Passage:
    messages = await filled(store, [dict(each) for each in turn.input])
    told = (_told(block) for message in messages for block in message["content"])
    said = (_said(block) for block in turn.reply)
    return Passage(turn.commit, turn.number, turn.at or opened, _joined([*told, *said]))


def _told(block: Mapping[str, Any]) -> str:
    if block.get("type") == "tool_result":
        return str(block.get("content", ""))[:_OUTPUT_CHARS]
    return _plain(str(block.get("text", "")))[:_TOLD_CHARS]


def _said(block: Mapping[str, Any]) -> str:
    if is_call(block):
        given = json.dumps(block.get("input"), ensure_ascii=False)
        return f"{block.get('name', '')} {given}"[:_CALL_CHARS]
    return str(block.get("text", ""))[:_TOLD_CHARS] if block.get("type") == "text" else ""


def _plain(text: str) -> str:
    """Return a text without the tags of its sections, which have no meaning elsewhere."""
    return _CLOSE.sub("", _OPEN.sub(r"\1: ", text)).strip()


def _joined(texts: list[str]) -> str:
    return "\n".join(text for text in texts if text.strip())
