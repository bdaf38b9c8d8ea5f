"""The replies: which request gets which, through the vendor's client library."""

import asyncio

import anthropic
import pytest

from rehearsal import script_loader
from rehearsal.server import serve
from tests.rehearsal.client_fixtures import (
    OPUS,
    ClientConversation,
    Json,
    client_of,
    one_cast,
    read_call,
)

SHOWN: Json = {"thinking": {"type": "adaptive", "display": "summarized"}}

FULL = one_cast(
    {"think": "look first", "say": "I look.", "call": [read_call(), read_call("q.py")]},
    {
        "expect": {"results": [{"is_error": False, "contains": "def parse"}, {}]},
        "call": [
            {"tool": "edit", "input": {"old": "{{result.0 ~ def (\\w+)}}", "deep": [{"n": 1}]}}
        ],
    },
    {"say": "Turn {{turn}} of {{task}}; first said: {{result.0.1}}"},
    role="coder",
    task="fix-*",
)


async def test_a_conversation_is_answered_turn_by_turn() -> None:
    """With thinking, text, several calls, expectations, placeholders and an end."""
    async with serve(FULL) as server, client_of(server) as client:
        conversation = ClientConversation(client, options=SHOWN)
        first = await conversation.ask()
        conversation.answer(first, "def parse(): ...", "second")
        second = await conversation.ask()
        conversation.answer(second, "ok")
        third = await conversation.ask()

    assert [block.type for block in first.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert first.stop_reason == "tool_use"
    call = second.content[0]
    assert call.type == "tool_use"
    assert call.input == {"old": "parse", "deep": [{"n": 1}]}
    assert third.stop_reason == "end_turn"
    assert third.content[0].to_dict()["text"] == "Turn 2 of fix-parser; first said: second"


async def test_streamed_and_single_replies_are_the_same_message() -> None:
    """Content, stop reason and usage are the same without `stream`."""
    async with serve(FULL) as server, client_of(server) as client:
        streamed = await ClientConversation(client, options=SHOWN).ask()
        whole = await ClientConversation(client, options=SHOWN).ask_without_stream()

    texts = [[b.to_dict() for b in message.content] for message in (streamed, whole)]
    for blocks in texts:
        for block in blocks:
            block.pop("id", None)
    assert texts[0] == texts[1]
    assert streamed.usage.to_dict() == whole.usage.to_dict()
    assert streamed.stop_reason == whole.stop_reason


async def test_events_are_in_the_order_of_the_api() -> None:
    """A stream begins with message_start and ends with message_delta and message_stop."""
    async with (
        serve(one_cast({"say": "hello", "call": [read_call()]})) as server,
        client_of(server) as client,
    ):
        events = await ClientConversation(client).events()

    assert events == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


async def test_every_response_is_marked_as_rehearsed() -> None:
    """By the model's name and by a header."""
    async with serve(FULL) as server, client_of(server) as client:
        request = ClientConversation(client).request()
        raw = await client.messages.with_raw_response.create(**request)
        with pytest.raises(anthropic.NotFoundError) as failed:
            await client.models.retrieve("claude-none")
        models = await client.models.list()

    assert (await raw.parse()).model == f"{OPUS} (rehearsed)"
    assert raw.headers["x-rehearsed"] == "true"
    assert raw.headers["request-id"].startswith("req_")
    assert raw.headers["anthropic-ratelimit-tokens-limit"].isdecimal()
    assert failed.value.response.headers["x-rehearsed"] == "true"
    assert all(model.display_name.endswith("(rehearsed)") for model in models.data)


async def test_tool_ids_repeat_for_the_same_request_and_differ_between_turns() -> None:
    """Seed and request determine the ids."""
    async with serve(FULL) as server, client_of(server) as client:
        conversation = ClientConversation(client)
        first, again = await conversation.ask(), await conversation.ask()
        conversation.answer(first, "def parse", "x")
        second = await conversation.ask()

    ids = [[b.id for b in m.content if b.type == "tool_use"] for m in (first, again, second)]
    assert ids[0] == ids[1]
    assert len({*ids[0], *ids[2]}) == 3
    assert first.id != again.id


CASTS: Json = {
    "casts": [
        {"match": {"role": "coder", "attempt": 2}, "turns": [{"say": "rework"}]},
        {"match": {"role": "reviewer"}, "turns": [{"say": "review"}]},
        {"match": {"contains": "Handoff"}, "turns": [{"say": "second window"}]},
        {"match": {"role": "coder"}, "turns": [{"say": "code"}]},
        {"match": {"system_contains": "You plan"}, "turns": [{"say": "plan"}]},
    ]
}


@pytest.mark.parametrize(
    ("agent", "first", "system", "expected"),
    [
        pytest.param("role=coder; attempt=2", "x", "s", "rework", id="attempt"),
        pytest.param("role=reviewer; attempt=2", "x", "s", "review", id="role"),
        pytest.param("role=coder; task=-", "x", "s", "code", id="dash-is-absent"),
        pytest.param("", "Handoff: go on", "s", "second window", id="first-message"),
        pytest.param("", "x", "You plan.", "plan", id="system"),
    ],
)
async def test_the_first_matching_cast_answers(
    agent: str, first: str, system: str, expected: str
) -> None:
    """Casts match by the agent header or by texts of the request."""
    async with serve(CASTS) as server, client_of(server) as client:
        conversation = ClientConversation(
            client, agent, [{"role": "user", "content": first}], {"system": system}
        )
        message = await conversation.ask()

    assert message.content[0].to_dict()["text"] == expected


async def test_a_request_without_a_turn_is_an_error() -> None:
    """After the last turn of a cast the 400 names role, task, turn and the request's text."""
    async with serve(one_cast({"say": "only one"})) as server, client_of(server) as client:
        conversation = ClientConversation(client)
        conversation.answer(await conversation.ask(), text="and now?")
        with pytest.raises(anthropic.BadRequestError) as failed:
            await conversation.ask()
        entry = server.entries[-1]

    for word in ("turn 1", "role=coder", "task=fix-parser", "and now?"):
        assert word in str(failed.value)
    assert (entry.unanswered, entry.turn, entry.status) == (True, 1, 400)


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        pytest.param({"results": [{"contains": "nothing"}]}, "nothing", id="contains"),
        pytest.param({"results": [{"is_error": True}]}, "is_error=True", id="is-error"),
        pytest.param({"results": []}, "expected 0 tool results, got 1", id="count"),
        pytest.param({"last_user_contains": "please"}, "please", id="user"),
        pytest.param({"system_contains": ["You are"]}, "You are", id="system"),
    ],
)
async def test_a_failed_expectation_names_what_was_expected_and_what_came(
    expect: Json, message: str
) -> None:
    """The request is refused, and its entry is marked."""
    script = one_cast({"call": [read_call()]}, {"expect": expect, "say": "never"})
    async with serve(script) as server, client_of(server) as client:
        conversation = ClientConversation(client)
        conversation.answer(await conversation.ask(), "the file's text")
        with pytest.raises(anthropic.BadRequestError, match="rehearsal: expected") as failed:
            await conversation.ask()
        entry = server.entries[-1]

    assert message in str(failed.value)
    assert entry.unexpected


