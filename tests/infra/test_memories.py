"""A repository's memories in a real store: changed by compare-and-swap, whole or not at all."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain import ids
from domain.memory.acceptance import RULE, Fate
from domain.memory.memory import Memory, MemoryType, draft, parse, parse_index
from infra.memory.memories import Memories, Source, Used
from infra.store import RefUpdate, Store, packing, trees
from runtime.redaction import redactor
from tests.activities.test_worktrees import empty_store
from tests.local_deployment import ROOT

SECRET = "correct horse battery"
NOW = 1_796_000_000
CODER = Source("request/x-1", "coder of a", words="Remember: prices are in cents everywhere.")


@pytest.fixture(name="store")
async def _store(tmp_path: Path) -> AsyncIterator[Store]:
    async with await empty_store(tmp_path) as store:
        yield store


@pytest.fixture(name="memories")
def _memories(store: Store) -> Memories:
    return Memories(store, redactor((SECRET,)))


def trap(number: int = 1, text: str = "Mind it.") -> object:
    return draft(MemoryType.PROJECT, description=f"Trap number {number}", text=text)


async def proposed(memories: Memories, number: int = 1, source: Source = CODER) -> str:
    """Propose a memory; return its name."""
    made = draft(MemoryType.PROJECT, description=f"Trap number {number}", text="Mind it.")
    assert (await memories.propose(made, source, NOW)).fate is Fate.WAITS
    return made.name


async def accepted(memories: Memories, number: int = 1) -> str:
    """Propose a memory and accept it; return its name."""
    source = Source(f"request/x-{number}", "coder of a")
    name = await proposed(memories, number, source)
    assert isinstance(await memories.accept(name, by="person ann", now=NOW + 5), Memory)
    return name


async def test_a_proposal_waits_until_a_person_accepts_it(memories: Memories, store: Store) -> None:
    """Then it stands in the index, first, and in a topic file with where it came from."""
    first = await accepted(memories, 1)
    name = await proposed(memories, 2)
    assert [each.name for each in await memories.waiting()] == [name]
    assert (await memories.kept()).accepted == {first}

    await memories.accept(name, by="person ann", now=NOW + 9)

    files = {
        path: (await store.get_blob(oid)).decode()
        for path, oid in (await trees.object_ids(store, ids.MEMORY_REF)).items()
    }
    assert set(files) == {"MEMORY.md", f"topics/{first}.md", f"topics/{name}.md"}
    assert [each.name for each in parse_index(files["MEMORY.md"])] == [name, first]
    found = parse(files[f"topics/{name}.md"])
    assert found is not None
    assert (found.request, found.agent, found.modified) == ("request/x-1", "coder of a", NOW)
    assert (found.accepted_by, found.accepted) == ("person ann", NOW + 9)
    assert await memories.accept(name, by="x", now=NOW) == f"{name} is accepted already."


async def test_what_the_person_asked_for_is_accepted_by_rule(memories: Memories) -> None:
    """And says by which rule."""
    wish = draft(
        MemoryType.FEEDBACK,
        description="Prices are in cents everywhere",
        text="prices are in cents everywhere.",
    )

    verdict = await memories.propose(wish, CODER, NOW)

    assert verdict.fate is Fate.ACCEPTED
    found = await memories.topic(wish.name)
    assert found is not None
    assert found.accepted_by == RULE


async def test_a_repeated_proposal_is_one(memories: Memories) -> None:
    """As of an attempt whose worker was killed before it could answer."""
    name = await proposed(memories)

    made = draft(MemoryType.PROJECT, description="Trap number 1", text="Mind it.")
    again = await memories.propose(made, CODER, NOW + 60)

    assert again.fate is Fate.KNOWN
    assert [(each.name, each.modified) for each in await memories.waiting()] == [(name, NOW)]


async def test_what_is_declined_leaves_nothing_and_does_not_come_back(
    memories: Memories, store: Store
) -> None:
    """Neither its text nor its name is reachable, and the same content is refused."""
    kept, waits = await accepted(memories, 1), await proposed(memories, 2)

    assert await memories.decline(kept)
    assert await memories.decline(waits)
    assert not await memories.decline(kept)

    listed = await trees.object_ids(store, ids.MEMORY_REF)
    assert set(listed) == {"MEMORY.md", "state.json"}
    texts = b"".join([await store.get_blob(oid) for oid in listed.values()])
    assert b"trap" not in texts.lower()
    for number in (1, 2):
        made = draft(MemoryType.PROJECT, description=f"Trap number {number}", text="Mind it.")
        assert (await memories.propose(made, CODER, NOW)).fate is Fate.REFUSED


async def test_what_is_forgotten_goes_from_the_disk(memories: Memories, store: Store) -> None:
    """With the next pruning, whatever kept it; what is still remembered stays."""
    stays, goes = await accepted(memories, 1), await accepted(memories, 2)
    blob = (await store.entry_at(ids.MEMORY_REF, f"topics/{goes}.md")).oid  # type: ignore[union-attr]
    await memories.decline(goes)

    assert packing.is_unpruned(store.path)
    for place in (store.path / "objects").glob("[0-9a-f][0-9a-f]/*"):
        _make_old(place)
    async with packing.pruning(store.path):
        await packing.prune(store, {})

    assert await store.resolve(blob) is None
    assert await memories.topic(stays) is not None
    assert (await memories.kept()).accepted == {stays}


def _make_old(place: Path) -> None:
    import os  # noqa: PLC0415

    os.utime(place, (NOW - 1_000_000, NOW - 1_000_000))


async def test_packing_and_pruning_keep_memories(memories: Memories, store: Store) -> None:
    """They belong to no request, so no clean-up takes them."""
    name, waits = await accepted(memories, 1), await proposed(memories, 2)

    await packing.pack(store, least=1)
    async with packing.pruning(store.path):
        await packing.prune(store, {})

    async with await Store.open(store.path) as again:
        memories = Memories(again, str)
        assert await memories.topic(name) is not None
        assert await memories.proposal(waits) is not None


async def test_a_secret_that_is_known_later_is_not_accepted(store: Store) -> None:
    """It was proposed when nobody knew that it is one."""
    memories = Memories(store, str)
    made = draft(MemoryType.PROJECT, description="The door", text=f"It opens with {SECRET}.")
    await memories.propose(made, CODER, NOW)

    said = await Memories(store, redactor((SECRET,))).accept(made.name, by="ann", now=NOW)

    assert isinstance(said, str)
    assert "secret" in said
    assert (await memories.kept()).accepted == frozenset()


async def test_what_a_conversation_is_told_first_stands(memories: Memories) -> None:
    """However often its opening is repeated, and whatever is accepted meanwhile; counted once."""
    name = await accepted(memories, 1)
    ref = ids.told_memories_ref("conversation", "r1")

    first = await memories.give(ref, "", can_read=True, now=NOW)
    later = await accepted(memories, 2)
    again = await memories.give(ref, "", can_read=True, now=NOW + 1)

    assert first == again
    assert name in first
    assert later not in first
    used = (await memories.kept()).used
    assert used == {name: Used(given=1, read=0, last=NOW)}


async def test_a_conversation_without_memories_stays_without(memories: Memories) -> None:
    """The first answer of all, nothing, is recorded too."""
    ref = ids.told_memories_ref("conversation", "r1")

    assert await memories.give(ref, "", can_read=True, now=NOW) == ""
    await accepted(memories, 1)
    assert await memories.give(ref, "", can_read=True, now=NOW) == ""


async def test_a_reading_counts_once_for_a_request(memories: Memories) -> None:
    """However often its agents read it, or a reading is repeated."""
    name = await accepted(memories, 1)

    for request in ("r1", "r1", "r2"):
        assert await memories.read(name, ids.read_memory_ref(name, request), NOW) is not None
    assert await memories.read("none", ids.read_memory_ref("none", "r1"), NOW) is None

    assert (await memories.kept()).used[name] == Used(given=0, read=2, last=NOW)


async def test_changes_at_once_are_all_kept(store: Store) -> None:
    """Of many agents in one process and in another: none overwrites another's."""
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from infra.store import Store\n"
        "from tests.infra.test_memories import proposed, Memories\n"
        "from infra.memory.memories import Source\n"
        "async def main():\n"
        "    async with await Store.open(Path(sys.argv[1])) as store:\n"
        "        for n in range(100, 110):\n"
        "            await proposed(Memories(store, str), n, Source(f'request/{n}', 'c'))\n"
        "asyncio.run(main())\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(store.path)], cwd=ROOT)
    sources = [Source(f"request/{number}", "c") for number in range(20)]
    await asyncio.gather(
        *(proposed(Memories(store, str), n, source) for n, source in enumerate(sources))
    )

    assert await asyncio.to_thread(other.wait) == 0
    assert len((await Memories(store, str).kept()).waiting) == 30


async def test_a_change_that_met_another_is_made_again(
    memories: Memories, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that does not know the lock moves the reference meanwhile: nothing is lost."""
    first = await proposed(memories, 1)
    moved = store.update_refs
    calls = 0

    async def update(*updates: RefUpdate) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            tree = store.ref(ids.MEMORY_REF) or ""
            blob = await store.put_blob(b"{}\n")
            other = await trees.with_paths(store, tree, {"state.json": ("100644", blob)})
            await moved(RefUpdate(ids.MEMORY_REF, other, tree))
        await moved(*updates)

    monkeypatch.setattr(store, "update_refs", update)
    second = await proposed(memories, 2)

    assert set((await memories.kept()).waiting) == {first, second}
    assert await store.entry_at(ids.MEMORY_REF, "state.json") is not None
