"""The cache: the tokens that are read, written and paid in full, and for how long."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal import script_loader
from rehearsal.engine import Engine
from tests.rehearsal.client_fixtures import HEADER, OPUS, READ, Json

KEY = {"x-api-key": "any", "anthropic-version": "2026-10-21", HEADER: "role=coder"}
SCRIPT: Json = {"casts": [{"generate": {"turns": 1_000, "say": "yes"}}]}
LONG = "word " * 600


def fresh() -> Engine:
    """Return an engine with an empty cache."""
    return Engine(script_loader.read(SCRIPT), [])


def text(value: str, ttl: str | None = None) -> Json:
    """Return a text block, with a marker if a time to live is given."""
    mark = {"cache_control": {"type": "ephemeral", "ttl": ttl}} if ttl else {}
    return {"type": "text", "text": value, **mark}


def request(*content: Json, **fields: Any) -> Json:
    """Return a request of one message."""
    messages = [{"role": "user", "content": list(content)}]
    return {"model": OPUS, "max_tokens": 100, "tools": [READ], "messages": messages, **fields}


def use(engine: Engine, body: Json, now: float = 0.0) -> tuple[int, int, int, int]:
    """Return read, written for an hour, written for five minutes, and fresh tokens."""
    entry = engine.messages(KEY, json.dumps(body).encode(), now).entry
    assert entry.usage is not None, entry.failure
    split = entry.usage["cache_creation"]
    return (
        entry.usage["cache_read_input_tokens"],
        split["ephemeral_1h_input_tokens"],
        split["ephemeral_5m_input_tokens"],
        entry.usage["input_tokens"],
    )


def test_a_written_prefix_is_read_by_the_next_request() -> None:
    """The first request writes up to its marker; the second reads that and pays for the rest."""
    engine = fresh()
    read, _, written, rest = use(engine, request(text(LONG, "5m"), text("tail")))
    again, _, nothing, same = use(engine, request(text(LONG, "5m"), text("tail")))

    assert (read, nothing) == (0, 0)
    assert again == written > 800
    assert rest == same > 0


def test_one_hour_and_five_minute_writes_are_counted_separately() -> None:
    """Tokens up to the last 1h marker are written for an hour, those after it for five minutes."""
    engine = fresh()
    _, hour, five, _ = use(engine, request(text(LONG, "1h"), text(LONG, "5m")))
    read, hour_again, five_again, _ = use(
        engine, request(text(LONG, "1h"), text(LONG), text(LONG, "5m"))
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
    engine = fresh()
    use(engine, request(text(LONG, ttl)), now=1_000)
    read = use(engine, request(text(LONG, ttl)), now=1_000 + later)[0]

    assert (read > 0) == hits


def test_reading_refreshes_an_entry() -> None:
    """Its time to live starts again, without a new write."""
    engine = fresh()
    use(engine, request(text(LONG, "5m")), now=0)
    use(engine, request(text(LONG, "5m")), now=200)

    assert use(engine, request(text(LONG, "5m")), now=450)[0] > 0


def test_a_short_prefix_is_not_cached() -> None:
    """Below the model's minimum nothing is written, without an error."""
    assert use(fresh(), request(text("short", "5m")))[:3] == (0, 0, 0)


