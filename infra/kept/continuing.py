"""With what a task begins that goes on from a turn of its agent's, by what its store keeps.

Nothing is moved back: the agent goes on in a log of its own, which begins with the turns that
count. The log before it, and every state of the files, stay under their refs.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts import roles
from contracts.agent import AgentConfig
from contracts.base import ObjectId
from contracts.continuation import (
    Continuation,
    ContinuationKind,
    ContinuesLog,
    ContinueTask,
    TakenOver,
    TurnChoice,
)
from contracts.model import ToolAnswer
from contracts.spending import AgentOpened
from contracts.store import ConversationRef
from contracts.task import EarlierAttempt
from contracts.tools import FINISH
from domain import ids
from domain.request import turns as words
from infra.conversation.log import pinned
from infra.kept.agents import agents
from infra.kept.call_results import journaled, journaled_answer
from infra.kept.changes import last_state
from infra.kept.taken_over import NotTakenError, taken_over
from infra.kept.turn_states import AgentTurn, RequestTurns
from infra.store import ObjectMissing, RefUpdate, Store, StoreError, diffs, records
from infra.store.soundness import CHECKPOINT_CORRUPTION, damage

_DAMAGE_CHARS = 600


class NotContinuedError(Exception):
    """The task cannot go on from there; the text is one sentence."""


@dataclass(frozen=True)
class _Place:
    """The turn from which a task goes on, and what of later ones is damaged."""

    turn: AgentTurn
    checkpoint: ObjectId
    damage: str = ""


async def continued(store: Store, order: ContinueTask) -> EarlierAttempt:
    """Return what a task begins with that goes on from a turn, and note it, unless it only looks.

    What the first time came to stands. A turn that is damaged in the store is not used, but the
    last sound one before it.

    Raises:
        NotContinuedError: there is no such turn, or nothing of it is left.
    """
    key, choice = order.repository.request_key, order.choice
    opened = await agents(store, key)
    task = choice.fork or choice.task
    agent = ids.agent_id(ids.subtask_id(order.parent, task), roles.CODER, 1)
    name = ids.conversation_id(key, agent, 0)
    found = await RequestTurns.read(store, key, opened)
    noted = next((each for each in opened if each.conversation == name), None)
    if noted and noted.continues:
        before = noted.continues
        turn = found.at(before.head)
        if turn is None:
            raise NotContinuedError(f"the turn {before.head[:12]} is not kept any more")
        place = _Place(turn, before.checkpoint, before.damage)
    else:
        place = await _place(store, key, found, choice)
        if choice.taken and not order.looks:
            place = await _with_taken(store, key, choice.task, choice.taken, place)
        before = await _before(store, key, opened, choice, place)
    if noted is None and not order.looks:
        window = place.turn.agent.window
        await _note(store, key, before, agent=agent, conversation=name, task=task, window=window)
    number = _number(found, place.turn)
    return EarlierAttempt(
        number=order.before,
        reason=words.reason(before.kind, number, place.damage)[:1_000],
        commit=place.checkpoint,
        rounds=before.rounds,
        continues=await _continuation(store, key, found, place, before, conversation=name),
    )


async def last_sound(
    store: Store, key: str, task: str, opened: Sequence[AgentOpened]
) -> ObjectId | None:
    """Return the last state of a task's worktree that is sound; None when there is none."""
    found = await RequestTurns.read(store, key, opened)
    base = store.ref(ids.base_ref(key))
    for turn in reversed(found.last_line(task)):
        if turn.after and not await damage(store, (turn.after,), beside=base):
            return turn.after
    return None


async def _before(
    store: Store,
    key: str,
    opened: Sequence[AgentOpened],
    choice: TurnChoice,
    place: _Place,
) -> ContinuesLog:
    own = [agent for agent in opened if agent.task == (choice.fork or choice.task)]
    _, taken = await last_state(store, key, choice.fork or choice.task, own)
    return ContinuesLog(
        conversation=place.turn.agent.conversation,
        head=place.turn.commit,
        checkpoint=place.checkpoint,
        kind=_kind(choice),
        # The state that is carried over takes a number, too.
        rounds=taken + 1,
        words=choice.words,
        damage=place.damage,
    )


