"""The table of endings: for each its state, its cause first, what was kept, and what to do."""

import pytest

from contracts.checks import CheckResult, ChecksReport
from contracts.endings import RequestEnding, TaskEnding
from contracts.request import RequestStatus
from contracts.review import FindingState, KeptFinding, ReviewItem
from contracts.task import TaskState, TaskStatus
from contracts.visibility import RunState
from domain.request import endings
from domain.request.markdown import card

OID = "a" * 40
RED = CheckResult(
    command="pytest -q", exit_code=1, seconds=1, tail="FAILED tests/a.py::test_b - Bad\n"
)
LANDED = TaskStatus(id="a", title="A", state=TaskState.DONE, commit=OID, workflow_id="w")
FAILED = TaskStatus(
    id="b", title="B", state=TaskState.FAILED, reason="x" * 300 + " the end", workflow_id="w"
)
BLOCKED = TaskStatus(id="c", title="C", state=TaskState.BLOCKED, reason="waits for 'b'")


def ended(
    ending: RequestEnding | None, state: RunState | None = None, **more: object
) -> RequestStatus:
    """A request that has ended."""
    status = RequestStatus(
        id="request/x",
        state=state or endings.run_state(ending or RequestEnding.BROKEN),
        reason="the cause",
        ending=ending,
        branch="orchestcode/x",
        work_command="LIST",
        landed_command="TAKE",
    )
    return status.model_copy(update=more)


@pytest.mark.parametrize(
    ("status", "state", "kept", "advice"),
    [
        (ended(RequestEnding.DELIVERED, commit=OID), "Delivered", "branch orchestcode/x", ""),
        (ended(RequestEnding.UNCHANGED), "needed no change", "There is no branch", ""),
        (ended(RequestEnding.INCOMPLETE, commit=OID), "Failed", "on branch orch", "`retry` runs"),
        (ended(RequestEnding.INCOMPLETE), "Failed", "list it with: LIST", "what is missing"),
        (
            ended(RequestEnding.CHECKS_FAILED),
            "Failed",
            "take it over with: TAKE",
            "with a task's name",
        ),
        (ended(RequestEnding.BASE_FAILED), "Failed", "list it with: LIST", "mend what it needs"),
        (ended(RequestEnding.GOAL_MET), "nothing was spent", "There is no branch", ""),
        (ended(RequestEnding.GOAL_MISSED, commit=OID), "Failed", "on branch orch", "fresh rounds"),
        (ended(RequestEnding.GOAL_MISSED), "Failed", "list it with: LIST", "fresh rounds"),
        (ended(RequestEnding.PLAN_REJECTED), "Rejected", "Nothing was changed", "`revise`"),
        (ended(RequestEnding.NO_BUDGET), "Failed", "Nothing was changed", "--budget-usd"),
        (
            ended(RequestEnding.NOT_DELIVERED),
            "Not delivered",
            "take it over with: TAKE",
            "asks you",
        ),
        (ended(RequestEnding.REFUSED), "Refused", "Nothing was changed", "ask again"),
        (ended(RequestEnding.BROKEN), "Failed", "list it with: LIST", "Mend that"),
        (ended(RequestEnding.CANCELLED), "Cancelled", "list it with: LIST", "`retry`"),
        (ended(None, RunState.FAILED), "Failed", "list it with: LIST", "Mend that"),
        (ended(RequestEnding.BROKEN, work_command=""), "Failed", "", "Mend that"),
    ],
    ids=[
        *("delivered", "unchanged", "partly delivered", "incomplete", "checks failed"),
        *("base failed", "goal met", "goal missed", "goal missed without a branch"),
        *("plan rejected", "no budget", "delivery rejected", "refused", "broken"),
        *("cancelled", "terminated", "before it was opened"),
    ],
)
def test_a_request_says_what_was_kept_and_what_to_do(
    status: RequestStatus, state: str, kept: str, advice: str
) -> None:
    """Each row of the table, whatever is known of it; a place that is not known is not named."""
    told = endings.of_request(status)

    assert state in told.state
    assert told.cause == ("" if status.state is RunState.DONE else "the cause")
    assert (kept in told.kept) if kept else (told.kept == "")
    assert (advice in told.advice) if advice else (told.advice == "")


