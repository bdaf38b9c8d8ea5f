"""The figures of the bench stand in docs/benchmarks.md with the goals that the bench checks."""

import json
import re

import pytest

from bench.figures import GOALS, Figure, Name
from tests.local_deployment import ROOT

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "benchmarks.md").read_text().splitlines()
    if line.startswith("| `")
]


@pytest.mark.parametrize("name", list(Name))
def test_the_page_says_of_each_figure_what_its_goal_is(name: Name) -> None:
    """Bound by bound; one without a goal, in a row of its own, has none there."""
    (row,) = [row for row in ROWS if f"`{name.value}`" in row[0]]
    told, goal = row[-1], GOALS.get(name)

    if goal is not None:
        assert all(bound.removeprefix("ratio ") in told for bound in goal.words().split(", "))
    elif row[0] == f"`{name.value}`":
        assert not re.search(r"[≤≥]", told)


def test_a_line_says_whether_the_goal_is_reached() -> None:
    """By value and by ratio; a figure without a goal says nothing."""
    lines = [
        json.loads(figure.line())
        for figure in (
            Figure(Name.GAP_P50, 24.0, "ms", 20.0),
            Figure(Name.GAP_P50, 24.0, "ms", 15.0),
            Figure(Name.GAP_P50, 26.0, "ms", 20.0),
            Figure(Name.CACHE_READ, 0.94, "share"),
            Figure(Name.WORDS_P50, 1.0, "ms"),
        )
    ]

    assert [line["reached"] for line in lines] == [True, False, False, False, None]
    assert lines[0]["goal"] == "≤ 25, ratio ≤ 1.5"
