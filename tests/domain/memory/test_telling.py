"""Which memories an agent is told."""

from hypothesis import given
from hypothesis import strategies as st

from domain.memory.memory import IndexLine, MemoryType
from domain.memory.telling import MOST_BYTES, MOST_LINES, told


def line(number: int, description: str) -> IndexLine:
    return IndexLine(f"m-{number:06d}", MemoryType.PROJECT, description)


LINES = st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=160), max_size=400)


@given(LINES, st.text(max_size=100))
def test_what_is_told_is_bounded(descriptions: list[str], words: str) -> None:
    """At most 200 lines and 25 kB; what is left out is counted; nothing is told twice."""
    lines = [line(*each) for each in enumerate(descriptions)]

    found = told(lines, words)

    rows = [each.told() for each in found.lines]
    assert len(rows) <= MOST_LINES
    assert len("\n".join(rows).encode()) <= MOST_BYTES
    assert len(found.lines) + found.left_out == len(lines)
    assert len(set(found.lines)) == len(found.lines)


def test_all_are_told_in_their_order_while_they_fit() -> None:
    """Whatever the task is about."""
    lines = [line(number, "about the parser") for number in range(MOST_LINES)]

    assert told(lines, "the parser").lines == tuple(lines)
    assert told(lines, "").left_out == 0


def test_of_too_many_those_that_name_the_task_come_first() -> None:
    """Then the others in the order of the index."""
    lines = [line(number, "about prices") for number in range(1_000)]
    lines[900] = line(900, "the Parser drops a last line")
    lines[950] = line(950, "a parser")

    found = told(lines, "Fix the parser: it drops a line.")

    assert [each.name for each in found.lines[:4]] == [
        "m-000900", "m-000950", "m-000000", "m-000001",
    ]  # fmt: skip
    assert found.left_out == 800


def test_an_agent_is_told_how_to_reach_the_others() -> None:
    """If it has the tools for that; no memories, no section."""
    many = told([line(number, "x") for number in range(300)], "")

    assert many.text(can_read=True).endswith(
        "[100 more are not shown]\n"
        "[memory_search finds them by words, and shows one whole by its name]"
    )
    assert many.text(can_read=False).endswith("[100 more are not shown]")
    assert told([], "x").text(can_read=True) == ""
