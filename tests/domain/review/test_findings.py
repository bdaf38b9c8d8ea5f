"""Findings over the rounds of a task: open until they are resolved or overruled."""

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.approvals import Choice, Decision
from contracts.policy import JudgeReview, ReviewJudgement
from contracts.review import (
    Finding,
    FindingAnswer,
    FindingState,
    KeptFinding,
    Patch,
    ReviewFinish,
    ReviewItem,
    ReviewState,
    Verdict,
)
from domain.review import findings
from domain.review.verdict import judge

OID = "a" * 40
HOLE = Finding(priority=1, title="Negative numbers", path="a.py", line=3)
REMARK = Finding(priority=2, title="A long line")
STATES = st.sampled_from(list(FindingState))
ANSWERS = st.builds(
    FindingAnswer,
    finding=st.sampled_from(["F1", "f2", "F3", "F99"]),
    state=STATES,
    reason=st.just("seen"),
)
REVIEWS = st.builds(
    ReviewFinish,
    verdict=st.sampled_from(list(Verdict)),
    summary=st.just("s"),
    findings=st.lists(
        st.builds(Finding, priority=st.integers(0, 3), title=st.sampled_from("abcdef")),
        max_size=8,
    ).map(tuple),
    earlier=st.lists(ANSWERS, max_size=4).map(tuple),
)


def review(
    *found: Finding, word: Verdict = Verdict.APPROVE, earlier: tuple[FindingAnswer, ...] = ()
) -> ReviewFinish:
    """A review with these findings and answers."""
    return ReviewFinish(verdict=word, summary="I looked.", findings=found, earlier=earlier)


def says(name: str, state: FindingState) -> FindingAnswer:
    """A reviewer's answer to an earlier finding."""
    return FindingAnswer(finding=name, state=state, reason="line 3 checks it")


def judged(
    finish: ReviewFinish, *before: KeptFinding, rounds_left: int = 1, asked_again: bool = False
) -> ReviewJudgement:
    """A review's judgement, findings of priority 0 and 1 blocking."""
    patch = Patch(
        task="t", round=1, base=OID, commit=OID, tree=OID, patch_id="p", files=1, added_lines=1,
        deleted_lines=0, paths=("a.py",), diff=OID,
    )  # fmt: skip
    request = JudgeReview(
        item=ReviewItem(id="review/t/1", task="t", tree=OID, patch_commit=OID),
        output=finish.model_dump_json(),
        patch=patch,
        rounds_left=rounds_left,
        findings=before,
        asked_again=asked_again,
    )
    return judge(request, priority=1)


def found(*each: Finding) -> tuple[KeptFinding, ...]:
    """The findings after a first review."""
    return findings.settle((), review(*each), 0)


def test_findings_are_numbered_over_all_rounds() -> None:
    """A later review's findings go on from the earlier ones' names."""
    kept = findings.settle(found(HOLE, REMARK), review(Finding(priority=0, title="Worse")), 1)

    assert [(each.name, each.round, each.title) for each in kept] == [
        ("F1", 0, "Negative numbers"),
        ("F2", 0, "A long line"),
        ("F3", 1, "Worse"),
    ]


def test_a_finding_stays_open_until_a_reviewer_settles_it_with_a_reason() -> None:
    """Silence settles nothing."""
    silent = findings.settle(found(HOLE), review(), 1)
    settled = findings.settle(found(HOLE), review(earlier=(says("f1", FindingState.RESOLVED),)), 1)

    assert silent[0].state is FindingState.OPEN
    assert findings.finding_line(settled[0]) == (
        "F1 [P1] Negative numbers (a.py:3), resolved by reviewer: line 3 checks it"
    )


def test_a_finding_that_is_made_again_is_the_same_one_and_open() -> None:
    """Also after somebody had called it resolved."""
    resolved = findings.settle(found(HOLE), review(earlier=(says("F1", FindingState.RESOLVED),)), 1)
    (again,) = findings.settle(resolved, review(HOLE), 2)

    assert (again.name, again.state, again.reason) == ("F1", FindingState.OPEN, "")


