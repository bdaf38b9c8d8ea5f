"""Answers that allow more than what was asked: rules for the rest of a request."""

from collections.abc import Sequence

from contracts.approvals import Approval, Choice, Decision
from contracts.permissions import AllowedRule


def rules_of(
    decision: Decision, known: Sequence[AllowedRule], now: float
) -> tuple[AllowedRule, ...]:
    """Return the rules that an answer adds to those that are known."""
    texts = {rule.text for rule in known}
    return tuple(
        AllowedRule(text=text, by=decision.by, approval=decision.approval, at=now)
        for text in decision.rules
        if text not in texts
    )


def decision_by_rules(approval: Approval, allowed: Sequence[AllowedRule]) -> Decision | None:
    """Return the approval of a question all of whose rules are allowed, None for another."""
    by_text = {rule.text: rule for rule in allowed}
    if not approval.rules or not by_text.keys() >= set(approval.rules):
        return None
    last = by_text[approval.rules[-1]]
    return Decision(
        approval=approval.id,
        choice=Choice.APPROVE,
        by=last.by,
        digest=approval.digest,
        reason=f"allowed for the rest of the request with {last.approval}",
    )


def what_is_answered(choice: Choice, *, for_request: bool) -> str:
    """Return what the code of an answer is for: it must not do for an answer that allows more."""
    return f"{choice.value} for the rest of the request" if for_request else choice.value