def _input(message: anthropic.types.Message) -> Json:
    call = message.content[-1]
    assert call.type == "tool_use"
    return call.input


async def test_doubled_braces_are_text() -> None:
    """What another program's template holds can be written, beside placeholders."""
    text = "ref: ${{{{ github.ref }}, turn {{turn}}, {{{{turn}}, {{{turn}}}"
    async with serve(one_cast({"say": text})) as server, client_of(server) as client:
        said = await ClientConversation(client).ask()

    words = said.content[0].to_dict()["text"]
    assert words == "ref: ${{ github.ref }}, turn 0, {{turn}}, {0}"


async def test_generated_turns_follow_the_written_ones() -> None:
    """A template makes numbered turns with filler, followed by the finish."""
    template = {"old": "v{{n}}", "new": "v{{n+1}}", "at": "{{turn}}", "pad": "{{filler}}"}
    part: Json = {
        "turns": [{"call": [read_call()]}],
        "generate": {"turns": 3, "bytes": 100, "tool": "edit", "input": template},
        "finish": [{"say": "done"}],
    }
    async with serve({"casts": [part]}) as server, client_of(server) as client:
        conversation = ClientConversation(client)
        inputs = []
        while (message := await conversation.ask()).stop_reason == "tool_use":
            inputs.append(_input(message))
            conversation.answer(message, "ok")

    edits = inputs[1:]
    assert [(e["old"], e["new"], e["at"]) for e in edits] == [
        ("v0", "v1", "1"),
        ("v1", "v2", "2"),
        ("v2", "v3", "3"),
    ]
    assert [len(e["pad"]) for e in edits] == [100, 100, 100]
    assert len({e["pad"] for e in edits}) == 3


async def test_an_aside_answers_certain_words_and_is_not_counted() -> None:
    """It answers its words at any point, and the next turn follows as usual."""
    script = one_cast({"call": [read_call()]}, {"say": "second"})
    script["casts"][0]["asides"] = [{"when": "write a note", "say": "a note"}]
    async with serve(script) as server, client_of(server) as client:
        conversation = ClientConversation(client)
        conversation.answer(await conversation.ask(), "ok", text="now write a note")
        note = await conversation.ask()
        conversation.answer(note, text="go on")
        second = await conversation.ask()

    assert note.content[0].to_dict()["text"] == "a note"
    assert second.content[0].to_dict()["text"] == "second"


