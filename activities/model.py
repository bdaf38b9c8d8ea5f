"""Model calls: conversation in, journaled turn out.

It does not know Temporal's order of things: which turn comes when is the workflow's business.
"""

import difflib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from temporalio import activity
from typing_extensions import override

from activities.agent_setup import AgentSetup
from activities.corruption import sound_log
from activities.failures import call_failed, failed, translated_failures
from activities.memory import memories_told
from activities.tools.permissions import policy_of
from activities.windows import ledgers_told, note_agent, open_next
from contracts import roles
from contracts.agent import OpenedConversation
from contracts.failures import FailureKind
from contracts.handoff import HANDOFF, HandOver
from contracts.model import (
    ModelCall,
    ModelTurn,
    OpenConversation,
    ReplyOutcome,
    ToolUse,
    Usage,
)
from contracts.model_choice import ModelChoice
from contracts.ports import ModelActivities
from contracts.spending import LostCall
from contracts.tools import FINISH
from contracts.verdicts import CallVerdict
from domain import ids
from domain.agent import caching, loop
from domain.agent.conditions import Repair, Switch
from domain.agent.configuration import AgentConfiguration
from domain.agent.model_choice import names
from domain.agent.models import ModelFacts, cost_microusd
from domain.handoff.handles import Handle
from domain.policy.judge import Policy, judge
from domain.policy.offers import with_offers
from domain.text import Redact, listing, shown
from domain.tools.registry import MAX_FINISH_BYTES, ToolSpec, check, understood
from infra.anthropic.client import CallCancelled, MessagesClient, ModelServiceError
from infra.anthropic.reply import ModelReply
from infra.conversation import breakpoints
from infra.conversation.log import ConversationLog, TurnContent, Window, turn_key
from infra.conversation.messages import (
    Message,
    compose,
    filled,
    held_back,
    is_call,
    kept,
    with_missing_answers,
)
from infra.conversation.opening import definitions, file_list, opening
from infra.conversation.shortening import shortened
from infra.live.entries import CallAbout
from infra.live.writer import LiveReplies
from infra.store import Batch, RefUpdate, Store, StoreError, records
from infra.store.open_stores import OpenStores
from infra.symbols.index import SymbolIndex

_ENDS = frozenset({ReplyOutcome.REFUSED, ReplyOutcome.WINDOW_FULL, ReplyOutcome.UNKNOWN})
"""Outcomes of which a person reads why, not what the reply says."""


@dataclass(frozen=True)
class _Made:
    """A call with its reply.

    Attributes:
        message: what was said, as it is journaled; None = nothing.
        sent: the same with its texts filled in.
        began: when it was sent, seconds since the epoch.
        same_model: its prefix could be compared with that of the call before.
    """

    reply: ModelReply
    message: Message | None
    sent: tuple[Message, ...]
    began: float
    seconds: float
    same_model: bool


