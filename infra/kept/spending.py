"""What the agents of a request have spent, counted from the journal of their turns."""

from collections.abc import Collection

from contracts.spending import AgentOpened, LostCall, Spending
from domain import ids
from domain.agent.configuration import AgentConfiguration
from domain.spending import merged
from infra.conversation.log import configuration
from infra.kept.agents import TurnRecord, agents, new_turns
from infra.store import Store


class SpendingReader:
    """Counts what a request has spent; reads each turn once, so that it may be asked again."""

    def __init__(self) -> None:
        self._known: dict[str, set[str]] = {}
        self._sums: dict[str, tuple[Spending, ...]] = {}
        self._agents: dict[str, AgentConfiguration | None] = {}

    async def of_request(self, store: Store, request_key: str) -> tuple[Spending, ...]:
        """Return a sum for each task, role and model, with what agents at work have spent.

        Calls that broke off and may have to be paid for are in it.
        """
        opened = await agents(store, request_key)
        return merged([part for agent in opened for part in await self._of_agent(store, agent)])

    async def settled(
        self, store: Store, request_key: str, going_on: Collection[str]
    ) -> tuple[Spending, ...]:
        """Return what is spent without the finished turns of agents below the ids `going_on`.

        Those agents go on with their conversations, and tell these figures again.
        """
        parts: list[Spending] = []
        for agent in await agents(store, request_key):
            again = agent.agent.rpartition("/")[0] in going_on
            parts += await (_lost(store, agent) if again else self._of_agent(store, agent))
        return merged(parts)

    async def _of_agent(self, store: Store, agent: AgentOpened) -> list[Spending]:
        conversation = agent.conversation
        known = self._known.setdefault(conversation, set(agent.not_its_own))
        turns = [turn for turn in await new_turns(store, conversation, known) if not turn.damage]
        if turns:
            if conversation not in self._agents:
                self._agents[conversation] = await configuration(store, turns[0].commit)
            fresh = [
                Spending(
                    role=agent.role,
                    task=agent.task,
                    model=each.turn.model,
                    turns=1,
                    usage=each.turn.usage,
                    cost_microusd=each.turn.cost_microusd,
                    priced=_is_priced(self._agents[conversation], each),
                )
                for each in turns
            ]
            self._sums[conversation] = merged((*self._sums.get(conversation, ()), *fresh))
        return [*self._sums.get(conversation, ()), *await _lost(store, agent)]


def _is_priced(agent: AgentConfiguration | None, turn: TurnRecord) -> bool:
    """Return whether the price of a turn's model is known; in old logs it always was."""
    return agent is None or agent.asked(fallback=turn.fallback).known


async def _lost(store: Store, agent: AgentOpened) -> list[Spending]:
    found = await store.refs(ids.lost_call_refs(agent.conversation))
    lost = [LostCall.model_validate_json(await store.get_blob(oid)) for oid in found.values()]
    return [
        Spending(role=agent.role, task=agent.task, **each.model_dump(exclude_defaults=True))
        for each in lost
    ]