async def test_a_cast_with_an_offset_counts_its_turns_from_there() -> None:
    """For a rework in the same conversation."""
    script: Json = {
        "casts": [
            {"match": {"attempt": 1}, "turns": [{"say": "one"}]},
            {"match": {"attempt": 2}, "offset": 1, "turns": [{"say": "two"}]},
        ]
    }
    async with serve(script) as server, client_of(server) as client:
        conversation = ClientConversation(client, "attempt=1")
        conversation.answer(await conversation.ask(), text="not good enough")
        conversation.agent = "attempt=2"
        again = await conversation.ask()

    assert again.content[0].to_dict()["text"] == "two"


async def test_a_script_can_answer_all_requests_without_tools() -> None:
    """A request with tools that no cast matches is still an error."""
    async with serve({"toolless": "A title"}) as server, client_of(server) as client:
        message = await ClientConversation(client, options={"tools": []}).ask()
        with pytest.raises(anthropic.BadRequestError, match="no cast matches"):
            await ClientConversation(client).ask()

    assert message.content[0].to_dict()["text"] == "A title"


async def test_usage_can_be_overwritten_and_windows_shrunk() -> None:
    """A small window truncates a reply or refuses a prompt."""
    script = one_cast({"say": "word " * 200, "usage": {"input_tokens": 120_000}})
    script["models"] = {OPUS: {"max_input_tokens": 200}}
    async with serve(script) as server, client_of(server) as client:
        message = await ClientConversation(client).ask()
        long = ClientConversation(client, messages=[{"role": "user", "content": "word " * 400}])
        with pytest.raises(
            anthropic.BadRequestError, match=r"prompt is too long: \d+ tokens > 200"
        ):
            await long.ask()

    assert message.usage.input_tokens == 120_000
    assert message.stop_reason == "model_context_window_exceeded"


async def test_a_reply_longer_than_max_tokens_is_truncated() -> None:
    """The stop reason is max_tokens, and the output is not larger than requested."""
    async with serve(one_cast({"say": "word " * 200})) as server, client_of(server) as client:
        message = await ClientConversation(client, options={"max_tokens": 50}).ask()

    assert message.stop_reason == "max_tokens"
    assert 30 < message.usage.output_tokens <= 50


async def test_the_models_endpoint_returns_windows_and_capabilities() -> None:
    """They are what a worker needs to plan its context."""
    async with serve(one_cast({"say": "x"})) as server, client_of(server) as client:
        model = await client.models.retrieve("claude-haiku-4-5")
        count = await client.messages.count_tokens(
            model=OPUS, messages=[{"role": "user", "content": "x" * 360}]
        )

    assert (model.max_input_tokens, model.max_tokens) == (200_000, 64_000)
    assert model.capabilities is not None
    assert model.capabilities.thinking.types.enabled.supported
    assert not model.capabilities.thinking.types.adaptive.supported
    assert 100 <= count.input_tokens <= 130


async def test_concurrent_agents_each_get_their_own_turns() -> None:
    """Conversations do not affect each other, in any order of requests."""
    script = {"casts": [{"generate": {"turns": 3, "say": "{{task}} {{turn}}"}}]}

    async def converse(client: anthropic.AsyncAnthropic, name: str) -> list[str]:
        mine = ClientConversation(client, f"role=coder; task={name}")
        for _ in range(3):
            mine.answer(await mine.ask(), text="go on")
        replies = [m["content"][0]["text"] for m in mine.messages if m["role"] == "assistant"]
        return list(replies)

    names = [f"task-{i}" for i in range(16)]
    async with serve(script) as server, client_of(server) as client:
        replies = await asyncio.gather(*(converse(client, name) for name in names))

    assert replies == [[f"{name} {turn}" for turn in range(3)] for name in names]


async def test_soak_faults_repeat_for_the_same_seed() -> None:
    """Random faults are the same for a seed, and a retry gets the reply."""
    script = one_cast({"say": "fine"})
    script["soak"] = {"rate": 0.5, "faults": [{"kind": "status", "code": 529}]}

    async def statuses() -> list[int]:
        async with serve(script_loader.read(script)) as server, client_of(server) as client:
            for i in range(12):
                conversation = ClientConversation(client, f"agent=a{i}")
                try:
                    await conversation.ask()
                except anthropic.APIStatusError:
                    await conversation.ask()
            return [entry.status for entry in server.entries]

    first = await statuses()
    assert first == await statuses()
    assert {200, 529} == set(first)
