"""Tables and reports on a terminal of any width: whole names, nothing said twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cli.answer_pad import HELP, AnswerPad
from cli.costs import table as cost_table
from cli.request_rows import RequestRow, table
from cli.views.live import indented
from cli.views.pad import PadView
from cli.views.report import closing
from contracts.endings import RequestEnding, TaskEnding
from contracts.model import Usage
from contracts.spending import Spending
from contracts.task import TaskState
from contracts.visibility import RunState
from tests.cli.builders import REQUEST_ID, approval, status, task

ROWS = [
    RequestRow("request/mend-1a2b3c", "WAITING_APPROVAL", 1, 0, None, "/home/me/src/shop", 0.0171),
    RequestRow("request/delivered-7f3a21", "DONE", 0, 0, 20, "/srv/a/much/longer/name/shop", 1.5),
]
PARTS = [
    Spending(
        task=name, role="coder", model="claude-sonnet-5-5 (rehearsed)", turns=3,
        usage=Usage(input_tokens=5, output_tokens=7), cost_microusd=20_000,
    )
    for name in ("mend-total", "add-discount")
]  # fmt: skip
RED = "`make test` fails (exit code 2); given up after 3 rounds (checks)"


@given(st.integers(20, 200))
def test_a_list_fits_the_terminal_as_long_as_names_and_states_do(width: int) -> None:
    """What is left out goes by its weight; names, states and what waits for a person stay."""
    lines = table(ROWS, now=90, width=width)
    whole = table(ROWS, now=90)

    assert max(map(len, lines)) <= max(width, 53)
    assert [line.split()[0] for line in lines] == [line.split()[0] for line in whole]
    assert "WAITING_APPROVAL  1" in lines[1]
    if width >= max(map(len, whole)):
        assert lines == whole


def test_a_list_of_80_columns_has_cost_and_the_end_of_the_repository() -> None:
    """In 80 columns what tells two requests apart is there."""
    head, first, second = table(ROWS, now=90, width=80)

    assert head.split()[-2:] == ["COST", "REPOSITORY"]
    assert first.endswith("/shop")
    assert second.endswith("name/shop")


def test_a_narrow_table_of_costs_names_the_model_above_it() -> None:
    """Then only the sums are left; every row and the sum of all stay."""
    wide = cost_table(status(cost_usd=0.04), PARTS, width=120)
    narrow = cost_table(status(cost_usd=0.04), PARTS, width=80)
    least = cost_table(status(cost_usd=0.04), PARTS, width=40)

    assert "MODEL" in wide[0]
    assert narrow[0] == least[0] == "model: claude-sonnet-5-5 (rehearsed)"
    assert "CACHE READ" in narrow[1]
    assert least[1].split() == ["TASK", "ROLE", "COST"]
    for lines, width in ((narrow, 80), (least, 40)):
        assert max(map(len, lines)) <= width
        assert [line.split()[0] for line in lines[2:]] == ["mend-total", "add-discount", "all"]
        assert lines[-1].endswith("$0.0400")


def test_a_report_tells_the_cause_of_a_failure_once() -> None:
    """Not again for the task that failed, nor for what waits for it."""
    failed = status(
        task("a", TaskState.FAILED, reason=RED, ending=TaskEnding.GIVEN_UP, workflow_id="w"),
        task("b", TaskState.BLOCKED, "a", reason=f"waits for 'a', which failed: {RED}"),
        state=RunState.FAILED,
        reason=f"a failed: {RED}; 0 of 2 tasks done; not started for that: b",
        ending=RequestEnding.INCOMPLETE,
    )
    lines = closing(failed, seconds=9, link="")

    assert "\n".join(lines).count("make test") == 1
    assert lines[0].startswith("Failed: a failed: `make test` fails")
    assert "Not done: a (failed)" in lines
    assert "Not done: b (not started) waits for 'a', which failed" in lines


@pytest.mark.parametrize("width", [40, 80, 200])
def test_every_key_of_the_help_stands_on_one_line(width: int) -> None:
    """In as many columns as fit."""
    pad = AnswerPad()
    pad.update((approval(),))
    pad.press(["?"])
    console = Console(width=width, record=True)
    console.print(PadView(pad, REQUEST_ID, "orchestcode"))
    lines = console.export_text().splitlines()

    for key, what in HELP:
        assert any(f"{key}  {what}" in line for line in lines), (key, lines)


def test_a_line_that_is_broken_goes_on_below_its_beginning() -> None:
    """As a goal of a plan does, in a question."""
    console = Console(width=30, record=True)
    console.print(indented("    goal: the price less the discount, in whole cents"))

    assert all(line.startswith("    ") for line in console.export_text().splitlines())
