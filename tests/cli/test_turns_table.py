"""The table of turns within a terminal's width."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.views.turns import fitted

HEAD = ("TURN", "AT", "WHO", "WHAT", "FILES", "TOKENS", "COST", "CHECKPOINT", "")
ROW = (
    *("1", "05:56:57", "reviewer", "view shop/prices.py; view tests/test_prices.py"),
    *("tests/test_discount.py", "3.7k", "$0.0149", "922d238021", "undone"),
)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_table_of_turns_fits_the_terminal(width: int) -> None:
    """Number, role and mark stay; what a wide terminal has room for is not left out."""
    head, row = fitted([HEAD, ROW], width)

    assert max(len(head), len(row)) <= width
    assert row.startswith("1 ")
    assert "reviewer" in row
    assert row.endswith("undone")
    assert ("922d238021" in row) == (width >= 80)
    assert ("tests/test_discount.py" in row) == (width >= 200)


@given(st.text(st.characters(codec="ascii", categories=["L"]), max_size=60), st.integers(40, 250))
def test_any_calls_fit(what: str, width: int) -> None:
    """Without a terminal nothing is cut."""
    rows = [HEAD, (*ROW[:3], what, *ROW[4:])]

    assert max(map(len, fitted(rows, width))) <= width
    assert what in fitted(rows, 0)[1]