async def _with_taken(store: Store, key: str, task: str, taken: TakenOver, place: _Place) -> _Place:
    try:
        made = await taken_over(store, key, task, taken, place.checkpoint)
    except NotTakenError as error:
        raise NotContinuedError(str(error)) from error
    return dataclasses.replace(place, checkpoint=made)


def _kind(choice: TurnChoice) -> ContinuationKind:
    if choice.taken:
        return ContinuationKind.TAKEN_OVER
    if choice.fork:
        return ContinuationKind.FORK
    return ContinuationKind.ROLLBACK if choice.turn else ContinuationKind.REPAIR


async def _note(
    store: Store,
    key: str,
    before: ContinuesLog,
    *,
    agent: str,
    conversation: str,
    task: str,
    window: int,
) -> None:
    """Begin the log, and note whose it is: both or neither."""
    opened = AgentOpened(
        conversation=conversation,
        agent=agent,
        role=roles.CODER,
        task=task,
        opened=time.time(),
        window=window,
        continues=before,
    )
    await store.update_refs(
        RefUpdate(ids.agent_ref(key, conversation), await records.write(store, opened), None),
        RefUpdate(ids.conversation_ref(conversation), before.head, None),
    )


# ---- which turn


async def _place(store: Store, key: str, found: RequestTurns, choice: TurnChoice) -> _Place:
    """Return the chosen turn, or the last sound one before it."""
    line = _chosen(found, choice)
    lost = "" if choice.turn else _lost_end(store, found, line[-1])
    # A commit of the log that is lost cuts off what came after it.
    if not await _begins(store, line[0]):
        lost = f"a turn before turn {_number(found, line[0])} is missing"
        line = found.line_before(line[0])
    for place, turn in enumerate(line):
        if why := await _log_damage(store, turn):
            lost = f"turn {_number(found, turn)} is damaged: {why}"
            line = line[:place]
            break
    base = store.ref(ids.base_ref(key))
    for turn in reversed(line):
        if turn.after is None:
            continue
        if not (why := await damage(store, (turn.after,), beside=base)):
            said = f"{CHECKPOINT_CORRUPTION}: {lost}"[:_DAMAGE_CHARS] if lost else ""
            return _Place(turn, turn.after, said)
        made = next(each for each in line if each.after == turn.after)
        lost = lost or f"the files after turn {_number(found, made)} are damaged: {why}"
    raise NotContinuedError(
        f"no turn of {choice.task!r} is left from which it can go on"
        + (f" ({CHECKPOINT_CORRUPTION}: {lost})" if lost else "")
        + ": `retry` begins it anew"
    )


def _chosen(found: RequestTurns, choice: TurnChoice) -> list[AgentTurn]:
    """Return the line of turns up to the chosen one; refuse what is none of the task's agent."""
    if choice.turn is None:
        line = found.last_line(choice.task)
        if not line:
            raise NotContinuedError(f"the agent of {choice.task!r} has made no turn yet")
        return line
    turn = found.at(choice.turn)
    if turn is None or turn.agent.task != choice.task:
        raise NotContinuedError(f"{choice.task!r} has no turn {choice.turn[:12]}")
    number = _number(found, turn)
    if turn.agent.role != roles.CODER:
        raise NotContinuedError(
            f"turn {number} of {choice.task!r} is the {turn.agent.role}'s: choose one of its coder"
        )
    if turn.record.turn.discarded:
        raise NotContinuedError(
            f"the reply of turn {number} of {choice.task!r} was discarded: choose the one before it"
        )
    return found.line(turn.commit)


def _number(found: RequestTurns, turn: AgentTurn) -> int:
    """Return the number of a turn among those of its task."""
    own = [each.commit for each in found.of_task(turn.agent.task)]
    return own.index(turn.commit) + 1


