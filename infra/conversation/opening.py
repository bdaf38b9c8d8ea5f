"""The first message of an agent: its facts, its environment, the repository's own instructions."""

import json
from collections.abc import Sequence

from contracts.agent import AgentLimits
from contracts.baseline import Survey
from contracts.model import OpenConversation
from domain.agent.environment import environment
from domain.agent.instructions import INSTRUCTIONS
from domain.memory.repo_map import repository_map
from infra.conversation.instructions import instructions
from infra.conversation.messages import Message, documents_linked
from infra.store import Store, trees
from infra.store.commits import log

_MAP_BYTES = 4_000
_LANDED_COMMITS = 10
_BASE_COMMITS = 5


async def opening(store: Store, request: OpenConversation, limits: AgentLimits) -> Message:
    """Return the opening message; everything in it is the same for every attempt.

    `limits` are those of the agent's role.
    """
    facts = [*request.facts, ("Environment", await _environment(store, request, limits))]
    files = repository_map(await trees.paths(store, request.commit), _MAP_BYTES)
    text = {"type": "text", "text": _sections([*facts, ("Files of the repository", files)])}
    documents = request.documents
    if request.base and (rules := await instructions(store, request.base, request.scope)):
        documents = ((INSTRUCTIONS, await store.put_blob(rules.encode())), *documents)
    return {"role": "user", "content": [text, *documents_linked(documents)]}


async def _environment(store: Store, request: OpenConversation, limits: AgentLimits) -> str:
    base, tip, survey = request.base, request.tip, None
    if request.survey:
        survey = Survey.model_validate_json(await store.get_blob(request.survey))
    landed = await log(store, tip, most=_LANDED_COMMITS, since=base) if base and tip else []
    return environment(
        survey,
        landed=landed,
        log=await log(store, base, most=_BASE_COMMITS) if base else [],
        limits=limits,
        budget_microusd=request.budget_microusd,
    )


def _sections(facts: Sequence[tuple[str, str]]) -> str:
    return "\n\n".join(_section(label, text) for label, text in facts if text.strip())


def _section(label: str, text: str) -> str:
    tag = json.dumps(label, ensure_ascii=False)
    return f"<section name={tag}>\n{text.strip()}\n</section>"
