"""The turns of one task as people choose among them: numbered, with files and checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.base import ObjectId
from contracts.spending import AgentOpened
from infra.kept.turn_states import AgentTurn, RequestTurns
from infra.kept.turns import AgentLog, LoggedTurn, UserBlock
from infra.store import ObjectMissing, Store, StoreError, diffs
from infra.store.soundness import damage


@dataclass(frozen=True)
class TaskTurn:
    """One turn of a task.

    Attributes:
        number: among the task's turns in the order of time, from 1.
        logged: what was told, said and called.
        commit: in its conversation's log.
        before, checkpoint: the worktree's state before it and after its calls; None of an agent
            that changes nothing.
        files: paths that it changed.
        outputs: of its calls, as the agent was told them.
        undone: it does not count since the task went back.
        damage: what of it, or of its checkpoint, is damaged in the store; "" for nothing.
    """

    number: int
    logged: LoggedTurn
    commit: str
    before: ObjectId | None = None
    checkpoint: ObjectId | None = None
    files: tuple[str, ...] = ()
    outputs: tuple[UserBlock, ...] = ()
    undone: bool = False
    damage: str = ""


async def task_turns(
    store: Store, key: str, task: str, agents: Sequence[AgentOpened]
) -> list[TaskTurn]:
    """Return the turns of a task, in order."""
    found = await RequestTurns.read(store, key, agents)
    logged: dict[str, LoggedTurn] = {}
    answers: dict[str, tuple[UserBlock, ...]] = {}
    for agent in (each for each in agents if each.task == task):
        before = agent.continues.head if agent.continues else ""
        for turn in await AgentLog(store, agent).new_turns():
            if turn.commit:
                logged[turn.commit] = turn
                answers.setdefault(before, tuple(told for told in turn.told if told.call))
                discarded = turn.turn is not None and turn.turn.discarded
                before = before if discarded else turn.commit
    lost = found.undone(task)
    return [
        TaskTurn(
            number=number,
            logged=logged[turn.commit],
            commit=turn.commit,
            before=turn.before,
            checkpoint=turn.after,
            files=await _files(store, turn),
            outputs=answers.get(turn.commit, ()),
            undone=turn.commit in lost,
            damage=await _damage(store, turn),
        )
        for number, turn in enumerate(found.of_task(task), start=1)
    ]


async def _files(store: Store, turn: AgentTurn) -> tuple[str, ...]:
    if not turn.before or not turn.after or turn.before == turn.after:
        return ()
    try:
        return tuple(each.path for each in await diffs.changes(store, turn.before, turn.after))
    except (ObjectMissing, StoreError):
        return ()


async def _damage(store: Store, turn: AgentTurn) -> str:
    if turn.record.damage:
        return turn.record.damage
    if not turn.after or turn.after == turn.before:
        return ""
    return await damage(store, (turn.after,), beside=turn.before)
