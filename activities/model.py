"""
Model calls: conversation in, journaled turn out.

It does not know Temporal's order of things: which turn comes when is the workflow's business.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from temporalio import activity
from typing_extensions import override

from activities.failures import translated_failures
from contracts.model import ModelCall, ModelTurn, OpenConversation, Role, ToolUse
from contracts.ports import ModelActivities
from contracts.store import ConversationRef
from contracts.tools import ToolName
from domain import ids
from domain.agent import models
from domain.text import one_line
from domain.tools.registry import MAX_FINISH_BYTES, InvalidCall, Registry, registry_for
from infra.anthropic.client import MessagesClient, ModelReply
from infra.conversation import opening
from infra.conversation.log import ConversationLog, Message, TurnContent, compose, turn_key
from infra.store import Batch, Store, StoreError
from infra.store.open_stores import Stores

_HOUR = {"type": "ephemeral", "ttl": "1h"}
_SHORT = {"type": "ephemeral"}
_DISCARDED = frozenset({"max_tokens", "refusal", "model_context_window_exceeded"})


class MessagesModel(ModelActivities):
    """
    Agents' conversations over the Messages API.

    Args:
        models: the model's name by role.
        effort: the API's effort level; None leaves the model's default.
    """

    def __init__(
        self,
        stores: Stores,
        client: MessagesClient,
        *,
        model_names: Mapping[Role, str],
        effort: str | None = None,
    ) -> None:
        self._stores = stores
        self._client = client
        self._models = model_names
        self._effort = effort
        self._log = ConversationLog()
        self._unkept: dict[str, ModelReply] = {}

    @override
    @activity.defn
    async def open_conversation(self, request: OpenConversation) -> ConversationRef:
        """
        Write a conversation's root.

        Safe to repeat: the same request makes the same objects.
        """
        store = await self._stores.get(request.repository.key)
        name = ids.conversation_id(
            request.repository.request_key, request.agent_id, request.generation
        )
        config = self._config(request.role)
        async with translated_failures("opening a conversation"):
            opening = await _opening(store, request)
            head = await self._log.open(store, name, config=config, opening=opening)
        return ConversationRef(id=name, head=head, model=str(config["model"]))

    @override
    @activity.defn
    async def call_model(self, request: ModelCall) -> ModelTurn:
        """
        Get the next turn.

        Safe to repeat: a finished call is found in the log and returned, never made again. A call
        whose reply was lost on the way is made once more, since the service has no key for it.
        """
        store = await self._stores.get(request.repository.key)
        async with translated_failures("writing a conversation"):
            key = turn_key(request)
            recorded = await self._log.recorded(store, request, key)
            if recorded is not None:
                activity.logger.info("model.recorded", extra={"turn": recorded.conversation.turns})
                return recorded
            return await self._call(store, request, key)

    async def _call(self, store: Store, request: ModelCall, key: str) -> ModelTurn:
        conversation = request.conversation
        window = await self._log.window(store, conversation.head)
        message = None
        if conversation.turns:
            message = compose(
                conversation.open_calls,
                request.answers,
                message=request.message,
                documents=request.documents,
            )
        sent = await self._log.filled(store, [message] if message else [])
        messages = (*window.messages, *sent)
        wire = _request(window.config, messages, request.max_output_tokens)
        started = dt.datetime.now(dt.UTC)
        reply = self._unkept.pop(key, None)
        if reply is None:
            reply = await self._client.call(wire, agent=request.agent)
        batch = store.batch()
        turn = _read(batch, reply, request, Role(window.config["role"]))
        said = TurnContent(message, tuple(sent), reply.content)
        try:
            turn = await self._log.append(
                store, request, batch=batch, window=window, said=said, turn=turn
            )
        except (OSError, StoreError):
            # It is paid for: the next attempt here keeps it, once the disk has room again.
            self._unkept[key] = reply
            raise
        _log_turn(turn, (dt.datetime.now(dt.UTC) - started).total_seconds())
        return turn

    def _config(self, role: Role) -> dict[str, Any]:
        config: dict[str, Any] = {
            "role": role.value,
            "model": self._models[role],
            "system": opening.role_prompt(role),
            "tools": [spec.definition() for spec in registry_for(role).specs()],
        }
        if self._effort:
            config["output_config"] = {"effort": self._effort}
        return config


async def _opening(store: Store, request: OpenConversation) -> Message:
    files = opening.repository_map(await store.paths(request.commit))
    blocks: list[dict[str, Any]] = [{"type": "text", "text": opening.opening(request.facts, files)}]
    for label, document in request.documents:
        blocks.append({"type": "text", "text": {"$blob": document, "$label": label}})
    return {"role": "user", "content": blocks}


def _request(
    config: Mapping[str, Any], messages: Sequence[Message], max_tokens: int
) -> dict[str, Any]:
    """Return the request with its cache markers: system, opening, previous tail, tail."""
    marked = list(messages)
    tails = [place for place in range(1, len(marked)) if marked[place]["role"] == "user"]
    for place in tails[-2:]:
        marked[place] = _marked(marked[place], _SHORT)
    marked[0] = _marked(messages[0], _HOUR)
    request = {name: value for name, value in config.items() if name != "role"}
    request["system"] = [{"type": "text", "text": config["system"], "cache_control": _HOUR}]
    return {**request, "messages": marked, "max_tokens": max_tokens}


def _marked(message: Message, marker: Mapping[str, str]) -> Message:
    *before, tail = message["content"]
    return {**message, "content": [*before, {**tail, "cache_control": dict(marker)}]}


def _read(batch: Batch, reply: ModelReply, request: ModelCall, role: Role) -> ModelTurn:
    """Return the turn that a reply means, its tool calls checked, their arguments in the batch."""
    discarded = reply.stop_reason in _DISCARDED
    uses: list[ToolUse] = []
    finish: str | None = None
    registry = registry_for(role)
    for block in reply.content:
        if block.get("type") != "tool_use" or discarded:
            continue
        use, done = _use(batch, registry, block)
        uses.append(use)
        finish = done or finish
    texts = [str(block.get("text", "")) for block in reply.content if block.get("type") == "text"]
    return ModelTurn(
        conversation=request.conversation,
        stop_reason=reply.stop_reason,
        tool_uses=tuple(uses),
        finish=finish,
        says=one_line(" ".join(texts) or reply.detail, 120),
        usage=reply.usage,
        cost_microusd=models.cost_microusd(
            request.conversation.model, reply.usage, written_1h=reply.written_1h
        ),
        model=reply.model,
        request_id=reply.request_id,
        discarded=discarded,
    )


def _use(batch: Batch, registry: Registry, block: Mapping[str, Any]) -> tuple[ToolUse, str | None]:
    """Return what a call comes to, and what it hands in when it is a `finish`."""
    name, identity = str(block.get("name", "")), str(block.get("id", ""))
    checked = registry.check(name, block.get("input"))
    if isinstance(checked, InvalidCall):
        return ToolUse(id=identity, name=name[:64], problem=checked.message), None
    finish = checked.model_dump_json() if name == ToolName.FINISH else None
    if finish and len(finish.encode()) > MAX_FINISH_BYTES:
        problem = f"What you hand in is longer than {MAX_FINISH_BYTES} bytes. Make it shorter."
        return ToolUse(id=identity, name=name, problem=problem), None
    use = ToolUse(
        id=identity,
        name=name,
        arguments=batch.blob(checked.model_dump_json().encode()),
        subject=_subject(registry, name, checked),
    )
    return use, finish


def _subject(registry: Registry, name: str, arguments: BaseModel) -> str:
    spec = registry.get(name)
    value = str(getattr(arguments, spec.subject, "")) if spec else ""
    return one_line(value, 380)


def _log_turn(turn: ModelTurn, seconds: float) -> None:
    activity.logger.info(
        "turn.end",
        extra={
            "turn": turn.conversation.turns,
            "model": turn.model,
            "tokens_in": turn.usage.context_tokens,
            "tokens_cached": turn.usage.cache_read_tokens,
            "tokens_out": turn.usage.output_tokens,
            "cost_usd": turn.cost_microusd / 1e6,
            "duration_ms": round(seconds * 1_000, 1),
        },
    )
