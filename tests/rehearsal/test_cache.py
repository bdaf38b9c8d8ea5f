"""The cache: what is read, written and paid, to the token, and for how long."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal import script_loader
from rehearsal.engine import Engine
from tests.rehearsal.client_fixtures import HEADER, OPUS, READ, Json

KEY = {"x-api-key": "any", "anthropic-version": "2026-10-21", HEADER: "role=coder"}
PLAY: Json = {"casts": [{"generate": {"turns": 1_000, "say": "yes"}}]}
LONG = "word " * 600


def fresh() -> Engine:
    """A stage with an empty cache."""
    return Engine(script_loader.read(PLAY), [])


def text(value: str, ttl: str | None = None) -> Json:
    """A text block, marked if a time to live is given."""
    mark = {"cache_control": {"type": "ephemeral", "ttl": ttl}} if ttl else {}
    return {"type": "text", "text": value, **mark}


def request(*content: Json, **fields: Any) -> Json:
    """A request of one message."""
    messages = [{"role": "user", "content": list(content)}]
    return {"model": OPUS, "max_tokens": 100, "tools": [READ], "messages": messages, **fields}


def use(stage: Engine, body: Json, now: float = 0.0) -> tuple[int, int, int, int]:
    """Return read, written for an hour, written for five minutes, and fresh tokens."""
    entry = stage.messages(KEY, json.dumps(body).encode(), now).entry
    assert entry.usage is not None, entry.failure
    split = entry.usage["cache_creation"]
    return (
        entry.usage["cache_read_input_tokens"],
        split["ephemeral_1h_input_tokens"],
        split["ephemeral_5m_input_tokens"],
        entry.usage["input_tokens"],
    )


def test_what_was_written_is_read_by_the_next_request() -> None:
    """The first request writes up to its marker, the second reads it and pays for the rest."""
    stage = fresh()
    read, _, written, rest = use(stage, request(text(LONG, "5m"), text("tail")))
    again, _, nothing, same = use(stage, request(text(LONG, "5m"), text("tail")))

    assert (read, nothing) == (0, 0)
    assert again == written > 800
    assert rest == same > 0


def test_the_hour_and_the_five_minutes_are_accounted_apart() -> None:
    """Tokens up to the last 1h marker are written for an hour, those after it for five minutes."""
    stage = fresh()
    _, hour, five, _ = use(stage, request(text(LONG, "1h"), text(LONG, "5m")))
    read, hour_again, five_again, _ = use(
        stage, request(text(LONG, "1h"), text(LONG), text(LONG, "5m"))
    )

    assert hour > five > 800
    assert (read, hour_again) == (hour + five, 0)
    assert five_again > 800


@pytest.mark.parametrize(
    ("ttl", "later", "hits"),
    [
        pytest.param("5m", 299, True, id="five-minutes"),
        pytest.param("5m", 301, False, id="five-minutes-over"),
        pytest.param("1h", 3_599, True, id="hour"),
        pytest.param("1h", 3_601, False, id="hour-over"),
    ],
)
def test_an_entry_lives_as_long_as_its_marker_says(ttl: str, later: float, *, hits: bool) -> None:
    """The time counts from the start of the request that wrote it."""
    stage = fresh()
    use(stage, request(text(LONG, ttl)), now=1_000)
    read = use(stage, request(text(LONG, ttl)), now=1_000 + later)[0]

    assert (read > 0) == hits


def test_reading_renews_an_entry() -> None:
    """A read entry lives on from then, without being paid again."""
    stage = fresh()
    use(stage, request(text(LONG, "5m")), now=0)
    use(stage, request(text(LONG, "5m")), now=200)

    assert use(stage, request(text(LONG, "5m")), now=450)[0] > 0


def test_a_short_prefix_is_silently_not_cached() -> None:
    """Below the model's minimum nothing is written and nothing is said."""
    assert use(fresh(), request(text("short", "5m")))[:3] == (0, 0, 0)


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        pytest.param({"tool_choice": {"type": "none"}}, "system", id="tool-choice"),
        pytest.param({"output_config": {"effort": "high"}}, "system", id="effort"),
        pytest.param({"output_config": {"effort": "medium"}}, "all", id="explicit-default"),
        pytest.param({"thinking": {"type": "adaptive"}}, "all", id="explicit-thinking"),
        pytest.param({"speed": "fast"}, "none", id="speed"),
        pytest.param({"model": "claude-sonnet-5-5"}, "none", id="model"),
        pytest.param({"tools": []}, "none", id="tools"),
    ],
)
def test_a_changed_setting_invalidates_its_layer_and_those_after(change: Json, kept: str) -> None:
    """tools, system and messages fall one after the other; a spelt-out default changes nothing."""
    stage = fresh()
    body = request(text(LONG, "1h"), system=[text(LONG, "1h")])
    first = use(stage, body)
    read = use(stage, {**body, **change})[0]

    expected = {"none": 0, "system": read, "all": first[1]}[kept]
    assert read == expected
    if kept == "system":
        assert 0 < read < first[1]


