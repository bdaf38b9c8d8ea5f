"""The ledger of a run that has ended, as the next run of its thread is told it."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.agent import Note
from contracts.checks import CheckResult
from contracts.request import RequestEnded, RequestStatus
from contracts.review import Finding, KeptFinding
from contracts.task import TaskState, TaskStatus
from contracts.threads import MOST_LEDGER
from contracts.visibility import RunState
from domain.handoff.ledger import Command, Ledger, Line
from domain.handoff.thread import TaskWork, run_ledger

RED = Command(at="w1.t3.r1", command="make fuzz", ending="exit code 9", failed=True)
GREEN = Command(at="w1.t2.r1", command="make lint", ending="exit code 0")
LEDGER = Ledger(
    decisions=(Line(at="w1", text="Keep the long form."),),
    tried=(Line(at="w1", text="Reusing the lexer."),),
    questions=("Which port?",),
    commands=(GREEN, RED),
)


def finding(title: str, state: str) -> KeptFinding:
    """A finding of a review."""
    found = Finding(priority=2, title=title)
    return KeptFinding(name="F1", round=0, state=state, **found.model_dump())


def ended(*rows: TaskStatus, **fields: object) -> RequestEnded:
    """A run that has ended."""
    status = RequestStatus(id="request/x", state=RunState.DONE, tasks=rows)
    return RequestEnded(status=status.model_copy(update=fields))


def test_all_that_the_next_run_needs_is_told() -> None:
    """Decisions, what is open, what failed, what is not done and what had changed, checks."""
    open_finding = finding("No test", "open")
    done = TaskStatus(
        id="a",
        title="Parse",
        state=TaskState.DONE,
        findings=(open_finding, finding("x", "resolved")),
    )
    failed = TaskStatus(id="b", title="Print", state=TaskState.FAILED, reason="it is red")
    run = ended(done, failed, checks=(CheckResult(command="make test", exit_code=0, seconds=1),))
    run = run.model_copy(update={"notes": (Note(text="Mind the tabs.", task="a"),)})
    works = [
        TaskWork("a", LEDGER, "The parser takes both forms.", ()),
        TaskWork("b", Ledger(), "It prints.", ("printer.py",)),
    ]

    assert run_ledger(run, works).splitlines() == [
        *("Decisions:", "- [a] Keep the long form."),
        *("Open questions:", "- [a] Which port?"),
        *("What the person said meanwhile:", "- [a] Mind the tabs."),
        "Not done:",
        "- [b] Print: it is red; what it had changed and is not delivered: printer.py",
        *("Findings of reviews that are open:", "- [a] F1 [P2] No test, open"),
        *("Tried without success:", "- [a] Reusing the lexer."),
        *("Commands that failed when they were run last:", "- [a] `make fuzz`: exit code 9"),
        *("Checks of the result:", "- `make test`: passed"),
        *("Done, as its agents say:", "- [a] The parser takes both forms."),
    ]


def test_a_run_without_work_has_no_ledger() -> None:
    """As one that answered a question."""
    assert run_ledger(ended(), []) == ""


@given(
    texts=st.lists(st.text(max_size=2_000), max_size=30),
    tasks=st.integers(0, 64),
)
def test_a_ledger_is_bounded_and_begins_with_the_newest_decisions(
    texts: list[str], tasks: int
) -> None:
    """However much was said; what is left out is counted."""
    lines = tuple(Line(at="w1", text=text) for text in texts)
    ledger = Ledger(decisions=(*lines, Line(at="w9", text="The last one.")), tried=lines)
    rows = [TaskStatus(id=f"t{n}", title="T", state=TaskState.FAILED) for n in range(tasks)]
    told = run_ledger(ended(*rows), [TaskWork("t0", ledger, "said")])

    assert len(told) <= MOST_LEDGER
    assert told.startswith("Decisions:\n")
    assert "- [t0] The last one." in told
