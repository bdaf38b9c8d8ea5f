"""The table of endings: what is said when a request or a task has ended, and how.

Each ending has its state, its cause first, what was kept and how to get it, and what to do. The
report, `status`, the live view and the card show these words and no others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from contracts import roles
from contracts.checks import CheckResult, ChecksReport
from contracts.endings import RequestEnding, TaskEnding
from contracts.failures import FailureKind
from contracts.request import RequestStatus
from contracts.review import FindingState, KeptFinding, ReviewItem
from contracts.task import TaskState, TaskStatus
from contracts.visibility import RunState
from domain.check_results import red_command
from domain.planning import forks
from domain.text import clip, listing, one_line

_REASON_CHARS = 400
_CAUSE_CHARS = 2_000
_MOST_TASKS = 8


@dataclass(frozen=True, slots=True)
class EndingRow:
    """One row of the table.

    Attributes:
        state: as it is shown, in a word or two.
        kept: what was kept; `{work}` lists it, `{landed}` takes it over, `{branch}` holds it.
        advice: what to do.
    """

    state: str
    kept: str
    advice: str


NO_BUDGET_ERROR = "NoBudget"
"""The type of the error by which a request ends that has no money for a plan."""
_WORK = "Its work so far is in the store; list it with: {work}"
_LANDED = "What landed passed its own checks and is in the store; take it over with: {landed}"
_BRANCH = "What is done is on branch {branch}."
_NOTHING = "Nothing was changed."

REQUESTS: Mapping[RequestEnding, EndingRow] = MappingProxyType(
    {
        RequestEnding.DELIVERED: EndingRow("Delivered", _BRANCH, ""),
        RequestEnding.UNCHANGED: EndingRow(
            "Done: the request needed no change", "There is no branch.", ""
        ),
        RequestEnding.ANSWERED: EndingRow(
            "Answered", "It asked a question and needed no change: there is no branch.", ""
        ),
        RequestEnding.GOAL_MET: EndingRow(
            "Done: the command of the goal passes on the base already, so nothing was spent",
            "There is no branch.",
            "",
        ),
        RequestEnding.GOAL_MISSED: EndingRow(
            "Failed", "", "`retry` goes on with fresh rounds on what has landed."
        ),
        RequestEnding.INCOMPLETE: EndingRow(
            "Failed", "", "`retry` runs what is missing again, and keeps what is there."
        ),
        RequestEnding.CHECKS_FAILED: EndingRow(
            "Failed",
            _LANDED,
            "`retry` runs the checks again; with a task's name, first that task, told what is red.",
        ),
        RequestEnding.BASE_FAILED: EndingRow(
            "Failed",
            _WORK,
            "The command fails without any change of ours: mend what it needs, then `retry`; or "
            "ask again without it, or on another base.",
        ),
        RequestEnding.PLAN_REJECTED: EndingRow(
            "Rejected",
            _NOTHING,
            "`retry` offers the plan again: `revise` sends it back with your words.",
        ),
        RequestEnding.NO_BUDGET: EndingRow("Failed", _NOTHING, "`retry` with more --budget-usd."),
        RequestEnding.NOT_DELIVERED: EndingRow(
            "Not delivered",
            _LANDED,
            "`retry` with a task's name runs that task again, told your words; without one it asks "
            "you again.",
        ),
        RequestEnding.REFUSED: EndingRow("Refused", _NOTHING, "Correct that and ask again."),
        RequestEnding.SETUP_FAILED: EndingRow(
            "Failed", _NOTHING, "No model was asked yet: correct that and ask again."
        ),
        RequestEnding.CHECKS_UNUSABLE: EndingRow(
            "Failed", _NOTHING, "No model was asked yet: correct the check and ask again."
        ),
        RequestEnding.BROKEN: EndingRow("Failed", _WORK, "Mend that, then `retry`."),
        RequestEnding.CANCELLED: EndingRow("Cancelled", _WORK, "`retry` goes on from there."),
    }
)
TASKS: Mapping[TaskEnding, EndingRow] = MappingProxyType(
    {
        TaskEnding.LANDED: EndingRow("done", "It has landed.", ""),
        TaskEnding.UNCHANGED: EndingRow("done, without a change", "", ""),
        TaskEnding.CUT: EndingRow(
            "failed",
            "Its last state is kept.",
            "`retry` goes on from there; --budget-usd gives it more money.",
        ),
        TaskEnding.GIVEN_UP: EndingRow(
            "failed", "Its last patch is kept.", "`retry` begins again on it, told why it failed."
        ),
        TaskEnding.IMPOSSIBLE: EndingRow(
            "failed", "Its last state is kept.", "Give it what it needs, then `retry`."
        ),
        TaskEnding.REJECTED: EndingRow("rejected", "Its patch is kept.", ""),
        TaskEnding.UNTESTED: EndingRow(
            "failed", "Its patch is kept.", "Mend what keeps checks from running, then `retry`."
        ),
        TaskEnding.BROKEN: EndingRow(
            "failed", "Its last state is kept.", "Mend that, then `retry`."
        ),
        TaskEnding.CORRUPT: EndingRow(
            "failed", "Its last sound state is kept.", "`retry` begins again on that."
        ),
        TaskEnding.SUPERSEDED: EndingRow("not taken", "Its patch is kept.", ""),
        TaskEnding.NO_MONEY: EndingRow("not started", "", "`retry` with more --budget-usd."),
        TaskEnding.BLOCKED: EndingRow(
            "not started", "", "It starts once what it waits for is done."
        ),
        TaskEnding.CANCELLED: EndingRow("cancelled", "Its last state is kept.", ""),
    }
)


def done(*, changed: bool, answered: bool = False, met: bool = False) -> RequestEnding:
    """Return how a request ended of which everything is done; `met`: its goal was, at the base."""
    if met:
        return RequestEnding.GOAL_MET
    if answered:
        return RequestEnding.ANSWERED
    return RequestEnding.DELIVERED if changed else RequestEnding.UNCHANGED


def broken(kind: str, *, kept: bool) -> RequestEnding:
    """Return how a request ended of which a step failed; refused when nothing of it is kept."""
    if kind == NO_BUDGET_ERROR:
        return RequestEnding.NO_BUDGET
    refused = kind == FailureKind.REFUSED and not kept
    return RequestEnding.REFUSED if refused else RequestEnding.BROKEN


def error_type(ending: RequestEnding) -> str:
    """Return the type of the error by which a request fails, as Temporal shows it."""
    match ending:
        case RequestEnding.REFUSED:
            return FailureKind.REFUSED
        case RequestEnding.INCOMPLETE:
            return "Incomplete"
        case RequestEnding.GOAL_MISSED:
            return "GoalMissed"
        case RequestEnding.NO_BUDGET:
            return NO_BUDGET_ERROR
        case (
            RequestEnding.CHECKS_FAILED | RequestEnding.BASE_FAILED | RequestEnding.CHECKS_UNUSABLE
        ):
            return "ChecksFailed"
        case RequestEnding.SETUP_FAILED:
            return "SetupFailed"
        case RequestEnding.PLAN_REJECTED | RequestEnding.NOT_DELIVERED:
            return "Rejected"
        case _:
            return FailureKind.BUG


_GOOD = (
    RequestEnding.DELIVERED,
    RequestEnding.UNCHANGED,
    RequestEnding.ANSWERED,
    RequestEnding.GOAL_MET,
)


def run_state(ending: RequestEnding) -> RunState:
    """Return the state in which a request has ended."""
    if ending in _GOOD:
        return RunState.DONE
    return RunState.CANCELLED if ending is RequestEnding.CANCELLED else RunState.FAILED


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of an ending, each part a sentence or ""."""

    state: str
    cause: str
    kept: str
    advice: str


