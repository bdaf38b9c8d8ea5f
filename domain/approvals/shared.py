"""Questions of several tasks that one answer settles: setups of the same content in one request.

A person sees the first of them, with the names of all tasks that wait. Values in, values out.
"""

from collections.abc import Sequence

from contracts.approvals import Approval, Choice, Decision
from domain.text import clip, listing

_WHY_CHARS = 1_000


def shown(approval: Approval, joined: Sequence[Approval]) -> Approval:
    """Return a question as a person sees it: with the tasks that wait for the same answer."""
    if not joined:
        return approval
    tasks = tuple(dict.fromkeys(task_of(each.id) for each in joined))
    also = f"{approval.why} Your answer also counts for {listing(tasks)}, which asks for the same."
    if len(tasks) > 1:
        also = also.replace("which asks", "which ask")
    return approval.model_copy(update={"why": clip(also, _WHY_CHARS)})


def earlier_answer(
    approval: Approval, decided: Sequence[Decision], *, unanswered: str
) -> Decision | None:
    """Return what was decided of the same for another task, None when a person has to be asked.

    A task that has had an answer asks again of its own accord: something has changed for it. That
    no person answered in time (`by` is `unanswered`) is no answer.
    """
    same = [each for each in decided if approval.shared and each.shared == approval.shared]
    if any(task_of(each.approval) == task_of(approval.id) for each in same):
        return None
    by_people = [each for each in same if each.by != unanswered]
    return answer_of(by_people[-1], approval) if by_people else None


def answer_of(decision: Decision, approval: Approval) -> Decision:
    """Return a decision as that of another question which it settles too."""
    return decision.model_copy(update={"approval": approval.id})


def about(decision: Decision, approval: Approval) -> Decision:
    """Return a decision with what the question that a person saw was about."""
    if not approval.shared:
        return decision
    return decision.model_copy(update={"shared": approval.shared, "commit": approval.commit})


def is_of_another(decision: Decision, digest: str) -> bool:
    """Return whether a person allowed this for another question than that of this digest."""
    allowed = decision.choice is Choice.APPROVE
    return allowed and bool(decision.commit) and decision.digest != digest


def task_of(approval: str) -> str:
    """Return the task of a question by its id, "" when it has none."""
    return approval.partition("/")[2].partition("/")[0]
