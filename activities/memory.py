"""Memories as agents get and propose them: told at an opening, found, read, remembered.

An agent sees accepted memories and the conversations of its own request, of others nothing.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts.model import OpenConversation
from contracts.repository import OpenRequest
from domain import ids
from domain.agent.inputs import PLANNER
from domain.memory.acceptance import ProposalVerdict
from domain.memory.memory import Draft, render
from domain.memory.recall import Hit
from domain.text import Redact
from infra.conversation.opening import task_words
from infra.memory.memories import Memories, Source
from infra.memory.recall import Recall
from infra.store import Store, records

_MOST_FOUND: Final = 8
"""Hits of each kind that an agent is shown."""


async def memories_told(
    store: Store, request: OpenConversation, conversation: str, *, can_read: bool, redact: Redact
) -> str:
    """Return the memories that an opening tells, and count them; what was told first stands.

    A conversation that began without them goes on without them.
    """
    ref = ids.told_memories_ref(conversation, request.repository.request_key)
    if store.ref(ref) is None and store.ref(ids.conversation_ref(conversation)) is not None:
        return ""
    memories, now = Memories(store, redact), int(time.time())
    return await memories.give(ref, task_words(request), can_read=can_read, now=now)


@dataclass(frozen=True)
class AgentMemories:
    """What one agent may do with memories.

    Attributes:
        repository_key: names the store.
        request_key: of its request, as in the names of references.
        task: a task's id, or "planner".
        agent: its workflow id.
        expected: the checkpoint that its worktree holds.
        redact: takes secrets out of a text.
        recall: the folder of the search's indexes.
    """

    store: Store
    repository_key: str
    request_key: str
    task: str
    agent: str
    expected: str
    redact: Redact
    recall: Path

    async def propose(self, draft: Draft, files: Sequence[str]) -> ProposalVerdict:
        """Take what it proposes to remember, once however often the call is repeated."""
        request, words = await self._asked()
        entries = [(path, await self.store.entry_at(self.expected, path)) for path in files]
        role = self.agent.rpartition("/")[2].partition("-")[0] or "agent"
        source = Source(
            request=request,
            agent=role if self.task == PLANNER else f"{role} of {self.task}",
            words=words,
            files=tuple((path, entry.oid) for path, entry in entries if entry),
        )
        return await self._memories().propose(draft, source, int(time.time()))

    async def search(self, query: str) -> list[Hit]:
        """Return what accepted memories and the other agents of its own request hold."""
        recall = Recall(self.store, self.recall, self.repository_key, redact=self.redact)
        hits = await recall.search(query, most=2 * _MOST_FOUND, request=self.request_key)
        memories = [hit for hit in hits if hit.memory]
        others = [hit for hit in hits if not hit.memory and hit.agent != self.agent]
        return [*memories[:_MOST_FOUND], *others[:_MOST_FOUND]]

    async def read(self, name: str) -> tuple[str, list[str]] | None:
        """Return an accepted memory's file, and what of its evidence has changed since."""
        ref = ids.read_memory_ref(name, self.request_key)
        found = await self._memories().read(name, ref, int(time.time()))
        if found is None:
            return None
        changed = []
        for path, oid in found.files:
            entry = await self.store.entry_at(self.expected, path)
            if entry is None or entry.oid != oid:
                changed.append(path)
        return self.redact(render(found)), changed

    def _memories(self) -> Memories:
        return Memories(self.store, self.redact)

    async def _asked(self) -> tuple[str, str]:
        """Return the workflow id of its request, and the words in which a person made it."""
        opened = await records.read(self.store, ids.open_ref(self.request_key), OpenRequest)
        if opened is None:
            return ids.request_of(self.agent) or self.request_key, ""
        asked = json.loads(opened.asked or "{}")
        return opened.id, str(asked.get("request", ""))