def of_request(status: RequestStatus) -> Told:
    """Return what is said of a request that has ended."""
    row = REQUESTS[status.ending or _guessed(status)]
    kept = row.kept
    if not kept:
        kept = _BRANCH if status.commit else _WORK
    facts = {
        "work": status.work_command,
        "landed": status.landed_command,
        "branch": status.branch or "",
    }
    known = all(value or f"{{{name}}}" not in kept for name, value in facts.items())
    cause = "" if status.state is RunState.DONE else status.reason or "no reason was given"
    return Told(row.state, cause, kept.format_map(facts) if known else "", row.advice)


def _guessed(status: RequestStatus) -> RequestEnding:
    """Return how a request ended that did not say it: one that was terminated, or is older."""
    match status.state:
        case RunState.DONE:
            return RequestEnding.DELIVERED if status.commit else RequestEnding.UNCHANGED
        case RunState.CANCELLED:
            return RequestEnding.CANCELLED
        case _:
            return RequestEnding.INCOMPLETE if status.commit else RequestEnding.BROKEN


def of_task(task: TaskStatus) -> Told | None:
    """Return what is said of a task that has ended, or cannot start; None while it is open."""
    ending = task.ending or _guessed_task(task)
    if ending is None:
        return None
    row = TASKS[ending]
    kept = f"its last patch is kept: {task.kept}" if task.kept else row.kept
    if not (task.workflow_id or task.kept or task.state is TaskState.DONE):
        kept = ""  # it never started
    return Told(row.state, task.no_change or task.reason, kept, row.advice)


