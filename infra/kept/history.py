"""An agent's past, for the agent itself: every window of it, and earlier attempts at its task."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace

from contracts.spending import AgentOpened
from domain import ids
from domain.agent import messages
from domain.handoff.facts import parts_of
from domain.handoff.handles import Handle
from infra.conversation.log import came_from
from infra.conversation.messages import filled
from infra.kept.agents import TurnRecord, agents, turns_until
from infra.kept.ledger import text_of
from infra.store import Store


@dataclass(frozen=True)
class PastText:
    """A text of an agent's past; `what` says whose it is."""

    at: Handle
    what: str
    text: str


class PastMissingError(LookupError):
    """There is no such place; the text is one sentence for the agent."""


class History:
    """The past of the agent that has a conversation.

    It reaches the windows of that agent, and those of the agents of its role that worked on its
    task before: not what others, as its reviewer, were told.
    """

    def __init__(self, store: Store, request_key: str, conversation: str) -> None:
        self._store = store
        self._key = request_key
        self._conversation = conversation

    async def windows(self) -> dict[tuple[int, int], str]:
        """Return its windows, each as its last turn, by attempt (0 = this one) and number.

        Both count from 1. The agent's own are those from which its conversation was handed over.
        """
        opened = await agents(self._store, self._key)
        own = next((each for each in opened if each.conversation == self._conversation), None)
        if own is None:
            return {}
        alike = [each for each in opened if (each.role, each.task) == (own.role, own.task)]
        began = min(each.opened for each in alike if each.agent == own.agent)
        before = [each for each in alike if each.agent != own.agent and each.opened < began]
        attempts = {name: at for at, name in enumerate(dict.fromkeys(e.agent for e in before), 1)}
        found = {
            (attempts[each.agent], each.window + 1): head
            for each in before
            if (head := self._store.ref(ids.conversation_ref(each.conversation)))
        }
        return {**dict(sorted(found.items())), **await self._own(own)}

    async def _own(self, own: AgentOpened) -> dict[tuple[int, int], str]:
        found, number = {}, own.window + 1
        head = self._store.ref(ids.conversation_ref(own.conversation)) or ""
        while head:
            found[0, number] = head
            root, _ = await turns_until(self._store, head)
            head, number = await came_from(self._store, root), number - 1
        return dict(sorted(found.items()))

    async def text(self, at: Handle) -> str:
        """Return the text at a handle: a result, a whole turn, what a window began with.

        Raises:
            PastMissingError: nothing is there.
        """
        windows = await self.windows()
        head = windows.get((at.attempt, at.window))
        if head is None:
            known = ", ".join(_name(*place) for place in windows) or "none"
            raise PastMissingError(f"There is no window {_name(at.attempt, at.window)}: {known}.")
        texts = [each async for each in self._texts(at, head)]
        found = [each for each in texts if _is_at(each.at, at)]
        if not found:
            last = max((each.at.turn for each in texts), default=0)
            where = _name(at.attempt, at.window)
            raise PastMissingError(f"There is nothing at {at}: the turns of {where} go to t{last}.")
        if at.result:
            return found[0].text
        return "\n\n".join(f"[{each.at}] {each.what}:\n{each.text}" for each in found)

    async def search(self, words: str, *, most: int) -> list[tuple[PastText, int, str]]:
        """Return the lines that hold some words, with their numbers, the newest turns first."""
        wanted = words.casefold()
        found: list[tuple[PastText, int, str]] = []
        for (attempt, number), head in reversed((await self.windows()).items()):
            texts = [each async for each in self._texts(Handle(number, 0, 0, attempt), head)]
            for each in sorted(texts, key=lambda text: text.at.turn, reverse=True):
                for place, line in enumerate(each.text.splitlines(), start=1):
                    if wanted in line.casefold():
                        found.append((each, place, line.strip()))
                        if len(found) > most:
                            return found
        return found

    async def _texts(self, window: Handle, head: str) -> AsyncIterator[PastText]:
        """Yield every text of a window up to a turn, in order."""
        root, records = await turns_until(self._store, head)
        first = json.loads(await self._store.get_blob(f"{root}:input.json"))
        for message in await filled(self._store, first):
            for block in message["content"]:
                yield PastText(replace(window, turn=0), "told", str(block.get("text", "")))
        before: TurnRecord | None = None
        for record in records:
            at = replace(window, turn=record.number, result=0)
            async for each in self._of_turn(at, record, before):
                yield each
            before = record

    async def _of_turn(
        self, at: Handle, record: TurnRecord, before: TurnRecord | None
    ) -> AsyncIterator[PastText]:
        calls = _calls(before, at) if before else {}
        for block in (block for message in record.input for block in message["content"]):
            if block.get("type") == "tool_result":
                name, place = calls.get(str(block.get("tool_use_id")), ("a call", at))
                text = await text_of(self._store, block.get("content"))
                yield PastText(place, f"result of {name}", text)
            elif isinstance(block.get("text"), str):
                for kind, text in parts_of(block["text"], record.parts, messages.GAP):
                    yield PastText(at, f"told ({kind})", text)
            else:
                (message,) = await filled(self._store, [{"role": "user", "content": [block]}])
                yield PastText(at, "told", str(message["content"][0].get("text", "")))
        for block in record.reply:
            if block.get("type") == "text":
                yield PastText(at, "said", str(block.get("text") or ""))
            elif block.get("type") == "tool_use":
                given = json.dumps(block.get("input"), ensure_ascii=False)
                yield PastText(at, f"called {block.get('name')}", given)


def _calls(record: TurnRecord, at: Handle) -> Mapping[str, tuple[str, Handle]]:
    """Return name and result's handle of each call of a turn, by the call's id."""
    uses: Sequence[tuple[int, str, str]] = [
        (number, use.id, f"{use.name} {use.subject}".strip())
        for number, use in enumerate(record.turn.tool_uses, start=1)
    ]
    return {
        name: (what, Handle(at.window, record.number, number, at.attempt))
        for number, name, what in uses
    }


def _is_at(place: Handle, at: Handle) -> bool:
    return place.turn == at.turn and at.result in (0, place.result)


def _name(attempt: int, window: int) -> str:
    return f"a{attempt}.w{window}" if attempt else f"w{window}"
