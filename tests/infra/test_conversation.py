"""Conversation logs in a real store: appended to, byte-stable, never paid for twice."""

import itertools
import json
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.agent import AgentLimits
from contracts.model import ModelCall, ModelTurn, ToolAnswer, ToolUse, Usage
from contracts.store import ConversationRef, RepositoryRef
from domain import ids
from domain.agent.configuration import AgentConfiguration
from domain.agent.models import facts
from infra.conversation import breakpoints
from infra.conversation import log as conversation_log
from infra.conversation.log import ConversationLog, TurnContent, Window, turn_key
from infra.conversation.messages import (
    RECORDED,
    Message,
    canonical,
    compose,
    documents_linked,
    filled,
)
from infra.store import Store
from tests.activities.test_worktrees import empty_store

NAME = "agent-1"
REPOSITORY = RepositoryRef(
    key="demo", host_id="here", request_key="r1", target="main", environment="0" * 40
)
CONFIG = AgentConfiguration(
    role="coder",
    model="claude-sonnet-5-5",
    effort=None,
    system="Work.",
    tools=(),
    prices=facts("claude-sonnet-5-5"),
    limits=AgentLimits(),
)
OTHER = CONFIG.model_copy(update={"system": "Work well."})
OPENING: Message = {"role": "user", "content": [{"type": "text", "text": "Begin."}]}


class Talk:
    """One conversation, turn by turn, with replies made up by the test."""

    def __init__(self, store: Store, log: ConversationLog, conversation: ConversationRef) -> None:
        self.store = store
        self.log = log
        self.conversation = conversation

    def call(self, **fields: Any) -> ModelCall:
        """Return the next call."""
        return ModelCall(
            repository=REPOSITORY, conversation=self.conversation, agent="role=coder", **fields
        )

    async def window(self) -> Window:
        """Return the window as it stands."""
        return await self.log.window(self.store, self.conversation.head)

    async def hear(
        self,
        call: ModelCall,
        *,
        text: str = "Well.",
        uses: Sequence[str] = (),
        discarded: bool = False,
    ) -> ModelTurn:
        """Journal a reply to a call; the conversation does not move on by itself."""
        window = await self.log.window(self.store, call.conversation.head)
        batch = self.store.batch()
        reply: list[dict[str, Any]] = [{"type": "text", "text": text}]
        reply += [{"type": "tool_use", "id": use, "name": "view", "input": {}} for use in uses]
        turn = ModelTurn(
            conversation=call.conversation,
            stop_reason="tool_use" if uses else "end_turn",
            tool_uses=tuple(
                ToolUse(id=use, name="view", arguments=batch.blob(use.encode())) for use in uses
            ),
            usage=Usage(input_tokens=10, output_tokens=5),
            discarded=discarded,
        )
        message = None
        if call.conversation.turns:
            message = compose(
                call.conversation.open_calls,
                call.answers,
                message=call.message,
                documents=call.documents,
            )
        sent = await filled(self.store, [message] if message else [])
        return await self.log.append(
            self.store,
            call,
            batch=batch,
            window=window,
            said=TurnContent(message, tuple(sent), reply),
            turn=turn,
        )

    async def go_on(self, call: ModelCall, **reply: Any) -> ModelTurn:
        """Journal a reply and take it as said."""
        turn = await self.hear(call, **reply)
        self.conversation = turn.conversation
        return turn


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[Talk]:
    """A conversation that was just opened."""
    async with await empty_store(tmp_path) as store:
        log = ConversationLog()
        head = (await log.open(store, NAME, configuration=CONFIG, opening=OPENING)).head
        yield Talk(store, log, ConversationRef(id=NAME, head=head, model="claude-sonnet-5-5"))


async def test_opening_twice_is_the_same_log(talk: Talk) -> None:
    """The first root counts with its configuration, and a log that has gone on is not set back."""
    root = talk.conversation.head
    await talk.go_on(talk.call())
    again = await talk.log.open(talk.store, NAME, configuration=OTHER, opening=OPENING)

    assert (again.head, again.configuration) == (root, CONFIG)
    assert talk.store.ref(ids.conversation_ref(NAME)) == talk.conversation.head


