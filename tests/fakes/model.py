"""The model: an agent's replies, priced, each made once."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from temporalio import activity
from temporalio.exceptions import ApplicationError
from typing_extensions import override

from contracts.agent import AgentConfig, OpenedConversation
from contracts.base import Contract
from contracts.failures import FailureKind
from contracts.handoff import HandOver
from contracts.model import ModelCall, ModelTurn, OpenConversation, ReplyOutcome, ToolUse, Usage
from contracts.ports import ModelActivities
from contracts.store import ConversationRef
from contracts.verdicts import CallVerdict
from domain import ids
from domain.limits import AGENT
from tests.fakes.calls import Before, Fake, failing
from tests.fakes.policy import config_of, effect_of, prices_of, verdict_of
from tests.fakes.store import MemoryStore, oid

MODEL = "claude-sonnet-5-5"
_USAGE = Usage(input_tokens=900, output_tokens=100)


@dataclass(frozen=True)
class ScriptedUse:
    """A tool call of a reply.

    Attributes:
        subject: what policy judges.
        arguments: JSON; "" leaves them to `ScriptedReplies`.
        problem: why the call is unusable.
        id: as the service names it.
    """

    name: str
    subject: str
    arguments: str = ""
    problem: str = ""
    id: str = ""


@dataclass(frozen=True)
class ScriptedReply:
    """One reply.

    Attributes:
        finish: JSON output of a lone `finish`.
        outcome: None as in histories from before 2026-12.
        waits: the reply comes only once this is set.
        fails: no reply: the call fails.
    """

    stop: str = "tool_use"
    uses: tuple[ScriptedUse, ...] = ()
    finish: str | None = None
    says: str = ""
    usage: Usage = _USAGE
    cost_microusd: int = 1_000
    outcome: ReplyOutcome | None = None
    waits: asyncio.Event | None = None
    fails: ApplicationError | None = None

    @property
    def discarded(self) -> bool:
        """True for a reply that does not become part of the conversation."""
        return self.stop in {"max_tokens", "refusal", "model_context_window_exceeded"}


Replies = Callable[[str, ModelCall], Awaitable[ScriptedReply]]
"""Takes a turn's id and its call."""


def acts(*uses: tuple[str, str], waits: asyncio.Event | None = None) -> ScriptedReply:
    """A reply that calls tools, each on a subject."""
    return ScriptedReply(uses=tuple(ScriptedUse(*use) for use in uses), waits=waits)


def finishes(output: Contract, *, cost_microusd: int = 1_000) -> ScriptedReply:
    """A reply that finishes the agent with an output."""
    use = ScriptedUse("finish", "")
    handed_in = output.model_dump_json()
    return ScriptedReply(uses=(use,), finish=handed_in, cost_microusd=cost_microusd)


def says(text: str, stop: str = "end_turn") -> ScriptedReply:
    """A reply without a tool call."""
    return ScriptedReply(stop=stop, says=text)


def agent_header(call: ModelCall) -> dict[str, str]:
    """The fields of a call's agent header: role, task, attempt and more."""
    return dict(part.split("=", 1) for part in call.agent.split("; "))


def agent_of(call: ModelCall) -> str:
    """The "role/task" that makes a call."""
    header = agent_header(call)
    return f"{header['role']}/{header['task']}"


class ScriptedReplies:
    """Replies in the order of a script, one script per "role/task"."""

    def __init__(self, scripts: Mapping[str, Iterable[ScriptedReply]]) -> None:
        self._scripts = {agent: deque(script) for agent, script in scripts.items()}

    async def __call__(self, turn_id: str, request: ModelCall) -> ScriptedReply:
        """Return the next reply of the agent that calls."""
        agent = agent_of(request)
        if not self._scripts.get(agent):
            raise failing(FailureKind.MODEL_REQUEST, f"no reply is scripted for {agent}")
        reply = self._scripts[agent].popleft()
        if reply.waits:
            await reply.waits.wait()
        if reply.fails:
            raise reply.fails
        uses = tuple(
            use if use.arguments else replace(use, arguments=_arguments(use, turn_id))
            for use in reply.uses
        )
        return replace(reply, uses=uses)

    def add(self, agent: str, script: Iterable[ScriptedReply]) -> None:
        """Take the script of one more "role/task"."""
        self._scripts[agent] = deque(script)

    def left(self) -> int:
        """How many replies were not asked for."""
        return sum(map(len, self._scripts.values()))


