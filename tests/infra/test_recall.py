"""Search of memories and conversations by an index that is nothing but a cache."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.model import ModelCall, ModelTurn, ToolAnswer, ToolUse
from contracts.spending import AgentOpened
from contracts.store import ConversationRef
from domain import ids
from domain.agent.sections import sections
from infra.conversation.log import ConversationLog, TurnContent, Window
from infra.memory import recall as recall_module
from infra.memory.memories import Memories
from infra.memory.recall import Recall, RecallError, discard
from infra.store import ANY, RefUpdate, Store, records
from runtime.redaction import redactor
from tests.activities.test_worktrees import empty_store
from tests.infra.test_conversation import CONFIG, REPOSITORY
from tests.infra.test_memories import SECRET, accepted

Search = Callable[[], Recall]


@pytest.fixture(name="store")
async def _store(tmp_path: Path) -> AsyncIterator[Store]:
    async with await empty_store(tmp_path) as store:
        yield store


@pytest.fixture(name="search")
def _search(store: Store, tmp_path: Path) -> Search:
    """Return a search as a process that was just started has it."""
    return lambda: Recall(store, tmp_path / "cache", "shop", redact=redactor((SECRET,)))


class Talk:
    """One conversation of a request, turn by turn."""

    def __init__(self, store: Store, request: str, name: str, agent: str = "") -> None:
        self.store, self.log = store, ConversationLog()
        self.request, self.name = request, name
        self.agent = agent or f"request/{request}/task/a/coder-1"
        self.at: ConversationRef | None = None

    async def begin(self, told: str) -> "Talk":
        """Open it."""
        opening = {"role": "user", "content": [{"type": "text", "text": told}]}
        log = await self.log.open(self.store, self.name, configuration=CONFIG, opening=opening)
        agent = AgentOpened(
            conversation=self.name, agent=self.agent, role="coder", task="a", opened=1.0
        )
        await records.write_first(self.store, ids.agent_ref(self.request, self.name), agent)
        self.at = ConversationRef(id=self.name, head=log.head, model="m")
        return self

    async def hear(self, text: str, *, output: str = "", calls: str = "") -> None:
        """Append a turn: what a call before it put out, and the reply."""
        assert self.at is not None
        answers = [ToolAnswer(tool_use_id=call, text=output) for call in self.at.open_calls]
        call = ModelCall(
            repository=REPOSITORY, conversation=self.at, agent="role=coder", answers=tuple(answers)
        )
        window: Window = await self.log.window(self.store, self.at.head)
        blocks = [
            {"type": "tool_result", "tool_use_id": each.tool_use_id, "content": each.text}
            for each in answers
        ]
        message = {"role": "user", "content": blocks} if blocks else None
        reply: list[dict[str, Any]] = [
            {"type": "thinking", "thinking": "unspoken"},
            {"type": "text", "text": text},
        ]
        uses: tuple[ToolUse, ...] = ()
        if calls:
            uses = (ToolUse(id=f"u{self.at.turns}", name="run_command", subject=calls),)
            reply.append(
                {"type": "tool_use", "id": uses[0].id, "name": "run_command",
                 "input": {"command": calls}}
            )  # fmt: skip
        turn = ModelTurn(conversation=self.at, stop_reason="tool_use", tool_uses=uses)
        said = TurnContent(message, (message,) if message else (), reply)
        batch = self.store.batch()
        turn = await self.log.append(
            self.store, call, batch=batch, window=window, said=said, turn=turn
        )
        self.at = turn.conversation


async def test_memories_and_conversations_are_found(store: Store, search: Search) -> None:
    """By words in any form and order: in what was told, said, called and put out, not thought."""
    name = await accepted(Memories(store, str), 7)
    talk = await Talk(store, "r1", "c1").begin("Mend how the parser counts commas.")
    await talk.hear("I look at it.", calls="grep -n tokenizer src")
    await talk.hear("Found it.", output="src/lex.py:40: def tokenizer_state(self)")

    found = {
        words: [(hit.memory, hit.turn) for hit in await search().search(words, most=5)]
        for words in ("traps", "comma parsers", "grep", "tokenizer_state", "unspoken", "?!")
    }

    assert found == {
        "traps": [(name, 0)],
        "comma parsers": [("", 0)],
        "grep": [("", 1)],
        "tokenizer_state": [("", 2)],
        "unspoken": [],
        "?!": [],
    }


async def test_what_is_new_is_found_at_once(store: Store, search: Search) -> None:
    """Turns that were appended and memories that were accepted since the last search."""
    talk = await Talk(store, "r1", "c1").begin("Begin.")
    await talk.hear("The first word is zebra.")
    assert len(await search().search("zebra", most=5)) == 1

    await talk.hear("Another zebra.")
    other = await Talk(store, "r2", "c2").begin("A zebra crossing.")
    await other.hear("Well.")
    await accepted(Memories(store, str), 99)

    assert [(hit.conversation, hit.turn) for hit in await search().search("zebra", most=5)] == [
        ("c1", 2), ("c2", 0), ("c1", 1),
    ] or len(await search().search("zebra", most=5)) == 3  # fmt: skip
    assert [hit.title for hit in await search().search("trap number 99", most=5)] == [
        "Trap number 99"
    ]


async def test_what_is_gone_is_not_found_nor_left_in_the_file(
    store: Store, search: Search, tmp_path: Path
) -> None:
    """A memory that was forgotten, a conversation whose request was."""
    memories = Memories(store, str)
    name = await accepted(memories, 1)
    for number in (1, 2):
        talk = await Talk(store, f"r{number}", f"c{number}").begin(f"Quagga number {number}.")
        await talk.hear("Well.")
    assert len(await search().search("quagga", most=5)) == 2
    assert len(await search().search("trap", most=5)) == 1

    await memories.decline(name)
    await store.update_refs(RefUpdate(ids.conversation_ref("c1"), None, ANY))
    await store.update_refs(RefUpdate(ids.conversation_ref("c2"), None, ANY))

    assert await search().search("quagga", most=5) == []
    assert await search().search("trap", most=5) == []
    data = b"".join(file.read_bytes() for file in (tmp_path / "cache").iterdir())
    assert b"Quagga" not in data
    assert b"quagga" not in data
    assert b"Trap" not in data
    discard(tmp_path / "cache", "shop")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("damage", ["missing", "garbage", "torn"])
async def test_a_damaged_index_is_made_again(
    store: Store, search: Search, tmp_path: Path, damage: str
) -> None:
    """From the store; the same is found."""
    await accepted(Memories(store, str), 1)
    talk = await Talk(store, "r1", "c1").begin("A zebra.")
    await talk.hear("Well.")
    first = await search().search("zebra trap", most=5)
    (file,) = (tmp_path / "cache").iterdir()
    if damage == "missing":
        file.unlink()
    elif damage == "garbage":
        file.write_bytes(b"no database" * 1_000)
    else:
        data = file.read_bytes()
        file.write_bytes(data[:4_096] + b"\\xff" * (len(data) - 4_096))

    again = await search().search("zebra trap", most=5)

    assert [(hit.memory, hit.turn) for hit in again] == [(hit.memory, hit.turn) for hit in first]
    assert len(again) == 2


async def test_an_index_that_is_held_says_so(
    store: Store, search: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while: nothing waits for ever, and nothing is deleted."""
    await accepted(Memories(store, str), 1)
    await search().search("trap", most=5)
    (file,) = (tmp_path / "cache").iterdir()
    monkeypatch.setattr(recall_module, "_BUSY_SECONDS", 0.05)
    holder = sqlite3.connect(file)
    holder.execute("BEGIN EXCLUSIVE")

    with pytest.raises(RecallError, match="locked"):
        await search().search("trap", most=5)

    holder.close()
    assert len(await search().search("trap", most=5)) == 1


