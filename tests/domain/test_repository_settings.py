"""The settings that a repository brings along."""

import json

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from contracts.lanes import OFFERED, Lane
from contracts.model_choice import LEAST_WINDOW_TOKENS, MOST_WINDOW_TOKENS
from domain.repository_settings import (
    COMMAND_KEYS,
    KEYS,
    MOST_CHARS,
    MOST_COMMANDS,
    RepositorySettings,
    parsed,
)
from domain.settings_json import SettingsProblem
from runtime.version import ROOT

_KEYS = st.sampled_from(KEYS) | st.text(max_size=8)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "setup", "checks"),
    [
        ("{}", (), ()),
        ('{"checks": []}', (), ()),
        ('{"checks": ["make test"]}', (), ("make test",)),
        ('{"setup": ["npm ci"], "checks": [" npm test ", "npm run lint"]}', ("npm ci",), (
            "npm test", "npm run lint",
        )),
        ('\ufeff{"$schema": "settings.schema.json", "setup": ["uv sync"]}', ("uv sync",), ()),
        ('{"checks": ["printf \'1\\n2\' | grep 2\\n\\ttrue"]}', (), (
            "printf '1\n2' | grep 2\n\ttrue",
        )),
        ('{"checks": ["test ‘ü’ = ‘ü’"]}', (), ("test ‘ü’ = ‘ü’",)),
    ],
)  # fmt: skip
def test_settings_name_commands(text: str, setup: tuple[str, ...], checks: tuple[str, ...]) -> None:
    """Missing keys are empty, commands lose blanks at both ends, `$schema` is for editors."""
    assert parsed(text.encode()) == RepositorySettings(setup=setup, checks=checks)


def test_settings_may_say_how_large_a_window_is_and_where_tasks_run() -> None:
    """A file without the key says nothing of it."""
    assert parsed(b'{"window_tokens": 50000}').window_tokens == 50_000
    assert parsed(b"{}").window_tokens is None
    assert (parsed(b'{"format": false}').format, parsed(b"{}").format) == (False, True)
    assert parsed(b'{"lane": "cloud"}').lane is Lane.CLOUD
    assert parsed(b"{}").lane is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not JSON: Expecting value (line 1, column 1)"),
        (b'{"checks": ["a"],\n}', "is not JSON: "),
        (b"{'checks': []}", "(line 1, column 2)"),
        (b'{"checks": [\xff]}', "is not UTF-8 (byte 13)"),
        (b"[]", 'must be a JSON object, such as {"checks": ["make test"]}'),
        (b'"make test"', "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (
            b'{"checkers": []}',
            'the unknown key "checkers"; did you mean "checks"? (there are "checks"',
        ),
        (
            b'{"agents": false}',
            'the unknown key "agents" (there are "checks", "format", "lane", "permissions", ',
        ),
        (b'{"sandbox": false}', '"sandbox" must be an object'),
        (b'{"permissions": {"deney": []}}', '"deney" in "permissions"; did you mean "deny"?'),
        (b'{"permissions": {"deny": "Bash"}}', '"deny" must be a list of rules'),
        (b'{"permissions": {"deny": ["Bash()"]}}', "write Tool, Tool(pattern)"),
        (b'{"permissions": {"deny": [{"rule": "Bash(a)", "because": ""}]}}', '"because"'),
        (b'{"permissions": {"deny": ["Read(!a)"]}}', "one cannot begin with !"),
        (b'{"permissions": {"deny": ["Edit(../a)"]}}', "one cannot contain .."),
        (b'{"permissions": {"deny": ["Bash(a:* b:*)"]}}', "`:*` ends a rule"),
        (b'{"permissions": {"defaultMode": "yolo"}}', '"defaultMode" must be one of default'),
        (
            b'{"permissions": {"deny": [{"rule": "Bash(git:*)", "match": ["gitk"]}]}}',
            'says that "Bash(git:*)" matches "gitk", but it does not',
        ),
        (b'{"a\\nb\\u001b[1m": 1}', 'the unknown key "a b" ('),
        (b'{"checks": [], "checks": ["true"]}', 'has the key "checks" twice'),
        (b'{"checks": "make test"}', '"checks" must be a list of commands, each a text'),
        (b'{"checks": null}', '"checks" must be a list of commands, each a text'),
        (b'{"setup": {"linux": []}}', '"setup" must be a list of commands, each a text'),
        (b'{"format": "no"}', '"format" must be true or false'),
        (b'{"window_tokens": "110000"}', '"window_tokens" must be a whole number from 10,000 to'),
        (b'{"window_tokens": true}', '"window_tokens" must be a whole number from 10,000 to'),
        (b'{"window_tokens": 9999}', '"window_tokens" must be a whole number from 10,000 to'),
        (b'{"window_tokens": 1e5}', '"window_tokens" must be a whole number from 10,000 to'),
        (b'{"window_tokens": null}', '"window_tokens" must be a whole number from 10,000 to'),
        (b'{"lane": "local"}', '"lane" must be one of worktree, cloud'),
        (b'{"lane": ["cloud"]}', '"lane" must be one of worktree, cloud'),
        (b'{"checks": ["true", 1]}', '"checks", command 2: must be a text that is not empty'),
        (b'{"checks": [" \\n"]}', '"checks", command 1: must be a text that is not empty'),
        (b'{"checks": ["true\\u0000"]}', "command 1: holds characters that cannot be seen"),
        (b'{"checks": ["true \\u202e"]}', "command 1: holds characters that cannot be seen"),
        (b'{"checks": ["\\ud800"]}', "command 1: holds characters that cannot be seen"),
        (b'{"checks": ["true # \\u001b[8m; false"]}', "holds characters that cannot be seen"),
        (json.dumps({"setup": ["x" * 4_001]}).encode(), "is longer than 4,000 characters"),
        (json.dumps({"checks": ["true"] * 21}).encode(), '"checks" has more than 20 commands'),
        (b"[" * 50_000, "is not JSON that can be read"),
        (b'{"checks": ' + b"9" * 5_000 + b"}", "is not JSON that can be read"),
        (b" " * 64_001, "is larger than 64 kB"),
    ],
)
def test_what_is_no_settings_file_is_refused(content: bytes, problem: str) -> None:
    """What is wrong is said so that it can be found and mended."""
    with pytest.raises(SettingsProblem) as refused:
        parsed(content)

    assert problem in str(refused.value)
    assert str(refused.value).isprintable()


