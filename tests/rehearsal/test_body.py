"""The cache of growing conversations: it changes no response."""

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal import rules, script_loader, thinking
from rehearsal.body import BodyReader
from rehearsal.cache import Cache
from rehearsal.engine import Engine
from rehearsal.models import MODELS
from rehearsal.wire import ApiError, canonical
from tests.rehearsal.client_fixtures import OPUS, READ, Json, read_call

TURNS: Final = 5
KEY: Final = {"x-api-key": "any", "anthropic-version": "2026-10-21"}
SCRIPT: Final = script_loader.read(
    {"casts": [{"generate": {"turns": TURNS, "think": "hm {{n}}", "call": [read_call()]}}]}
)


def grown() -> Json:
    """Return a request of several turns, made with the server's replies."""
    engine = Engine(SCRIPT, [])
    body: Json = {"model": OPUS, "max_tokens": 999, "system": "s", "tools": [READ]}
    body["messages"] = [{"role": "user", "content": "go"}]
    for turn in range(TURNS):
        planned = engine.messages(KEY, canonical(body), 0.0)
        content = json.loads(b"".join(planned.response.pieces))["content"]
        result = {"type": "tool_result", "tool_use_id": content[-1]["id"], "content": f"r{turn}"}
        body["messages"] += [
            {"role": "assistant", "content": content},
            {"role": "user", "content": [result]},
        ]
    return body


GROWN: Final = grown()
SECRET: Final = Engine(SCRIPT, [])._key


def outcome(body: Json, bodies: BodyReader) -> object:
    """Return what rules, signatures and cache find out about a request."""
    try:
        request = rules.check_request(rules.parse(canonical(body), bodies), KEY, MODELS)
        dropped = thinking.check_signatures(SECRET, request, frozenset([thinking.BINDING_BETA]))
    except ApiError as error:
        return error.status, error.message
    return dropped, request.turn(), Cache().look_up(request, 0.0).digests, request.total_tokens


def _swap_keys(message: Json) -> None:
    if isinstance(message["content"], list):
        message["content"][0] = dict(reversed(message["content"][0].items()))


def _mark(message: Json) -> None:
    if isinstance(message["content"], list):
        message["content"][-1]["cache_control"] = {"type": "ephemeral"}


Edit = Callable[[list[Json], int], Any]
EDITS: Final[Mapping[str, Edit]] = {
    "drop": lambda messages, i: messages.pop(i),
    "repeat": lambda messages, i: messages.insert(i, copy.deepcopy(messages[i])),
    "text": lambda messages, i: messages.insert(i, {"role": "user", "content": "hurry"}),
    "swap": lambda messages, i: _swap_keys(messages[i]),
    "mark": lambda messages, i: _mark(messages[i]),
    "cut": lambda messages, i: messages.__delitem__(slice(i, None)),
    "empty": lambda messages, i: messages[i].update(content=[]),
    "plain": lambda messages, i: messages[i].update(content="something else"),
}

ANY_EDIT: Final = st.tuples(st.sampled_from(sorted(EDITS)), st.integers(0, 2 * TURNS))


def changed(edits: list[tuple[str, int]]) -> Json:
    """Return the request with some edits, except those out of range."""
    body = copy.deepcopy(GROWN)
    for name, position in edits:
        messages = body["messages"]
        if position < len(messages) and messages[position]["content"]:
            EDITS[name](messages, position)
    return body


@given(st.lists(st.lists(ANY_EDIT, max_size=3), min_size=1, max_size=4))
def test_a_cached_conversation_is_checked_like_a_new_one(
    history: list[list[tuple[str, int]]],
) -> None:
    """A request has the same errors, digests and tokens after any earlier requests."""
    warm = BodyReader()
    for edits in history:
        body = changed(edits)

        assert outcome(body, warm) == outcome(body, BodyReader())


def test_verified_signatures_are_checked_again_behind_another_history() -> None:
    """A rewritten result invalidates signatures that the server had already verified."""
    engine = Engine(script_loader.read({"casts": [{"generate": {"turns": 9, "say": "x"}}]}), [])
    whole = engine.messages(KEY, canonical(GROWN), 0.0).entry
    body = copy.deepcopy(GROWN)
    body["messages"][2]["content"][0]["content"] = "rewritten"
    broken = engine.messages(KEY, canonical(body), 0.0).entry
    system = engine.messages(KEY, canonical({**GROWN, "system": "t"}), 0.0).entry
    again = engine.messages(KEY, canonical(GROWN), 0.0).entry

    assert (whole.status, again.status) == (200, 200)
    assert "messages.3.content.0" in str(broken.failure)
    assert "messages.1.content.0" in str(system.failure)


@pytest.mark.parametrize(
    "text",
    [
        '{"messages":[]}',
        '{ "a" : 1 , "messages" : [ {"x":1} , {"y":[1,"]"]} ] }',
        '{"messages":"none","messages":[{"role":"user"}]}',
        '{"messages":[1,null,"x"]}',
        '{"messages":{"0":1}}',
        "{}",
        "[1]",
        '"text"',
        '{"a":"ü\\u00fc","messages":[{"t":"\\"},{"}]}\n',
    ],
)
def test_bodies_are_read_as_by_the_standard_parser(text: str) -> None:
    """Also with spaces, duplicate keys and unusual values, and also from the cache."""
    bodies = BodyReader()

    assert bodies.read(text.encode()) == json.loads(text)
    assert bodies.read(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"a"', '{"a":1', '{"a":1,}', '{"messages":[', '{"messages":[{}', "{} {}", "{1:2}"],
)
def test_invalid_json_is_refused(text: str) -> None:
    """A truncated text is an error, never a shorter object."""
    with pytest.raises(ValueError, match=r".+"):
        BodyReader().read(text.encode())
