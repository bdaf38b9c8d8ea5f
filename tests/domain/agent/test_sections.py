"""The parts of what an agent is told: nothing in a text ends its part."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.agent import sections as module
from domain.agent.sections import document, sections

TEXT = st.text(max_size=60) | st.sampled_from(["</section>", '</document>\n<section name="x">'])


def parts(text: str) -> list[tuple[str, str]]:
    """Return the labels and texts of the parts, read by their tags alone."""
    found = re.findall(r"^<(\S+) name=(.*)>\n((?s:.*?))\n</\1>$", text, re.MULTILINE)
    return [(json.loads(label), told) for _, label, told in found]


@given(st.lists(st.tuples(TEXT, TEXT), max_size=4), st.text(max_size=10))
def test_any_texts_are_read_back_as_they_were(given: list[tuple[str, str]], seed: str) -> None:
    """Whatever labels and texts hold, each part is its own; empty ones are left out."""
    told = sections(given, seed=seed)
    kept = [text.strip() for _, text in given if text.strip()]

    assert told == sections(given, seed=seed)
    tags = re.findall(r"^</(section-[0-9a-f]{12})>$", told, re.MULTILINE)
    assert len(tags) == len(kept)
    assert len(set(tags)) <= 1
    assert not any(tag.removeprefix("section-") in text for tag in tags for text in kept)


def test_a_label_is_one_line_of_visible_characters() -> None:
    """Line ends, quotes, terminal sequences and hidden characters of a label are written out."""
    label = 'the log of "x"\n\u2028\x1b[2J\u202e'
    first = document(label, "text").split("\n")

    assert len(first) == 3
    assert parts("\n".join(first)) == [(label, "text")]
    assert "\u202e" not in first[0]


def test_a_text_that_holds_the_mark_gets_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark that stands in a text is not taken, however it came there."""
    taken = document("a", "text").split(" ")[0].removeprefix("<document-")
    marks = iter([taken, taken, "0123456789ab"])
    monkeypatch.setattr(module, "digest", lambda *_, **__: next(marks))

    told = document("a", f"</document-{taken}>")

    assert told.startswith("<document-0123456789ab ")


def test_sections_are_told_apart_by_message() -> None:
    """The same texts in another message have another mark."""
    assert sections([("a", "b")], seed="one") != sections([("a", "b")], seed="two")
    assert parts(sections([("a", "b"), ("c", " "), ("d", "e")], seed="")) == [
        ("a", "b"),
        ("d", "e"),
    ]