async def test_an_agent_finds_its_own_requests_conversations_alone(
    store: Store, search: Search
) -> None:
    """Not those of others, also where a person's search has read them all; but all memories."""
    await accepted(Memories(store, str), 1)
    for request in ("mine", "other"):
        talk = await Talk(store, request, f"c-{request}").begin(f"A zebra of {request}.")
        await talk.hear("Well.")

    before = await search().search("zebra", most=5, request="mine")
    everything = await search().search("zebra", most=5)
    after = await search().search("zebra", most=5, request="mine")

    assert [hit.conversation for hit in before] == ["c-mine"]
    assert {hit.conversation for hit in everything} == {"c-mine", "c-other"}
    assert [hit.conversation for hit in after] == ["c-mine"]
    assert len(await search().search("trap", most=5, request="mine")) == 1
    assert await search().search("zebra", most=5, request="none") == []


async def test_a_passage_is_of_the_facts_without_their_tags(store: Store, search: Search) -> None:
    """Of an opening what every agent is told is left out: it would be found everywhere."""
    told = sections(
        (("Task", "Feed the zebra."), ("Environment", "Zebra OS"), ("Files", "zebra.py")), seed="x"
    )
    talk = await Talk(store, "r1", "c1").begin(told)
    await talk.hear("Well.")

    (hit,) = await search().search("zebra", most=5)

    assert hit.passage == "Task: Feed the zebra."


async def test_no_secret_is_in_the_index(store: Store, search: Search, tmp_path: Path) -> None:
    """Also where a conversation holds one."""
    talk = await Talk(store, "r1", "c1").begin(f"The zebra's password is {SECRET}.")
    await talk.hear("Well.")

    (hit,) = await search().search("zebra", most=5)

    assert "[redacted]" in hit.passage
    data = b"".join(file.read_bytes() for file in (tmp_path / "cache").iterdir())
    assert SECRET.encode() not in data


async def test_unchanged_conversations_are_not_listed_again(
    store: Store, search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not change costs a look at two times on the disk."""
    talk = await Talk(store, "r1", "c1").begin("A zebra.")
    await talk.hear("Well.")
    monkeypatch.setattr(recall_module, "_YOUNG_NS", 0)
    assert len(await search().search("zebra", most=5)) == 1

    async def refuse(_prefix: str) -> dict[str, str]:
        raise AssertionError("the conversations were listed")

    with monkeypatch.context() as watched:
        watched.setattr(store, "refs", refuse)
        assert len(await search().search("zebra", most=5)) == 1
    await talk.hear("One more zebra.")
    assert len(await search().search("zebra", most=5)) == 2
