"""The script format: the loader, the schema and the documentation agree."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rehearsal import faults, script_loader
from tests.rehearsal.client_fixtures import Json

ROOT = Path(__file__).parents[2]
SCHEMA: Json = json.loads((ROOT / "rehearsal" / "script.schema.json").read_text("utf-8"))


def schema_accepts(script: object) -> bool:
    """Return whether a script is valid by the published schema."""
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(script))


def loader_accepts(script: object) -> bool:
    """Return whether the server loads a script."""
    try:
        script_loader.read(script)
    except script_loader.ScriptError:
        return False
    return True


def one_turn(**turn: Any) -> Json:
    """Return a script of one turn."""
    return {"casts": [{"turns": [turn]}]}


VALID = {
    "least": one_turn(say="x"),
    "silent": {"casts": [{}]},
    "toolless": {"toolless": "x"},
    "remarks": {"$schema": "x", "about": ["a", "b"], "casts": [{"about": "c", "turns": []}]},
    "expect": one_turn(expect={"results": [{"contains": ["a"]}, {}], "last_user_contains": "x"}),
    "numbers": {"casts": [{"match": {"attempt": 2, "task": "fix-*"}, "offset": 3}]},
    "generate": {"casts": [{"generate": {"turns": 3, "bytes": 10, "tool": "t", "input": {}}}]},
    "generate-call": {"casts": [{"generate": {"turns": 3, "call": [{"tool": "t"}]}}]},
    "aside": {"casts": [{"asides": [{"when": "x", "say": "y"}]}]},
    "models": {"casts": [{}], "models": {"claude-new": {"thinking": ["adaptive"]}}},
    "soak": {"casts": [{}], "soak": {"rate": 0.1, "faults": [{"kind": "reset"}]}},
    "limit": {"casts": [{}], "limit": {"at_once": 2, "retry_after": 0.5}},
    "no-category": one_turn(fault=[{"kind": "refuse", "category": None}]),
}
INVALID = {
    "no-object": [],
    "empty": {},
    "no-casts": {"casts": []},
    "unknown-key": {"casts": [{}], "cats": 1},
    "unknown-turn-key": one_turn(sya="x"),
    "turn-type": one_turn(say=1),
    "stop": one_turn(stop="pause_turn"),
    "call-without-tool": one_turn(call=[{"input": {}}]),
    "result-type": one_turn(expect={"results": [{"is_error": "no"}]}),
    "contains-type": one_turn(expect={"results": [{"contains": [1]}]}),
    "unknown-fault": one_turn(fault=[{"kind": "meteor"}]),
    "fault-parameter": one_turn(fault=[{"kind": "reset", "seconds": 1}]),
    "fault-type": one_turn(fault=[{"kind": "stall", "seconds": "1"}]),
    "times": one_turn(fault=[{"kind": "reset", "times": 0}]),
    "aside-without-when": {"casts": [{"asides": [{"say": "y"}]}]},
    "generate-nothing": {"casts": [{"generate": {"turns": 0}}]},
    "offset": {"casts": [{"offset": -1}]},
    "model-ability": {"casts": [{}], "models": {"claude-opus-5": {"speed": 1}}},
    "limit": {"casts": [{}], "limit": {"at_once": 0}},
    "limit-wait": {"casts": [{}], "limit": {"at_once": 1, "retry_after": -1}},
    "soak-rate": {"casts": [{}], "soak": {"rate": 2, "faults": [{"kind": "reset"}]}},
}


@pytest.mark.parametrize("script", VALID.values(), ids=VALID.keys())
def test_loader_and_schema_accept_a_valid_script(script: object) -> None:
    """The loader accepts what the schema accepts."""
    assert schema_accepts(script)
    script_loader.read(script)


@pytest.mark.parametrize("script", INVALID.values(), ids=INVALID.keys())
def test_loader_and_schema_refuse_an_invalid_script(script: object) -> None:
    """A misspelt or misplaced key is never ignored."""
    assert not schema_accepts(script)
    assert not loader_accepts(script)


@pytest.mark.parametrize("kind", faults.KINDS)
def test_every_fault_with_all_its_defaults_is_a_valid_fault(kind: str) -> None:
    """Schema and loader know the same kinds and parameters."""
    script = one_turn(fault=[{"kind": kind, "times": 2, **faults.KINDS[kind]}])

    assert schema_accepts(script)
    assert loader_accepts(script)


def test_every_script_in_the_documentation_is_valid() -> None:
    """Readers may copy the page's examples."""
    page = (ROOT / "docs" / "rehearsal.md").read_text("utf-8")
    examples = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    scripts = [script for script in examples if "casts" in script]

    assert len(scripts) >= 2
    for script in scripts:
        assert schema_accepts(script)
        script_loader.read(script)


def test_the_documentation_names_every_fault() -> None:
    """Each kind is in docs/rehearsal.md."""
    page = (ROOT / "docs" / "rehearsal.md").read_text("utf-8")

    assert [kind for kind in faults.KINDS if f"`{kind}`" not in page] == []


def test_faults_follow_each_other_by_attempts() -> None:
    """Each lasts for its number of attempts; after the last one there is none."""
    first = faults.Fault.read("reset", 2, {})
    second = faults.Fault.read("refuse", 1, {})

    found = [faults.fault_for_attempt([first, second], attempt) for attempt in range(1, 5)]
    assert found == [first, first, second, None]


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        ({"say": "on: ${{ github.ref }}"}, "turns[0].say: unknown placeholder {{ github.ref }}"),
        ({"think": "{{User}}"}, "turns[0].think: unknown placeholder {{User}}"),
        ({"call": [{"tool": "t", "input": {"a": ["{{result}}"]}}]}, "call[0].input: unknown"),
        ({"say": "{{turn}} {{result.0 ~ (}}"}, "is no regular expression"),
    ],
)
def test_a_placeholder_that_means_nothing_is_found_before_it_is_needed(
    turn: Json, words: str
) -> None:
    """The script is not loaded; the mistake is named with its place, and how to write the text as
    it is.
    """
    with pytest.raises(script_loader.ScriptError) as caught:
        script_loader.read(one_turn(**turn))

    assert words in str(caught.value)
    assert "write {{{{ for the text {{" in str(caught.value) or "regular" in words


@pytest.mark.parametrize(
    "text", ["{{{{ github.ref }}", "{{turn+1}}", "{{ result.2.0 ~ a{2}b }}", "{{{n}}}", "{{", "}}"]
)
def test_known_placeholders_and_escaped_text_are_loaded(text: str) -> None:
    """So is text that opens nothing; it is kept as it is written until the turn is played."""
    (cast,) = script_loader.read(one_turn(say=text)).casts

    assert [turn.say for turn in cast.turns] == [text]
