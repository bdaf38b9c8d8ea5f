"""The ledger of a run of a thread, as the runs after it are told it: built from what is recorded.

Decisions first, then what is open and what failed; each part has a length of its own, the newest
lines of it stay whole, and of the rest it is said how many there are.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from contracts.checks import CheckResult
from contracts.request import RequestEnded
from contracts.review import FindingState
from contracts.task import TaskState
from contracts.threads import MOST_LEDGER
from domain.handoff.ledger import Ledger, Line
from domain.handoff.telling import fitted
from domain.review.findings import finding_line
from domain.text import clip, listing, one_line

_LENGTHS = MappingProxyType(
    {
        "decisions": 900,
        "questions": 500,
        "words": 600,
        "undone": 600,
        "findings": 400,
        "tried": 500,
        "failed": 400,
        "checks": 400,
        "done": 900,
    }
)
"""Characters of each part."""
_LINE_CHARS = 400
_PATHS = 10

Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class TaskWork:
    """What is kept of the work on one task.

    Attributes:
        says: what its agent handed in, in words; "" where it came to nothing.
        changed: paths of its last state that are not in what the run delivered.
    """

    task: str
    ledger: Ledger = field(default_factory=Ledger)
    says: str = ""
    changed: tuple[str, ...] = ()


def run_ledger(ended: RequestEnded, works: Sequence[TaskWork]) -> str:
    """Return what is known of a run that has ended, at most MOST_LEDGER long; "" of nothing."""
    parts = (
        ("Decisions", "decisions", _of_tasks(works, lambda work: work.ledger.decisions)),
        ("Open questions", "questions", _questions(works)),
        ("What the person said meanwhile", "words", _words(ended)),
        ("Not done", "undone", list(_undone(ended, works))),
        ("Findings of reviews that are open", "findings", list(_findings(ended))),
        ("Tried without success", "tried", _of_tasks(works, lambda work: work.ledger.tried)),
        ("Commands that failed when they were run last", "failed", list(_failed(works))),
        ("Checks of the result", "checks", [("", _check(each)) for each in ended.status.checks]),
        ("Done, as its agents say", "done", list(_done(ended, works))),
    )
    told = [
        f"{heading}:\n{body}"
        for heading, name, rows in parts
        if (body := fitted(rows, _LENGTHS[name], own=False))
    ]
    return clip("\n".join(told), MOST_LEDGER)


def _of_tasks(works: Iterable[TaskWork], lines: Callable[[TaskWork], Iterable[Line]]) -> Rows:
    return [(work.task, _short(line.text)) for work in works for line in lines(work)]


def _questions(works: Iterable[TaskWork]) -> Rows:
    return [(work.task, _short(each)) for work in works for each in work.ledger.questions]


def _words(ended: RequestEnded) -> Rows:
    return [(note.task or "", _short(note.text)) for note in ended.notes]


def _undone(ended: RequestEnded, works: Sequence[TaskWork]) -> Iterator[tuple[str, str]]:
    changed = {work.task: work.changed for work in works}
    for row in ended.status.tasks:
        if row.state is not TaskState.DONE:
            paths = listing(changed.get(row.id, ()), most=_PATHS)
            left = f"; what it had changed and is not delivered: {paths}" if paths else ""
            yield row.id, _short(f"{row.title}: {row.reason or row.state.value}{left}")


def _findings(ended: RequestEnded) -> Iterator[tuple[str, str]]:
    for row in ended.status.tasks:
        for finding in row.findings:
            if finding.state is FindingState.OPEN:
                yield row.id, _short(finding_line(finding))


def _failed(works: Iterable[TaskWork]) -> Iterator[tuple[str, str]]:
    for work in works:
        for run in work.ledger.commands:
            if run.failed:
                yield work.task, _short(f"`{one_line(run.command)}`: {run.ending}")


def _check(check: CheckResult) -> str:
    how = "passed" if check.passed else f"failed (exit code {check.exit_code})"
    return f"`{one_line(check.command)}`: {how}"


def _done(ended: RequestEnded, works: Iterable[TaskWork]) -> Iterator[tuple[str, str]]:
    done = {row.id for row in ended.status.tasks if row.state is TaskState.DONE}
    for work in works:
        if work.task in done and work.says:
            yield work.task, _short(work.says)


def _short(text: str) -> str:
    return one_line(text, _LINE_CHARS)
