"""The play: who is answered with what, over the vendor's own client."""

import asyncio

import anthropic
import pytest

from rehearsal import script_loader
from rehearsal.server import serve
from tests.rehearsal.client_fixtures import OPUS, Json, Talk, cast, client_of, read_call

SHOWN: Json = {"thinking": {"type": "adaptive", "display": "summarized"}}

FULL = cast(
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


async def test_a_conversation_is_played_turn_by_turn() -> None:
    """Thinking, text, several calls, expectations, placeholders and the end come as scripted."""
    async with serve(FULL) as server, client_of(server) as client:
        talk = Talk(client, options=SHOWN)
        first = await talk.ask()
        talk.answer(first, "def parse(): ...", "second")
        second = await talk.ask()
        talk.answer(second, "ok")
        third = await talk.ask()

    assert [block.type for block in first.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert first.stop_reason == "tool_use"
    call = second.content[0]
    assert call.type == "tool_use"
    assert call.input == {"old": "parse", "deep": [{"n": 1}]}
    assert third.stop_reason == "end_turn"
    assert third.content[0].to_dict()["text"] == "Turn 2 of fix-parser; first said: second"


async def test_streamed_and_whole_replies_are_the_same_message() -> None:
    """Without `stream` the same content, stop reason and usage come in one piece."""
    async with serve(FULL) as server, client_of(server) as client:
        streamed = await Talk(client, options=SHOWN).ask()
        whole = await Talk(client, options=SHOWN).whole()

    texts = [[b.to_dict() for b in message.content] for message in (streamed, whole)]
    for blocks in texts:
        for block in blocks:
            block.pop("id", None)
    assert texts[0] == texts[1]
    assert streamed.usage.to_dict() == whole.usage.to_dict()
    assert streamed.stop_reason == whole.stop_reason


async def test_events_come_in_the_order_of_the_api() -> None:
    """A stream opens with message_start and closes with message_delta and message_stop."""
    async with (
        serve(cast({"say": "hello", "call": [read_call()]})) as server,
        client_of(server) as client,
    ):
        events = await Talk(client).events()

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


async def test_no_reply_passes_for_a_real_models() -> None:
    """The model's name and a header say on every response that it was rehearsed."""
    async with serve(FULL) as server, client_of(server) as client:
        request = Talk(client).request()
        raw = await client.messages.with_raw_response.create(**request)
        with pytest.raises(anthropic.NotFoundError) as failed:
            await client.models.retrieve("claude-nobody")
        models = await client.models.list()

    assert (await raw.parse()).model == f"{OPUS} (rehearsed)"
    assert raw.headers["x-rehearsed"] == "true"
    assert raw.headers["request-id"].startswith("req_")
    assert raw.headers["anthropic-ratelimit-tokens-limit"].isdecimal()
    assert failed.value.response.headers["x-rehearsed"] == "true"
    assert all(model.display_name.endswith("(rehearsed)") for model in models.data)


async def test_tool_ids_repeat_for_the_same_request_and_differ_between_turns() -> None:
    """Ids follow from seed and request: a retry gets the same, the next turn gets others."""
    async with serve(FULL) as server, client_of(server) as client:
        talk = Talk(client)
        first, again = await talk.ask(), await talk.ask()
        talk.answer(first, "def parse", "x")
        second = await talk.ask()

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
    """Casts match by the agent header or, without it, by words of the request."""
    async with serve(CASTS) as server, client_of(server) as client:
        talk = Talk(client, agent, [{"role": "user", "content": first}], {"system": system})
        message = await talk.ask()

    assert message.content[0].to_dict()["text"] == expected


async def test_a_request_that_nothing_answers_fails_loudly() -> None:
    """Past the end of a cast the answer is a 400 that names role, task, turn and what came."""
    async with serve(cast({"say": "only one"})) as server, client_of(server) as client:
        talk = Talk(client)
        talk.answer(await talk.ask(), text="and now?")
        with pytest.raises(anthropic.BadRequestError) as failed:
            await talk.ask()
        entry = server.entries[-1]

    for word in ("turn 1", "role=coder", "task=fix-parser", "and now?"):
        assert word in str(failed.value)
    assert (entry.unanswered, entry.turn, entry.status) == (True, 1, 400)


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        pytest.param({"results": [{"contains": "nothing"}]}, "nothing", id="contains"),
        pytest.param({"results": [{"is_error": True}]}, "is_error=True", id="is-error"),
        pytest.param({"results": []}, "expected 0 tool results, got 1", id="count"),
        pytest.param({"last_user_contains": "please"}, "please", id="user"),
        pytest.param({"system_contains": ["You are"]}, "You are", id="system"),
    ],
)
async def test_a_failed_expectation_says_what_was_expected_and_what_came(
    expect: Json, said: str
) -> None:
    """A request that does not hold what its turn expects is refused and marked."""
    play = cast({"call": [read_call()]}, {"expect": expect, "say": "never"})
    async with serve(play) as server, client_of(server) as client:
        talk = Talk(client)
        talk.answer(await talk.ask(), "the file's text")
        with pytest.raises(anthropic.BadRequestError, match="rehearsal: expected") as failed:
            await talk.ask()
        entry = server.entries[-1]

    assert said in str(failed.value)
    assert entry.unexpected


