"""The activities of the model on a real store, for tests that answer them by a rehearsal server."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from temporalio.testing import ActivityEnvironment

from activities.agent_setup import AgentSetup
from activities.model import MessagesModel
from contracts import roles
from contracts.agent import OpenedConversation
from contracts.model import ModelCall, ModelTurn, OpenConversation
from contracts.model_choice import ModelChoice
from contracts.store import ConversationRef, RepositoryRef
from infra.anthropic.client import MessagesClient
from infra.live.writer import LiveReplies
from infra.roles.files import RoleFiles
from infra.store import Store, trees
from infra.store.object_format import EMPTY_TREE
from infra.store.open_stores import OpenStores
from infra.symbols.index import SymbolIndex
from rehearsal.server import Server
from runtime.redaction import redactor

MODEL = "claude-sonnet-5-5"
SECRET = "correct horse battery"
SETUP = AgentSetup(RoleFiles(), model_for=lambda _role: MODEL)
REPOSITORY = RepositoryRef(
    key="demo", host_id="here", request_key="r1", target="main", environment="0" * 40
)
VIEW = {"tool": "view", "input": {"path": "README.md"}}


@dataclass
class ModelEnv:
    """The activity on a store, and the server that answers it.

    Attributes:
        stores: open; closed by the fixture.
        clients: to be closed by the fixture.
        read_seconds: how long a client waits for the next bytes; longer than a busy machine takes.
    """

    store: Store
    stores: OpenStores
    live: LiveReplies
    clients: list[MessagesClient] = field(default_factory=list)
    read_seconds: float = 20

    def model(
        self,
        server: Server | None,
        key: str | None = "rehearsal",
        clock: Callable[[], float] = time.monotonic,
    ) -> MessagesModel:
        """Return the activities of a worker that was just started."""
        client = MessagesClient(
            api_key=key if server else None,
            auth_token=None,
            base_url=server.base_url if server else None,
            timeout=httpx2.Timeout(connect=5, write=5, pool=5, read=self.read_seconds),
            clock=clock,
        )
        self.clients.append(client)
        symbols = SymbolIndex(Path(self.store.path).parent / "symbols")
        redact = redactor((SECRET,))
        return MessagesModel(
            self.stores, client, SETUP, redact=redact, live=self.live, symbols=symbols
        )

    async def opened(
        self,
        model: MessagesModel,
        role: roles.RoleName = roles.CODER,
        *,
        agent: str = "request/x/task/a/coder-1",
        choice: ModelChoice = ModelChoice(),  # noqa: B008 - frozen
    ) -> OpenedConversation:
        """Open a conversation."""
        tree = await trees.with_paths(self.store, EMPTY_TREE, {})
        request = OpenConversation(
            repository=REPOSITORY,
            agent_id=agent,
            role=role,
            facts=(("Task", "Do it."),),
            commit=await self.store.put_commit(tree, (), "base", when=1),
            models=choice,
        )
        return await ActivityEnvironment().run(model.open_conversation, request)


def call(conversation: ConversationRef, **fields: Any) -> ModelCall:
    """Return a call as a workflow makes it."""
    return ModelCall(
        repository=REPOSITORY,
        conversation=conversation,
        agent="role=coder; task=a; attempt=1; agent=x; request=r",
        **fields,
    )


async def turn(model: MessagesModel, request: ModelCall) -> ModelTurn:
    """Make a call as Temporal does."""
    return await ActivityEnvironment().run(model.call_model, request)


def script(*turns: Mapping[str, Any]) -> dict[str, Any]:
    """Return a script of one cast."""
    return {"casts": [{"turns": list(turns)}]}
