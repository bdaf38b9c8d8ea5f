"""Review: which findings block, who decides, and that a decision holds for one tree alone."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.approvals import Choice, Decision
from contracts.review import (
    Finding,
    Patch,
    ReviewFinish,
    ReviewItem,
    ReviewState,
    Undone,
    UndoneKind,
    Verdict,
)
from domain.review.verdict import answer, decide, feedback, objections

PROPERTY = settings(deadline=None, max_examples=200)
TREE, OTHER = "a" * 40, "b" * 40
VERDICTS = st.builds(
    ReviewFinish,
    verdict=st.sampled_from(list(Verdict)),
    summary=st.just("s"),
    findings=st.lists(
        st.builds(
            Finding,
            priority=st.integers(0, 3),
            title=st.just("t"),
            path=st.sampled_from([None, "src/a.py", "elsewhere.py"]),
        ),
        max_size=4,
    ).map(tuple),
)


@given(
    st.builds(
        ReviewFinish,
        verdict=st.just(Verdict.APPROVE),
        summary=st.just("s"),
        undoing=st.sampled_from(["", " ", "x is replaced by y"]),
    )
)
def test_undone_landed_work_needs_a_reason_of_the_reviewer_or_a_person(
    verdict: ReviewFinish,
) -> None:
    """An approval alone does not let it land; whom it concerns is told to the person."""
    lost = Undone(task="other", path="a.py", kind=UndoneKind.REMOVES, count=2, lines=("x = 1",))
    undoing = patch("a.py").model_copy(update={"undone": (lost,)})

    judged = decide(item(), verdict, undoing, rounds_left=1, objections=None)

    assert bool(judged.why) is not bool(verdict.undoing.strip())
    if judged.why:
        assert judged.item.state is ReviewState.PENDING
        assert judged.why == "The change undoes work: a.py loses 2 lines of other."
        assert "- x = 1" in judged.feedback


def patch(*paths: str, tree: str = TREE, files: int | None = None) -> Patch:
    """A patch that changes `paths`."""
    return Patch(
        task="t",
        round=0,
        base=OTHER,
        commit="c" * 40,
        tree=tree,
        patch_id="p",
        files=len(paths) if files is None else files,
        added_lines=1,
        deleted_lines=1,
        paths=paths,
        diff="d" * 40,
    )


def item(
    *risks: str, state: ReviewState = ReviewState.PENDING, human_required: bool = False
) -> ReviewItem:
    """The review item of a patch with the tree `TREE`."""
    return ReviewItem(
        id="t/0",
        task="t",
        tree=TREE,
        patch_commit="c" * 40,
        state=state,
        risks=risks,
        human_required=human_required,
    )


def verdict(word: Verdict, *findings: tuple[int, str | None]) -> ReviewFinish:
    """A review with findings by priority and path."""
    return ReviewFinish(
        verdict=word,
        summary="I looked.",
        findings=tuple(Finding(priority=p, title="Wrong", path=path) for p, path in findings),
    )


@pytest.mark.parametrize("path", ["src/a.py", "AGENTS.md", None, " "])
@pytest.mark.parametrize("word", list(Verdict))
def test_a_finding_of_priority_0_or_1_blocks_whatever_it_names(
    word: Verdict, path: str | None
) -> None:
    """A line that is missing somewhere else, or nowhere in particular, is missing all the same."""
    found = verdict(word, (1, path), (2, "src/a.py"))

    assert objections(found, 1) == found.findings[:1]


def test_revise_blocks_with_all_it_found_and_with_nothing() -> None:
    """A reviewer who wants changes gets them; remarks of one who approves do not block."""
    remarks = ((2, "src/a.py"), (3, None))

    assert (
        objections(verdict(Verdict.REVISE, *remarks), 1)
        == verdict(Verdict.REVISE, *remarks).findings
    )
    assert objections(verdict(Verdict.REVISE), 1) == ()
    assert objections(verdict(Verdict.APPROVE, *remarks), 1) is None
    assert objections(None, 1) is None


@PROPERTY
@given(
    st.none() | VERDICTS,
    st.booleans(),
    st.sampled_from([(), ("touches billing",)]),
    st.integers(0, 2),
)
def test_nothing_is_approved_against_the_rules(
    found: ReviewFinish | None,
    human: bool,  # noqa: FBT001
    risks: tuple[str, ...],
    rounds_left: int,
) -> None:
    """Without a person: no risk, no demand for one, no blocking finding, no reject, a verdict."""
    given_patch = patch("src/a.py")
    blocks = objections(found, 1)
    after = decide(
        item(*risks, human_required=human),
        found,
        given_patch,
        rounds_left=rounds_left,
        objections=blocks,
    )

    if after.why:
        assert after.item.state is ReviewState.PENDING
        assert after.item.human_required
        assert after.why.endswith(".")
    elif after.item.state is ReviewState.REVISED:
        assert blocks is not None
        assert rounds_left > 0
        assert after.item.feedback
    else:
        assert after.item.state is ReviewState.APPROVED
        assert found is not None
        assert found.verdict is Verdict.APPROVE
        assert blocks is None
        assert not human
        assert not risks
    assert (found is None) <= bool(after.why)


def test_a_blocking_finding_goes_back_to_the_agent_before_a_person_is_asked() -> None:
    """A risky patch with a known fault costs nobody's time yet."""
    found = verdict(Verdict.REVISE, (1, "src/a.py"), (3, "src/a.py"))
    judged = decide(
        item("touches billing"),
        found,
        patch("src/a.py"),
        rounds_left=1,
        objections=objections(found, 1),
    )
    after = judged.item

    assert not judged.why
    assert after.state is ReviewState.REVISED
    assert after.decided_by == "reviewer"
    assert "1. [P1] Wrong (src/a.py)" in after.feedback
    assert after.feedback.index("do not block") < after.feedback.index("[P3]")