def _input(message: anthropic.types.Message) -> Json:
    call = message.content[-1]
    assert call.type == "tool_use"
    return call.input


async def test_generated_turns_follow_the_written_ones() -> None:
    """A template plays as many turns as asked, numbered, filled, and then the finish."""
    template = {"old": "v{{n}}", "new": "v{{n+1}}", "at": "{{turn}}", "pad": "{{filler}}"}
    part: Json = {
        "turns": [{"call": [read_call()]}],
        "generate": {"turns": 3, "bytes": 100, "tool": "edit", "input": template},
        "finish": [{"say": "done"}],
    }
    async with serve({"casts": [part]}) as server, client_of(server) as client:
        talk = Talk(client)
        inputs = []
        while (message := await talk.ask()).stop_reason == "tool_use":
            inputs.append(_input(message))
            talk.answer(message, "ok")

    edits = inputs[1:]
    assert [(e["old"], e["new"], e["at"]) for e in edits] == [
        ("v0", "v1", "1"),
        ("v1", "v2", "2"),
        ("v2", "v3", "3"),
    ]
    assert [len(e["pad"]) for e in edits] == [100, 100, 100]
    assert len({e["pad"] for e in edits}) == 3


async def test_an_aside_answers_certain_words_and_counts_for_no_turn() -> None:
    """Words named in an aside are answered wherever they come; the turns go on after it."""
    play = cast({"call": [read_call()]}, {"say": "second"})
    play["casts"][0]["asides"] = [{"when": "write a note", "say": "a note"}]
    async with serve(play) as server, client_of(server) as client:
        talk = Talk(client)
        talk.answer(await talk.ask(), "ok", text="now write a note")
        note = await talk.ask()
        talk.answer(note, text="go on")
        second = await talk.ask()

    assert note.content[0].to_dict()["text"] == "a note"
    assert second.content[0].to_dict()["text"] == "second"


async def test_a_rework_in_the_same_conversation_starts_at_its_offset() -> None:
    """A cast with an offset counts its turns from there."""
    play: Json = {
        "casts": [
            {"match": {"attempt": 1}, "turns": [{"say": "one"}]},
            {"match": {"attempt": 2}, "offset": 1, "turns": [{"say": "two"}]},
        ]
    }
    async with serve(play) as server, client_of(server) as client:
        talk = Talk(client, "attempt=1")
        talk.answer(await talk.ask(), text="not good enough")
        talk.agent = "attempt=2"
        again = await talk.ask()

    assert again.content[0].to_dict()["text"] == "two"