def _lost_end(store: Store, found: RequestTurns, last: AgentTurn) -> str:
    """Return that the last turn of a log is lost, "" when it is there."""
    tip = store.ref(ids.conversation_ref(last.agent.conversation))
    if tip is None or found.at(tip):
        return ""
    return f"what came after turn {_number(found, last)} is missing"


async def _begins(store: Store, first: AgentTurn) -> bool:
    """Return whether a turn is the first one of its log."""
    try:
        return not (await store.get_commit(first.record.parent)).parents
    except (ObjectMissing, StoreError):
        return False


async def _log_damage(store: Store, turn: AgentTurn) -> str:
    """Return what is damaged of a turn in its log, with the log's root for the first one."""
    if turn.record.damage:
        return turn.record.damage
    parent = turn.record.parent
    first = not (await store.get_commit(parent)).parents
    return await damage(store, (parent, turn.commit) if first else (turn.commit,))


# ---- what the agent goes on with


async def _continuation(
    store: Store,
    key: str,
    found: RequestTurns,
    place: _Place,
    before: ContinuesLog,
    *,
    conversation: str,
) -> Continuation:
    turn = place.turn.record.turn
    config, model = await _config(store, place.turn.commit)
    return Continuation(
        conversation=ConversationRef(
            id=conversation,
            head=place.turn.commit,
            turns=place.turn.record.number,
            context_tokens=turn.usage.context_tokens + turn.usage.output_tokens,
            model=model or turn.model,
            open_calls=tuple(use.id for use in turn.tool_uses),
            window=place.turn.agent.window,
        ),
        config=config,
        answers=await _answers(store, key, found, place.turn),
        seen=await _seen(store, key, found, place.turn),
        message=words.told(
            before.kind, place.turn.record.number, before.words, await _changed(store, place)
        ),
    )


async def _changed(store: Store, place: _Place) -> tuple[str, ...]:
    """Return the paths of what a person changed after the turn; none where nobody did."""
    after = place.turn.after
    if after is None or after == place.checkpoint:
        return ()
    return tuple(change.path for change in await diffs.changes(store, after, place.checkpoint))


async def _config(store: Store, head: str) -> tuple[AgentConfig | None, str]:
    found = await pinned(store, head)
    return (found[0].pinned(found[1]), found[0].model) if found else (None, "")


async def _answers(
    store: Store, key: str, found: RequestTurns, turn: AgentTurn
) -> tuple[ToolAnswer, ...]:
    """Return what the calls of a turn came to, as it was told or as it is journaled."""
    after = found.after(turn.commit)
    told = _told(after.record.input if after else ())
    answers = [
        told.get(use.id) or await journaled_answer(store, key, turn.agent, use)
        for use in turn.record.turn.tool_uses
        if use.name != FINISH or use.problem
    ]
    return tuple(answers)


def _told(messages: Sequence[Mapping[str, Any]]) -> dict[str, ToolAnswer]:
    blocks = [block for message in messages for block in message.get("content", ())]
    return {
        str(block["tool_use_id"]): _answer(block)
        for block in blocks
        if block.get("type") == "tool_result"
    }


def _answer(block: Mapping[str, Any]) -> ToolAnswer:
    content = block.get("content")
    linked = content.get("$blob") if isinstance(content, dict) else None
    return ToolAnswer(
        tool_use_id=str(block["tool_use_id"]),
        output=linked,
        text="" if linked else str(content)[:1_000],
        is_error=bool(block.get("is_error")),
    )


async def _seen(store: Store, key: str, found: RequestTurns, turn: AgentTurn) -> ObjectId | None:
    """Return the record of file digests as the last call that changed files left it.

    What was only read since is not in it: an edit of such a file asks to read it again.
    """
    for each in reversed(found.line(turn.commit)):
        for use in reversed(each.record.turn.tool_uses):
            result = await journaled(store, key, each.agent, use)
            if result and result.seen:
                return result.seen
    return None