def test_a_person_who_approves_overrules_what_is_open() -> None:
    """With their reason; it stays overruled when a reviewer makes it again."""
    decision = Decision(
        approval="a", choice=Choice.APPROVE, reason="ships anyway", by="Ann", digest=OID
    )
    kept = findings.decided(found(HOLE), decision)
    sent_back = decision.model_copy(update={"choice": Choice.REVISE})

    assert findings.finding_line(kept[0]).endswith("overruled by Ann: ships anyway")
    assert findings.settle(kept, review(HOLE), 1) == kept
    assert findings.decided(found(HOLE), sent_back) == found(HOLE)


@settings(max_examples=200)
@given(st.lists(REVIEWS, max_size=12))
def test_no_finding_is_settled_without_a_reason_and_names_are_unique(
    reviews: list[ReviewFinish],
) -> None:
    """Over any rounds; at most 32 are kept, and open ones before settled ones."""
    kept: tuple[KeptFinding, ...] = ()
    for number, each in enumerate(reviews):
        before = kept
        kept = findings.settle(kept, each, number)
        open_before = {one.name for one in before if one.state is FindingState.OPEN}
        spoken = {answer.finding.upper() for answer in each.earlier}
        assert all(
            one.state is FindingState.OPEN or one.name in spoken
            for one in kept
            if one.name in open_before
        )
    assert len({each.name for each in kept}) == len(kept) <= 32
    assert all(each.reason and each.by for each in kept if each.state is not FindingState.OPEN)


def test_a_reviewer_that_approves_is_asked_for_the_finding_that_it_leaves_out() -> None:
    """Its verdict does not count before; a remark needs no answer."""
    asked = judged(review(), *found(HOLE, REMARK))

    assert "F1 [P1] Negative numbers" in asked.ask
    assert "F2" not in asked.ask
    assert asked.item.state is ReviewState.PENDING
    assert judged(review(), *found(REMARK)).ask == ""


def test_a_reviewer_that_stays_silent_leaves_the_patch_to_a_person() -> None:
    """Nothing lands over an open finding that blocks."""
    silent = judged(review(), *found(HOLE), asked_again=True)

    assert silent.item.state is ReviewState.PENDING
    assert "says nothing of earlier findings" in silent.why
    assert "F1 [P1] Negative numbers" in silent.feedback


def test_an_earlier_finding_that_is_still_open_sends_the_patch_back() -> None:
    """As a new one would: to its agent, or to a person when no round is left."""
    left_open = review(earlier=(says("F1", FindingState.OPEN),))
    again = judged(left_open, *found(HOLE))
    last = judged(left_open, *found(HOLE), rounds_left=0)

    assert again.item.state is ReviewState.REVISED
    assert "Open from before:\nF1 [P1] Negative numbers" in again.item.feedback
    assert "no round is left" in last.why


def test_a_settled_finding_lets_the_patch_land() -> None:
    """Resolved or overruled, by the reviewer's own reason."""
    for state in (FindingState.RESOLVED, FindingState.OVERRULED):
        done = judged(review(earlier=(says("F1", state),)), *found(HOLE))
        assert (done.item.state, done.ask, done.why) == (ReviewState.APPROVED, "", "")
        assert done.findings[0].state is state


def test_a_finding_made_again_as_a_remark_no_longer_blocks() -> None:
    """The reviewer's latest word on its weight counts."""
    remark = HOLE.model_copy(update={"priority": 3})

    assert judged(review(remark), *found(HOLE)).item.state is ReviewState.APPROVED


def test_an_agent_is_told_the_remarks_as_well() -> None:
    """It may follow them; they do not block."""
    sent_back = judged(review(HOLE, REMARK, word=Verdict.REVISE))

    assert "Remarks that do not block:\n\nF2 [P2] A long line" in sent_back.item.feedback


def test_a_reviewer_is_told_what_is_open_when_the_change_comes_again() -> None:
    """By the names in which it has to answer."""
    question = findings.unchanged_question("It is right.", found(HOLE))

    assert "It is right.\n\nWhat is open:\nF1 [P1] Negative numbers (a.py:3), open" in question


def test_an_agent_is_told_each_finding_by_its_name() -> None:
    """So that it and every later reviewer speak of the same one."""
    sent_back = judged(review(HOLE, word=Verdict.REVISE), *found(REMARK))

    assert "F2 [P1] Negative numbers (a.py:3)" in sent_back.item.feedback
