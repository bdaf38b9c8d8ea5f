"""The request on paper."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.agent import Note
from contracts.approvals import Approval, ApprovalKind
from contracts.planning import Plan, Promise, Risk, TaskSpec
from contracts.repository import RepositoryOpened
from contracts.request import RequestStart
from contracts.store import RepositoryRef
from contracts.subtask import SubtaskReport
from contracts.task import TaskState, TaskStatus
from contracts.visibility import Blocker, RunState
from domain.approvals.inbox import ApprovalInbox
from domain.request import status

OID = "0" * 40
START = RequestStart(repository="/shop", request="Mend it.", checks=("make test",))
OPENED = RepositoryOpened(
    repository=RepositoryRef(
        key="shop-1", request_key="r-1", target="main-2", environment=OID, host_id="here"
    ),
    path="/shop",
    base=OID,
    base_name="main",
    branch="orchestcode/mend",
    files=3,
    store="/home/a b/shop.git",
)
MEND = TaskSpec(id="mend", title="Mend", goal="g", acceptance=("pytest a", "make test"))
TELL = TaskSpec(id="tell", title="Tell", goal="g", depends_on=("mend",), acceptance=("grep x",))
PLAN = Plan(summary="Mend and tell.", tasks=(MEND, TELL))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["repository", "request", "checks", "x"]), inner)
    ),
    max_leaves=6,
)


def approval(kind: ApprovalKind, what: str = "a question") -> Approval:
    """Return a question."""
    return Approval(id=kind.value, kind=kind, what=what, why="w", digest="d")


@given(JSON)
def test_any_input_is_a_request_or_one_sentence(payload: object) -> None:
    """What somebody typed into the web UI never breaks the workflow."""
    found = status.read(payload)

    assert isinstance(found, RequestStart | str)
    assert not isinstance(found, str) or "\n" not in found


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        pytest.param("mend it", "must be a JSON object", id="no object"),
        pytest.param({"repository": "/shop"}, "request: Field required", id="no request"),
        pytest.param({"repository": "/s", "request": "x", "budget": 3}, "budget: Extra", id="typo"),
        pytest.param(
            {"repository": "/s", "request": "x", "budget_usd": 0}, "budget_usd", id="no money"
        ),
    ],
)
def test_what_is_wrong_is_said(payload: object, said: str) -> None:
    """The sentence names the key."""
    assert said in str(status.read(payload))


def test_the_table_begins_with_everything_pending() -> None:
    """In the plan's order, with what each waits for."""
    rows = list(status.table(PLAN).values())

    assert [(row.id, row.state, row.depends_on) for row in rows] == [
        ("mend", TaskState.PENDING, ()),
        ("tell", TaskState.PENDING, ("mend",)),
    ]


def test_a_row_that_has_ended_stays_as_it_is() -> None:
    """A report that comes late, or twice, changes nothing."""
    row = status.launched(status.table(PLAN)["mend"], "w")
    done = status.reported(row, SubtaskReport(task="mend", state=TaskState.DONE, turns=3), "w")
    late = status.reported(done, SubtaskReport(task="mend", state=TaskState.FAILED), "w")

    assert (done.state, done.turns, done.workflow_id) == (TaskState.DONE, 3, "w")
    assert late == done
    assert status.ended(done, TaskState.CANCELLED, "too late").state in TaskState


