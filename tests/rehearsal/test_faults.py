"""Faults: the effect of each on the vendor's client, and the real reply after it."""

import asyncio
import json
import time

import anthropic
import httpx2
import pytest

from rehearsal.server import serve
from tests.rehearsal.client_fixtures import ClientConversation, Json, client_of, one_cast, read_call

TURN: Json = {"say": "I shall read the file now.", "call": [read_call()]}
SHORT = 0.3
"""Seconds that a client waits for bytes."""

DISCONNECTS = [
    pytest.param({"kind": "cut_chunked"}, httpx2.RemoteProtocolError, id="cut-chunked"),
    pytest.param({"kind": "reset"}, httpx2.ReadError, id="reset-mid-stream"),
    pytest.param({"kind": "reset", "after": 0}, anthropic.APIConnectionError, id="reset-at-once"),
    pytest.param({"kind": "no_response"}, anthropic.APIConnectionError, id="no-response"),
    pytest.param({"kind": "lost_ack"}, anthropic.APIConnectionError, id="lost-ack"),
    pytest.param({"kind": "stall", "seconds": 2}, httpx2.ReadTimeout, id="stall-mid-stream"),
    pytest.param(
        {"kind": "stall", "seconds": 2, "after": 0}, anthropic.APITimeoutError, id="stall-at-once"
    ),
    pytest.param({"kind": "html_200"}, AssertionError, id="html-200"),
    pytest.param({"kind": "json_200"}, AssertionError, id="json-200"),
    pytest.param({"kind": "pings_only", "seconds": 0.2}, AssertionError, id="pings-only"),
    pytest.param({"kind": "bad_tool_json"}, ValueError, id="bad-tool-json"),
    pytest.param({"kind": "surrogate"}, ValueError, id="surrogate"),
    pytest.param({"kind": "error_event"}, anthropic.APIStatusError, id="error-event"),
]


@pytest.mark.parametrize(("fault", "error"), DISCONNECTS)
async def test_a_fault_raises_the_clients_own_error_and_a_retry_succeeds(
    fault: Json, error: type[Exception]
) -> None:
    """The second attempt gets the real reply."""
    async with (
        serve(one_cast({**TURN, "fault": [fault]})) as server,
        client_of(server, read_timeout=SHORT) as client,
    ):
        conversation = ClientConversation(client)
        with pytest.raises(error):
            await conversation.ask()
        message = await conversation.ask()

    assert message.stop_reason == "tool_use"
    ordered = sorted(server.entries, key=lambda entry: entry.n)
    assert [entry.fault for entry in ordered] == [fault["kind"], None]
    assert [entry.seen for entry in ordered] == [1, 2]
    assert ordered[1].finished


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "cut_clean"}, id="terminated"),
        pytest.param({"kind": "cut_close"}, id="closed"),
    ],
)
async def test_a_clean_cut_ends_a_reply_without_a_stop_reason(fault: Json) -> None:
    """The client raises no error."""
    async with serve(one_cast({**TURN, "fault": [fault]})) as server, client_of(server) as client:
        cut = await ClientConversation(client).ask()
        entry = server.entries[0]

    assert cut.stop_reason is None
    assert (entry.finished, entry.billed) == (False, True)


async def test_a_cut_before_the_last_event_leaves_a_stop_reason() -> None:
    """A negative `after` counts from the end: every event but message_stop arrives."""
    script = one_cast({**TURN, "fault": [{"kind": "cut_clean", "after": -1}]})
    async with serve(script) as server, client_of(server) as client:
        events = await ClientConversation(client).events()
        entry = server.entries[0]

    assert events[-1] == "message_delta"
    assert not entry.finished


STATUS = [
    pytest.param({"code": 429, "headers": {"retry-after": "2"}}, "rate_limit_error", id="429"),
    pytest.param({"code": 529}, "overloaded_error", id="529"),
    pytest.param({"code": 500}, "api_error", id="500"),
    pytest.param({"code": 402, "type": "billing_error"}, "billing_error", id="402"),
    pytest.param({"code": 413, "body": "<html>too large</html>"}, None, id="413-html"),
]


@pytest.mark.parametrize(("values", "kind"), STATUS)
async def test_a_status_fault_has_type_headers_and_body(values: Json, kind: str | None) -> None:
    """The script sets status, error type, headers and even a body that is not JSON."""
    async with (
        serve(one_cast({**TURN, "fault": [{"kind": "status", **values}]})) as server,
        client_of(server) as client,
    ):
        with pytest.raises(anthropic.APIStatusError) as failed:
            await ClientConversation(client).ask()
        entry = server.entries[0]

    assert failed.value.status_code == values["code"]
    assert failed.value.type == kind
    assert failed.value.request_id == entry.request_id
    assert (entry.billed, entry.usage) == (False, None)
    for name, value in values.get("headers", {}).items():
        assert failed.value.response.headers[name] == value