@pytest.mark.parametrize(
    ("found", "given_item", "rounds_left", "why"),
    [
        (None, item(), 2, "The reviewer was cut"),
        (verdict(Verdict.REVISE, (0, "src/a.py")), item(), 0, "no round is left"),
        (verdict(Verdict.REJECT, (2, "src/a.py")), item(), 2, "rejects the patch"),
        (verdict(Verdict.APPROVE), item("touches billing"), 2, "risky: touches billing."),
        (verdict(Verdict.APPROVE), item(human_required=True), 2, "A person decides"),
    ],
    ids=["cut", "rounds", "reject", "risk", "rule"],
)
def test_a_person_is_asked_with_the_reason(
    found: ReviewFinish | None, given_item: ReviewItem, rounds_left: int, why: str
) -> None:
    """Who decides, and why it is not decided already."""
    after = decide(
        given_item,
        found,
        patch("src/a.py"),
        rounds_left=rounds_left,
        objections=objections(found, 1),
    )

    assert why in after.why


@pytest.mark.parametrize(
    ("choice", "state", "words"),
    [
        (Choice.APPROVE, ReviewState.APPROVED, "because"),
        (Choice.REJECT, ReviewState.REJECTED, "because"),
        (Choice.REVISE, ReviewState.REVISED, "because"),
    ],
)
def test_a_decision_moves_the_item_with_name_and_reason(
    choice: Choice, state: ReviewState, words: str
) -> None:
    """Approved, rejected or revised by whom and why."""
    decision = Decision(approval="r", choice=choice, reason="because", by="Ada", digest=TREE)
    after = answer(item(), decision)

    assert (after.state, after.decided_by, after.feedback) == (state, "Ada", words)
    assert after.tree == TREE


def test_a_revision_without_words_still_tells_the_agent_something() -> None:
    """The agent never gets an empty message."""
    decision = Decision(approval="r", choice=Choice.REVISE, digest=TREE)

    assert "revise this change" in answer(item(), decision).feedback


@pytest.mark.parametrize("digest", ["", OTHER])
def test_a_decision_about_another_tree_is_refused(digest: str) -> None:
    """What was not seen is not approved."""
    decision = Decision(approval="r", choice=Choice.APPROVE, digest=digest)

    with pytest.raises(ValueError, match="is about tree"):
        answer(item(), decision)
    with pytest.raises(ValueError, match="is about tree"):
        decide(item(), verdict(Verdict.APPROVE), patch(tree=OTHER), rounds_left=1, objections=None)


@pytest.mark.parametrize("state", [ReviewState.APPROVED, ReviewState.REJECTED, ReviewState.REVISED])
def test_what_is_decided_is_not_decided_again(state: ReviewState) -> None:
    """The first decision stands."""
    decision = Decision(approval="r", choice=Choice.REJECT, digest=TREE)

    with pytest.raises(ValueError, match=f"is {state} already"):
        answer(item(state=state), decision)
    with pytest.raises(ValueError, match=f"is {state} already"):
        decide(item(state=state), None, patch(), rounds_left=1, objections=None)


def test_feedback_is_bounded_and_shows_nothing_hidden() -> None:
    """Eight long findings fit; a reviewer's text is cleaned as everybody's."""
    long = Finding(priority=0, title="\x1b[31mT\u202e", detail="d" * 1_500, path="p" * 500)
    found = ReviewFinish(verdict=Verdict.REVISE, summary="s" * 2_000, findings=(long,) * 8)
    words = feedback(found, found.findings)

    assert len(words) <= 16_000
    assert not re.search("[\x1b\u202e]", words)
