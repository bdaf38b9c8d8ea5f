"""Review: which findings block, who decides, and that a decision holds for one tree alone."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.approvals import Choice, Decision
from contracts.review import Finding, Patch, ReviewFinish, ReviewItem, ReviewState, Verdict
from domain.review.verdict import answer, blocking, decide, feedback

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


@pytest.mark.parametrize(
    "path",
    [
        "src/a.py",
        "./src/a.py",
        "a/src/a.py",
        "b/src/a.py",
        "/worktree/src/a.py",
        "src\\a.py",
        "src/a.py:12",
        "src/a.py:12:3",
        "src/a.py#L12-L20",
        "`src/a.py`",
        "SRC/A.py",
        "a.py",
    ],
)
def test_a_path_is_recognised_however_it_is_written(path: str) -> None:
    """Reviewers copy paths from diffs, tracebacks and editors."""
    assert blocking(verdict(Verdict.REVISE, (0, path)), patch("src/a.py"), 1)


@pytest.mark.parametrize(
    ("priority", "path"),
    [(2, "src/a.py"), (3, "src/a.py"), (0, None), (1, "src/b.py"), (0, "ra.py"), (0, " ")],
)
def test_remarks_and_findings_elsewhere_do_not_block(priority: int, path: str | None) -> None:
    """Only priority 0 and 1 that point into the patch."""
    assert blocking(verdict(Verdict.REVISE, (priority, path)), patch("src/a.py"), 1) == ()


def test_in_a_patch_too_large_to_list_a_finding_gets_the_benefit_of_the_doubt() -> None:
    """Of 300 changed files only the first are known by name."""
    found = verdict(Verdict.REVISE, (0, "far/away.py"))

    assert blocking(found, patch("src/a.py", files=300), 1)


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
    after = decide(
        item(*risks, human_required=human),
        found,
        given_patch,
        rounds_left=rounds_left,
        blocking_priority=1,
    )

    blocks = blocking(found, given_patch, 1) if found else ()
    if after.why:
        assert after.item.state is ReviewState.PENDING
        assert after.item.human_required
        assert after.why.endswith(".")
    elif after.item.state is ReviewState.REVISED:
        assert blocks
        assert rounds_left > 0
        assert after.item.feedback
    else:
        assert after.item.state is ReviewState.APPROVED
        assert found is not None
        assert found.verdict is not Verdict.REJECT
        assert not blocks
        assert not human
        assert not risks
    assert (found is None) <= bool(after.why)


def test_a_blocking_finding_goes_back_to_the_agent_before_a_person_is_asked() -> None:
    """A risky patch with a known fault costs nobody's time yet."""
    found = verdict(Verdict.REVISE, (1, "src/a.py"), (3, "src/a.py"))
    judged = decide(
        item("touches billing"), found, patch("src/a.py"), rounds_left=1, blocking_priority=1
    )
    after = judged.item

    assert not judged.why
    assert after.state is ReviewState.REVISED
    assert after.decided_by == "reviewer"
    assert "1. [P1] Wrong (src/a.py)" in after.feedback
    assert "[P3]" not in after.feedback


@pytest.mark.parametrize(
    ("found", "given_item", "rounds_left", "why"),
    [
        (None, item(), 2, "The reviewer was cut"),
        (verdict(Verdict.REVISE, (0, "src/a.py")), item(), 0, "no round is left"),
        (verdict(Verdict.REJECT, (2, "src/a.py")), item(), 2, "without a blocking finding"),
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
        given_item, found, patch("src/a.py"), rounds_left=rounds_left, blocking_priority=1
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
        decide(
            item(), verdict(Verdict.APPROVE), patch(tree=OTHER), rounds_left=1, blocking_priority=1
        )


@pytest.mark.parametrize("state", [ReviewState.APPROVED, ReviewState.REJECTED, ReviewState.REVISED])
def test_what_is_decided_is_not_decided_again(state: ReviewState) -> None:
    """The first decision stands."""
    decision = Decision(approval="r", choice=Choice.REJECT, digest=TREE)

    with pytest.raises(ValueError, match=f"is {state} already"):
        answer(item(state=state), decision)
    with pytest.raises(ValueError, match=f"is {state} already"):
        decide(item(state=state), None, patch(), rounds_left=1, blocking_priority=1)


def test_feedback_is_bounded_and_shows_nothing_hidden() -> None:
    """Eight long findings fit; a reviewer's text is cleaned as everybody's."""
    long = Finding(priority=0, title="\x1b[31mT\u202e", detail="d" * 1_500, path="p" * 500)
    found = ReviewFinish(verdict=Verdict.REVISE, summary="s" * 2_000, findings=(long,) * 8)
    words = feedback(found, found.findings)

    assert len(words) <= 16_000
    assert not re.search("[\x1b\u202e]", words)
