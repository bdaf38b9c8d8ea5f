"""The turns of a request's agents, with the state of the worktree after each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

from contracts import roles
from contracts.base import ObjectId
from contracts.resume import RequestResumed
from contracts.spending import AgentOpened
from domain import ids
from domain.request.turns import TurnPlace, WentBack, undone
from infra.conversation.log import came_from
from infra.kept.agents import TurnRecord, new_turns
from infra.store import ObjectMissing, Store, StoreError, records


@dataclass(frozen=True)
class AgentTurn:
    """One turn of an agent.

    Attributes:
        at: when, in seconds since the epoch; of one whose time is not known, when the one before.
        parent: the commit of the turn before it, that of another window where it is a window's
            first; of the very first one the root of its log.
        number: of the patch that comes of it.
        before, after: the worktree's state before its calls and after them; None of an agent that
            changes nothing, and where it is not known.
    """

    agent: AgentOpened
    record: TurnRecord
    at: float
    parent: str
    number: int = 0
    before: ObjectId | None = None
    after: ObjectId | None = None

    @property
    def commit(self) -> str:
        """The turn's commit in the log."""
        return self.record.commit


class RequestTurns:
    """The turns of all agents of a request that work on a task, as `read` found them."""

    def __init__(self, agents: Sequence[AgentOpened], turns: Sequence[AgentTurn]) -> None:
        self._agents = agents
        self._turns = turns
        self._by_commit: Mapping[str, AgentTurn] = {turn.commit: turn for turn in turns}

    @classmethod
    async def read(cls, store: Store, key: str, agents: Sequence[AgentOpened]) -> "RequestTurns":
        """Read the turns of these agents of a request; planners have none here."""
        working = [agent for agent in agents if agent.task]
        turns: list[AgentTurn] = []
        for agent in working:
            # A window after an agent's first one goes on where the one before it ended.
            turns += await _of_agent(store, key, agent, {turn.commit: turn for turn in turns})
        return cls(working, turns)

    def of_task(self, task: str) -> list[AgentTurn]:
        """Return the turns of a task, in the order of time: the n-th is the task's turn n."""
        own = [turn for turn in self._turns if turn.agent.task == task]
        return sorted(own, key=lambda turn: (turn.at, turn.agent.opened))

    def undone(self, task: str) -> frozenset[str]:
        """Return the commits of a task's turns that do not count since it went back."""
        places = [
            TurnPlace(turn.commit, turn.agent.opened, turn.agent.role == roles.CODER)
            for turn in self.of_task(task)
        ]
        return undone(places, self._went_back(task))

    def _went_back(self, task: str) -> list[WentBack]:
        own = {turn.agent.conversation for turn in self._turns if turn.agent.task == task}
        return [
            WentBack(agent.opened, tuple(turn.commit for turn in self.line(each.head)))
            for agent in self._agents
            if agent.task == task and (each := agent.continues) and each.conversation in own
        ]

    def at(self, commit: str) -> AgentTurn | None:
        """Return the turn of a commit."""
        return self._by_commit.get(commit)

    def line(self, commit: str) -> list[AgentTurn]:
        """Return a turn and all before it in its conversation, the oldest first."""
        found = []
        turn = self.at(commit)
        while turn:
            found.append(turn)
            turn = self.at(turn.parent)
        return found[::-1]

    def line_before(self, turn: AgentTurn) -> list[AgentTurn]:
        """Return the line that led to a turn whose parent is lost: what its agent made before."""
        number = turn.record.number
        own = [
            each
            for each in self._turns
            if each.agent == turn.agent and _changes(each) and each.record.number < number
        ]
        return self.line(max(own, key=lambda each: each.record.number).commit) if own else []

    def after(self, commit: str) -> AgentTurn | None:
        """Return a turn that followed one in a conversation, by which its calls were answered."""
        found = (turn for turn in self._turns if turn.record.parent == commit)
        return next((turn for turn in found if turn.record.input), None)

    def last_line(self, task: str) -> list[AgentTurn]:
        """Return the turns of a task's agent that count, the oldest first."""
        lost = self.undone(task)
        own = [turn for turn in self.of_task(task) if _changes(turn) and turn.commit not in lost]
        return self.line(own[-1].commit) if own else []


def _changes(turn: AgentTurn) -> bool:
    return turn.agent.role == roles.CODER and not turn.record.turn.discarded


async def _of_agent(
    store: Store, key: str, agent: AgentOpened, known: Mapping[str, AgentTurn]
) -> list[AgentTurn]:
    found = await new_turns(store, agent.conversation, set(agent.not_its_own))
    last = await _last_window(store, found[0].parent, known) if found else None
    times = accumulate((record.at for record in found), max, initial=agent.opened)
    timed = list(zip(found, islice(times, 1, None), strict=True))
    first = last.commit if last else ""
    if agent.role != roles.CODER:
        return [
            AgentTurn(agent, record, at, (not place and first) or record.parent)
            for place, (record, at) in enumerate(timed)
        ]
    turns: list[AgentTurn] = []
    if last:
        state, number = last.after, last.number
        handed_in = last.record.turn.finish is not None
    else:
        (state, number), handed_in = await _beginning(store, key, agent), False
    for record, at in timed:
        parent = (not turns and first) or record.parent
        if record.turn.discarded:
            turns.append(AgentTurn(agent, record, at, parent, number, state, state))
            continue
        if handed_in:
            # What did not land was put on what had: the next round began there.
            state = store.ref(ids.rebase_ref(key, agent.task, number)) or state
            number += 1
        before = state
        for use in record.turn.tool_uses:
            call = ids.call_id(agent.conversation, use.id)
            state = store.ref(ids.checkpoint_ref(key, agent.task, call)) or state
        handed_in = record.turn.finish is not None
        turns.append(AgentTurn(agent, record, at, parent, number, before, state))
    return turns


async def _last_window(store: Store, root: str, known: Mapping[str, AgentTurn]) -> AgentTurn | None:
    """Return the last turn of the window before the one with this root; None of a first one."""
    try:
        return known.get(await came_from(store, root))
    except (ObjectMissing, StoreError, ValueError):
        return None


async def _beginning(store: Store, key: str, agent: AgentOpened) -> tuple[ObjectId | None, int]:
    """Return the state with which an agent began, and the number of its first patch."""
    if before := agent.continues:
        rebased = store.ref(ids.rebase_ref(key, agent.task, before.rounds - 1))
        return rebased or before.checkpoint, before.rounds
    owner = agent.agent.rpartition("/")[0]
    leased = store.ref(ids.lease_ref(key, owner, ids.purpose(roles.CODER, 1)))
    attempt = ids.attempt_of(agent.agent)
    if attempt == 1:
        return leased, 0
    begun = await records.read(store, ids.retry_ref(key, attempt), RequestResumed)
    rows = begun.tasks if begun else ()
    rounds = next((row.earlier.rounds for row in rows if row.id == agent.task and row.earlier), 0)
    return store.ref(ids.rebase_ref(key, agent.task, rounds - 1)) or leased, rounds