class MessagesModel(ModelActivities):
    """Agents' conversations over the Messages API.

    Args:
        live: where replies are shown while they come.
    """

    def __init__(
        self,
        stores: OpenStores,
        client: MessagesClient,
        setup: AgentSetup,
        *,
        redact: Redact,
        live: LiveReplies,
        symbols: SymbolIndex,
    ) -> None:
        self._stores = stores
        self._live = live
        self._symbols = symbols
        self._redact = redact
        self._client = client
        self._setup = setup
        self._log = ConversationLog()
        self._unkept: dict[str, _Made] = {}

    @override
    @activity.defn
    async def open_conversation(self, request: OpenConversation) -> OpenedConversation:
        """Resolve the role and write a conversation's root.

        Safe to repeat: a root that is there with this opening counts, with its configuration. A
        request that asks for a model which its service does not have is refused by its first agent.
        """
        store = await self._stores.get(request.repository.key)
        name = ids.conversation_id(
            request.repository.request_key, request.agent_id, request.generation
        )
        async with translated_failures("opening a conversation"):
            if request.role == roles.PLANNER:
                await self._refuse_unknown(request.models)
            configuration = self._setup.configure(request.role, request.models)
            limits = loop.sized(configuration.limits, request.size)
            told = await self._definitions(store, request, name)
            readable = configuration.tool("memory_search") is not None
            memories = await memories_told(
                store, request, name, can_read=readable, redact=self._redact
            )
            ledgers = await ledgers_told(store, request, configuration)
            files = await file_list(self._symbols, store, request)
            first = await opening(store, request, limits, files, told, memories, ledgers)
            log = await self._log.open(
                store, name, configuration=configuration, opening=first, resumed=request.resumed
            )
            await note_agent(store, request, name)
        pinned = log.configuration
        return OpenedConversation(
            id=name,
            head=log.head,
            model=(pinned or configuration).model,
            config=pinned.pinned(log.configuration_id) if pinned else None,
        )

    async def _definitions(self, store: Store, request: OpenConversation, name: str) -> str:
        """Return the definitions that the agent is told; what was told first stands.

        A conversation that began without them goes on without them.
        """
        ref = ids.symbols_ref(name, request.repository.request_key)
        if store.ref(ref) is None:
            if store.ref(ids.conversation_ref(name)) is not None:
                return ""
            found = await definitions(self._symbols, store, request)
            await records.write_text(store, ref, self._redact(found))
        return await records.read_text(store, ref) or ""

    async def _refuse_unknown(self, choice: ModelChoice) -> None:
        """Refuse a request for a model that does not exist, where the service can tell."""
        for name in names(choice):
            if (known := await self._client.models_beside(name)) is not None:
                closest = difflib.get_close_matches(name, known, n=3) or known[:5]
                raise failed(
                    FailureKind.REFUSED,
                    f"the model's service has no model {name}; it has {listing(tuple(closest))}",
                )

    @override
    @activity.defn
    async def hand_over(self, request: HandOver) -> OpenedConversation:
        """Open an agent's next window.

        Safe to repeat: the window that was handed over from this turn is found, never opened twice.
        """
        store = await self._stores.get(request.opening.repository.key)
        async with translated_failures("opening a window"):
            opened = await open_next(store, self._log, request)
        activity.logger.info(
            "window.opened", extra={"turn": request.turns, "reason": request.cause.value}
        )
        return opened

    @override
    @activity.defn
    async def call_model(self, request: ModelCall) -> ModelTurn:
        """Get the next turn.

        Safe to repeat: a finished call is found in the log and returned, never made again. A call
        whose reply was lost on the way is made once more, since the service has no key for it.
        """
        store = await self._stores.get(request.repository.key)
        async with (
            translated_failures("writing a conversation"),
            sound_log(store, request.conversation),
        ):
            key = turn_key(request)
            recorded = await self._log.recorded(store, request, key)
            if recorded is not None:
                activity.logger.info("model.recorded", extra={"turn": recorded.conversation.turns})
                return recorded
            return await self._call(store, request, key)

    async def _call(self, store: Store, request: ModelCall, key: str) -> ModelTurn:
        conversation = request.conversation
        window = await self._log.window(store, conversation.head)
        message, held, links = await _told(store, request, window)
        agent = window.configuration or self._setup.configure(str(window.config["role"]))
        made = self._unkept.pop(key, None)
        if made is None:
            made = await self._ask(store, window, message, request, agent)
        reply = made.reply
        batch = store.batch()
        content = kept(reply.content, _names(reply, request))
        said = TurnContent(
            made.message,
            made.sent,
            content,
            reply.message_id,
            made.began,
            tuple(held),
            links,
        )
        try:
            tools = self._setup.tools(agent)
            policy = await policy_of(store, request.repository.request_key)
            turn = _read(
                batch, reply, request, agent=agent, tools=tools, policy=policy, redact=self._redact
            )
            turn = await self._log.append(
                store, request, batch=batch, window=window, said=said, turn=turn
            )
        except Exception:
            # It is paid for: the next attempt here reads and keeps it, and asks for no other.
            self._unkept[key] = made
            raise
        _log_turn(turn, made, window)
        return turn

    async def _ask(
        self,
        store: Store,
        window: Window,
        message: Message | None,
        request: ModelCall,
        agent: AgentConfiguration,
    ) -> _Made:
        """Ask the model; where calls have no result, answer them and ask once more."""
        model = agent.asked(fallback=request.fallback)
        try:
            try:
                return await self._send(store, window, message, request, agent)
            except ModelServiceError as error:
                answered = with_missing_answers(window.messages, message)
                if error.repair is not Repair.ANSWER_CALLS or answered is None:
                    raise
                activity.logger.warning("calls.unanswered", extra={"reason": str(error)[:500]})
                return await self._send(store, window, answered, request, agent)
        except CallCancelled as cancelled:
            await _note_lost(store, request, model, cancelled.usage)
            raise
        except ModelServiceError as error:
            used = error.usage or Usage()
            if error.usage is not None:
                await _note_lost(store, request, model, used)
            fallback = self._falls_back(error, request, agent)
            if fallback:
                _log_fallback(agent, str(error))
            cost = cost_microusd(model, used)
            raise call_failed(error, cost_microusd=cost, fallback=fallback) from error

    async def _send(
        self,
        store: Store,
        window: Window,
        message: Message | None,
        request: ModelCall,
        agent: AgentConfiguration,
    ) -> _Made:
        """Send what the window and the message come to."""
        sent = tuple(await filled(store, [message] if message else []))
        began, last = time.time(), window.last
        own = last.message if last and last.fallback == request.fallback else ""
        wire = breakpoints.request(
            window.config,
            (*window.messages, *sent),
            max_tokens=request.max_output_tokens,
            model=agent.asked(fallback=request.fallback).name,
            long_tail=window.pauses_long(began),
            previous=own or None,
        )
        about = _about(request, agent.role)
        with self._live.reply(request.repository.request_key, about) as live:
            reply = await self._client.call(wire, agent=request.agent, hear=live.hear)
        return _Made(reply, message, sent, began, time.time() - began, same_model=bool(own))

    def _falls_back(
        self, error: ModelServiceError, request: ModelCall, agent: AgentConfiguration
    ) -> bool:
        """Return whether the fallback model is asked next."""
        if agent.fallback is None or request.fallback:
            return False
        if error.switch is Switch.WHEN_LONG:
            return self._client.fails_long(agent.model)
        return error.switch is Switch.AT_ONCE


