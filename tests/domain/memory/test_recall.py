"""Queries, and the order of what a search found."""

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from domain.memory.recall import (
    MOST_WORDS,
    Hit,
    match_all,
    match_any,
    passage,
    ranked,
    words_of,
)

DAY = 86_400.0


def hit(memory: str = "", **fields: object) -> Hit:
    known = {"conversation": "" if memory else "c1", "agent": "a", "title": "t", "turn": 1,
             "at": 0.0, "passage": "p", "relevance": 1.0}  # fmt: skip
    return Hit(memory=memory, **{**known, **fields})  # type: ignore[arg-type]


@given(st.text(max_size=200))
def test_no_text_breaks_a_query(text: str) -> None:
    """Quotes and operators of the full-text search are words like others."""
    words = words_of(text)
    assert len(words) <= MOST_WORDS
    if not words:
        return
    database = sqlite3.connect(":memory:")
    database.execute("CREATE VIRTUAL TABLE t USING fts5 (x)")
    for query in (match_all(words), match_any(words)):
        database.execute("SELECT * FROM t WHERE t MATCH ?", (query,)).fetchall()
    database.close()


def test_common_words_count_only_alone() -> None:
    """They stand everywhere; a query of nothing else still has words."""
    assert words_of("how does THE parser parse it") == ["parser", "parse"]
    assert words_of("to be or not to be") == ["to", "be", "or", "not"]


@given(st.text(max_size=900), st.lists(st.text(max_size=8).filter(str.strip), max_size=5))
def test_a_passage_is_a_part_of_its_text(text: str, words: list[str]) -> None:
    """One line of a bounded length, cuts visible."""
    found = passage(text, words)

    assert len(found) <= 202
    assert found.strip("…").strip() in " ".join(text.split())


def test_a_passage_is_where_most_of_the_words_stand() -> None:
    """In any form of them; of a text without them it is the beginning."""
    filler = "nothing of it is said here, nor there. " * 9
    text = f"{filler}A comma.\n{filler}The parser counts\ncommas twice. {filler}"

    found = passage(text, ["comma", "parsers"])

    assert found.startswith("…")
    assert "The parser counts commas twice." in found
    assert passage(text, ["quagga"]).startswith("nothing of it")


def test_newer_and_used_memories_come_first_among_equals() -> None:
    """What fits better still comes before them."""
    now = 400 * DAY
    old, new, used, best = (
        hit("old"), hit("new", at=now), hit("used", used=40), hit("best", relevance=3.0),
    )  # fmt: skip

    found = ranked([old, new, used, best], now=now, most=9)

    assert [each.memory for each in found] == ["best", "new", "used", "old"]


def test_of_one_conversation_two_places_are_shown() -> None:
    """So that one that speaks of nothing else does not hide all others."""
    loud = [hit(conversation="loud", turn=number, relevance=9.0) for number in range(20)]
    quiet = hit(conversation="quiet")

    found = ranked([*loud, quiet], now=0.0, most=3)

    assert [(each.conversation, each.turn) for each in found] == [
        ("loud", 0), ("loud", 1), ("quiet", 1),
    ]  # fmt: skip


@given(st.lists(st.floats(0, 1e6), max_size=30), st.integers(1, 10))
def test_no_more_is_returned_than_asked_for(scores: list[float], most: int) -> None:
    """And the order does not depend on the order of the rows."""
    hits = [hit(f"m{n}", relevance=score) for n, score in enumerate(scores)]

    found = ranked(hits, now=0.0, most=most)

    assert len(found) == min(most, len(hits))
    assert found == ranked(hits[::-1], now=0.0, most=most)