@pytest.mark.parametrize("ending", list(TaskEnding), ids=lambda ending: ending.value)
def test_every_ending_of_a_task_has_its_row(ending: TaskEnding) -> None:
    """State, cause, and what was kept, but of one that never started."""
    good = ending in (TaskEnding.LANDED, TaskEnding.UNCHANGED)
    state = TaskState.DONE if good else TaskState.FAILED
    task = FAILED.model_copy(update={"state": state, "ending": ending, "reason": "the cause"})
    told = endings.of_task(task)
    never = endings.of_task(task.model_copy(update={"workflow_id": None}))

    assert told
    assert told.cause == "the cause"
    assert told.state == endings.TASKS[ending].state
    assert never
    assert good or never.kept == ""
    assert good or ending is TaskEnding.REJECTED or told.kept or told.advice


def test_every_ending_of_a_request_has_its_row() -> None:
    """None is missing, and those of open tasks say nothing."""
    assert set(endings.REQUESTS) == set(RequestEnding)
    assert endings.of_task(TaskStatus(id="a", title="A", state=TaskState.RUNNING)) is None


def test_causes_come_before_consequences_and_are_not_cut() -> None:
    """What failed, whole; then how much is done; then what did not start for that."""
    told = endings.incomplete([LANDED, FAILED, BLOCKED]) or ""

    assert told.startswith(f"b failed: {FAILED.reason}; 1 of 3 tasks done; ")
    assert told.endswith("not started for that: c")
    assert endings.incomplete([LANDED]) is None


def test_a_red_merged_tree_names_command_and_test() -> None:
    """The cause first: which command, how it ended, which test; nothing was delivered."""
    cause, ending = endings.checks_failed([RED], [LANDED], landed=True)

    assert ending is RequestEnding.CHECKS_FAILED
    assert cause == (
        "`pytest -q` fails (exit code 1, tests/a.py::test_b) on the merged tree, "
        "so nothing was delivered"
    )


def test_a_red_base_is_not_called_the_merged_tree() -> None:
    """Where nothing landed the tasks' failure is the cause, and the checks are the base's."""
    cause, ending = endings.checks_failed([RED], [FAILED], landed=False)
    status = ended(ending, reason=cause, tasks=(FAILED,), checks=(RED,))

    assert ending is RequestEnding.BASE_FAILED
    assert cause.startswith("b failed: ")
    assert cause.endswith("`pytest -q` fails (exit code 1, tests/a.py::test_b) on the base itself")
    assert endings.checks_title(status) == "Checks of the base (nothing has landed)"
    assert "#### Checks of the base" in card(status)
    assert "merged tree" not in card(status)


def test_a_person_is_not_told_the_agents_prompt() -> None:
    """Why a task is given up is a fact for people, the cause before the count."""
    finding = KeptFinding(
        name="F1", priority=1, title="negative numbers", round=0, state=FindingState.OPEN
    )
    item = ReviewItem(id="r", task="a", tree=OID, patch_commit=OID, decided_by="reviewer")
    report = ChecksReport(commit=OID, tree=OID, results=(RED,), log=OID)
    problem = "Conflict markers are left in a.py. Resolve every one of them."

    assert endings.given_up(endings.checks_cause(report), 3, "checks") == (
        "`pytest -q` fails (exit code 1, tests/a.py::test_b); given up after 3 rounds (checks)"
    )
    assert endings.review_cause(item, [finding]) == (
        "the reviewer still asks for: negative numbers"
    )
    assert endings.review_cause(
        item.model_copy(update={"decided_by": "Ada", "feedback": "use tabs"}), []
    ) == ("Ada asks for: use tabs")
    assert endings.patch_cause(problem) == (
        "its patch cannot be used: Conflict markers are left in a.py"
    )


def test_the_card_shows_what_was_kept_as_a_command_to_copy() -> None:
    """The web UI's reader finds the same words, the command as code."""
    shown = card(ended(RequestEnding.CHECKS_FAILED))

    assert "take it over with: `TAKE`" in shown
    assert "with a task's name" in shown
    assert "`orchestcode retry x`" in shown