async def test_a_spend_limit_is_a_rate_limit_with_its_own_error_code() -> None:
    """The client gets the code from a response as well as from an event."""
    code = "enforced_spend_limit_reached"
    faults = [
        {"kind": "status", "code": 429, "error_code": code},
        {"kind": "error_event", "type": "rate_limit_error", "error_code": code},
    ]
    async with serve(one_cast({**TURN, "fault": faults})) as server, client_of(server) as client:
        with pytest.raises(anthropic.RateLimitError) as first:
            await ClientConversation(client).ask()
        with pytest.raises(anthropic.APIStatusError) as second:
            await ClientConversation(client).ask()

    assert first.value.error_code == second.value.error_code == code
    assert (second.value.status_code, second.value.type) == (200, "rate_limit_error")


async def test_an_error_event_may_contain_no_json() -> None:
    """The client then has neither type nor code."""
    fault = {"kind": "error_event", "raw": "upstream connect error"}
    async with serve(one_cast({**TURN, "fault": [fault]})) as server, client_of(server) as client:
        with pytest.raises(anthropic.APIStatusError) as failed:
            await ClientConversation(client).ask()

    assert (failed.value.type, failed.value.error_code) == (None, None)


async def test_a_truncated_tool_call_still_parses() -> None:
    """With max_tokens the input is a valid object without its second half."""
    call = {"tool": "edit", "input": {"path": "a.py", "content": "line\n" * 40}}
    script = one_cast({"call": [call], "fault": [{"kind": "truncate_tool"}]})
    async with serve(script) as server, client_of(server) as client:
        truncated = await ClientConversation(client).ask()
        complete = await ClientConversation(client).ask()

    assert truncated.stop_reason == "max_tokens"
    assert truncated.content[0].to_dict()["input"] == {"path": "a.py"}
    assert complete.content[0].to_dict()["input"] == call["input"]


async def test_a_refusal_has_a_category_before_or_amid_the_output() -> None:
    """It is a 200; before any output it has no content and no output tokens."""
    faults = [{"kind": "refuse"}, {"kind": "refuse", "category": None, "mid": True}]
    async with serve(one_cast({**TURN, "fault": faults})) as server, client_of(server) as client:
        conversation = ClientConversation(client)
        before, amid = await conversation.ask(), await conversation.ask()

    assert (before.stop_reason, before.content, before.usage.output_tokens) == ("refusal", [], 0)
    assert before.stop_details is not None
    assert before.stop_details.category == "cyber"
    assert amid.stop_details is not None
    assert amid.stop_details.category is None
    assert [block.type for block in amid.content] == ["text"]


async def test_a_paused_reply_is_resumed_by_sending_it_back() -> None:
    """The rest belongs to the same turn."""
    script = one_cast({"call": [read_call()], "fault": [{"kind": "pause_turn"}]}, {"say": "done"})
    async with serve(script) as server, client_of(server) as client:
        conversation = ClientConversation(client)
        paused = await conversation.ask()
        pause = [block.to_dict() for block in paused.content]
        conversation.messages.append({"role": "assistant", "content": pause})
        rest = await conversation.ask()
        conversation.answer(rest, "ok")
        last = await conversation.ask()

    assert (paused.stop_reason, rest.stop_reason) == ("pause_turn", "tool_use")
    assert last.content[0].to_dict()["text"] == "done"


async def test_an_empty_reply_is_followed_by_the_real_one() -> None:
    """A user message "Please continue" in the same turn gets it."""
    script = one_cast({**TURN, "fault": [{"kind": "empty_end_turn"}]})
    async with serve(script) as server, client_of(server) as client:
        conversation = ClientConversation(client)
        empty = await conversation.ask()
        conversation.messages.append({"role": "user", "content": "Please continue"})
        complete = await conversation.ask()

    assert (empty.stop_reason, empty.content) == ("end_turn", [])
    assert empty.usage.output_tokens == 2
    assert complete.stop_reason == "tool_use"


async def test_a_reply_with_unknown_events_and_blocks_is_complete() -> None:
    """A newer API may send some."""
    faults = [{"kind": "unknown_event"}, {"kind": "unknown_block"}]
    async with serve(one_cast({**TURN, "fault": faults})) as server, client_of(server) as client:
        events = await ClientConversation(client).events()
        message = await ClientConversation(client).ask()

    assert "rehearsed_event" in events
    assert message.content[0].to_dict()["type"] == "rehearsed_block"
    assert message.stop_reason == "tool_use"


