"""The faults: each one as the vendor's client meets it, and the true reply after it."""

import json
import time

import anthropic
import httpx2
import pytest

from rehearsal.server import serve
from tests.rehearsal.client_fixtures import Json, Talk, cast, client_of, read_call

TURN: Json = {"say": "I shall read the file now.", "call": [read_call()]}
SHORT = 0.3
"""Seconds a client waits for bytes in these tests."""

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
async def test_a_fault_is_met_as_the_real_client_meets_it_and_a_retry_gets_through(
    fault: Json, error: type[Exception]
) -> None:
    """The first attempt fails with the client's own error, the second is the true reply."""
    async with (
        serve(cast({**TURN, "fault": [fault]})) as server,
        client_of(server, read_timeout=SHORT) as client,
    ):
        talk = Talk(client)
        with pytest.raises(error):
            await talk.ask()
        message = await talk.ask()

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
async def test_a_clean_cut_looks_like_an_end_without_stop_reason(fault: Json) -> None:
    """The client reports no error: only the missing stop reason tells."""
    async with serve(cast({**TURN, "fault": [fault]})) as server, client_of(server) as client:
        cut = await Talk(client).ask()
        entry = server.entries[0]

    assert cut.stop_reason is None
    assert (entry.finished, entry.billed) == (False, True)


async def test_a_cut_just_before_the_end_shows_a_stop_reason_but_no_message_stop() -> None:
    """A negative `after` counts from the end: everything but message_stop arrives."""
    play = cast({**TURN, "fault": [{"kind": "cut_clean", "after": -1}]})
    async with serve(play) as server, client_of(server) as client:
        events = await Talk(client).events()
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
async def test_a_status_fault_carries_type_headers_and_body(values: Json, kind: str | None) -> None:
    """Code, error type, headers and even a foreign body are the script's to choose."""
    async with (
        serve(cast({**TURN, "fault": [{"kind": "status", **values}]})) as server,
        client_of(server) as client,
    ):
        with pytest.raises(anthropic.APIStatusError) as failed:
            await Talk(client).ask()
        entry = server.entries[0]

    assert failed.value.status_code == values["code"]
    assert failed.value.type == kind
    assert failed.value.request_id == entry.request_id
    assert (entry.billed, entry.usage) == (False, None)
    for name, value in values.get("headers", {}).items():
        assert failed.value.response.headers[name] == value


async def test_a_spend_limit_looks_like_a_rate_limit_but_for_its_code() -> None:
    """The error code reaches the client, in a response as in an event of a stream."""
    code = "enforced_spend_limit_reached"
    faults = [
        {"kind": "status", "code": 429, "error_code": code},
        {"kind": "error_event", "type": "rate_limit_error", "error_code": code},
    ]
    async with serve(cast({**TURN, "fault": faults})) as server, client_of(server) as client:
        with pytest.raises(anthropic.RateLimitError) as first:
            await Talk(client).ask()
        with pytest.raises(anthropic.APIStatusError) as second:
            await Talk(client).ask()

    assert first.value.error_code == second.value.error_code == code
    assert (second.value.status_code, second.value.type) == (200, "rate_limit_error")


async def test_an_error_event_may_hold_no_json() -> None:
    """Then neither type nor code survive."""
    fault = {"kind": "error_event", "raw": "upstream connect error"}
    async with serve(cast({**TURN, "fault": [fault]})) as server, client_of(server) as client:
        with pytest.raises(anthropic.APIStatusError) as failed:
            await Talk(client).ask()

    assert (failed.value.type, failed.value.error_code) == (None, None)


async def test_a_cut_tool_call_still_parses_as_a_smaller_one() -> None:
    """The trap of max_tokens: the input is a valid object with its second half missing."""
    call = {"tool": "edit", "input": {"path": "a.py", "content": "line\n" * 40}}
    play = cast({"call": [call], "fault": [{"kind": "truncate_tool"}]})
    async with serve(play) as server, client_of(server) as client:
        cut = await Talk(client).ask()
        true = await Talk(client).ask()

    assert cut.stop_reason == "max_tokens"
    assert cut.content[0].to_dict()["input"] == {"path": "a.py"}
    assert true.content[0].to_dict()["input"] == call["input"]


async def test_a_refusal_says_its_category_before_or_amid_the_output() -> None:
    """A refusal is a 200; before any output it holds nothing and costs no output."""
    faults = [{"kind": "refuse"}, {"kind": "refuse", "category": None, "mid": True}]
    async with serve(cast({**TURN, "fault": faults})) as server, client_of(server) as client:
        talk = Talk(client)
        before, amid = await talk.ask(), await talk.ask()

    assert (before.stop_reason, before.content, before.usage.output_tokens) == ("refusal", [], 0)
    assert before.stop_details is not None
    assert before.stop_details.category == "cyber"
    assert amid.stop_details is not None
    assert amid.stop_details.category is None
    assert [block.type for block in amid.content] == ["text"]


