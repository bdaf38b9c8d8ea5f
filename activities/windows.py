"""Opening an agent's next window: its ledger from what is recorded, its first message, its root."""

import time

from contracts.agent import OpenedConversation
from contracts.handoff import HandOver
from contracts.model import OpenConversation
from contracts.spending import AgentOpened
from domain import ids
from domain.agent.configuration import AgentConfiguration
from domain.handoff import telling
from domain.handoff.facts import TurnFact, WindowFacts
from domain.handoff.ledger import updated
from infra.conversation.log import ConversationLog, Window
from infra.conversation.messages import canonical, filled
from infra.conversation.next_window import HandedOver, next_window
from infra.kept import ledger as kept_ledger
from infra.kept.agents import agents, turns_until
from infra.store import Store, records

_BYTES_A_TOKEN = 3.5


async def open_next(store: Store, log: ConversationLog, request: HandOver) -> OpenedConversation:
    """Write the root of an agent's next window, or return the one that is there.

    Safe to repeat: a window that was handed over from the same turn is the same window.
    """
    request = await _of_first_round(store, request)
    before = await log.window(store, request.conversation.head)
    configuration = _configuration(before, request)
    opening, number = request.opening, request.opening.generation
    name = ids.conversation_id(opening.repository.request_key, opening.agent_id, number)
    root, past = await turns_until(store, request.conversation.head)
    turns = await kept_ledger.turn_facts(store, past, window=number, answers=request.answers)
    facts = await _facts(store, request, turns)
    given = HandedOver(
        conversation=request.conversation.id,
        head=request.conversation.head,
        cause=request.cause,
        ledger=updated(await kept_ledger.ledger_before(store, root), facts),
        note=facts.note,
        calls=[call for turn in turns for call in turn.calls],
        held=before.last.held if before.last else (),
    )
    message, window = await next_window(store, root, given, seed=name)
    opened = await log.open(
        store,
        name,
        configuration=configuration,
        opening=message,
        resumed=opening.resumed,
        window=window,
    )
    pinned = opened.configuration or configuration
    sent = await filled(store, [message])
    size = len(canonical(sent)) + len(canonical(pinned.request_fields()))
    await note_agent(store, opening, name, because=request.cause.value)
    return OpenedConversation(
        id=name,
        head=opened.head,
        model=pinned.model,
        window=number,
        context_tokens=int(size / _BYTES_A_TOKEN),
        config=pinned.pinned(opened.configuration_id),
    )


async def _of_first_round(store: Store, request: HandOver) -> HandOver:
    """Return the order under the id of the round that opened the agent's first window.

    Later rounds go on with its conversation, and so with its windows.
    """
    ref = ids.agent_ref(request.opening.repository.request_key, request.conversation.id)
    if (known := await records.read(store, ref, AgentOpened)) is None:
        return request
    opening = request.opening.model_copy(update={"agent_id": known.agent})
    return request.model_copy(update={"opening": opening})


def _configuration(before: Window, request: HandOver) -> AgentConfiguration:
    """Return what the window before was pinned to."""
    found = before.configuration
    if found is None:  # windows are asked for by agents with a pinned configuration alone
        raise ValueError(f"{request.conversation.id} has no pinned configuration")
    return found


async def _facts(store: Store, request: HandOver, turns: list[TurnFact]) -> WindowFacts:
    said = turns[-1].says if request.asked and turns else ""
    why = f": {request.why}" if request.why else ""
    budget = f" of ${request.budget_microusd / 1e6:.2f}" if request.budget_microusd else ""
    return WindowFacts(
        number=request.opening.generation,
        turns=tuple(turns),
        cause=f"{request.cause.value}{why}",
        changed=await kept_ledger.changed_files(store, request.base, request.checkpoint),
        read=await kept_ledger.read_files(store, request.seen),
        note=await kept_ledger.note_fields(store, request.note, said),
        spent=f"{request.turns} turns, ${request.cost_microusd / 1e6:.2f}{budget}",
    )


async def note_agent(
    store: Store, request: OpenConversation, conversation: str, *, because: str = ""
) -> None:
    """Note whose conversation it is, so that all those of a request can be found."""
    opened = AgentOpened(
        conversation=conversation,
        agent=request.agent_id,
        role=request.role,
        task=ids.agent_task(request.agent_id, request.role),
        opened=time.time(),
        window=request.generation,
        because=because,
    )
    ref = ids.agent_ref(request.repository.request_key, conversation)
    await records.write_first(store, ref, opened)


async def ledger_told(store: Store, request: OpenConversation) -> tuple[str, str]:
    """Return label and text of the ledger that an agent is told of another's work, "" for none.

    A reviewer is told that of the author as it is now, a coder that of the last attempt at its
    task.
    """
    if request.author is not None:
        author = request.author
        ledger = await kept_ledger.ledger_at(store, author.head, author.window)
        return telling.OF_AUTHOR, telling.told(ledger, own=False)
    if not request.again:
        return "", ""
    key = request.repository.request_key
    task = ids.agent_task(request.agent_id, request.role)
    before = [
        each
        for each in await agents(store, key)
        if (each.role, each.task) == (request.role, task) and each.agent != request.agent_id
    ]
    tip = store.ref(ids.conversation_ref(before[-1].conversation)) if before else None
    if tip is None:
        return "", ""
    ledger = await kept_ledger.ledger_at(store, tip, before[-1].window)
    return telling.OF_ATTEMPT, telling.told(ledger)