def test_key_order_matters_and_marker_places_do_not() -> None:
    """The prefix is exact to the byte, but a marker that moved on is not part of it."""
    stage = fresh()
    written = sum(use(stage, request(text(LONG), text(LONG, "5m")))[1:3])
    moved = use(stage, request(text(LONG, "5m"), text(LONG, "5m")))[0]
    block = {"text": LONG, "type": "text"}
    swapped = use(stage, request(block, text(LONG, "5m")))[0]

    assert moved == written
    assert swapped == 0


@pytest.mark.parametrize(("between", "hits"), [(19, True), (20, False)])
def test_a_marker_looks_back_twenty_positions(between: int, *, hits: bool) -> None:
    """An entry further back than that is not found."""
    stage = fresh()
    use(stage, request(text(LONG, "5m")))
    more = [text(f"step {i}") for i in range(between - 1)]
    read = use(stage, request(text(LONG), *more, text("end", "5m")))[0]

    assert (read > 0) == hits


@pytest.mark.parametrize(("kind", "hits"), [("tool_use", True), ("text", False)])
def test_a_run_of_calls_or_of_results_is_one_position(kind: str, *, hits: bool) -> None:
    """Thirty calls in one reply do not push the marker out of sight; thirty texts do."""
    stage = fresh()
    use(stage, request(text(LONG, "5m")))
    calls = [{"type": "tool_use", "id": f"t{i}", "name": "read", "input": {}} for i in range(30)]
    results = [{"type": "tool_result", "tool_use_id": f"t{i}", "content": "x"} for i in range(30)]
    words = [text(f"word {i}") for i in range(30)]
    body = request(text(LONG))
    body["messages"] += [
        {"role": "assistant", "content": calls if kind == "tool_use" else words},
        {"role": "user", "content": [*(results if kind == "tool_use" else []), text("x", "5m")]},
    ]

    assert (use(stage, body)[0] > 0) == hits


def test_a_live_entry_keeps_its_own_lifetime() -> None:
    """A read through a five-minute marker does not shorten an hour."""
    stage = fresh()
    use(stage, request(text(LONG, "1h")), now=0)
    use(stage, request(text(LONG, "5m")), now=100)

    assert use(stage, request(text(LONG, "5m")), now=1_000)[0] > 0


def test_automatic_marking_marks_the_last_block() -> None:
    """The top-level marker works like one on the last block."""
    stage = fresh()
    use(stage, request(text(LONG), cache_control={"type": "ephemeral"}))

    assert use(stage, request(text(LONG, "5m")))[0] > 0


def test_prewarming_fills_the_cache_and_says_nothing() -> None:
    """max_tokens 0 writes the prefix; the first real request reads it."""
    stage = fresh()
    body = request(text(LONG, "5m"))
    warm = stage.messages(KEY, json.dumps(body | {"max_tokens": 0}).encode(), 0.0).entry

    assert (warm.kind, warm.stop_reason) == ("prewarm", "max_tokens")
    assert warm.usage is not None
    assert warm.usage["output_tokens"] == 0
    assert use(stage, body)[0] > 0