@pytest.mark.parametrize(
    ("change", "valid"),
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
def test_a_changed_setting_invalidates_its_layer_and_those_after(change: Json, valid: str) -> None:
    """In the order tools, system, messages; an explicit default changes nothing."""
    engine = fresh()
    body = request(text(LONG, "1h"), system=[text(LONG, "1h")])
    first = use(engine, body)
    read = use(engine, {**body, **change})[0]

    expected = {"none": 0, "system": read, "all": first[1]}[valid]
    assert read == expected
    if valid == "system":
        assert 0 < read < first[1]


def test_key_order_matters_and_marker_positions_do_not() -> None:
    """The prefix is exact to the byte, but markers are not part of it."""
    engine = fresh()
    written = sum(use(engine, request(text(LONG), text(LONG, "5m")))[1:3])
    moved = use(engine, request(text(LONG, "5m"), text(LONG, "5m")))[0]
    block = {"text": LONG, "type": "text"}
    swapped = use(engine, request(block, text(LONG, "5m")))[0]

    assert moved == written
    assert swapped == 0


@pytest.mark.parametrize(("between", "hits"), [(19, True), (20, False)])
def test_a_marker_looks_back_twenty_positions(between: int, *, hits: bool) -> None:
    """An entry further back is not found."""
    engine = fresh()
    use(engine, request(text(LONG, "5m")))
    more = [text(f"step {i}") for i in range(between - 1)]
    read = use(engine, request(text(LONG), *more, text("end", "5m")))[0]

    assert (read > 0) == hits


@pytest.mark.parametrize(("kind", "hits"), [("tool_use", True), ("text", False)])
def test_a_run_of_calls_or_of_results_is_one_position(kind: str, *, hits: bool) -> None:
    """An entry is found behind thirty calls, but not behind thirty texts."""
    engine = fresh()
    use(engine, request(text(LONG, "5m")))
    calls = [{"type": "tool_use", "id": f"t{i}", "name": "read", "input": {}} for i in range(30)]
    results = [{"type": "tool_result", "tool_use_id": f"t{i}", "content": "x"} for i in range(30)]
    words = [text(f"word {i}") for i in range(30)]
    body = request(text(LONG))
    body["messages"] += [
        {"role": "assistant", "content": calls if kind == "tool_use" else words},
        {"role": "user", "content": [*(results if kind == "tool_use" else []), text("x", "5m")]},
    ]

    assert (use(engine, body)[0] > 0) == hits


def test_a_live_entry_keeps_its_own_lifetime() -> None:
    """A read through a five-minute marker does not shorten a one-hour entry."""
    engine = fresh()
    use(engine, request(text(LONG, "1h")), now=0)
    use(engine, request(text(LONG, "5m")), now=100)

    assert use(engine, request(text(LONG, "5m")), now=1_000)[0] > 0


def test_a_top_level_marker_marks_the_last_block() -> None:
    """It works like a marker on that block."""
    engine = fresh()
    use(engine, request(text(LONG), cache_control={"type": "ephemeral"}))

    assert use(engine, request(text(LONG, "5m")))[0] > 0


def test_prewarming_fills_the_cache_without_output() -> None:
    """max_tokens 0 writes the prefix; the first real request reads it."""
    engine = fresh()
    body = request(text(LONG, "5m"))
    warm = engine.messages(KEY, json.dumps(body | {"max_tokens": 0}).encode(), 0.0).entry

    assert (warm.kind, warm.stop_reason) == ("prewarm", "max_tokens")
    assert warm.usage is not None
    assert warm.usage["output_tokens"] == 0
    assert use(engine, body)[0] > 0


def test_an_eviction_is_a_miss_without_a_divergence() -> None:
    """After an evict fault nothing is read, and diagnostics report nothing."""
    turn = {"say": "x", "fault": [{"kind": "slow", "ms": 0}, {"kind": "evict"}]}
    engine = Engine(script_loader.read({"casts": [{"turns": [turn]}]}), [])
    body = request(text(LONG, "5m"))
    first = engine.messages(KEY, json.dumps(body).encode(), 0.0).entry
    body["diagnostics"] = {"previous_message_id": first.message_id}
    planned = engine.messages(KEY, json.dumps(body).encode(), 1.0)
    message = json.loads(b"".join(planned.response.pieces))

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
    """The reply names what differs from the previous request's prefix."""
    engine = fresh()
    body = request(text(LONG, "5m"), system="You code.")
    first = engine.messages(KEY, json.dumps(body).encode(), 0.0).entry
    body |= change | {"diagnostics": {"previous_message_id": first.message_id}}
    planned = engine.messages(KEY, json.dumps(body).encode(), 1.0)
    diagnostics = json.loads(b"".join(planned.response.pieces))["diagnostics"]

    assert (diagnostics and diagnostics["cache_miss_reason"]["type"]) == reason


def _grown(turns: int) -> tuple[int, int, list[int]]:
    engine = fresh()
    messages: list[Json] = [{"role": "user", "content": [text(LONG)]}]
    read = total = 0
    fresh_tokens = []
    for turn in range(turns):
        marked = json.loads(json.dumps(messages))
        marked[-1]["content"][-1]["cache_control"] = {"type": "ephemeral"}
        hit, hour, five, rest = use(engine, {**request(), "messages": marked})
        read, total = read + hit, total + hit + hour + five + rest
        fresh_tokens.append(rest)
        messages += [
            {"role": "assistant", "content": [text(f"reply {turn} " * 20)]},
            {"role": "user", "content": [text(f"next {turn} " * 40)]},
        ]
    return read, total, fresh_tokens


def test_a_moving_marker_reads_all_earlier_messages() -> None:
    """With a marker at the end of an append-only window over 95 % of the input is read."""
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
def test_the_four_parts_always_add_up_to_the_input(
    sizes: list[tuple[int, str | None]], known: int
) -> None:
    """With any markers and any cached prefix no token is lost or counted twice."""
    order = {"1h": 0, "5m": 1, None: 2}
    blocks = [text("x" * size, ttl) for size, ttl in sizes]
    ttls = [ttl for _, ttl in sizes if ttl]
    if len(ttls) > 4 or ttls != sorted(ttls, key=lambda ttl: order[ttl]):
        return
    engine = fresh()
    use(engine, request(*blocks[: known + 1]))
    body = request(*blocks)
    counted = json.dumps({key: body[key] for key in ("model", "messages", "tools")}).encode()
    count = json.loads(b"".join(engine.count_tokens(KEY, counted, 0.0).response.pieces))

    parts = use(engine, body)
    assert sum(parts) == count["input_tokens"]
    assert min(parts) >= 0
