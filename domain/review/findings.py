"""A task's findings over all its rounds: each stays open until it is resolved or overruled."""

from collections.abc import Sequence

from contracts import roles
from contracts.approvals import Choice, Decision
from contracts.review import Finding, FindingAnswer, FindingState, KeptFinding, ReviewFinish
from domain.text import for_people, one_line

_MOST = 32
_ANSWER_CHARS = 4_000
_TITLE_CHARS = 200
_REASON_CHARS = 300
_PATH_CHARS = 300


def settle(
    before: Sequence[KeptFinding], finish: ReviewFinish | None, patch_round: int
) -> tuple[KeptFinding, ...]:
    """Return the findings after one more review: the earlier ones as it answers them, then its own.

    One that it makes again is the same finding, open, with its new priority. Beyond 32 the oldest
    settled ones go.
    """
    if finish is None:
        return tuple(before)
    answers = answers_of(finish)
    again = {place(each): each.priority for each in finish.findings}
    known = {place(each) for each in before}
    kept = [
        _again(each, again[place(each)])
        if place(each) in again
        else _answered(each, answers.get(each.name))
        for each in before
    ]
    number = max((int(each.name[1:]) for each in before), default=0)
    for finding in finish.findings:
        if place(finding) not in known:
            number += 1
            kept.append(_new(finding, f"F{number}", patch_round))
    return _fitting(kept)


def open_up_to(findings: Sequence[KeptFinding], priority: int) -> tuple[KeptFinding, ...]:
    """Return the open findings that block: those up to this priority."""
    return tuple(
        each for each in findings if each.state is FindingState.OPEN and each.priority <= priority
    )


def unanswered(
    before: Sequence[KeptFinding], finish: ReviewFinish, priority: int
) -> tuple[KeptFinding, ...]:
    """Return the earlier findings that block and of which a review says nothing."""
    spoken = answers_of(finish)
    again = {place(each) for each in finish.findings}
    return tuple(
        each
        for each in open_up_to(before, priority)
        if each.name not in spoken and place(each) not in again
    )


def decided(findings: Sequence[KeptFinding], decision: Decision) -> tuple[KeptFinding, ...]:
    """Return the findings after a person's decision: who approves overrules what is open."""
    if decision.choice is not Choice.APPROVE:
        return tuple(findings)
    change = {
        "state": FindingState.OVERRULED,
        "by": one_line(decision.by, 100) or "a person",
        "reason": one_line(decision.reason, _REASON_CHARS) or "approved as it is",
    }
    return tuple(
        each.model_copy(update=change) if each.state is FindingState.OPEN else each
        for each in findings
    )


def finding_line(finding: KeptFinding) -> str:
    """Return a finding on one line: name, priority, state, title, place, and who settled it."""
    place = f" ({finding.path}{f':{finding.line}' if finding.line else ''})" if finding.path else ""
    by = f" by {finding.by}" if finding.by and finding.state is not FindingState.OPEN else ""
    why = f": {finding.reason}" if finding.reason else ""
    standing = f"{finding.state.value}{by}{why}"
    return f"{finding.name} [P{finding.priority}] {finding.title}{place}, {standing}"


def unchanged_question(summary: str, findings: Sequence[KeptFinding]) -> str:
    """Return what a reviewer is asked whose objections came back without a change."""
    return (
        "The author hands in the same change again, unchanged, and says:\n"
        f"{for_people(summary, _ANSWER_CHARS).strip()}\n\n"
        f"What is open:\n{told(findings) or 'No finding was named.'}\n\n"
        "Judge whether that answers your findings, then call `finish` again: an answer for each "
        "in `earlier`, and your verdict."
    )


def answers_of(finish: ReviewFinish) -> dict[str, FindingAnswer]:
    """Return what a review says of earlier findings, by their names."""
    return {each.finding.strip().upper(): each for each in finish.earlier}


def place(finding: Finding | KeptFinding) -> tuple[str, str]:
    """Return what makes two findings the same: what they say of which file."""
    title = one_line(finding.title, _TITLE_CHARS).casefold()
    return title, one_line(finding.path or "", _PATH_CHARS)


def names(findings: Sequence[KeptFinding]) -> dict[tuple[str, str], str]:
    """Return each finding's name by its `place`."""
    return {place(each): each.name for each in findings}


def told(findings: Sequence[KeptFinding]) -> str:
    """Return the open findings, a line each, for the next reviewer."""
    return "\n".join(finding_line(each) for each in findings if each.state is FindingState.OPEN)


def question(findings: Sequence[KeptFinding]) -> str:
    """Return what a reviewer is asked that approves and says nothing of these findings."""
    lines = "\n".join(finding_line(each) for each in findings)
    return (
        "Your verdict does not count yet: earlier findings that must not land unsettled are open, "
        f"and you say nothing of them:\n{lines}\n"
        "Look at each, then call `finish` again with an answer for each in `earlier`: resolved, "
        "overruled or open, with your reason."
    )


def _new(finding: Finding, name: str, patch_round: int) -> KeptFinding:
    return KeptFinding(
        name=name,
        round=patch_round,
        priority=finding.priority,
        title=one_line(finding.title, _TITLE_CHARS),
        path=one_line(finding.path, _PATH_CHARS) if finding.path else None,
        line=finding.line,
    )


def _again(finding: KeptFinding, priority: int) -> KeptFinding:
    """Return a finding that is made again; what a person has overruled stays so."""
    if finding.state is FindingState.OVERRULED and finding.by != roles.REVIEWER:
        return finding
    change = {"state": FindingState.OPEN, "by": "", "reason": "", "priority": priority}
    return finding.model_copy(update=change)


def _answered(finding: KeptFinding, answer: FindingAnswer | None) -> KeptFinding:
    """Return an open finding as a reviewer answers it."""
    if answer is None or finding.state is not FindingState.OPEN:
        return finding
    reason = one_line(answer.reason, _REASON_CHARS)
    by = "" if answer.state is FindingState.OPEN else roles.REVIEWER
    return finding.model_copy(update={"state": answer.state, "by": by, "reason": reason})


def _fitting(findings: Sequence[KeptFinding]) -> tuple[KeptFinding, ...]:
    surplus = len(findings) - _MOST
    settled = [each.name for each in findings if each.state is not FindingState.OPEN]
    gone = set(settled[: max(surplus, 0)])
    return tuple(each for each in findings if each.name not in gone)[-_MOST:]