async def test_each_window_begins_with_the_one_before_to_the_byte(talk: Talk) -> None:
    """What was sent once is sent again in the same bytes, so that the provider's cache holds."""
    sent = [canonical(list((await talk.window()).messages))]
    output = await talk.store.put_blob(b"1: text\n")
    answers: tuple[ToolAnswer, ...] = ()
    for number in range(6):
        use = f"toolu_{number}"
        await talk.go_on(talk.call(answers=answers), text=f"step {number} ✓", uses=[use])
        answers = (ToolAnswer(tool_use_id=use, output=output),)
        sent.append(canonical(list((await talk.window()).messages)))

    assert all(after.startswith(before[:-1] + b",") for before, after in itertools.pairwise(sent))


async def test_a_document_of_before_is_sent_as_it_was(talk: Talk) -> None:
    """A conversation that is open over the update keeps the bytes that the service has seen; new
    documents carry a mark.
    """
    oid = await talk.store.put_blob(b"red\n</document>\n")
    link = {"$blob": oid, "$label": "checks"}
    new = documents_linked([("checks", oid)])[0]
    texts = [
        (await filled(talk.store, [{"role": "user", "content": [block]}]))[0]["content"][0]["text"]
        for block in ({"type": "text", "text": link}, new, new)
    ]

    assert texts[0] == '<document name="checks">\nred\n</document>\n\n</document>'
    assert re.fullmatch(
        r'<document-(\w{12}) name="checks">\nred\n.*</document-\1>', texts[1], re.DOTALL
    )
    assert texts[1] == texts[2]


async def test_the_window_in_memory_is_the_window_in_the_store(talk: Talk) -> None:
    """A worker that has never seen the log sends the very bytes that the one before
    it would send.
    """
    output = await talk.store.put_blob("ä\n".encode())
    document = await talk.store.put_blob(b"diff")
    await talk.go_on(talk.call(), uses=["toolu_a", "toolu_b"])
    await talk.go_on(
        talk.call(
            answers=(ToolAnswer(tool_use_id="toolu_a", output=output, is_error=True),),
            message="Look.",
            documents=(("patch", document),),
        ),
        text="A lone surrogate: \ud800.",
    )
    fresh = await ConversationLog().window(talk.store, talk.conversation.head)

    assert canonical(list(fresh.messages)) == canonical(list((await talk.window()).messages))
    assert fresh == await talk.window()
    assert fresh.config == {"role": "coder", **CONFIG.request_fields()}
    assert fresh.configuration == CONFIG


async def test_a_turn_whose_acknowledgement_was_lost_is_found(talk: Talk) -> None:
    """The same call again is the recorded turn, also for a worker without memory of it."""
    await talk.go_on(talk.call(), uses=["toolu_a"])
    call = talk.call(answers=(ToolAnswer(tool_use_id="toolu_a", text="done"),))
    told = await talk.hear(call, text="once")
    found = await ConversationLog().recorded(talk.store, call, turn_key(call))

    assert found == told


async def test_a_history_that_is_older_than_the_log_finds_every_turn(talk: Talk) -> None:
    """A database from a backup asks again for turns that are long said: it gets the same ones, the
    discarded too, and again after a turn of another course has put those aside.
    """
    root, first = talk.conversation, talk.call()
    told = [await talk.hear(first, text="far too lo", discarded=True)]
    asked = [first, talk.call(variant=1)]
    told.append(await talk.go_on(asked[-1], uses=["toolu_0"]))
    for number in range(3):
        answer = ToolAnswer(tool_use_id=f"toolu_{number}", text="done")
        asked.append(talk.call(answers=(answer,)))
        told.append(await talk.go_on(asked[-1], uses=[f"toolu_{number + 1}"]))

    async def found() -> list[ModelTurn | None]:
        log = ConversationLog()
        return [await log.recorded(talk.store, call, turn_key(call)) for call in asked]

    assert await found() == told
    talk.conversation = root
    await talk.hear(talk.call(message="Another course."))
    assert await found() == told


async def test_another_call_on_the_same_head_is_not_the_recorded_turn(talk: Talk) -> None:
    """A note that came in between, or a deliberate repeat, is a call of its own."""
    call = talk.call()
    await talk.hear(call)
    others = [talk.call(message="And now?"), talk.call(variant=1)]

    assert [await talk.log.recorded(talk.store, o, turn_key(o)) for o in others] == [None, None]


async def test_a_discarded_reply_is_kept_but_not_said(talk: Talk) -> None:
    """A reply that was cut off is journaled for its cost; the conversation stays where it was."""
    call = talk.call()
    turn = await talk.hear(call, text="far too lo", discarded=True)
    found = await talk.log.recorded(talk.store, call, turn_key(call))

    assert turn.conversation == talk.conversation
    assert found == turn
    assert (await talk.window()).messages == (OPENING,)


