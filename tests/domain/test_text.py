"""Text fit to show: what is stripped, what stays, and that every cut is visible."""

import re
import shlex
import subprocess
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.text import (
    clip,
    escaped,
    for_models,
    for_people,
    listing,
    one_line,
    shell_word,
    shown,
    visible,
)

PROPERTY = settings(deadline=None, max_examples=150)
HOSTILE = st.text(
    alphabet=st.one_of(
        st.characters(),
        st.sampled_from("\x1b\x9b\x9d\x07[]();m0123456789\r\n\t\u202e\u200b\ufeff\\"),
        st.integers(0xD800, 0xDFFF).map(chr),
        st.integers(0xE0000, 0xE007F).map(chr),
    ),
    max_size=120,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;c2VjcmV0\x07", ""),
        ("\x9b2Jgone", "gone"),
        ("\x1bPsecret\x1b\\left", "left"),
        ("safe\rrm -rf", "safe\nrm -rf"),
        ("a\r\nb", "a\nb"),
        ("tab\tstays", "tab\tstays"),
        ("abc\u202edcba", "abcdcba"),
        ("z\u200be\u200dr\u2060o\ufeff", "zero"),
        ("hidden\U000e0041\U000e0042", "hidden"),
        ("lone \ud800", "lone \ufffd"),
        ("größer → 日本語 🙂", "größer → 日本語 🙂"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_what_is_hidden_goes_and_what_can_be_read_stays(text: str, shown: str) -> None:
    """Escapes, controls, direction marks and invisible characters go; everything else stays."""
    assert for_people(text) == shown


@PROPERTY
@given(HOSTILE)
def test_nothing_invisible_ever_comes_through(text: str) -> None:
    """No control, format or surrogate character is left except newline and tab."""
    shown = for_people(text, 10_000)
    bad = [c for c in shown if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]

    assert not bad
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]", shown)
    shown.encode()


@PROPERTY
@given(HOSTILE, st.integers(0, 130))
def test_cleaning_twice_changes_nothing(text: str, limit: int) -> None:
    """The result is clean and short enough already, also when it was cut."""
    once = for_people(text, limit)

    assert for_people(once, limit) == once
    assert len(once) <= limit


@pytest.mark.parametrize("text", ["👩\u200d💻 codes", "می\u200cخواهم", "क्\u200dष"])
def test_joiners_stay_where_scripts_and_emoji_need_them(text: str) -> None:
    """A joiner between letters that are not ASCII is part of the text, in titles too; beside ASCII
    it only hides, so a person is not shown it; a model is, because it may quote the text.
    """
    assert for_people(text) == text
    assert one_line(text) == text
    assert for_people("pass\u200dword a\u200c") == "password a"
    assert for_models("pass\u200dword\x1b[1m\u202e", 99) == "pass\u200dword"


def test_a_name_is_shown_with_everything_that_hides_escaped() -> None:
    """Line ends, broken bytes, terminal codes and bidirectional marks are seen in a file name."""
    assert escaped("a\nb\udcff\x1b\u202e") == r"a\nb\xff\x1b\u202e"
    assert escaped("straße 👩\u200d💻 \ud800") == r"straße 👩‍💻 \ud800".replace("‍", "\u200d")


def test_a_cut_says_that_it_is_one() -> None:
    """A cut text ends with a mark that names the whole length."""
    assert clip("x" * 5_000, 100).endswith("… [cut, 5,000 characters in all]")
    assert len(clip("x" * 5_000, 100)) == 100
    assert clip("x" * 100, 100) == "x" * 100


@PROPERTY
@given(st.text(), st.integers(0, 60))
def test_a_clip_is_never_longer_than_its_limit(text: str, limit: int) -> None:
    """The mark counts; short texts stay as they are."""
    assert len(clip(text, limit)) <= limit
    assert len(text) > limit or clip(text, limit) == text


def test_a_million_unfinished_escapes_take_no_time() -> None:
    """The search is linear, whatever an agent prints."""
    assert for_people("\x1b]" * 500_000, 10) == "]]]]]]]]]…"


def test_one_line_has_no_line_ends() -> None:
    """Lines and blanks are joined to one line."""
    assert one_line(" a\n\n b\tc ") == "a b c"


def test_a_listing_counts_what_it_leaves_out() -> None:
    """A sentence names the first few and counts the rest."""
    assert listing(("a", "b", "c", "d"), most=2) == "a, b and 2 more"
    assert listing(("a", "b"), most=2) == "a, b"
    assert listing(()) == ""


@pytest.mark.parametrize(
    "word",
    [
        *("request/mine", "it's", "a b", "$(touch x)", "`touch x`", "a```; touch x; #", "\\", ""),
        *(
            "\x1b[2J\x1b]0;x\x07",
            "two\nlines",
            "tab\t",
            "\u202egnp.exe",
            "\x9b31m",
            "naïve 日本",
            "~/x",
        ),
        "'; touch x; echo '",
    ],
    ids=ascii,
)
def test_a_word_of_a_command_is_one_word_and_nothing_else(word: str) -> None:
    """A shell reads exactly the word; a terminal and a code block show it harmlessly."""
    quoted = shell_word(word)
    done = subprocess.run(
        ["bash", "-c", f"printf %s {quoted}"], capture_output=True, check=True, env={"LC_ALL": "C"}
    )

    assert done.stdout.decode() == word
    assert "`" not in quoted
    assert "\n" not in quoted
    assert visible(quoted) == quoted


@PROPERTY
@given(HOSTILE)
def test_no_word_of_a_command_breaks_out(word: str) -> None:
    """Whatever an id holds, it is one word for the shell."""
    quoted = shell_word(word)
    assert len(shlex.split(quoted)) == 1
    assert visible(quoted) == quoted


@PROPERTY
@given(HOSTILE)
def test_what_hides_is_written_out(text: str) -> None:
    """Lines and tabs stay; what moves a cursor, hides or turns is written as its number."""
    told = visible(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u200b\ud800-\udfff]", told)
    assert visible(told) == told
    assert len(told.encode()) >= len(text)


def test_what_is_kept_of_a_foreign_text_holds_no_part_of_a_secret() -> None:
    """Replaced before the cut, also where an escape or a line end splits it."""
    redact = {"x1 sesame": "x1 [redacted]"}.get
    assert shown("x1\n\x1b[1mses\x1b[0mame", 80, lambda text: redact(text, text)) == "x1 [redacted]"
    assert shown("a" * 100, 10, str) == "aaaaaaaaa…"
