"""Which turns of a task count once it has gone back, and what its agent is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.continuation import ContinuationKind
from domain.request import turns
from domain.request.turns import TurnPlace, WentBack


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[TurnPlace], list[WentBack], tuple[str, ...]]:
    """Give turns of a coder that goes back now and then, and the line that counts at the end."""
    places: list[TurnPlace] = []
    back: list[WentBack] = []
    lines: dict[str, tuple[str, ...]] = {}
    line: tuple[str, ...] = ()
    opened = 0.0
    for number in range(draw(st.integers(1, 20))):
        if lines and draw(st.integers(0, 3)) == 0:
            opened = float(number)
            line = lines[draw(st.sampled_from(sorted(lines)))]
            back.append(WentBack(opened, line))
        line = (*line, f"t{number}")
        lines[f"t{number}"] = line
        places.append(TurnPlace(f"t{number}", opened, changes=True))
    return places, back, line


@given(histories())
def test_exactly_the_turns_of_the_last_line_count(
    history: tuple[list[TurnPlace], list[WentBack], tuple[str, ...]],
) -> None:
    """However often a task went back, also to a turn that was undone: what leads to its last turn
    counts, and nothing else does.
    """
    places, back, line = history
    undone = turns.undone(places, back)
    assert {place.commit for place in places} - undone == set(line)


@given(histories())
def test_a_task_that_never_went_back_has_lost_nothing(
    history: tuple[list[TurnPlace], list[WentBack], tuple[str, ...]],
) -> None:
    """Without a going back every turn counts."""
    assert turns.undone(history[0], []) == frozenset()


def test_a_review_after_the_turn_is_undone_and_one_before_it_is_not() -> None:
    """A reviewer's turn stands with the turn of the coder that it followed."""
    places = [
        TurnPlace("c1", 0.0, changes=True),
        TurnPlace("r1", 1.0, changes=False),
        TurnPlace("c2", 0.0, changes=True),
        TurnPlace("r2", 2.0, changes=False),
        TurnPlace("c3", 3.0, changes=True),
    ]
    back = [WentBack(3.0, ("c1", "c2"))]
    assert turns.undone(places, back) == {"r2"}
    assert turns.undone(places, [WentBack(3.0, ("c1",))]) == {"r1", "c2", "r2"}


@pytest.mark.parametrize("kind", list(ContinuationKind), ids=lambda kind: kind.value)
def test_the_agent_is_told_what_happened_and_the_persons_words(kind: ContinuationKind) -> None:
    """Each way of going on says so, and no words leave no empty sentence."""
    told = turns.told(kind, 7, "use a table")
    assert told.endswith("The person says: use a table")
    assert "The person says" not in turns.told(kind, 7, " ")
    assert turns.reason(kind, 7, "the disk").endswith("turn 7; the disk")
