"""A conversation over many windows: does every fact last, and what does a late turn read.

The activities of the product against the rehearsal server, with its own decisions on when a window
ends; no Temporal server, whose share of a turn other figures have.
"""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
from temporalio.testing import ActivityEnvironment

from activities.agent_setup import AgentSetup
from activities.model import MessagesModel
from bench.deployment import folder
from bench.figures import Figure, Name
from contracts import roles
from contracts.agent import AgentLimits, OpenedConversation
from contracts.handoff import HANDOFF, HandoffCause, HandOver
from contracts.model import ModelCall, ModelTurn, OpenConversation, ToolAnswer
from contracts.store import ConversationRef, RepositoryRef
from domain.agent import messages
from domain.handoff import telling, window
from infra.anthropic.client import MessagesClient
from infra.git.command import GitCommand
from infra.kept.ledger import ledger_before
from infra.live.writer import LiveReplies
from infra.roles.files import RoleFiles
from infra.store import Store, trees
from infra.store.object_format import EMPTY_TREE
from infra.store.open_stores import OpenStores
from infra.symbols.index import SymbolIndex
from rehearsal.server import serve

_MODEL = "claude-sonnet-5-5"
_WINDOW_TOKENS = 30_000
"""Windows are smaller than in the product, so that there are many."""
_WORDS_EVERY = 97
_REPOSITORY = RepositoryRef(
    key="bench", host_id="here", request_key="r1", target="main", environment="0" * 40
)


def _script() -> dict[str, object]:
    """One agent: it runs a command in each turn, another one each time, and notes a decision."""
    note = {"state": "It goes on.", "decisions": "Decision of turn {{turn}} of {{last_user}}"}
    call = {"tool": "run_command", "input": {"command": "make part-{{n}}"}}
    generated = {"turns": 100_000, "bytes": 1_500, "say": "{{filler}}", "call": [call]}
    asides = [{"when": "Call `handoff` now", "call": [{"tool": HANDOFF, "input": note}]}]
    return {"casts": [{"turns": [], "generate": generated, "asides": asides}]}


class _Conversation:
    """The agent, and what was sent for it.

    Attributes:
        read: tokens that the model read, by turn.
        opened: seconds that each window took to open.
    """

    def __init__(self, store: Store, model: MessagesModel, base: str) -> None:
        self._store, self._model, self._base = store, model, base
        self._answers: tuple[ToolAnswer, ...] = ()
        self.at: OpenedConversation | ConversationRef = ConversationRef(id="", head=base)
        self.read: list[int] = []
        self.opened: list[float] = []
        self.roots: list[str] = []

    def _opening(self, generation: int) -> OpenConversation:
        return OpenConversation(
            repository=_REPOSITORY,
            agent_id="request/b/task/a/coder-1",
            role=roles.CODER,
            facts=(("Task", "Make all the parts."),),
            commit=self._base,
            generation=generation,
        )

    async def begin(self) -> None:
        self.at = await ActivityEnvironment().run(self._model.open_conversation, self._opening(0))

    async def turn(self, text: str | None = None) -> ModelTurn:
        made: ModelTurn = await ActivityEnvironment().run(
            self._model.call_model,
            ModelCall(
                repository=_REPOSITORY,
                conversation=ConversationRef.model_validate(self.at, from_attributes=True),
                agent="role=coder; task=a; attempt=1; agent=x; request=r",
                answers=self._answers,
                message=text,
                parts=messages.parts([text]) if text else (),
            ),
        )
        self.at = made.conversation
        self.read.append(made.usage.context_tokens)
        output = await self._store.put_blob(f"part {len(self.read)}\n[exit code 0]".encode())
        self._answers = tuple(
            ToolAnswer(tool_use_id=use.id, output=output) for use in made.tool_uses
        )
        return made

    async def hand_over(self) -> None:
        asked = await self.turn(window.ASK.format(tokens=self.at.context_tokens))
        note = next((use.arguments for use in asked.tool_uses if use.name == HANDOFF), None)
        began = time.perf_counter()
        self.at = await ActivityEnvironment().run(
            self._model.hand_over,
            HandOver(
                opening=self._opening(self.at.window + 1),
                conversation=ConversationRef.model_validate(self.at, from_attributes=True),
                cause=HandoffCause.FULL,
                note=note,
                asked=True,
                base=self._base,
                checkpoint=self._base,
                turns=len(self.read),
            ),
        )
        self.opened.append(time.perf_counter() - began)
        self.roots.append(self.at.head)
        self._answers = ()


def _planted(turns: int) -> Iterator[tuple[int, str]]:
    """Yield turns and what a person says before them."""
    yield 3, messages.note("Fact 3: the colour is #aa5500.")
    for number in range(_WORDS_EVERY, turns, _WORDS_EVERY):
        yield number, messages.note(f"Fact {number}: part {number} is red.")


async def measure(turns: int) -> list[Figure]:
    """Return which share of the facts lasted, and what late turns read beside middle ones."""
    with folder() as place:
        person = place / "person"
        person.mkdir()
        await GitCommand(person)("init", "-q", "--bare", str(person))
        await (await Store.clone(person, place / "bench.git")).close()
        stores = OpenStores(place)
        async with serve(_script()) as server:
            client = MessagesClient(
                api_key="rehearsal",
                auth_token=None,
                base_url=server.base_url,
                timeout=httpx2.Timeout(30),
            )
            try:
                return await _measured(place, stores, client, turns)
            finally:
                await client.close()
                await stores.close()


async def _measured(
    place: Path, stores: OpenStores, client: MessagesClient, turns: int
) -> list[Figure]:
    store = await stores.get("bench")
    model = MessagesModel(
        stores,
        client,
        AgentSetup(RoleFiles(), model_for=lambda _role: _MODEL),
        redact=str,
        live=LiveReplies(place / "live", str),
        symbols=SymbolIndex(place / "symbols"),
    )
    tree = await trees.with_paths(store, EMPTY_TREE, {})
    agent = _Conversation(store, model, await store.put_commit(tree, (), "base", when=1))
    await agent.begin()
    planted, limits = dict(_planted(turns)), AgentLimits(window_tokens=_WINDOW_TOKENS)
    for number in range(1, turns + 1):
        if window.due(ConversationRef.model_validate(agent.at, from_attributes=True), limits):
            await agent.hand_over()
        await agent.turn(planted.get(number))
    await agent.hand_over()
    return await _figures(store, agent, planted)


async def _figures(store: Store, agent: _Conversation, planted: dict[int, str]) -> list[Figure]:
    ledger = await ledger_before(store, agent.roots[-1])
    kept = {line.text for line in ledger.words}
    share = sum(text in kept for text in planted.values()) / len(planted)
    fifth = len(agent.read) // 5
    middle = statistics.mean(agent.read[2 * fifth : 3 * fifth])
    late = statistics.mean(agent.read[-fifth:])
    return [
        Figure(Name.WINDOWS_FACTS, share, "share", 1.0),
        Figure(Name.WINDOWS_TOKENS, late, "tokens", middle),
        Figure(Name.WINDOWS_COUNT, len(agent.opened), "windows"),
        Figure(Name.WINDOWS_LEDGER, len(telling.told(ledger)), "characters", telling.MOST_CHARS),
        Figure(
            Name.WINDOWS_OPEN_P50,
            statistics.median(agent.opened[-20:]) * 1_000,
            "ms",
            statistics.median(agent.opened[:20]) * 1_000,
        ),
    ]