def _arguments(use: ScriptedUse, turn_id: str) -> str:
    """Arguments on a use's subject; each edit writes another content."""
    content = turn_id if use.name == "edit" else ""
    return json.dumps({"path": use.subject, "content": content})


class FakeModel(Fake, ModelActivities):
    """Answers each call once by `replies`; a repeated call gets the same turn.

    Attributes:
        opened, windows: by the conversation's id; those after the first are windows.
        spent: microUSD of every turn.
        limits, fallback: limits and fallback model, pinned for agents that open a conversation.
        judged: how a call is judged, by its tool and subject; as the product does it.
    """

    def __init__(self, store: MemoryStore, before: Before, replies: Replies) -> None:
        super().__init__(store, before)
        self._replies = replies
        self._turns: dict[str, ModelTurn] = {}
        self.opened: dict[str, OpenConversation] = {}
        self.windows: dict[str, HandOver] = {}
        self.spent = 0
        self.limits = AGENT
        self.fallback = ""
        self.judged: Callable[[str, str], CallVerdict | None] = verdict_of

    @override
    @activity.defn
    async def open_conversation(self, request: OpenConversation) -> OpenedConversation:
        await self._before("open_conversation", request)
        name = ids.conversation_id(
            request.repository.request_key, request.agent_id, request.generation
        )
        self.opened[name] = request
        return OpenedConversation(
            id=name,
            head=oid("opening", name),
            model=MODEL,
            config=self._config(),
        )

    def _config(self) -> AgentConfig:
        fallback = prices_of(self.fallback) if self.fallback else None
        return config_of(MODEL, self.limits).model_copy(update={"fallback": fallback})

    @override
    @activity.defn
    async def hand_over(self, request: HandOver) -> OpenedConversation:
        await self._before("hand_over", request)
        opening = request.opening
        name = ids.conversation_id(
            opening.repository.request_key, opening.agent_id, opening.generation
        )
        self.opened[name], self.windows[name] = opening, request
        return OpenedConversation(
            id=name,
            head=oid("opening", name),
            model=MODEL,
            window=opening.generation,
            context_tokens=5_000,
            config=self._config(),
        )

    @override
    @activity.defn
    async def call_model(self, request: ModelCall) -> ModelTurn:
        turn_id = oid("turn", request.conversation.head, request.variant)
        if turn_id not in self._turns:
            await self._before("call_model", request)
            reply = await self._replies(turn_id, request)
            self._turns[turn_id] = self._turn(turn_id, request.conversation, reply)
            self.spent += reply.cost_microusd
        return self._turns[turn_id]

    def _turn(self, turn_id: str, before: ConversationRef, reply: ScriptedReply) -> ModelTurn:
        uses = tuple(
            ToolUse(
                id=self._call_name(turn_id, number, use),
                name=use.name,
                arguments=None if use.problem else self._store.blob(use.arguments),
                subject=use.subject,
                problem=use.problem,
                effect=effect_of(use.name),
                verdict=None if use.problem else self.judged(use.name, use.subject),
            )
            for number, use in enumerate(reply.uses)
        )
        after = before.model_copy(
            update={
                "head": turn_id,
                "turns": before.turns + 1,
                "context_tokens": reply.usage.context_tokens,
                "open_calls": tuple(use.id for use in uses),
            }
        )
        return ModelTurn(
            conversation=before if reply.discarded else after,
            stop_reason=reply.stop,
            tool_uses=uses,
            finish=reply.finish,
            says=reply.says,
            usage=reply.usage,
            cost_microusd=reply.cost_microusd,
            model=MODEL,
            discarded=reply.discarded,
            outcome=reply.outcome,
        )

    def _call_name(self, turn_id: str, number: int, _use: ScriptedUse) -> str:
        """Return the id of a call: one of our own, whatever the service says."""
        return f"use-{turn_id[:8]}-{number}"
