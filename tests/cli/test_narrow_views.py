"""Tables and reports on a terminal of any width: whole names, nothing said twice."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cli.answer_pad import HELP, AnswerPad
from cli.client import RequestSummary
from cli.costs import table as cost_table
from cli.costs import table_of_all
from cli.formatting import narrowed
from cli.request_rows import RequestRow, table
from cli.threads import table as thread_table
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
def test_a_list_fits_the_terminal(width: int) -> None:
    """What is left out goes by its weight; states stay, and beginnings of names, which the commands
    take for them.
    """
    lines = table(ROWS, now=90, width=width)
    whole = table(ROWS, now=90)

    assert max(map(len, lines)) <= max(width, 30)
    for line, all_of_it in zip(lines, whole, strict=True):
        name = line.split()[0]
        assert name == all_of_it.split()[0] or all_of_it.startswith(name.removesuffix("…"))
    assert "WAITING_APPROVAL" in lines[1]
    if width >= 53:
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


CELLS = st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=5), st.integers(0, 60))
def test_a_narrowed_table_drops_no_more_than_it_has_to(
    rows: list[tuple[str, str, str]], width: int
) -> None:
    """The first choice that fits counts; what no choice names stays whole."""
    head = ("A", "B", "C")
    choices = (("B",), ("B", "C"))
    lines = narrowed([head, *rows], choices, width)
    whole = [narrowed([head, *rows], [each], 1) for each in ((), *choices)]
    fits = [found for found in whole if not width or max(map(len, found)) <= width]
    assert lines == (fits[0] if fits else whole[-1])


def _summary(name: str, thread: str) -> RequestSummary:
    return RequestSummary(
        id=f"request/{name}",
        run_id="r",
        state=RunState.WAITING_APPROVAL,
        pending=1,
        key=name,
        thread=thread,
        started=dt.datetime.fromtimestamp(0, dt.UTC),
        closed=None,
        repository="/home/me/src/shop",
    )


@pytest.mark.parametrize("width", [40, 80, 200])
def test_tables_of_threads_and_costs_fit_the_terminal(width: int) -> None:
    """First name and state stay, and the cost; the repository is there where it has room."""
    runs = [_summary("mend-the-cart-1a2b3c", "a"), _summary("then-document-it-7f3a21", "a")]
    threads = thread_table([runs], now=90, width=width)
    costs = table_of_all([(run, PARTS) for run in runs], width=width)
    for lines in (threads, costs):
        assert max(map(len, lines)) <= width
        assert lines[1].startswith("mend-the-cart-1a2b3c")
    assert ("/home/me/src/shop" in threads[1]) == (width == 200)
    assert costs[-1].endswith("$0.0800")


@pytest.mark.parametrize("width", [40, 80])
def test_a_report_breaks_its_prose_between_words(width: int) -> None:
    """Figures and notes; what is copied, such as the address, stays on its line."""
    ended = status(task("a", TaskState.DONE), notes=("The setup ran in 3 s and installed 1 MB.",))
    report = closing(ended, seconds=5, link="http://127.0.0.1:8233/" + "x" * 90, width=width)
    whole = closing(ended, seconds=5, link="")

    assert max(len(line) for line in report if not line.startswith("Details: ")) <= width
    assert " ".join(report).partition("Details: ")[0].split() == " ".join(whole).split()
