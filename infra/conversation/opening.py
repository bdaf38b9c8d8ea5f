"""The first message of an agent: its facts, its environment, the repository's own instructions."""

from collections.abc import Sequence

from contracts import roles
from contracts.agent import AgentLimits
from contracts.baseline import Survey
from contracts.checks import CHECKS
from contracts.model import OpenConversation
from domain import ids
from domain.agent.environment import environment
from domain.agent.instructions import INSTRUCTIONS, OF_THE_PERSON
from domain.agent.sections import sections
from domain.handoff.facts import shortened
from domain.memory.telling import SECTION as MEMORIES
from infra.conversation.instructions import instructions
from infra.conversation.messages import Message, documents_linked
from infra.store import Store
from infra.store.commits import log
from infra.symbols.index import SymbolIndex

_MAP_BYTES = 4_000
_DEFINITIONS_BYTES = 3_000
_FEW_DEFINITIONS_BYTES = 900
"""In a repository of few files, which an agent finds its way in by their list."""
_FEW_FILES = 60
_OF_THE_TASK = ("Request", "Task")
"""Facts by whose words definitions are chosen."""
DEFINITIONS = "Definitions that are used most or that the task names, by file and line"
_LANDED_COMMITS = 10
_BASE_COMMITS = 5
_CHECKS_CHARS = 16_000
"""Of the output of checks, about 4,500 tokens."""
_LEFT_OUT = "\n[… {cut} characters are left out here: run the command to see them]\n"


async def opening(
    store: Store,
    request: OpenConversation,
    limits: AgentLimits,
    files: str,
    definitions: str = "",
    memories: str = "",
    ledgers: Sequence[tuple[str, str]] = (),
) -> Message:
    """Return the opening message; everything in it is the same for every attempt.

    `limits` are those of the agent's role, `files` the list of the repository's, `definitions` what
    these define, `memories` what was accepted of earlier requests, `ledgers`: label and text of
    other agents'.
    """
    facts = [*request.facts, ("Environment", await _environment(store, request, limits))]
    places = (("Files of the repository", files), (DEFINITIONS, definitions))
    told = sections([*facts, *ledgers, (MEMORIES, memories), *places], seed=request.agent_id)
    text = {"type": "text", "text": told}
    given = [(label, await _short(store, label, oid)) for label, oid in request.documents]
    documents = (*await _instructions(store, request), *given)
    return {"role": "user", "content": [text, *documents_linked(documents)]}


async def _short(store: Store, label: str, oid: str) -> str:
    """Return a document as an opening tells it: the output of checks shortened, any other whole."""
    if label != CHECKS:
        return oid
    text = (await store.get_blob(oid)).decode("utf-8", "replace")
    if len(text) <= _CHECKS_CHARS:
        return oid
    return await store.put_blob(shortened(text, _CHECKS_CHARS, _LEFT_OUT).encode())


async def _instructions(store: Store, request: OpenConversation) -> list[tuple[str, str]]:
    """Return label and object id of the instructions that hold, the person's first."""
    found = []
    if person := store.ref(ids.person_ref(request.repository.request_key)):
        found.append((OF_THE_PERSON, person))
    if request.base and (rules := await instructions(store, request.base, request.scope)):
        found.append((INSTRUCTIONS, await store.put_blob(rules.encode())))
    return found


async def file_list(index: SymbolIndex, store: Store, request: OpenConversation) -> str:
    """Return the list of the repository's files, folders in place of files in a large one."""
    return await index.files(store, request.commit, _MAP_BYTES)


async def definitions(index: SymbolIndex, store: Store, request: OpenConversation) -> str:
    """Return the definitions that an agent needs first; "" for a reviewer, who reads a patch.

    They may be others when more is parsed later: what is told is kept.
    """
    if request.role == roles.REVIEWER:
        return ""
    listed = await file_list(index, store, request)
    few = listed.count("\n") < _FEW_FILES and "/ (" not in listed
    limit = _FEW_DEFINITIONS_BYTES if few else _DEFINITIONS_BYTES
    return await index.map(store, request.commit, task_words(request), limit)


def task_words(request: OpenConversation) -> str:
    """Return the words by which definitions and memories are chosen for an agent."""
    return "\n".join(text for label, text in request.facts if label in _OF_THE_TASK)


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
