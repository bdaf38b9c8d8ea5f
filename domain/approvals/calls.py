"""Questions about tool calls, and whether a call to be made is the one that was approved."""

from collections.abc import Sequence

from contracts.approvals import Approval, ApprovalKind, Decision
from contracts.base import ObjectId
from contracts.model import ToolUse
from contracts.tools import CallApproval
from contracts.verdicts import CallVerdict
from domain import ids
from domain.approvals.questions import Asker
from domain.text import for_people


def digest_of(tool: str, arguments: str, shown: CallApproval) -> str:
    """Return the digest of a call as a person is shown it.

    It covers the tool, the object id of all its arguments, the worktree's state at that time and
    the rules that the question offers.
    """
    return ids.digest(tool, arguments, shown.checkpoint or "", *shown.rules, length=64)


def question(
    use: ToolUse, verdict: CallVerdict, *, task_ref: str, asker: Asker, checkpoint: ObjectId
) -> Approval:
    """Return the question whether a call may be made."""
    shown = CallApproval(checkpoint=checkpoint, rules=verdict.offers)
    return Approval(
        id=f"tool/{task_ref}/{ids.digest(asker.workflow_id, use.id)}",
        kind=ApprovalKind.TOOL,
        what=f"{use.name} {use.subject}",
        why=f"{verdict.rule}: {verdict.reason}"[:1_000],
        detail=_offer(verdict.offers),
        digest=digest_of(use.name, use.arguments or "", shown),
        artefact=use.arguments,
        asked_by=asker.workflow_id,
        deadline_seconds=asker.deadline_seconds,
        rules=verdict.offers,
    )


def _offer(rules: Sequence[str]) -> str:
    """Return what else an answer can allow, each rule whole."""
    if not rules:
        return ""
    said = "An approval with `for_request` also allows for the rest of this request:"
    return for_people("\n".join((said, *(f"  {rule}" for rule in rules))), 3_900)


def approved(asked: Approval, decision: Decision, checkpoint: ObjectId) -> CallApproval:
    """Return what a person has approved who was asked at a state of the worktree."""
    digest = decision.digest or asked.digest
    return CallApproval(digest=digest, checkpoint=checkpoint, rules=asked.rules)


def is_approved(approval: CallApproval | None, tool: str, arguments: str) -> bool:
    """Return whether a call that a person has to approve is exactly one that they did.

    Of calls from before 2026-12 it is not known (`approval` is None): their answer counts.
    """
    return approval is None or approval.digest == digest_of(tool, arguments, approval)