async def test_toolless_requests_get_a_short_text_where_the_script_says_so() -> None:
    """Only a request without tools takes the fallback; one with tools still fails loudly."""
    async with serve({"toolless": "A title"}) as server, client_of(server) as client:
        message = await Talk(client, options={"tools": []}).ask()
        with pytest.raises(anthropic.BadRequestError, match="no cast matches"):
            await Talk(client).ask()

    assert message.content[0].to_dict()["text"] == "A title"


async def test_usage_may_be_overwritten_and_windows_shrunk() -> None:
    """A script can claim any usage, and a small window ends a reply or refuses a prompt."""
    play = cast({"say": "word " * 200, "usage": {"input_tokens": 120_000}})
    play["models"] = {OPUS: {"max_input_tokens": 200}}
    async with serve(play) as server, client_of(server) as client:
        message = await Talk(client).ask()
        long = Talk(client, messages=[{"role": "user", "content": "word " * 400}])
        with pytest.raises(
            anthropic.BadRequestError, match=r"prompt is too long: \d+ tokens > 200"
        ):
            await long.ask()

    assert message.usage.input_tokens == 120_000
    assert message.stop_reason == "model_context_window_exceeded"


async def test_a_reply_longer_than_max_tokens_is_cut() -> None:
    """The stop reason is max_tokens and the output no larger than asked."""
    async with serve(cast({"say": "word " * 200})) as server, client_of(server) as client:
        message = await Talk(client, options={"max_tokens": 50}).ask()

    assert message.stop_reason == "max_tokens"
    assert 30 < message.usage.output_tokens <= 50


async def test_the_model_door_tells_windows_and_abilities() -> None:
    """The models endpoint answers what a worker needs to plan its context."""
    async with serve(cast({"say": "x"})) as server, client_of(server) as client:
        model = await client.models.retrieve("claude-haiku-4-5")
        count = await client.messages.count_tokens(
            model=OPUS, messages=[{"role": "user", "content": "x" * 360}]
        )

    assert (model.max_input_tokens, model.max_tokens) == (200_000, 64_000)
    assert model.capabilities is not None
    assert model.capabilities.thinking.types.enabled.supported
    assert not model.capabilities.thinking.types.adaptive.supported
    assert 100 <= count.input_tokens <= 130


async def test_many_agents_at_once_each_get_their_own_part() -> None:
    """Conversations that are under way together do not mix, whoever asks first."""
    play = {"casts": [{"generate": {"turns": 3, "say": "{{task}} {{turn}}"}}]}

    async def talk(client: anthropic.AsyncAnthropic, name: str) -> list[str]:
        mine = Talk(client, f"role=coder; task={name}")
        for _ in range(3):
            mine.answer(await mine.ask(), text="go on")
        replies = [m["content"][0]["text"] for m in mine.messages if m["role"] == "assistant"]
        return list(replies)

    names = [f"task-{i}" for i in range(16)]
    async with serve(play) as server, client_of(server) as client:
        said = await asyncio.gather(*(talk(client, name) for name in names))

    assert said == [[f"{name} {turn}" for turn in range(3)] for name in names]


async def test_soak_faults_hit_the_same_turns_for_the_same_seed() -> None:
    """
    Sprinkled faults are chance to the reader but repeat with the seed, and a retry gets through.
    """
    play = cast({"say": "fine"})
    play["soak"] = {"rate": 0.5, "faults": [{"kind": "status", "code": 529}]}

    async def statuses() -> list[int]:
        async with serve(script_loader.read(play)) as server, client_of(server) as client:
            for i in range(12):
                talk = Talk(client, f"agent=a{i}")
                try:
                    await talk.ask()
                except anthropic.APIStatusError:
                    await talk.ask()
            return [entry.status for entry in server.entries]

    first = await statuses()
    assert first == await statuses()
    assert {200, 529} == set(first)