@given(ANY_JSON)
def test_any_json_is_taken_or_refused_in_one_sentence(value: object) -> None:
    """Nothing else comes of a file, whatever it holds."""
    try:
        found = parsed(json.dumps(value).encode())
    except SettingsProblem as problem:
        said = str(problem)
        event("refused")
    else:
        said = "taken"
        assert isinstance(value, dict)
        assert [*found.setup] == [each.strip() for each in value.get("setup", [])]
        assert [*found.checks] == [each.strip() for each in value.get("checks", [])]
    assert 0 < len(said) < 500


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused(content: bytes) -> None:
    """A hostile file raises nothing else, and what is refused is said in a sentence."""
    try:
        found = parsed(content)
    except SettingsProblem as problem:
        said = str(problem)
    else:
        said = "taken"
        assert json.loads(content).keys() <= {"$schema", *KEYS}
        assert all(map(str.strip, (*found.setup, *found.checks)))
    assert 0 < len(said) < 500


def test_the_published_schema_allows_what_the_reader_takes() -> None:
    """Its keys, its limits, and nothing else; docs/operating.md names it."""
    schema = json.loads((ROOT / "docs" / "settings.schema.json").read_text())

    assert set(schema["properties"]) == {"$schema", *KEYS}
    assert schema["additionalProperties"] is False
    assert schema["properties"]["lane"]["enum"] == [lane.value for lane in OFFERED]
    window = schema["properties"]["window_tokens"]
    assert (window["minimum"], window["maximum"]) == (LEAST_WINDOW_TOKENS, MOST_WINDOW_TOKENS)
    for key in COMMAND_KEYS:
        commands = schema["properties"][key]
        assert (commands["type"], commands["maxItems"]) == ("array", MOST_COMMANDS)
        assert commands["items"] == {"type": "string", "minLength": 1, "maxLength": MOST_CHARS}
    assert "(settings.schema.json)" in (ROOT / "docs" / "operating.md").read_text()