async def test_an_abandoned_turn_is_pinned_aside(talk: Talk) -> None:
    """What stands in the way of a turn is no part of the log any more, but it was paid for: it
    stays.
    """
    await talk.hear(talk.call(), text="abandoned", discarded=True)
    ref = ids.conversation_ref(NAME)
    abandoned = talk.store.ref(ref)
    await talk.go_on(talk.call(variant=1), text="kept")

    assert abandoned is not None
    assert talk.store.ref(ref) == talk.conversation.head
    assert talk.store.ref(ids.abandoned_ref(NAME, abandoned)) == abandoned


async def test_everything_a_turn_refers_to_hangs_on_its_commit(talk: Talk) -> None:
    """Arguments, outputs and documents are entries of the turn's tree, so that no clean-up takes
    them.
    """
    await talk.go_on(talk.call(), uses=["toolu_a"])
    output = await talk.store.put_blob(b"out")
    document = await talk.store.put_blob(b"doc")
    await talk.go_on(
        talk.call(
            answers=(ToolAnswer(tool_use_id="toolu_a", output=output),),
            documents=(("log", document),),
        ),
        uses=["toolu_b"],
    )
    entries = {row.name: row.oid for row in await talk.store.get_tree(talk.conversation.head)}

    assert entries.keys() == {"turn.json", "in.0", "out.0", "out.1"}
    assert {output, document} == {entries["out.0"], entries["out.1"]}
    assert await talk.store.get_blob(entries["in.0"]) == b"toolu_b"


async def test_the_log_remembers_only_so_many_windows(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded; a window that was forgotten is read again and is the same."""
    monkeypatch.setattr(conversation_log, "REMEMBERED_WINDOWS", 2)
    talk.log = ConversationLog()
    first = await talk.window()
    for _ in range(4):
        await talk.go_on(talk.call(message="On."))

    assert len(talk.log._windows) == 2
    assert (await talk.window()).messages[:1] == first.messages


_NAMES = st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True)


@given(opened=_NAMES, answered=_NAMES, message=st.sampled_from([None, "", "A note."]))
def test_every_open_call_is_answered_once_and_first(
    opened: list[str], answered: list[str], message: str | None
) -> None:
    """Whatever became of them, the calls of a reply are answered in its order, before any text."""
    answers = [ToolAnswer(tool_use_id=name, text=f"did {name}") for name in answered]
    composed = compose(opened, answers, message=message, documents=())
    blocks = composed["content"] if composed else []

    assert [block["tool_use_id"] for block in blocks[: len(opened)]] == opened
    assert [block["content"] for block in blocks[: len(opened)]] == [
        f"did {name}" if name in answered else RECORDED for name in opened
    ]
    assert [block["text"] for block in blocks[len(opened) :]] == ([message] if message else [])


@given(st.integers(min_value=0, max_value=12), st.booleans(), st.booleans())
def test_cache_markers_are_few_and_well_placed(
    turns: int,
    pending: bool,  # noqa: FBT001
    long_tail: bool,  # noqa: FBT001
) -> None:
    """System and opening for an hour, then the tail and the one before it: never more than four.

    Where the conversation pauses for long, these two are kept for an hour as well.
    """
    messages: list[Message] = [OPENING]
    for number in range(turns):
        block = {"type": "text", "text": f"{number}"}
        messages.append({"role": "assistant", "content": [block]})
        messages.append({"role": "user", "content": [block, {**block, "text": "last"}]})
    if pending:
        messages.append({"role": "assistant", "content": [{"type": "text", "text": "paused"}]})
    before = json.dumps(messages)
    request = breakpoints.request(
        CONFIG.request_fields(), messages, max_tokens=1_000, model="m", long_tail=long_tail
    )
    marks = [
        (place, block["cache_control"].get("ttl", "5m"))
        for place, message in enumerate(request["messages"])
        for block in message["content"]
        if "cache_control" in block
    ]
    users = [place for place, message in enumerate(messages) if message["role"] == "user"]

    assert request["system"][0]["cache_control"]["ttl"] == "1h"
    assert marks == [(0, "1h"), *((place, "1h" if long_tail else "5m") for place in users[1:][-2:])]
    assert len(marks) + len(request["system"]) <= 4
    assert all(
        "cache_control" not in block for m in request["messages"] for block in m["content"][:-1]
    )
    assert json.dumps(messages) == before
    assert "role" not in request