def _guessed_task(task: TaskStatus) -> TaskEnding | None:
    match task.state:
        case TaskState.DONE:
            return TaskEnding.LANDED if task.commit else TaskEnding.UNCHANGED
        case TaskState.FAILED:
            return TaskEnding.BROKEN
        case TaskState.BLOCKED:
            return TaskEnding.BLOCKED
        case TaskState.CANCELLED:
            return TaskEnding.CANCELLED
    return None


def checks_title(status: RequestStatus) -> str:
    """Return what the checks at the end were run on: where nothing landed, on the base."""
    if status.ending is RequestEnding.SETUP_FAILED:
        return "Setup"
    landed = any(task.commit for task in status.tasks)
    return "Checks of the merged tree" if landed else "Checks of the base (nothing has landed)"


def incomplete(rows: Sequence[TaskStatus]) -> str | None:
    """Return why a plan is not done, causes before consequences; None when every task is."""
    missing = forks.missing(rows)
    if not missing:
        return None
    causes = [row for row in missing if row.state is not TaskState.BLOCKED]
    others = tuple(row.id for row in missing if row.state is TaskState.BLOCKED)
    told = [
        f"{row.id} {row.state.value}: {one_line(row.reason, _REASON_CHARS)}"
        for row in causes[:_MOST_TASKS]
    ]
    more = [f"{len(causes) - len(told)} more tasks are not done"] if causes[len(told) :] else []
    blocked = [f"not started for that: {listing(others, most=_MOST_TASKS)}"] if others else []
    wanted = [row for row in rows if row.ending is not TaskEnding.SUPERSEDED]
    count = f"{len(wanted) - len(missing)} of {len(wanted)} tasks done"
    return clip("; ".join([*told, *more, count, *blocked]), _CAUSE_CHARS)


def checks_failed(
    results: Sequence[CheckResult], rows: Sequence[TaskStatus], *, landed: bool
) -> tuple[str, RequestEnding]:
    """Return why a request ends whose last checks are red, and how."""
    failed = next(result for result in results if not result.passed)
    missing = incomplete(rows)
    if landed:
        cause = f"{red_command(failed)} on the merged tree, so nothing was delivered"
        cause = f"{cause}; {missing}" if missing else cause
        return cause, RequestEnding.CHECKS_FAILED
    base = f"{red_command(failed)} on the base itself"
    return f"{missing}; {base}" if missing else base, RequestEnding.BASE_FAILED


def given_up(why: str, rounds: int, cause: str) -> str:
    """Return why a task is given up: the cause, then how often it was tried."""
    return f"{clip(why, 900)}; given up after {rounds} rounds ({cause})"


def checks_cause(report: ChecksReport) -> str:
    """Return which command is red, for a person."""
    return red_command(report.red or report.results[-1])


def review_cause(item: ReviewItem, findings: Sequence[KeptFinding]) -> str:
    """Return what a reviewer, or a person, still asks for; for a person."""
    if item.decided_by != roles.REVIEWER:
        return f"{item.decided_by} asks for: {one_line(item.feedback, 600)}"
    still = (each for each in findings if each.state is FindingState.OPEN)
    titles = tuple(one_line(each.title, 160) for each in still)
    return f"the reviewer still asks for: {listing(titles)}" if titles else "the reviewer objects"


def patch_cause(problem: str) -> str:
    """Return the fact in what an agent was told of a patch that cannot be used."""
    fact = one_line(problem.split("\n\n", 1)[0], 600)
    return f"its patch cannot be used: {fact.split('. ', 1)[0].rstrip('.')}"