def test_a_report_carries_cost_in_dollars() -> None:
    """Millionths inside, dollars for people."""
    row = status.launched(status.table(PLAN)["mend"], "w")
    told = status.reported(
        row, SubtaskReport(task="mend", state=TaskState.RUNNING, cost_microusd=1_250_000), "w"
    )

    assert told.cost_usd == 1.25


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        pytest.param([], RunState.RUNNING, id="nothing"),
        pytest.param([ApprovalKind.REVIEW], RunState.WAITING_REVIEW, id="a review"),
        pytest.param([ApprovalKind.PLAN], RunState.WAITING_APPROVAL, id="a plan"),
        pytest.param(
            [ApprovalKind.REVIEW, ApprovalKind.TOOL], RunState.WAITING_APPROVAL, id="both"
        ),
    ],
)
def test_the_state_says_what_a_person_must_do(kinds: list[ApprovalKind], state: RunState) -> None:
    """Whatever waits for a person comes before what the work does, and the reason names it."""
    inbox = ApprovalInbox()
    for kind in kinds:
        inbox = inbox.open(approval(kind, f"the {kind.value}"), now=1.0)
    found, reason = status.state_of(inbox, ())

    assert found is state
    assert all(f"the {kind.value}" in reason for kind in kinds)


def test_an_obstacle_shows_unless_a_person_is_waited_for() -> None:
    """Their answer is what goes on without the world."""
    disk = Blocker(sender="a", state=RunState.WAITING_APPROVAL, reason="no room on the disk")
    inbox = ApprovalInbox().open(approval(ApprovalKind.REVIEW), now=1.0)

    assert status.state_of(ApprovalInbox(), (disk,)) == (disk.state, "no room on the disk")
    assert status.state_of(inbox, (disk,))[0] is RunState.WAITING_REVIEW


def test_what_landed_can_be_taken_over_by_a_command() -> None:
    """A branch that was not delivered is fetched from the store under its own name."""
    assert status.landed_command(OPENED) == (
        "git -C /shop fetch '/home/a b/shop.git' refs/oc/target/main-2:refs/heads/orchestcode/mend"
    )


def test_the_merged_tree_must_keep_what_finished_tasks_promised() -> None:
    """Acceptance of what is done, then the checks, each once; nothing of what failed."""
    rows = status.table(PLAN)
    rows["mend"] = rows["mend"].model_copy(update={"state": TaskState.DONE})

    assert status.final_commands(PLAN, rows, START.checks) == ("pytest a", "make test")


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        pytest.param("Be quick.", Note(text="Be quick."), id="text"),
        pytest.param({"text": "x", "task": "mend"}, Note(text="x", task="mend"), id="to a task"),
    ],
)
def test_a_note_is_taken_as_it_is_typed(payload: object, found: Note) -> None:
    """A bare text is for everyone."""
    assert status.note(payload, ["mend", "tell"]) == found


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param({"text": "x", "task": "sing"}, id="unknown task"),
        pytest.param({"words": "x"}, id="no text"),
        pytest.param(7, id="a number"),
        pytest.param(None, id="nothing"),
    ],
)
def test_a_note_that_cannot_be_taken_says_why(payload: object) -> None:
    """The person learns it instead of wondering."""
    assert isinstance(status.note(payload, ["mend"]), str)


def test_a_subtask_gets_its_own_notes_and_its_share_of_money() -> None:
    """Notes to others stay with them; a task of high risk is decided by a person."""
    risky = MEND.model_copy(update={"risk": Risk.HIGH})
    notes = [Note(text="all"), Note(text="mine", task="mend"), Note(text="other", task="tell")]
    made = [
        status.subtask(START, OPENED, PLAN, task, request_id="r", allowance=7, notes=notes)
        for task in (MEND, risky)
    ]

    assert made[0].notes == ("all", "mine")
    assert made[0].limits.budget_microusd == 7
    assert [start.human_review for start in made] == [False, True]
    assert made[0].queue_id == "merge/shop-1/main-2"


def test_a_subtask_knows_what_the_landed_tasks_before_it_promised_and_the_others_claim() -> None:
    """Promises of what it stands on, once that is done; claims of all that may still write."""
    plan = PLAN.model_copy(update={"tasks": (MEND.model_copy(update={"writes": ("a",)}), TELL)})
    rows = status.table(plan)
    made = []
    for state in (TaskState.FAILED, TaskState.DONE):
        rows["mend"] = rows["mend"].model_copy(update={"state": state})
        made.append(
            status.subtask(
                START, OPENED, plan, TELL, request_id="r", allowance=7, notes=(), rows=rows
            )
        )
    first = status.subtask(START, OPENED, plan, MEND, request_id="r", allowance=7, notes=())

    assert [each.promised for each in made] == [
        (),
        (Promise(task="mend", commands=("pytest a", "make test")),),
    ]
    assert [each.claims for each in (*made, first)] == [(), (), ()]