async def _told(
    store: Store, request: ModelCall, window: Window
) -> tuple[Message | None, list[dict[str, Any]], tuple[str, ...]]:
    """Return the message of a call, what of it is held back, and what it refers to beside it.

    The first call of an agent says what came after its opening: a note, feedback that it begins
    with, or nothing.
    """
    conversation = request.conversation
    message, links = await shortened(
        store,
        compose(
            conversation.open_calls,
            request.answers,
            message=request.message,
            documents=request.documents,
            held=window.last.held if window.last else (),
        ),
        turn=Handle(conversation.window + 1, conversation.turns),
    )
    message, held = held_back(window.messages, message)
    return message, list(held), links


def _about(request: ModelCall, role: str) -> CallAbout:
    """Return what is shown of a call; its agent's header names the task."""
    fields = (field.partition("=") for field in request.agent.split("; "))
    return CallAbout(
        conversation=request.conversation.id,
        role=role,
        task=next((value for name, _, value in fields if name == "task"), ""),
        turn=request.conversation.turns + 1,
    )


async def _note_lost(store: Store, request: ModelCall, model: ModelFacts, usage: Usage) -> None:
    """Note a call that may have to be paid for; a store that takes nothing hides no failure."""
    lost = LostCall(
        model=model.name,
        usage=usage,
        cost_microusd=cost_microusd(model, usage),
        priced=model.known,
    )
    name = ids.digest(turn_key(request), str(time.time_ns()))
    ref = ids.lost_call_ref(request.conversation.id, name)
    try:
        await store.update_refs(RefUpdate(ref, await records.write(store, lost), None))
    except (StoreError, OSError) as error:
        activity.logger.warning("call.unnoted", extra={"reason": str(error)[:500]})


def _names(reply: ModelReply, request: ModelCall) -> list[str]:
    """Return an id of our own for each call of a reply, the same for every attempt at the turn."""
    key, turn = turn_key(request), request.conversation.turns + 1
    count = sum(is_call(block) for block in reply.content)
    return [ids.tool_use_id(key, turn, position) for position in range(count)]


