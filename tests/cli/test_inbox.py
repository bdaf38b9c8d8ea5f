"""`inbox`: what waits for a person, of all requests."""

import datetime as dt

import pytest

from cli.client.summary import RequestSummary
from cli.views.inbox import RequestQuestions, inbox_lines
from contracts.approvals import Approval, ApprovalKind
from contracts.visibility import RunState

NOW = 1_800_000_000.0
HOUR = 3_600


def request(name: str, pending: int = 1) -> RequestSummary:
    """Return an open request."""
    return RequestSummary(
        id=f"request/{name}",
        run_id="run",
        state=RunState.WAITING_APPROVAL,
        pending=pending,
        started=dt.datetime.fromtimestamp(NOW - 9 * HOUR, dt.UTC),
        closed=None,
    )


def question(
    key: str, kind: ApprovalKind, what: str, *, hours: float, left: float = 24, risk: str = ""
) -> Approval:
    """Return a question that has waited so long."""
    return Approval(
        id=key,
        kind=kind,
        what=what,
        why="asked for",
        digest="0123456789abcdef" * 4,
        since=NOW - hours * HOUR,
        deadline_seconds=round((hours + left) * HOUR),
        risk=risk,
    )


PLAN = question("plan", ApprovalKind.PLAN, "a plan of 2 tasks", hours=2, left=22)
REVIEW = question(
    "review/mend-total/0",
    ApprovalKind.REVIEW,
    "the patch of mend-total: 1 file, +1 -0",
    hours=20,
    left=4,
    risk="touches authentication",
)
FOUND = [
    RequestQuestions(request("mine"), (PLAN,)),
    RequestQuestions(request("theirs"), (REVIEW,)),
    RequestQuestions(request("silent", 3), None),
]


def test_the_question_with_the_least_time_left_stands_first() -> None:
    """Each with since when, until when, and the command that approves exactly what is seen."""
    assert inbox_lines(FOUND, program="orchestcode", now=NOW, width=0) == [
        "2 questions of 2 requests wait for you.",
        "",
        "theirs  review/mend-total/0",
        "  the patch of mend-total: 1 file, +1 -0 (risk: touches authentication)",
        "  review, for 20 h; rejected in 4 h without an answer",
        "  orchestcode approve theirs review/mend-total/0 --digest 0123456789ab",
        "",
        "mine  plan",
        "  a plan of 2 tasks",
        "  plan, for 2 h; rejected in 22 h without an answer",
        "  orchestcode approve mine plan --digest 0123456789ab",
        "",
        "silent: 3 questions",
    ]


@pytest.mark.parametrize("width", [40, 60])
def test_an_inbox_fits_a_narrow_terminal(width: int) -> None:
    """Prose is wrapped, commands go on after a backslash."""
    lines = inbox_lines(FOUND, program="orchestcode", now=NOW, width=width)

    assert max(map(len, lines)) <= width
    command = [line.strip().removesuffix("\\").strip() for line in lines]
    whole = "orchestcode approve theirs review/mend-total/0 --digest 0123456789ab"
    assert whole in " ".join(command)


def test_an_empty_inbox_says_so() -> None:
    """In one line."""
    assert inbox_lines([], program="oc", now=NOW, width=40) == ["Nothing waits for you."]


def test_what_others_have_written_is_harmless() -> None:
    """No control character of a question reaches the terminal."""
    bad = question("plan", ApprovalKind.PLAN, "a\x1b[2Jb\nc", hours=1)
    lines = inbox_lines([RequestQuestions(request("mine"), (bad,))], program="oc", now=NOW, width=0)

    assert "\x1b" not in "\n".join(lines)
    assert "\n" not in "".join(lines)