async def test_a_paused_reply_is_resumed_by_sending_it_back() -> None:
    """The pause is appended as it is; the rest is the same turn, and the next one is the next."""
    play = cast({"call": [read_call()], "fault": [{"kind": "pause_turn"}]}, {"say": "done"})
    async with serve(play) as server, client_of(server) as client:
        talk = Talk(client)
        paused = await talk.ask()
        pause = [block.to_dict() for block in paused.content]
        talk.messages.append({"role": "assistant", "content": pause})
        rest = await talk.ask()
        talk.answer(rest, "ok")
        last = await talk.ask()

    assert (paused.stop_reason, rest.stop_reason) == ("pause_turn", "tool_use")
    assert last.content[0].to_dict()["text"] == "done"


async def test_an_empty_end_is_followed_by_the_true_reply() -> None:
    """After "Please continue" in the same turn the true reply comes."""
    play = cast({**TURN, "fault": [{"kind": "empty_end_turn"}]})
    async with serve(play) as server, client_of(server) as client:
        talk = Talk(client)
        empty = await talk.ask()
        talk.messages.append({"role": "user", "content": "Please continue"})
        true = await talk.ask()

    assert (empty.stop_reason, empty.content) == ("end_turn", [])
    assert empty.usage.output_tokens == 2
    assert true.stop_reason == "tool_use"


async def test_unknown_events_and_blocks_pass_through() -> None:
    """A newer API may send what no client knows; the reply is complete all the same."""
    faults = [{"kind": "unknown_event"}, {"kind": "unknown_block"}]
    async with serve(cast({**TURN, "fault": faults})) as server, client_of(server) as client:
        events = await Talk(client).events()
        message = await Talk(client).ask()

    assert "rehearsed_event" in events
    assert message.content[0].to_dict()["type"] == "rehearsed_block"
    assert message.stop_reason == "tool_use"


async def test_slow_and_stalled_streams_arrive_whole_for_a_patient_client() -> None:
    """Slowness alone loses nothing, and the journal shows the time it took."""
    faults = [{"kind": "slow", "ms": 10}, {"kind": "stall", "seconds": 0.1}]
    async with (
        serve(cast({**TURN, "delay_ms": 50, "fault": faults})) as server,
        client_of(server) as client,
    ):
        started = time.monotonic()
        messages = [await Talk(client).ask() for _ in range(2)]
        took = time.monotonic() - started
        entries = server.entries

    assert [message.stop_reason for message in messages] == ["tool_use", "tool_use"]
    assert took >= 0.3
    for entry in entries:
        assert entry.time_first_byte is not None
        assert entry.time_first_byte - entry.time_received >= 0.05
        assert entry.time_done > entry.time_first_byte
        assert entry.finished


WHOLE = [
    pytest.param({"kind": "html_200"}, str, id="html"),
    pytest.param({"kind": "cut_clean"}, json.JSONDecodeError, id="broken-json"),
    pytest.param({"kind": "cut_chunked", "after": 1}, anthropic.APIConnectionError, id="cut"),
    pytest.param({"kind": "error_event"}, anthropic.APIStatusError, id="error"),
    pytest.param({"kind": "pings_only", "seconds": 0.1}, anthropic.APIConnectionError, id="quiet"),
]


@pytest.mark.parametrize(("fault", "outcome"), WHOLE)
async def test_faults_meet_whole_replies_too(fault: Json, outcome: type) -> None:
    """A request without `stream` meets the same faults in its own form."""
    async with serve(cast({**TURN, "fault": [fault]})) as server, client_of(server) as client:
        talk = Talk(client)
        if issubclass(outcome, Exception):
            with pytest.raises(outcome):
                await talk.whole()
        else:
            assert isinstance(await talk.whole(), outcome)
        true = await talk.whole()

    assert true.stop_reason == "tool_use"


async def test_a_fault_never_hides_a_mistake_of_the_client() -> None:
    """A failed expectation is refused even where a fault is due, and uses no attempt up."""
    turn = {**TURN, "expect": {"last_user_contains": "magic"}, "fault": [{"kind": "no_response"}]}
    async with serve(cast(turn)) as server, client_of(server) as client:
        with pytest.raises(anthropic.BadRequestError, match="magic"):
            await Talk(client).ask()
        right = Talk(client, messages=[{"role": "user", "content": "the magic word"}])
        with pytest.raises(anthropic.APIConnectionError):
            await right.ask()