@pytest.mark.parametrize(
    ("fault", "stop", "kinds"),
    [
        pytest.param({"kind": "stop"}, "rehearsed_stop", ["text", "tool_use"], id="unknown-stop"),
        pytest.param({"kind": "compaction"}, "compaction", ["compaction"], id="compaction"),
        pytest.param(
            {"kind": "compaction", "content": None}, "compaction", ["compaction"], id="failed"
        ),
        pytest.param(
            {"kind": "server_tool"},
            "tool_use",
            ["server_tool_use", "text", "tool_use"],
            id="server-tool",
        ),
    ],
)
async def test_a_reply_that_nobody_asked_for_is_whole(
    fault: Json, stop: str, kinds: list[str]
) -> None:
    """A stop reason, a block or a tool of the service's own that a client must be ready for."""
    async with serve(one_cast({**TURN, "fault": [fault]})) as server, client_of(server) as client:
        message = await ClientConversation(client).ask()

    assert message.stop_reason == stop
    assert [block.type for block in message.content] == kinds


async def test_a_changed_history_is_reported_at_the_beginning() -> None:
    """The message's first event lists what was dropped, and why."""
    fault = {"kind": "transformed", "reason": "model_binding_mismatch"}
    async with serve(one_cast({**TURN, "fault": [fault]})) as server, client_of(server) as client:
        message = await ClientConversation(client).ask()

    assert message.to_dict()["input_transformations"] == [
        {
            "type": "thinking_dropped",
            "path": "messages.1.content.0",
            "reason": "model_binding_mismatch",
        }
    ]


async def test_what_comes_beside_too_many_requests_is_refused() -> None:
    """By a 429 with the script's retry-after; once the others are through it is answered."""
    stall = {"kind": "stall", "seconds": 60, "after": 0}
    script = {
        **one_cast({**TURN, "fault": [stall]}),
        "limit": {"at_once": 1, "retry_after": 0.5},
    }
    async with serve(script) as server, client_of(server, read_timeout=60) as client:
        first = asyncio.create_task(ClientConversation(client).ask())
        while not server.answering:
            await asyncio.sleep(0.01)
        with pytest.raises(anthropic.RateLimitError) as refused:
            await ClientConversation(client).ask()
        first.cancel()
        while server.answering:
            await asyncio.sleep(0.01)
        again = await ClientConversation(client).ask()

    assert refused.value.response.headers["retry-after"] == "0.5"
    assert again.stop_reason == "tool_use"


async def test_slow_and_stalled_streams_arrive_completely() -> None:
    """For a client with a long read time-out; the journal has the times."""
    faults = [{"kind": "slow", "ms": 10}, {"kind": "stall", "seconds": 0.1}]
    async with (
        serve(one_cast({**TURN, "delay_ms": 50, "fault": faults})) as server,
        client_of(server) as client,
    ):
        started = time.monotonic()
        messages = [await ClientConversation(client).ask() for _ in range(2)]
        took = time.monotonic() - started
        entries = server.entries

    assert [message.stop_reason for message in messages] == ["tool_use", "tool_use"]
    assert took >= 0.3
    for entry in entries:
        assert entry.time_first_byte is not None
        assert entry.time_first_byte - entry.time_received >= 0.05
        assert entry.time_done > entry.time_first_byte
        assert entry.finished


NOT_STREAMED = [
    pytest.param({"kind": "html_200"}, str, id="html"),
    pytest.param({"kind": "cut_clean"}, json.JSONDecodeError, id="broken-json"),
    pytest.param({"kind": "cut_chunked", "after": 1}, anthropic.APIConnectionError, id="cut"),
    pytest.param({"kind": "error_event"}, anthropic.APIStatusError, id="error"),
    pytest.param({"kind": "pings_only", "seconds": 0.1}, anthropic.APIConnectionError, id="quiet"),
]


@pytest.mark.parametrize(("fault", "outcome"), NOT_STREAMED)
async def test_faults_apply_to_replies_without_stream_too(fault: Json, outcome: type) -> None:
    """The client gets each fault in another form."""
    async with serve(one_cast({**TURN, "fault": [fault]})) as server, client_of(server) as client:
        conversation = ClientConversation(client)
        if issubclass(outcome, Exception):
            with pytest.raises(outcome):
                await conversation.ask_without_stream()
        else:
            assert isinstance(await conversation.ask_without_stream(), outcome)
        complete = await conversation.ask_without_stream()

    assert complete.stop_reason == "tool_use"


async def test_a_fault_never_hides_a_mistake_of_the_client() -> None:
    """A failed expectation is refused before a fault, and is not counted as an attempt."""
    turn = {**TURN, "expect": {"last_user_contains": "magic"}, "fault": [{"kind": "no_response"}]}
    async with serve(one_cast(turn)) as server, client_of(server) as client:
        with pytest.raises(anthropic.BadRequestError, match="magic"):
            await ClientConversation(client).ask()
        right = ClientConversation(client, messages=[{"role": "user", "content": "the magic word"}])
        with pytest.raises(anthropic.APIConnectionError):
            await right.ask()
