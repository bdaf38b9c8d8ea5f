"""The memories of one repository: a tree of files under one reference, changed by compare-and-swap.

    MEMORY.md             the index: a line for each accepted memory, the newest first
    topics/<name>.md      accepted memories
    proposals/<name>.md   those that wait for a person
    state.json            how often each was used, and what a person does not want remembered

The reference names the tree itself: what is forgotten is in no history of it. It belongs to no
request, so it stays when requests are deleted.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from domain import ids
from domain.memory import acceptance
from domain.memory.acceptance import Fate, Known, ProposalVerdict
from domain.memory.memory import (
    INDEX,
    PROPOSALS,
    TOPICS,
    Draft,
    IndexLine,
    Memory,
    line_of,
    mark_of,
    parse,
    parse_index,
    render,
    render_index,
)
from domain.memory.telling import told
from domain.text import Redact
from infra.locks import locked
from infra.store import Batch, RefConflict, RefUpdate, Store, StoreError, packing, records, trees
from infra.store.object_format import EMPTY_TREE

_STATE: Final = "state.json"
_LOCK: Final = "oc-memory.turn"
_TRIES: Final = 20

Files = Mapping[str, str | None]
"""Texts of files by path, None for one that goes."""


@dataclass(frozen=True, slots=True)
class Used:
    """How often a memory was used.

    Attributes:
        given: agents that were told its line at their opening.
        read: requests whose agents have read it whole.
        last: when, in seconds since 1970; 0 for never.
    """

    given: int = 0
    read: int = 0
    last: int = 0


@dataclass(frozen=True)
class MemoryState:
    """What is kept at one moment.

    Attributes:
        lines: of the index.
        waiting: names of the proposals.
        declined: marks of what a person rejected or forgot, the newest last.
    """

    lines: tuple[IndexLine, ...] = ()
    waiting: tuple[str, ...] = ()
    used: Mapping[str, Used] = field(default_factory=dict)
    declined: tuple[str, ...] = ()

    @property
    def accepted(self) -> frozenset[str]:
        """The names of the accepted memories."""
        return frozenset(line.name for line in self.lines)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a proposal comes from; fields as of `Memory`.

    Attributes:
        words: the person's request; "" where it is not known.
    """

    request: str
    agent: str
    words: str = ""
    files: tuple[tuple[str, str], ...] = ()


