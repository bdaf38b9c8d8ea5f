"""What becomes of a patch under review: what blocks, who must look, what a decision makes of it.

A verdict is a model's opinion: the checks gate, and risky changes need a person also when the
reviewer approves.
"""

from collections.abc import Sequence
from types import MappingProxyType

from contracts.approvals import Choice, Decision
from contracts.policy import JudgeReview, ReviewJudgement
from contracts.review import (
    Finding,
    KeptFinding,
    Patch,
    ReviewFinish,
    ReviewItem,
    ReviewState,
    Verdict,
)
from domain.review import findings
from domain.review.undone import undone_summary, undone_text
from domain.text import clip, for_people, listing, one_line

_FEEDBACK_CHARS = 16_000

_OF_CHOICE = MappingProxyType(
    {
        Choice.APPROVE: ReviewState.APPROVED,
        Choice.REJECT: ReviewState.REJECTED,
        Choice.REVISE: ReviewState.REVISED,
    }
)


def judge(request: JudgeReview, *, priority: int) -> ReviewJudgement:
    """Return what a reviewer's verdict makes of a patch; findings up to this priority block.

    A reviewer that approves and says nothing of an earlier finding that blocks is asked once more.
    """
    finish = ReviewFinish.model_validate_json(request.output) if request.output else None
    wanted = objections(finish, priority)
    if finish and wanted is None and not request.asked_again:
        silent = findings.unanswered(request.findings, finish, priority)
        if silent:
            ask = findings.question(silent)
            return ReviewJudgement(item=request.item, findings=request.findings, ask=ask)
    kept = findings.settle(request.findings, finish, request.patch.round)
    earlier = {each.name for each in request.findings}
    judged = decide(
        request.item,
        finish,
        request.patch,
        rounds_left=request.rounds_left,
        objections=wanted,
        kept=kept,
        still_open=[each for each in findings.open_up_to(kept, priority) if each.name in earlier],
    )
    return judged.model_copy(update={"findings": kept})


def objections(verdict: ReviewFinish | None, priority: int) -> tuple[Finding, ...] | None:
    """Return what a reviewer wants changed; None when nothing stands in the way.

    Findings up to this priority, whatever they name; all of a `revise` that has none of these.
    """
    if verdict is None:
        return None
    found = tuple(each for each in verdict.findings if each.priority <= priority)
    if not found and verdict.verdict is Verdict.REVISE:
        return verdict.findings
    return found or None


def decide(
    item: ReviewItem,
    verdict: ReviewFinish | None,
    patch: Patch,
    *,
    rounds_left: int,
    objections: Sequence[Finding] | None,
    kept: Sequence[KeptFinding] = (),
    still_open: Sequence[KeptFinding] = (),
) -> ReviewJudgement:
    """Return the item as the reviewer's verdict leaves it, and why a person must decide if so.

    `verdict` is None when the reviewer was cut before it said anything; `objections` is what it
    wants changed, None for nothing; `kept` are all findings of the task and `still_open` the
    earlier ones that block.

    Raises:
        ValueError: the item is not pending, or is of another tree.
    """
    _check(item, patch.tree)
    if verdict is None:
        return _needs_person(item, "The reviewer was cut before it reached a verdict.")
    if rounds_left > 0 and (objections is not None or _left_open(verdict, still_open)):
        words = feedback(verdict, objections or (), kept=kept, still_open=still_open)
        item = _moved(item, ReviewState.REVISED, by="reviewer", feedback=words)
        return ReviewJudgement(item=item)
    words = report(verdict, objections or verdict.findings, kept=kept, still_open=still_open)
    if objections is not None or _left_open(verdict, still_open):
        why = "The reviewer still wants changes and no round is left."
        return _needs_person(item, why, feedback=words)
    if verdict.verdict is Verdict.REJECT:
        return _needs_person(item, "The reviewer rejects the patch.", feedback=words)
    if still_open:
        why = "The reviewer approves and says nothing of earlier findings that are open."
        return _needs_person(item, why, feedback=words)
    if patch.undone and not for_people(verdict.undoing).strip():
        why = f"The change undoes work: {undone_summary(patch.undone)}."
        return _needs_person(item, why, feedback=f"{words}\n\n{undone_text(patch.undone)}")
    if item.risks:
        why = f"The change is risky: {listing(item.risks)}."
        return _needs_person(item, why, feedback=words)
    if item.human_required:
        return _needs_person(item, "A person decides on every patch of this task.", feedback=words)
    item = _moved(item, ReviewState.APPROVED, by="reviewer", feedback="")
    return ReviewJudgement(item=item)


