"""What a person reads who is asked about a call: the whole of it, as it would be done."""

import json

import pytest

from cli.watching.whole_question import _arguments

PATCH = "*** Begin Patch\n*** Update File: .envrc\n@@\n-a\n+b\x1b[8m\n*** End Patch\n"


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ({"patch": PATCH}, PATCH.replace("\x1b[8m", "").rstrip("\n").split("\n")),
        (
            {
                "command": "str_replace",
                "path": ".envrc",
                "edits": [
                    {"old_str": "a", "new_str": "b"},
                    {"old_str": "c\nd", "new_str": ""},
                ],
            },
            ["command: str_replace", "path: .envrc", "", "-a", "+b", "", "-c", "-d"],
        ),
        (
            {"command": "create", "path": ".envrc", "file_text": "x\n"},
            ["command: create", "path: .envrc", "+x"],
        ),
    ],
)
def test_a_call_that_edits_is_shown_as_what_goes_and_comes(
    given: dict[str, object], lines: list[str]
) -> None:
    """A patch as it stands, harmless to a terminal; of several edits each."""
    shown = list(_arguments(json.dumps(given)))

    assert [line for line in shown if "\x1b" in line] == []
    assert [line.replace("[8m", "") for line in shown] == lines