class Memories:
    """The memories of a store. Every change is whole or has not been; safe to repeat.

    Args:
        redact: takes secrets out of a text.
    """

    def __init__(self, store: Store, redact: Redact) -> None:
        self._store = store
        self._redact = redact

    # ---- reading

    async def kept(self) -> MemoryState:
        """Return what is kept now."""
        return await self._kept(self._store.ref(ids.MEMORY_REF))

    async def used(self) -> Mapping[str, Used]:
        """Return how often each memory was used, by name; those alone that were."""
        tree = self._store.ref(ids.MEMORY_REF)
        entry = await self._store.entry_at(tree, _STATE) if tree else None
        return _used(json.loads(await self._text(entry.oid))) if entry else {}

    async def topic(self, name: str) -> Memory | None:
        """Return an accepted memory."""
        return await self._read(f"{TOPICS}/{name}.md")

    async def proposal(self, name: str) -> Memory | None:
        """Return a memory that waits."""
        return await self._read(f"{PROPOSALS}/{name}.md")

    async def waiting(self) -> list[Memory]:
        """Return what waits for a person, the oldest first."""
        found = [await self.proposal(name) for name in (await self.kept()).waiting]
        return sorted((each for each in found if each), key=lambda each: (each.modified, each.name))

    # ---- changing

    async def propose(self, draft: Draft, source: Source, now: int) -> ProposalVerdict:
        """Take a proposal; return what becomes of it. The same content is taken once."""
        memory = Memory(
            name=draft.name,
            type=draft.type,
            description=draft.description,
            text=draft.text,
            modified=now,
            request=source.request,
            agent=source.agent,
            evidence=draft.evidence,
            files=source.files,
        )
        verdict = ProposalVerdict(Fate.REFUSED, "")

        async def decide(kept: MemoryState, _: Batch) -> Files | None:
            nonlocal verdict
            verdict = acceptance.judge(draft, await self._known(kept, source), self._redact)
            match verdict.fate:
                case Fate.ACCEPTED:
                    return _accepting(kept, memory.accept(acceptance.RULE, now))
                case Fate.WAITS:
                    return {f"{PROPOSALS}/{memory.name}.md": render(memory)}
                case _:
                    return None

        await self._change(decide)
        return verdict

    async def accept(self, name: str, *, by: str, now: int) -> Memory | str:
        """Accept what waits under this name; return it, or why that cannot be, in a sentence."""
        outcome: Memory | str = ""

        async def decide(kept: MemoryState, _: Batch) -> Files | None:
            nonlocal outcome
            memory = await self.proposal(name)
            if memory is None:
                there = name in kept.accepted
                outcome = f"{name} is accepted already." if there else f"Nothing waits as {name}."
                return None
            if self._redact(render(memory)) != render(memory):
                outcome = f"{name} holds a secret, which is never remembered: reject it."
                return None
            if len(kept.lines) >= acceptance.MOST_ACCEPTED:
                outcome = f"There are {acceptance.MOST_ACCEPTED:,} memories: forget some first."
                return None
            outcome = memory.accept(by, now)
            return _accepting(kept, outcome)

        await self._change(decide)
        return outcome

    async def decline(self, name: str) -> bool:
        """Reject what waits, or forget what is accepted; it is not taken again. False: is neither.

        Nothing of its text stays reachable; the next clean-up removes it from the disk.
        """
        found = False

        async def decide(kept: MemoryState, _: Batch) -> Files | None:
            nonlocal found
            found = name in kept.accepted or name in kept.waiting
            if not found:
                return None
            lines = tuple(line for line in kept.lines if line.name != name)
            used = {each: count for each, count in kept.used.items() if each != name}
            marks = tuple(mark for mark in kept.declined if mark != mark_of(name))
            declined = (*marks, mark_of(name))[-acceptance.MOST_DECLINED :]
            return {
                f"{PROPOSALS}/{name}.md": None,
                f"{TOPICS}/{name}.md": None,
                INDEX: render_index(lines),
                _STATE: _state(used, declined),
            }

        await self._change(decide)
        if found:
            packing.note_unpruned(self._store.path)
        return found

    async def give(self, ref: str, words: str, *, can_read: bool, now: int) -> str:
        """Return what a conversation is told at its opening, and count it, once for a reference.

        What was told first stands. `words` are those of its task.
        """
        if (before := await records.read_text(self._store, ref)) is not None:
            return before
        text = ""

        async def decide(kept: MemoryState, batch: Batch) -> tuple[Files | None, RefUpdate]:
            nonlocal text
            chosen = told(kept.lines, words)
            text = self._redact(chosen.text(can_read=can_read))
            record = RefUpdate(ref, batch.blob(text.encode()), None)
            if not chosen.lines:
                return None, record
            used = dict(kept.used)
            for line in chosen.lines:
                count = used.get(line.name, Used())
                used[line.name] = replace(count, given=count.given + 1, last=now)
            return {_STATE: _state(used, kept.declined)}, record

        await self._change_with(decide)
        return await records.read_text(self._store, ref) or text

    async def read(self, name: str, ref: str, now: int) -> Memory | None:
        """Return an accepted memory, and count that it was read, once for a reference."""
        memory = await self.topic(name)
        if memory is None or self._store.ref(ref) is not None:
            return memory

        async def decide(kept: MemoryState, batch: Batch) -> tuple[Files | None, RefUpdate]:
            record = RefUpdate(ref, batch.blob(name.encode()), None)
            if name not in kept.accepted:
                return None, record
            count = kept.used.get(name, Used())
            used = {**kept.used, name: replace(count, read=count.read + 1, last=now)}
            return {_STATE: _state(used, kept.declined)}, record

        await self._change_with(decide)
        return memory

    # ---- the tree

    async def _known(self, kept: MemoryState, source: Source) -> Known:
        waiting = await self.waiting()
        whose = (source.request, source.agent)
        return Known(
            accepted=kept.accepted,
            waiting=kept.waiting,
            declined=kept.declined,
            of_agent=sum((each.request, each.agent) == whose for each in waiting),
            words=source.words,
        )

    async def _read(self, path: str) -> Memory | None:
        tree = self._store.ref(ids.MEMORY_REF)
        entry = await self._store.entry_at(tree, path) if tree else None
        return parse((await self._store.get_blob(entry.oid)).decode()) if entry else None

    async def _kept(self, tree: str | None) -> MemoryState:
        if tree is None:
            return MemoryState()
        entries = {entry.name: entry.oid for entry in await self._store.get_tree(tree)}
        index = await self._text(entries.get(INDEX))
        state = json.loads(await self._text(entries.get(_STATE)) or "{}")
        folder = entries.get(PROPOSALS)
        waiting = await self._store.get_tree(folder) if folder else ()
        return MemoryState(
            lines=_lines(index),
            waiting=tuple(entry.name.removesuffix(".md") for entry in waiting),
            used=_used(state),
            declined=tuple(state.get("declined", ())),
        )

    async def _text(self, oid: str | None) -> str:
        return (await self._store.get_blob(oid)).decode() if oid else ""

    async def _change(
        self, decide: Callable[[MemoryState, Batch], Awaitable[Files | None]]
    ) -> None:
        async def alone(kept: MemoryState, batch: Batch) -> tuple[Files | None, None]:
            return await decide(kept, batch), None

        await self._change_with(alone)

    async def _change_with(
        self,
        decide: Callable[[MemoryState, Batch], Awaitable[tuple[Files | None, RefUpdate | None]]],
    ) -> None:
        """Write the files that are decided by what is kept, and move another reference with them.

        One that is there already settles it: this was done before.
        """
        async with locked(self._store.path / _LOCK):
            for _ in range(_TRIES):
                if await self._try(decide):
                    return
        raise StoreError("the memories were changed by others each time: try again")

    async def _try(
        self,
        decide: Callable[[MemoryState, Batch], Awaitable[tuple[Files | None, RefUpdate | None]]],
    ) -> bool:
        old, batch = self._store.ref(ids.MEMORY_REF), self._store.batch()
        files, record = await decide(await self._kept(old), batch)
        updates = [record] if record else []
        if files is not None:
            entries = {
                path: None if text is None else ("100644", batch.blob(text.encode()))
                for path, text in files.items()
            }
            tree = await trees.with_paths(self._store, old or EMPTY_TREE, entries, batch=batch)
            updates.append(RefUpdate(ids.MEMORY_REF, tree, old))
        if not updates:
            return True
        await batch.write()
        try:
            await self._store.update_refs(*updates)
        except RefConflict:
            return bool(record and self._store.ref(record.ref) is not None)
        return True


@lru_cache(maxsize=4)
def _lines(index: str) -> tuple[IndexLine, ...]:
    """Return the lines of an index; many agents that begin at once read the same one."""
    return tuple(parse_index(index))


def _accepting(kept: MemoryState, memory: Memory) -> Files:
    lines: Sequence[IndexLine] = [line for line in kept.lines if line.name != memory.name]
    return {
        f"{PROPOSALS}/{memory.name}.md": None,
        f"{TOPICS}/{memory.name}.md": render(memory),
        INDEX: render_index([line_of(memory), *lines]),
    }


def _used(state: Mapping[str, Any]) -> dict[str, Used]:
    return {name: Used(*counts) for name, counts in state.get("used", {}).items()}


def _state(used: Mapping[str, Used], declined: Sequence[str]) -> str:
    counts = {name: (each.given, each.read, each.last) for name, each in sorted(used.items())}
    state = {"used": counts, "declined": list(declined)}
    return json.dumps(state, separators=(",", ":")) + "\n"