def test_an_eviction_is_a_miss_without_a_divergence() -> None:
    """After an evict fault everything is written anew, and diagnostics blame nobody."""
    turn = {"say": "x", "fault": [{"kind": "slow", "ms": 0}, {"kind": "evict"}]}
    stage = Engine(script_loader.read({"casts": [{"turns": [turn]}]}), [])
    body = request(text(LONG, "5m"))
    first = stage.messages(KEY, json.dumps(body).encode(), 0.0).entry
    body["diagnostics"] = {"previous_message_id": first.message_id}
    scene = stage.messages(KEY, json.dumps(body).encode(), 1.0)
    message = json.loads(b"".join(scene.response.pieces))

    assert message["usage"]["cache_read_input_tokens"] == 0
    assert message["diagnostics"] is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({}, None, id="same"),
        pytest.param({"model": "claude-sonnet-5-5"}, "model_changed", id="model"),
        pytest.param({"system": "other"}, "system_changed", id="system"),
        pytest.param({"tools": []}, "tools_changed", id="tools"),
        pytest.param(
            {"messages": [{"role": "user", "content": "x"}]}, "messages_changed", id="past"
        ),
        pytest.param({"output_config": {"effort": "low"}}, "unavailable", id="parameter"),
    ],
)
def test_diagnostics_name_the_earliest_divergence(change: Json, reason: str | None) -> None:
    """The reply says what of the previous request's prefix was changed."""
    stage = fresh()
    body = request(text(LONG, "5m"), system="You code.")
    first = stage.messages(KEY, json.dumps(body).encode(), 0.0).entry
    body |= change | {"diagnostics": {"previous_message_id": first.message_id}}
    scene = stage.messages(KEY, json.dumps(body).encode(), 1.0)
    said = json.loads(b"".join(scene.response.pieces))["diagnostics"]

    assert (said and said["cache_miss_reason"]["type"]) == reason


def _grown(turns: int) -> tuple[int, int, list[int]]:
    stage = fresh()
    messages: list[Json] = [{"role": "user", "content": [text(LONG)]}]
    read = total = 0
    fresh_tokens = []
    for turn in range(turns):
        marked = json.loads(json.dumps(messages))
        marked[-1]["content"][-1]["cache_control"] = {"type": "ephemeral"}
        hit, hour, five, rest = use(stage, {**request(), "messages": marked})
        read, total = read + hit, total + hit + hour + five + rest
        fresh_tokens.append(rest)
        messages += [
            {"role": "assistant", "content": [text(f"reply {turn} " * 20)]},
            {"role": "user", "content": [text(f"next {turn} " * 40)]},
        ]
    return read, total, fresh_tokens


def test_a_moving_tail_reads_all_that_is_old() -> None:
    """With a marker on the tail of an append-only window, 95 % of the input is cache reads."""
    read, total, rest = _grown(40)

    assert read / total > 0.95
    assert set(rest) == {0}


@given(
    st.lists(
        st.tuples(st.integers(1, 3_000), st.sampled_from([None, "1h", "5m"])),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 8),
)
def test_the_four_parts_always_sum_up_to_the_input(
    sizes: list[tuple[int, str | None]], known: int
) -> None:
    """Whatever is marked and whatever was cached, no token is lost or counted twice."""
    order = {"1h": 0, "5m": 1, None: 2}
    blocks = [text("x" * size, ttl) for size, ttl in sizes]
    ttls = [ttl for _, ttl in sizes if ttl]
    if len(ttls) > 4 or ttls != sorted(ttls, key=lambda ttl: order[ttl]):
        return
    stage = fresh()
    use(stage, request(*blocks[: known + 1]))
    body = request(*blocks)
    counted = json.dumps({key: body[key] for key in ("model", "messages", "tools")}).encode()
    count = json.loads(b"".join(stage.count_tokens(KEY, counted, 0.0).response.pieces))

    parts = use(stage, body)
    assert sum(parts) == count["input_tokens"]
    assert min(parts) >= 0