def _read(
    batch: Batch,
    reply: ModelReply,
    request: ModelCall,
    *,
    agent: AgentConfiguration,
    tools: Mapping[str, ToolSpec],
    policy: Policy,
    redact: Redact,
) -> ModelTurn:
    """Return the turn that a reply means: its calls checked and judged, their arguments stored."""
    calls = [block for block in reply.content if is_call(block) and not reply.discarded]
    named = zip(calls, _names(reply, request), strict=False)
    read = [
        _use(batch, agent, tools, block, policy=policy, identity=name, redact=redact)
        for block, name in named
    ]
    texts = [str(block.get("text", "")) for block in reply.content if block.get("type") == "text"]
    outcome, declined = reply.outcome, reply.condition.switch is Switch.AT_ONCE
    if declined and agent.fallback is not None and not request.fallback:
        outcome = ReplyOutcome.FALLBACK
        _log_fallback(agent, reply.told)
    ends = outcome in _ENDS
    prices = agent.asked(fallback=request.fallback)
    return ModelTurn(
        conversation=request.conversation,
        stop_reason=reply.stop_reason,
        tool_uses=tuple(use for use, _ in read),
        finish=next((finish for _, finish in reversed(read) if finish), None),
        says=shown(reply.told if ends else " ".join(texts), 120, redact),
        usage=reply.usage,
        cost_microusd=cost_microusd(prices, reply.usage),
        model=reply.model,
        request_id=reply.request_id,
        discarded=reply.discarded,
        outcome=outcome,
    )


def _use(
    batch: Batch,
    agent: AgentConfiguration,
    tools: Mapping[str, ToolSpec],
    block: Mapping[str, Any],
    *,
    policy: Policy,
    identity: str,
    redact: Redact,
) -> tuple[ToolUse, str | None]:
    """Return what a call comes to, and what it hands in when it is a `finish`."""
    name, given = understood(tools, str(block.get("name", "")), block.get("input"))
    pinned = agent.tool(name)
    effect = pinned.effect if pinned else None
    checked = check(tools, name, given)
    if isinstance(checked, str):
        return ToolUse(id=identity, name=name[:64], problem=checked, effect=effect), None
    data = checked.model_dump_json()
    if name == FINISH and len(data.encode()) > MAX_FINISH_BYTES:
        problem = f"What you hand in is longer than {MAX_FINISH_BYTES} bytes. Make it shorter."
        return ToolUse(id=identity, name=name, problem=problem, effect=effect), None
    spec = tools[name]
    use = ToolUse(
        id=identity,
        name=name,
        arguments=batch.blob(data.encode()),
        subject=shown(spec.acts_on(checked), 380, redact),
        effect=effect,
        verdict=None
        if name in {FINISH, HANDOFF}
        else _judged(policy, spec, checked.model_dump(), redact),
    )
    return use, data if name == FINISH else None


def _judged(
    policy: Policy, spec: ToolSpec, arguments: Mapping[str, Any], redact: Redact
) -> CallVerdict:
    """Return the verdict on a call, with what a person may allow who is asked about it."""
    verdict = judge(policy, spec, arguments, redact)
    return with_offers(policy, spec, arguments, verdict, redact)


def _log_fallback(agent: AgentConfiguration, reason: str) -> None:
    other = agent.fallback.name if agent.fallback else ""
    activity.logger.warning("model.fallback", extra={"model": other, "reason": reason[:500]})


def _log_turn(turn: ModelTurn, made: _Made, window: Window) -> None:
    reply = made.reply
    expected = window.last.tokens if window.last and made.same_model else 0
    missed = caching.miss(reply.cache_miss, read=turn.usage.cache_read_tokens, expected=expected)
    activity.logger.info(
        "turn.end",
        extra={
            "turn": turn.conversation.turns,
            "model": turn.model,
            "tokens_in": turn.usage.context_tokens,
            "tokens_cached": turn.usage.cache_read_tokens,
            "tokens_out": turn.usage.output_tokens,
            "cost_usd": turn.cost_microusd / 1e6,
            "duration_ms": round(made.seconds * 1_000, 1),
            "cache_miss": missed,
        },
    )
    if caching.is_change(missed):
        activity.logger.error(
            "prefix.changed", extra={"cache_miss": missed, "tokens_missed": reply.missed_tokens}
        )
    if reply.transformed:
        activity.logger.error(
            "history.changed", extra={"reason": "; ".join(reply.transformed)[:500]}
        )
