"""What agents and people are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.exceptions import ApplicationError

from contracts.agent import AgentLimits, AgentResult, AgentStart
from contracts.checks import CheckResult, ChecksReport
from contracts.merge_queue import Eviction, MergeVerdict
from contracts.planning import Plan, TaskSpec
from contracts.policy import ReviewJudgement
from contracts.review import Patch, ReviewItem
from contracts.store import ConversationRef, RepositoryRef
from contracts.subtask import SubtaskStart
from contracts.tools import CoderFinish
from contracts.worktrees import WorktreeLease
from domain.agent import inputs, messages
from domain.approvals import questions
from domain.review import rework

OID, TIP, TREE = "0" * 40, "1" * 40, "2" * 40
REPOSITORY = RepositoryRef(key="k", request_key="r", target="t", environment=OID, host_id="here")
LEASE = WorktreeLease(worktree="w1", epoch=1, host_id="here", commit=OID)
TASK = TaskSpec(
    id="mend", title="Mend", goal="Make it whole.", writes=("a.py",), acceptance=("pytest a",)
)
START = SubtaskStart(
    request_id="request/x", request="Mend and tell.", repository=REPOSITORY, task=TASK,
    queue_id="q", limits=AgentLimits(turns=60),
)  # fmt: skip
BEFORE = AgentResult(
    output=None,
    conversation=ConversationRef(id="c", head=TIP, turns=4),
    checkpoint=TIP,
    seen=TREE,
)
PATCH = Patch(
    task="mend", round=1, base=OID, commit=TIP, tree=TREE, patch_id="p", files=2, added_lines=3,
    deleted_lines=1, paths=("a.py", "b.py"), outside=("b.py",), risks=("touches b.py",), diff=OID,
)  # fmt: skip


def coder(before: AgentResult | None, message: str | None = None) -> AgentStart:
    """Return how the coder of the task begins."""
    return inputs.coder(
        START, agent_id="a", attempt=1, lease=LEASE, checkpoint=OID, before=before,
        message=message, documents=(("log", TREE),), notes=("Be brief.",), budget=9,
    )  # fmt: skip


def test_a_coder_is_told_its_task_and_its_bounds() -> None:
    """Everything that it is measured by stands in its opening."""
    start = coder(None)
    facts = dict(start.opening.facts)

    assert "Make it whole." in facts["Task"]
    assert facts["Paths you may change"] == "a.py"
    assert facts["Acceptance commands, run by the system"] == "pytest a"
    assert "Be brief." in facts["Notes from the person who made the request"]
    assert (start.conversation, start.limits.budget_microusd) == (None, 9)


def test_a_coder_that_goes_back_goes_on_in_its_conversation() -> None:
    """It keeps what it knows, and is told what came of its work."""
    start = coder(BEFORE, "One test is red.")

    assert (start.conversation, start.seen) == (BEFORE.conversation, TREE)
    assert start.message == "One test is red."
    assert start.documents == (("log", TREE),)


def test_a_reviewer_begins_afresh_on_the_patch() -> None:
    """It shares no context with the author, sees the very commit, and has money of its own."""
    checks = ChecksReport(
        commit=TIP, tree=TREE, log=OID,
        results=(CheckResult(command="pytest a", exit_code=0, seconds=1),),
    )  # fmt: skip
    start = inputs.reviewer(
        START, agent_id="v", attempt=1, lease=LEASE, budget=5,
        offer=inputs.Offer(
            PATCH, CoderFinish(summary="And the docs."), checks, says="I mended it.",
            earlier=("The tests were red.", "A changelog line is missing."),
        ),
    )  # fmt: skip
    facts = dict(start.opening.facts)

    assert (start.conversation, start.message, start.checkpoint) == (None, None, TIP)
    assert start.opening.documents == (("patch", OID),)
    assert start.limits.budget_microusd == 5
    assert facts["What its author says"] == "I mended it."
    assert facts["Changed outside the declared paths"] == "b.py"
    assert facts["Commands that passed on it"] == "pytest a"
    assert facts["Why it was sent back before"] == (
        "1. The tests were red.\n\n2. A changelog line is missing."
    )


def test_a_review_is_bound_to_the_tree() -> None:
    """An answer counts for what the person saw, and the card says how much changed."""
    item = ReviewItem(id="review/mend/1", task="mend", tree=TREE, patch_commit=TIP)
    asked = questions.review_approval(
        ReviewJudgement(item=item, why="it is risky", feedback="Look."),
        PATCH,
        asked_by="s",
        deadline_seconds=60,
    )

    assert (asked.id, asked.digest, asked.artefact) == ("review/mend/1", TREE, OID)
    assert asked.what == "the patch of mend: 2 files, +3 -1"
    assert (asked.risk, asked.asked_by) == ("touches b.py", "s")


def test_another_plan_is_another_question() -> None:
    """The digest covers the whole plan, not only what is shown."""
    plan = Plan(summary="Mend.", tasks=(TASK,))
    other = Plan(summary="Mend.", tasks=(TASK.model_copy(update={"acceptance": ("true",)}),))
    asked = [questions.plan_approval(each, deadline_seconds=60) for each in (plan, other)]

    assert asked[0].what == "a plan of 1 task"
    assert "mend: Mend; writes a.py" in asked[0].detail
    assert asked[0].digest != asked[1].digest


@given(st.text(max_size=6_000))
def test_a_delivery_is_bound_to_the_commit(summary: str) -> None:
    """However long the summary, the question can be asked."""
    asked = questions.delivery_approval(TIP, summary, "orchestcode/x", deadline_seconds=60)

    assert asked.digest == TIP
    assert len(asked.detail) <= 4_000


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(ApplicationError("No room.", type="Disk"), "No room.", id="ours"),
        pytest.param(ValueError("odd"), "odd", id="any"),
    ],
)
def test_a_failure_is_told_in_its_own_words(error: BaseException, said: str) -> None:
    """Not in those of the frames around it."""
    assert messages.cause(error) == said


@given(st.lists(st.text(min_size=1, max_size=30).map(lambda text: text * 200), max_size=12))
def test_every_note_is_told_whole_in_one_message_or_the_next(texts: list[str]) -> None:
    """A message holds as many of the first notes as fit; nothing is cut but a note that fits
    nowhere.
    """
    left, told = list(texts), []
    while left:
        message, held = messages.message(left)
        assert message is not None
        assert len(message) <= 16_000
        assert held >= 1
        told.append(message)
        left = left[held:]

    assert "\n\n".join(told) == "\n\n".join(texts)


def test_no_note_makes_no_message() -> None:
    """Silence is no message."""
    assert messages.message([]) == (None, 0)


def test_no_earlier_feedback_points_at_an_output_that_is_not_there() -> None:
    """A reviewer reads which command failed; that its output follows was said to the agent."""
    oid = "0" * 40
    red = CheckResult(command="make test", exit_code=1, seconds=1.0)
    report = ChecksReport(commit=oid, tree=oid, results=(red,), log=oid)
    verdict = MergeVerdict(id="a/1", eviction=Eviction.RED, command="make test")
    told = (
        rework.checks_feedback(report),
        rework.eviction_feedback(verdict),
    )
    assert all("output is below" in text for text in told)
    assert "make test" in messages.earlier(told)
    assert "output is below" not in messages.earlier(told)
