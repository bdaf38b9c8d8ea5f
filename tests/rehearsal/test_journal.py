"""The journal: its entries, its file, and the checks of it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import anthropic
import pytest

from bench.turns import cache_read_share
from rehearsal import journal
from rehearsal.journal import Entry
from rehearsal.server import serve
from tests import journal_checks
from tests.rehearsal.client_fixtures import (
    HEADER,
    OPUS,
    READ,
    ClientConversation,
    Json,
    client_of,
    one_cast,
    read_call,
)

SCRIPT = one_cast({"think": "hm", "call": [read_call()]}, {"say": "done"})


def entry(n: int, **fields: Any) -> Entry:
    """Return an entry of a finished model call of one conversation."""
    common = {"conversation": "c", "agent": "a", "finished": True, "billed": True}
    return Entry(n, "messages", float(n), **{"message_id": f"m{n}", **common, **fields})


async def test_an_entry_describes_request_and_response(tmp_path: Path) -> None:
    """Every request has one entry with agent, turn, times, tools and usage."""
    path = tmp_path / "journal.jsonl"
    async with serve(SCRIPT, journal_path=path) as server, client_of(server) as client:
        conversation = ClientConversation(client)
        conversation.answer(await conversation.ask(), "text")
        message = await conversation.ask_without_stream()
        await client.messages.count_tokens(
            model=OPUS,
            messages=[{"role": "user", "content": "x"}],
            extra_headers={HEADER: "role=x"},
        )
    first, second, third = journal.read(path)

    assert (first.role, first.task, first.attempt) == ("coder", "fix-parser", "1")
    assert (first.agent, first.request, first.sdk_retries) == ("a-1", "r-1", 0)
    assert [first.turn, second.turn] == [0, 1]
    assert first.conversation == second.conversation
    assert (first.stream, second.stream) == (True, False)
    assert (first.stop_reason, first.tools, first.body) == ("tool_use", ["read"], None)
    assert second.usage == message.usage.to_dict()
    assert second.message_id == message.id
    assert first.time_first_byte is not None
    assert first.time_received <= first.time_first_byte <= first.time_done
    assert (third.kind, third.role, third.finished) == ("count_tokens", "x", True)
    assert all(line.status == 200 for line in (first, second, third))


async def test_bodies_are_recorded_on_demand(tmp_path: Path) -> None:
    """The entry then holds the request as it was sent."""
    path = tmp_path / "journal.jsonl"
    async with (
        serve(SCRIPT, journal_path=path, journal_bodies=True) as server,
        client_of(server) as client,
    ):
        await ClientConversation(client).ask()
    body = json.loads(journal.read(path)[0].body or "")

    assert body["messages"] == [{"role": "user", "content": "fix the parser"}]
    assert body["tools"] == [READ]


async def test_a_restarted_server_continues_its_journal_and_its_count_of_attempts(
    tmp_path: Path,
) -> None:
    """A fault is not repeated, numbers continue, and a truncated line is skipped."""
    path = tmp_path / "journal.jsonl"
    script = one_cast({"say": "fine", "fault": [{"kind": "status", "code": 529}]})
    async with serve(script, journal_path=path) as server, client_of(server) as client:
        with pytest.raises(anthropic.APIStatusError):
            await ClientConversation(client).ask()
    with path.open("ab") as file:
        file.write(b'{"n": 2, "kind": "mess')
    async with serve(script, journal_path=path) as server, client_of(server) as client:
        message = await ClientConversation(client).ask()
    lines = journal.read(path)

    assert message.stop_reason == "end_turn"
    assert [(line.n, line.seen, line.status) for line in lines] == [(1, 1, 529), (2, 2, 200)]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "slow", "ms": 200}, id="slow"),
        pytest.param({"kind": "stall", "seconds": 60}, id="stalled"),
    ],
)
async def test_a_call_that_the_client_cancels_is_not_finished(tmp_path: Path, fault: Json) -> None:
    """It is billed, and recorded soon after."""
    path = tmp_path / "journal.jsonl"
    script = one_cast({"say": "slowly", "fault": [fault]})
    async with serve(script, journal_path=path) as server, client_of(server) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ClientConversation(client).ask(), 0.3)
        for _ in range(40):
            if server.entries:
                break
            await asyncio.sleep(0.05)
        found = journal.read(path)

    assert [(line.finished, line.billed, line.fault) for line in found] == [
        (False, True, fault["kind"])
    ]


def test_a_call_that_is_finished_twice_is_repeated() -> None:
    """Only finished calls count, and only the second and later ones are returned."""
    calls = [
        entry(1, turn=0, digest="x"),
        entry(2, turn=1, digest="y", finished=False),
        entry(3, turn=1, digest="y"),
        entry(4, turn=0, digest="x"),
        entry(5, turn=1, digest="z"),
        entry(6, turn=1, digest="y", agent="other", conversation="d"),
        entry(7, turn=0, digest="x", status=400, message_id=None),
    ]

    assert [call.n for call in journal_checks.repeated(calls)] == [4]
    assert [call.n for call in journal_checks.repeated(calls, same_bytes=False)] == [4, 5]


async def test_an_append_only_conversation_breaks_no_prefix(tmp_path: Path) -> None:
    """Moving cache markers is allowed; changing earlier content is not."""
    path = tmp_path / "journal.jsonl"
    script = one_cast({"call": [read_call()]}, {"call": [read_call()]}, {"say": "done"})
    async with (
        serve(script, journal_path=path, journal_bodies=True) as server,
        client_of(server) as client,
    ):
        conversation = ClientConversation(client, options={"model": "claude-opus-5"})
        for result in ("one", "two"):
            conversation.answer(await conversation.ask(), result)
            conversation.messages[-1]["content"][0]["cache_control"] = {"type": "ephemeral"}
        await conversation.ask()
        good = journal_checks.prefix_breaks(journal.read(path))
        conversation.messages[2]["content"][0]["content"] = "rewritten"
        await asyncio.gather(conversation.ask())
    (broken,) = journal_checks.prefix_breaks(journal.read(path))

    assert good == []
    assert (broken[0].n, broken[1].n) == (3, 4)
    assert "rewritten" in broken[2]


def test_the_prefix_check_needs_bodies() -> None:
    """It raises for entries without a body."""
    with pytest.raises(ValueError, match="without its body"):
        journal_checks.prefix_breaks([entry(1), entry(2, turn=1)])


def test_early_retries_and_failures_are_found() -> None:
    """A retry before its retry-after, and every request that the script did not foresee."""
    limited = entry(1, time_done=1.0, retry_after_seconds=5.0, status=429)
    calls = [limited, entry(2), entry(9), entry(10, unanswered=True), entry(11, unexpected=True)]

    assert [call.n for call in journal_checks.early_retries(calls)] == [2]
    assert [call.n for call in journal.failures(calls)] == [10, 11]


def test_the_share_of_cache_reads_is_weighted_by_tokens() -> None:
    """Cache reads divided by all input of billed calls."""
    usage = {"cache_read_input_tokens": 90, "cache_creation_input_tokens": 5, "input_tokens": 5}

    assert cache_read_share([entry(1, usage=usage), entry(2)]) == 0.9
    assert cache_read_share([]) == 0.0
