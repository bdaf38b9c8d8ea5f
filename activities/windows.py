"""Opening an agent's next window: its ledger from what is recorded, its first message, its root."""

import time
from collections.abc import Sequence

from contracts import roles
from contracts.agent import OpenedConversation
from contracts.handoff import HandOver
from contracts.model import OpenConversation
from contracts.review import ReviewFinish
from contracts.spending import AgentOpened
from domain import ids
from domain.agent.configuration import AgentConfiguration
from domain.agent.models import names_itself
from domain.handoff import telling
from domain.handoff.facts import TurnFact, WindowFacts
from domain.handoff.ledger import updated
from infra.conversation.log import ConversationLog, Window
from infra.conversation.messages import canonical, filled
from infra.conversation.next_window import HandedOver, next_window
from infra.kept import ledger as kept_ledger
from infra.kept.agents import agents, turn_at, turns_until
from infra.store import Store, records

COMPACTION = "compaction"
"""A block in which the model's service has put what it shortened a conversation to."""
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
    facts = await _facts(store, request, turns, next_model=_next_model(before, request))
    given = HandedOver(
        conversation=request.conversation.id,
        head=request.conversation.head,
        cause=request.cause,
        ledger=updated(await kept_ledger.ledger_before(store, root), facts),
        note=facts.note,
        calls=[call for turn in turns for call in turn.calls],
        held=before.last.held if before.last else (),
        others=[*await _summary(store, request), *await _last_review(store, request)],
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


def _next_model(before: Window, request: HandOver) -> str:
    """Return the model that the new window asks, "" where it is that of the one before."""
    asked_before = before.last.fallback if before.last else False
    if request.fallback == asked_before:
        return ""
    return _configuration(before, request).asked(fallback=request.fallback).name


async def _facts(
    store: Store, request: HandOver, turns: list[TurnFact], *, next_model: str
) -> WindowFacts:
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
        next_model=next_model,
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


async def ledgers_told(
    store: Store, request: OpenConversation, configuration: AgentConfiguration
) -> list[tuple[str, str]]:
    """Return label and text of the ledgers that an agent is told of others' work.

    A reviewer is told that of the author as it is now; a coder that of the last attempt at its
    task, however that ended, and that of its last review.
    """
    if request.author is not None:
        author = request.author
        ledger = await kept_ledger.ledger_at(store, author.head, author.window)
        return [(telling.OF_AUTHOR, telling.told(ledger, own=False))]
    if not request.again:
        return []
    key, task = request.repository.request_key, ids.agent_task(request.agent_id, request.role)
    earlier = [each for each in await agents(store, key) if not _same_run(each, request.agent_id)]
    before = _last(earlier, request.role, task)
    changed = None
    if request.tip:
        changed = await kept_ledger.changed_files(store, request.tip, request.commit)
    work = await kept_ledger.past_work(store, key, before, changed=changed) if before else None
    told = []
    if work:
        same = names_itself(configuration.model, work.ledger.model)
        model = "" if same else configuration.model
        text = telling.attempt(work.ledger, says=work.says, model=model)
        told.append((telling.OF_ATTEMPT, text))
    return [*told, *await _review_told(store, key, _last(earlier, roles.REVIEWER, task))]


def _same_run(agent: AgentOpened, agent_id: str) -> bool:
    """Return whether an agent works in the same run of a task as another one."""
    return agent.agent.rpartition("/")[0] == agent_id.rpartition("/")[0]


def _last(opened: Sequence[AgentOpened], role: str, task: str) -> AgentOpened | None:
    found = (each for each in reversed(opened) if (each.role, each.task) == (role, task))
    return next(found, None)


async def _review_told(
    store: Store, key: str, reviewer: AgentOpened | None
) -> list[tuple[str, str]]:
    """Return label and text of the ledger of a review, nothing where there was none."""
    work = await kept_ledger.past_work(store, key, reviewer) if reviewer else None
    if work is None:
        return []
    finish = ReviewFinish.model_validate_json(work.finish) if work.finish else None
    return [(telling.OF_REVIEW, telling.review(finish, work.ledger))]


async def _summary(store: Store, request: HandOver) -> list[tuple[str, str]]:
    """Return what the service made of a window that it shortened unasked, nothing else of any.

    That reply was discarded, so it stands behind the last turn of the window.
    """
    conversation = request.conversation
    tip = store.ref(ids.conversation_ref(conversation.id))
    if tip is None or tip == conversation.head:
        return []
    last = await turn_at(store, conversation.id, tip)
    found = [block.get("content") for block in last.reply if block.get("type") == COMPACTION]
    if last.parent != conversation.head or not any(isinstance(each, str) for each in found):
        return []
    summary = "\n\n".join(each for each in found if isinstance(each, str))
    return [(telling.SUMMARY, telling.summary(summary))]


async def _last_review(store: Store, request: HandOver) -> list[tuple[str, str]]:
    """Return what a coder is told in a fresh window of the last review of its work."""
    opening = request.opening
    if opening.role != roles.CODER:
        return []
    key, task = opening.repository.request_key, ids.agent_task(opening.agent_id, opening.role)
    return await _review_told(store, key, _last(await agents(store, key), roles.REVIEWER, task))
