"""The script's format: the reader, the schema and the documentation agree."""

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


def schema_accepts(play: object) -> bool:
    """Whether the published schema takes a script."""
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(play))


def reader_accepts(play: object) -> bool:
    """Whether the server takes a script."""
    try:
        script_loader.read(play)
    except script_loader.ScriptError:
        return False
    return True


def one(**turn: Any) -> Json:
    """A script of one turn."""
    return {"casts": [{"turns": [turn]}]}


RIGHT = {
    "least": one(say="x"),
    "silent": {"casts": [{}]},
    "toolless": {"toolless": "x"},
    "remarks": {"$schema": "x", "about": ["a", "b"], "casts": [{"about": "c", "turns": []}]},
    "expect": one(expect={"results": [{"contains": ["a"]}, {}], "last_user_contains": "x"}),
    "numbers": {"casts": [{"match": {"attempt": 2, "task": "fix-*"}, "offset": 3}]},
    "generate": {"casts": [{"generate": {"turns": 3, "bytes": 10, "tool": "t", "input": {}}}]},
    "generate-call": {"casts": [{"generate": {"turns": 3, "call": [{"tool": "t"}]}}]},
    "aside": {"casts": [{"asides": [{"when": "x", "say": "y"}]}]},
    "models": {"casts": [{}], "models": {"claude-new": {"thinking": ["adaptive"]}}},
    "soak": {"casts": [{}], "soak": {"rate": 0.1, "faults": [{"kind": "reset"}]}},
    "no-category": one(fault=[{"kind": "refuse", "category": None}]),
}
WRONG = {
    "no-object": [],
    "empty": {},
    "no-casts": {"casts": []},
    "unknown-key": {"casts": [{}], "cats": 1},
    "unknown-turn-key": one(sya="x"),
    "turn-type": one(say=1),
    "stop": one(stop="pause_turn"),
    "call-without-tool": one(call=[{"input": {}}]),
    "result-type": one(expect={"results": [{"is_error": "no"}]}),
    "contains-type": one(expect={"results": [{"contains": [1]}]}),
    "unknown-fault": one(fault=[{"kind": "meteor"}]),
    "fault-parameter": one(fault=[{"kind": "reset", "seconds": 1}]),
    "fault-type": one(fault=[{"kind": "stall", "seconds": "1"}]),
    "times": one(fault=[{"kind": "reset", "times": 0}]),
    "aside-without-when": {"casts": [{"asides": [{"say": "y"}]}]},
    "generate-nothing": {"casts": [{"generate": {"turns": 0}}]},
    "offset": {"casts": [{"offset": -1}]},
    "model-ability": {"casts": [{}], "models": {"claude-opus-5": {"speed": 1}}},
    "soak-rate": {"casts": [{}], "soak": {"rate": 2, "faults": [{"kind": "reset"}]}},
}


@pytest.mark.parametrize("play", RIGHT.values(), ids=RIGHT.keys())
def test_reader_and_schema_take_what_is_right(play: object) -> None:
    """A script that the schema takes can be played."""
    assert schema_accepts(play)
    script_loader.read(play)


@pytest.mark.parametrize("play", WRONG.values(), ids=WRONG.keys())
def test_reader_and_schema_refuse_what_is_wrong(play: object) -> None:
    """A misspelt or misplaced key never passes silently."""
    assert not schema_accepts(play)
    assert not reader_accepts(play)


@pytest.mark.parametrize("kind", faults.KINDS)
def test_every_fault_with_all_its_defaults_is_a_valid_fault(kind: str) -> None:
    """Schema and reader know the same kinds and parameters."""
    play = one(fault=[{"kind": kind, "times": 2, **faults.KINDS[kind]}])

    assert schema_accepts(play)
    assert reader_accepts(play)


def test_every_script_in_the_documentation_can_be_played() -> None:
    """The page's examples are checked, so that a reader may copy them."""
    page = (ROOT / "docs" / "rehearsal.md").read_text("utf-8")
    plays = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    scripts = [play for play in plays if "casts" in play]

    assert len(scripts) >= 2
    for play in scripts:
        assert schema_accepts(play)
        script_loader.read(play)


def test_the_documentation_names_every_fault() -> None:
    """No fault is left undescribed."""
    page = (ROOT / "docs" / "rehearsal.md").read_text("utf-8")

    assert [kind for kind in faults.KINDS if f"`{kind}`" not in page] == []


def test_faults_meet_attempts_one_after_the_other() -> None:
    """Each lasts for its number of attempts, then comes the next, then none."""
    first = faults.Fault.read("reset", 2, {})
    second = faults.Fault.read("refuse", 1, {})

    met = [faults.due([first, second], attempt) for attempt in range(1, 5)]
    assert met == [first, first, second, None]
