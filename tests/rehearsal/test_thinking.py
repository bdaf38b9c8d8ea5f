"""The seals: thinking must come back untouched, in the history it was thought in."""

import base64

import anthropic
import pytest

from rehearsal import thinking
from rehearsal.server import serve
from tests.rehearsal.client_fixtures import Json, Talk, cast, client_of, read_call

SHOWN: Json = {"thinking": {"type": "adaptive", "display": "summarized"}}
PLAY = cast(
    {"think": "first thought", "call": [read_call()]},
    {"think": "second thought", "call": [read_call("q.py")]},
    {"think": "third thought", "say": "done"},
)
BETA = {"anthropic-beta": thinking.BINDING_BETA}


async def _two_turns(talk: Talk) -> None:
    for result in ("one", "two"):
        talk.answer(await talk.ask(), result)


async def test_thinking_is_omitted_or_shown_as_asked_and_sealed_either_way() -> None:
    """Omitted thinking sends the seal alone and still counts as output."""
    async with serve(PLAY) as server, client_of(server) as client:
        hidden = await Talk(client).ask()
        shown = await Talk(client, options=SHOWN).ask()

    blocks = [message.content[0] for message in (hidden, shown)]
    assert [block.to_dict()["thinking"] for block in blocks] == ["", "first thought"]
    assert all(block.to_dict()["signature"] for block in blocks)
    for message in (hidden, shown):
        assert message.usage.output_tokens_details is not None
        assert message.usage.output_tokens_details.thinking_tokens > 0


async def test_a_model_that_does_not_think_sends_no_thinking() -> None:
    """Where thinking is off the scripted thought is left out."""
    off: Json = {"model": "claude-opus-5", "thinking": {"type": "disabled"}}
    async with serve(PLAY) as server, client_of(server) as client:
        message = await Talk(client, options=off).ask()

    assert [block.type for block in message.content] == ["tool_use"]


@pytest.mark.parametrize(
    "options", [pytest.param({}, id="omitted"), pytest.param(SHOWN, id="shown")]
)
async def test_an_untouched_history_is_accepted(options: Json) -> None:
    """All thinking of the past comes back with every turn and fits."""
    async with serve(PLAY) as server, client_of(server) as client:
        talk = Talk(client, options=options)
        await _two_turns(talk)
        last = await talk.ask()

    assert last.stop_reason == "end_turn"


async def test_a_changed_thought_cannot_come_back() -> None:
    """In the latest reply the refusal says that it cannot be modified."""
    async with serve(PLAY) as server, client_of(server) as client:
        talk = Talk(client, options=SHOWN)
        talk.answer(await talk.ask(), "one")
        talk.messages[1]["content"][0]["thinking"] = "another thought"
        with pytest.raises(anthropic.BadRequestError, match="cannot be modified"):
            await talk.ask()


async def test_a_broken_seal_in_an_older_reply_is_invalid() -> None:
    """So is a signature that this server never made."""
    async with serve(PLAY) as server, client_of(server) as client:
        talk = Talk(client, options=SHOWN)
        await _two_turns(talk)
        talk.messages[1]["content"][0]["signature"] = base64.b64encode(b"[1]").decode()
        with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
            await talk.ask()


async def test_thinking_is_bound_to_everything_before_it() -> None:
    """A rewritten tool result earlier on breaks the seals after it."""
    async with serve(PLAY) as server, client_of(server) as client:
        talk = Talk(client)
        await _two_turns(talk)
        talk.messages[2]["content"][0]["content"] = "rewritten"
        with pytest.raises(anthropic.BadRequestError, match="bound to a different conversation"):
            await talk.ask()


async def test_models_without_binding_do_not_mind_a_changed_history() -> None:
    """Opus 5 checks the thought itself, not what came before it."""
    async with serve(PLAY) as server, client_of(server) as client:
        talk = Talk(client, options={"model": "claude-opus-5"})
        await _two_turns(talk)
        talk.messages[2]["content"][0]["content"] = "rewritten"
        message = await talk.ask()

    assert message.stop_reason == "end_turn"


async def test_foreign_thinking_may_be_dropped_and_is_reported() -> None:
    """With the beta, drop_block removes what does not fit and says where."""
    async with serve(PLAY) as server, client_of(server) as client:
        talk = Talk(client)
        await _two_turns(talk)
        talk.messages[2]["content"][0]["content"] = "rewritten"
        binding = {"prefix_mismatch_behavior": "drop_block"}
        talk.options = {"thinking": {"type": "adaptive", "block_binding": binding}}
        request = talk.request()
        request["extra_headers"] |= BETA
        message = await client.messages.create(**request)

    assert message.to_dict()["input_transformations"] == [
        {
            "type": "thinking_dropped",
            "path": "messages.3.content.0",
            "reason": "prefix_binding_mismatch",
        }
    ]


async def test_with_the_beta_the_report_is_there_even_when_empty() -> None:
    """An untouched history reports an empty list."""
    async with serve(PLAY) as server, client_of(server) as client:
        request = Talk(client).request()
        request["extra_headers"] |= BETA
        message = await client.messages.create(**request)

    assert message.to_dict()["input_transformations"] == []


async def test_an_unsealed_reply_is_refused_when_it_comes_back() -> None:
    """The unseal fault makes the next turn fail as a corrupted history would."""
    play = cast({**PLAY["casts"][0]["turns"][0], "fault": [{"kind": "unseal"}]}, {"say": "never"})
    async with serve(play) as server, client_of(server) as client:
        talk = Talk(client)
        talk.answer(await talk.ask(), "one")
        with pytest.raises(anthropic.BadRequestError, match="cannot be modified"):
            await talk.ask()


async def test_another_models_thinking_is_ignored() -> None:
    """A fallback to another model may send the history as it is."""
    async with serve(PLAY) as server, client_of(server) as client:
        talk = Talk(client)
        talk.answer(await talk.ask(), "one")
        talk.options = {"model": "claude-sonnet-5-5"}
        message = await talk.ask()

    assert message.stop_reason == "tool_use"