def test_where_the_work_is_kept_can_be_pasted_into_a_shell() -> None:
    """A home with a space in its path is quoted."""
    assert status.salvage_command(OPENED) == "git -C '/home/a b/shop.git' for-each-ref refs/oc/r-1/"


def test_a_status_counts_what_was_spent_and_what_is_being_spent() -> None:
    """The settled sum, and what open tasks have reported so far."""
    rows = status.table(PLAN)
    running = rows["mend"].model_copy(update={"state": TaskState.RUNNING, "cost_usd": 0.5})
    done = rows["tell"].model_copy(update={"state": TaskState.DONE, "cost_usd": 9.0})
    told = status.status(
        "r", (RunState.RUNNING, ""), start=START, opened=OPENED, plan=PLAN, rows=(running, done),
        inbox=ApprovalInbox(), planner=None, spent=status.Spent(2_000_000), checks=(),
        delivered=None, model="m",
    )  # fmt: skip

    assert told.cost_usd == 2.5
    assert (told.branch, told.commit) == ("orchestcode/mend", None)
    assert (told.request, told.budget_usd) == ("Mend it.", 10.0)


def test_a_task_that_ended_without_landing_says_how_to_get_its_work() -> None:
    """One command fetches the last patch of a failed task, in whatever folder it is typed."""
    kept = "refs/oc/r-1/task/mend/patch/0"
    rows = tuple(
        TaskStatus(id=name, title="t", state=state, kept=kept)
        for name, state in (("mend", TaskState.FAILED), ("tell", TaskState.DONE))
    )
    shown = status.status(
        "request/x", (RunState.FAILED, "red"), start=START, opened=OPENED, plan=PLAN, rows=rows,
        inbox=ApprovalInbox(), planner=None, spent=status.Spent(unpriced_tokens=5), checks=(),
        delivered=None, model="m",
    )  # fmt: skip

    fetch = f"git -C {OPENED.path} fetch '/home/a b/shop.git' {kept}"
    assert [row.kept for row in shown.tasks] == [fetch, ""]
    assert shown.unpriced_tokens == 5


def test_what_a_person_dropped_is_not_asked_of_the_merged_tree() -> None:
    """An acceptance command that was dropped from a task is no promise of it any more."""
    rows = status.table(PLAN)
    done = {"state": TaskState.DONE}
    rows["mend"] = rows["mend"].model_copy(update={**done, "dropped": ("pytest a",)})
    rows["tell"] = rows["tell"].model_copy(update=done)

    assert status.final_commands(PLAN, rows, START.checks) == ("make test", "grep x")


@pytest.mark.parametrize(
    ("named", "of_settings", "count", "origin"),
    [
        (("make test",), (), ("make test",), "the request"),
        ((), ("npm test",), ("npm test",), ".orchestcode/settings.json of the base"),
        ((), (), (), ""),
    ],
)
def test_a_request_without_checks_has_those_of_the_settings(
    named: tuple[str, ...], of_settings: tuple[str, ...], count: tuple[str, ...], origin: str
) -> None:
    """The status says which count and from where."""
    opened = OPENED.model_copy(update={"settings_checks": of_settings})
    start = status.with_settings(START.model_copy(update={"checks": named}), opened)

    assert start.checks == count
    shown = status.status(
        "request/x", (RunState.RUNNING, ""), start=start, opened=opened, plan=None, rows=(),
        inbox=ApprovalInbox(), planner=None, spent=status.Spent(), checks=(), delivered=None,
        model="",
    )  # fmt: skip
    assert (shown.checks_asked, shown.checks_from) == (count, origin)
