"""Signatures: thinking must be sent back unchanged, in its own history."""

import base64

import anthropic
import pytest

from rehearsal import thinking
from rehearsal.server import serve
from tests.rehearsal.client_fixtures import ClientConversation, Json, client_of, one_cast, read_call

SHOWN: Json = {"thinking": {"type": "adaptive", "display": "summarized"}}
SCRIPT = one_cast(
    {"think": "first thought", "call": [read_call()]},
    {"think": "second thought", "call": [read_call("q.py")]},
    {"think": "third thought", "say": "done"},
)
BETA = {"anthropic-beta": thinking.BINDING_BETA}


async def _two_turns(conversation: ClientConversation) -> None:
    for result in ("one", "two"):
        conversation.answer(await conversation.ask(), result)


async def test_thinking_is_omitted_or_shown_and_always_signed() -> None:
    """Omitted thinking sends the signature alone and still counts as output."""
    async with serve(SCRIPT) as server, client_of(server) as client:
        hidden = await ClientConversation(client).ask()
        shown = await ClientConversation(client, options=SHOWN).ask()

    blocks = [message.content[0] for message in (hidden, shown)]
    assert [block.to_dict()["thinking"] for block in blocks] == ["", "first thought"]
    assert all(block.to_dict()["signature"] for block in blocks)
    for message in (hidden, shown):
        assert message.usage.output_tokens_details is not None
        assert message.usage.output_tokens_details.thinking_tokens > 0


async def test_without_thinking_none_is_sent() -> None:
    """Scripted thinking is left out when the request disables it."""
    off: Json = {"model": "claude-opus-5", "thinking": {"type": "disabled"}}
    async with serve(SCRIPT) as server, client_of(server) as client:
        message = await ClientConversation(client, options=off).ask()

    assert [block.type for block in message.content] == ["tool_use"]


@pytest.mark.parametrize(
    "options", [pytest.param({}, id="omitted"), pytest.param(SHOWN, id="shown")]
)
async def test_an_unchanged_history_is_accepted(options: Json) -> None:
    """All earlier thinking is sent back with every turn and is valid."""
    async with serve(SCRIPT) as server, client_of(server) as client:
        conversation = ClientConversation(client, options=options)
        await _two_turns(conversation)
        last = await conversation.ask()

    assert last.stop_reason == "end_turn"


async def test_changed_thinking_is_refused() -> None:
    """In the latest reply the error says that it cannot be modified."""
    async with serve(SCRIPT) as server, client_of(server) as client:
        conversation = ClientConversation(client, options=SHOWN)
        conversation.answer(await conversation.ask(), "one")
        conversation.messages[1]["content"][0]["thinking"] = "other thinking"
        with pytest.raises(anthropic.BadRequestError, match="cannot be modified"):
            await conversation.ask()


async def test_an_unknown_signature_in_an_older_reply_is_invalid() -> None:
    """The signature was not made by this server."""
    async with serve(SCRIPT) as server, client_of(server) as client:
        conversation = ClientConversation(client, options=SHOWN)
        await _two_turns(conversation)
        conversation.messages[1]["content"][0]["signature"] = base64.b64encode(b"[1]").decode()
        with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
            await conversation.ask()


async def test_thinking_is_bound_to_everything_before_it() -> None:
    """A rewritten earlier tool result invalidates the signatures after it."""
    async with serve(SCRIPT) as server, client_of(server) as client:
        conversation = ClientConversation(client)
        await _two_turns(conversation)
        conversation.messages[2]["content"][0]["content"] = "rewritten"
        with pytest.raises(anthropic.BadRequestError, match="bound to a different conversation"):
            await conversation.ask()


async def test_models_without_binding_accept_a_changed_history() -> None:
    """Opus 5 checks the thinking itself, not what is before it."""
    async with serve(SCRIPT) as server, client_of(server) as client:
        conversation = ClientConversation(client, options={"model": "claude-opus-5"})
        await _two_turns(conversation)
        conversation.messages[2]["content"][0]["content"] = "rewritten"
        message = await conversation.ask()

    assert message.stop_reason == "end_turn"


async def test_thinking_of_another_history_can_be_dropped() -> None:
    """With the beta, drop_block removes such blocks and reports their paths."""
    async with serve(SCRIPT) as server, client_of(server) as client:
        conversation = ClientConversation(client)
        await _two_turns(conversation)
        conversation.messages[2]["content"][0]["content"] = "rewritten"
        binding = {"prefix_mismatch_behavior": "drop_block"}
        conversation.options = {"thinking": {"type": "adaptive", "block_binding": binding}}
        request = conversation.request()
        request["extra_headers"] |= BETA
        message = await client.messages.create(**request)

    assert message.to_dict()["input_transformations"] == [
        {
            "type": "thinking_dropped",
            "path": "messages.3.content.0",
            "reason": "prefix_binding_mismatch",
        }
    ]


async def test_with_the_beta_the_report_may_be_empty() -> None:
    """An unchanged history reports an empty list."""
    async with serve(SCRIPT) as server, client_of(server) as client:
        request = ClientConversation(client).request()
        request["extra_headers"] |= BETA
        message = await client.messages.create(**request)

    assert message.to_dict()["input_transformations"] == []


async def test_a_reply_with_a_broken_signature_is_refused_when_it_is_sent_back() -> None:
    """The unseal fault makes the next turn fail, as a corrupted history would."""
    script = one_cast(
        {**SCRIPT["casts"][0]["turns"][0], "fault": [{"kind": "unseal"}]}, {"say": "never"}
    )
    async with serve(script) as server, client_of(server) as client:
        conversation = ClientConversation(client)
        conversation.answer(await conversation.ask(), "one")
        with pytest.raises(anthropic.BadRequestError, match="cannot be modified"):
            await conversation.ask()


async def test_thinking_of_another_model_is_ignored() -> None:
    """A fallback to another model can send the history unchanged."""
    async with serve(SCRIPT) as server, client_of(server) as client:
        conversation = ClientConversation(client)
        conversation.answer(await conversation.ask(), "one")
        conversation.options = {"model": "claude-sonnet-5-5"}
        message = await conversation.ask()

    assert message.stop_reason == "tool_use"
