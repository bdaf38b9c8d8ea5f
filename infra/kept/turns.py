"""The turns of an agent's conversation as people read them: what it was told, said and called."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from contracts.continuation import ContinuesLog
from contracts.model import ModelTurn
from contracts.spending import AgentOpened
from contracts.tools import FINISH
from domain.agent.loop import FINISH_ALONE
from infra.conversation.messages import filled, is_call
from infra.kept.agents import TurnRecord, new_turns, turn_at
from infra.store import ObjectMissing, Store, StoreError


@dataclass(frozen=True)
class UserBlock:
    """What came in before a reply.

    Attributes:
        call: the call that this is the output of, as name and subject; "" of a text from outside.
    """

    text: str
    call: str = ""
    is_error: bool = False


@dataclass(frozen=True)
class Called:
    """A tool call of a reply; `problem` says why it was not run."""

    name: str
    subject: str
    arguments: Mapping[str, Any]
    problem: str = ""


@dataclass(frozen=True)
class LoggedTurn:
    """One turn of an agent; number 0 is its opening.

    Attributes:
        at: seconds since the epoch.
        sent_back: what it was told came after it had handed something in.
        handed_in: the arguments of its `finish`; None where it was not taken, which stands as the
            problem of that call.
        turn: figures; None of the opening.
        commit: in the log; "" of the opening.
        damage: what of it cannot be read, in words.
        from_turn: of the opening of an agent that goes on from a turn: that turn's number in its
            conversation.
        undone: it does not count since its task went back.
    """

    agent: AgentOpened
    number: int
    at: float
    told: tuple[UserBlock, ...]
    sent_back: bool = False
    says: str = ""
    calls: tuple[Called, ...] = ()
    handed_in: Mapping[str, Any] | None = None
    turn: ModelTurn | None = None
    commit: str = ""
    damage: str = ""
    from_turn: int = 0
    undone: bool = False


class AgentLog:
    """The log of one agent, read on from where it was read last."""

    def __init__(self, store: Store, agent: AgentOpened) -> None:
        self._store = store
        self._agent = agent
        self._known = set(agent.not_its_own)
        self._calls: dict[str, str] = {}
        self._finished = False
        self._at = agent.opened
        self._begun = False

    async def new_turns(self) -> list[LoggedTurn]:
        """Return the turns since the last call, the opening first."""
        records = await new_turns(self._store, self._agent.conversation, self._known)
        turns = list[LoggedTurn]()
        if records and not self._begun:
            self._begun = True
            turns.append(await self._opening(records[0].commit))
        for record in records:
            turn = await self._logged(record)
            if turns and (why := refusal(turn)):
                turns[-1] = as_refused(turns[-1], why)
            turns.append(turn)
        return turns

    async def _opening(self, commit: str) -> LoggedTurn:
        if self._agent.continues:
            return await self._goes_on(self._agent.continues)
        root = commit
        while parents := (await self._store.get_commit(root)).parents:
            root = parents[0]
        message = json.loads(await self._store.get_blob(f"{root}:input.json"))
        blocks = [block for each in await filled(self._store, message) for block in each["content"]]
        told = tuple(UserBlock(str(block.get("text", ""))) for block in blocks)
        return LoggedTurn(self._agent, 0, self._agent.opened, told)

    async def _goes_on(self, before: ContinuesLog) -> LoggedTurn:
        """Return the opening of an agent that goes on from a turn of another conversation."""
        head = await turn_at(self._store, before.conversation, before.head)
        self._remember(head.turn)
        told = (UserBlock(before.words),) if before.words else ()
        return LoggedTurn(
            self._agent, 0, self._agent.opened, told, damage=before.damage, from_turn=head.number
        )

    def _remember(self, turn: ModelTurn) -> None:
        self._calls = {use.id: f"{use.name} {use.subject}".strip() for use in turn.tool_uses}
        self._finished = turn.finish is not None and _alone(turn)

    async def _logged(self, record: TurnRecord) -> LoggedTurn:
        try:
            messages = await filled(self._store, [dict(each) for each in record.input])
        except (ObjectMissing, StoreError) as error:
            messages, record = [], replace(record, damage=str(error))
        blocks = [block for message in messages for block in message["content"]]
        turn, before = record.turn, self._finished
        # In a log from before 2026-12 no turn has a time: it stands after the one before it.
        self._at = max(record.at, self._at)
        logged = LoggedTurn(
            agent=self._agent,
            number=record.number,
            at=self._at,
            told=tuple(told for block in blocks if (told := self._told(block))),
            says="\n\n".join(_texts(record)),
            calls=tuple(_calls(record)),
            handed_in=json.loads(turn.finish) if turn.finish else None,
            turn=turn,
            commit=record.commit,
            damage=record.damage,
        )
        self._remember(turn)
        logged = replace(logged, sent_back=before and not refusal(logged))
        return logged if _alone(turn) else as_refused(logged, FINISH_ALONE)

    def _told(self, block: Mapping[str, Any]) -> UserBlock | None:
        if block.get("type") != "tool_result":
            return UserBlock(str(block.get("text", "")))
        call = self._calls.get(str(block.get("tool_use_id")), "a call")
        failed = bool(block.get("is_error"))
        # What stands as the answer to a `finish` that was taken says nothing.
        if self._finished and _is_finish(call) and not failed:
            return None
        return UserBlock(str(block.get("content", "")), call, failed)


def _is_finish(call: str) -> bool:
    return call.partition(" ")[0] == FINISH


def _alone(turn: ModelTurn) -> bool:
    """Return whether a reply's only call hands something in; beside others nothing is taken."""
    return len(turn.tool_uses) == 1


def refusal(turn: LoggedTurn) -> str:
    """Return why what was handed in before a turn was not taken, "" when it was."""
    texts = (told.text for told in turn.told if told.is_error and _is_finish(told.call))
    return next(texts, "")


def as_refused(turn: LoggedTurn, why: str) -> LoggedTurn:
    """Return a turn whose `finish` was not taken: it is a call that was not run."""
    if turn.handed_in is None:
        return turn
    calls = tuple(
        replace(each, problem=each.problem or why) if each.name == FINISH else each
        for each in turn.calls
    )
    return replace(turn, handed_in=None, calls=calls)


def _texts(record: TurnRecord) -> list[str]:
    texts = [str(block.get("text") or "") for block in record.reply if block.get("type") == "text"]
    return [text for text in texts if text.strip()]


def _calls(record: TurnRecord) -> list[Called]:
    given = [block for block in record.reply if is_call(block)]
    inputs = {str(block.get("id")): block.get("input") for block in given}
    return [
        Called(use.name, use.subject, _mapping(inputs.get(use.id)), use.problem)
        for use in record.turn.tool_uses
    ]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