def unchanged(item: ReviewItem, summary: str) -> ReviewJudgement:
    """Return the judgement on a change that a person sent back and that came again as it was."""
    why = "The agent hands in the change that was sent back, unchanged."
    return _needs_person(item, why, feedback=f"What its author says: {summary}")


def answer(item: ReviewItem, decision: Decision) -> ReviewItem:
    """Return the item as a person's decision leaves it.

    Raises:
        ValueError: the item is not pending, or the decision is not about exactly its tree.
    """
    _check(item, decision.digest)
    to = _OF_CHOICE[decision.choice]
    words = for_people(decision.reason, _FEEDBACK_CHARS).strip()
    if to is ReviewState.REVISED and not words:
        words = "A person asks you to revise this change. Go over it once more, then finish again."
    return _moved(item, to, by=one_line(decision.by, 100) or "a person", feedback=words)


def _left_open(verdict: ReviewFinish, still_open: Sequence[KeptFinding]) -> bool:
    """Return whether the reviewer itself says that one of these is open."""
    spoken = findings.answers_of(verdict)
    return any(each.name in spoken for each in still_open)


def _check(item: ReviewItem, tree: str) -> None:
    if item.state is not ReviewState.PENDING:
        raise ValueError(f"review item {item.id!r} is {item.state} already")
    if tree != item.tree:
        raise ValueError(f"review item {item.id!r} is about tree {item.tree}, not {tree!r}")


def _moved(item: ReviewItem, to: ReviewState, *, by: str, feedback: str) -> ReviewItem:
    return item.model_copy(update={"state": to, "decided_by": by, "feedback": feedback})


def _needs_person(item: ReviewItem, why: str, *, feedback: str = "") -> ReviewJudgement:
    item = item.model_copy(update={"human_required": True})
    return ReviewJudgement(item=item, why=why[:1_000], feedback=clip(feedback, _FEEDBACK_CHARS))


def feedback(
    verdict: ReviewFinish,
    found: Sequence[Finding],
    *,
    kept: Sequence[KeptFinding] = (),
    still_open: Sequence[KeptFinding] = (),
) -> str:
    """Return what the agent is told of a review, with the findings to act on, in order."""
    remarks = [each for each in verdict.findings if each not in found]
    parts = [
        "A reviewer read your change.",
        report(verdict, found, kept=kept, still_open=still_open),
        *(["Remarks that do not block:", *_points(remarks, kept)] if remarks else []),
        "Treat each point on its merits: correct what is right, and say why where it is not.",
    ]
    return clip("\n\n".join(parts), _FEEDBACK_CHARS)


def report(
    verdict: ReviewFinish,
    found: Sequence[Finding],
    *,
    kept: Sequence[KeptFinding] = (),
    still_open: Sequence[KeptFinding] = (),
) -> str:
    """Return what a review came to, each finding by its name."""
    earlier = "\n".join(findings.finding_line(each) for each in still_open)
    parts = [
        f"The reviewer's verdict: {verdict.verdict}.",
        for_people(verdict.summary).strip(),
        *_points(found, kept),
        f"Open from before:\n{earlier}" if earlier else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _points(found: Sequence[Finding], kept: Sequence[KeptFinding]) -> list[str]:
    names = findings.names(kept)
    return [
        _point(names.get(findings.place(each), f"{number}."), each)
        for number, each in enumerate(found, start=1)
    ]


def _point(name: str, finding: Finding) -> str:
    place = one_line(finding.path or "", 500)
    line = f":{finding.line}" if finding.line and place else ""
    head = f"{name} [P{finding.priority}] {one_line(finding.title)}"
    where = f" ({place}{line})" if place else ""
    detail = for_people(finding.detail).strip()
    return f"{head}{where}\n{detail}" if detail else f"{head}{where}"
