"""What a person is asked about a plan, a patch and a delivery. Values in, words out."""

from contracts.approvals import Approval, ApprovalKind
from contracts.base import ObjectId
from contracts.planning import Plan
from contracts.policy import ReviewJudgement
from contracts.review import Patch
from domain.ids import digest
from domain.text import for_people, listing


def plan_approval(plan: Plan, *, deadline_seconds: int) -> Approval:
    """Return the question that a plan puts to a person."""
    lines = [f"{plan.summary}", ""]
    for task in plan.tasks:
        after = f" (after {', '.join(task.depends_on)})" if task.depends_on else ""
        lines.append(f"- {task.id}{after}: {task.title}; writes {listing(task.writes)}")
    return Approval(
        id="plan",
        kind=ApprovalKind.PLAN,
        what=f"a plan of {len(plan.tasks)} task{'s' * (len(plan.tasks) > 1)}",
        why="the request asks for it (approve: plan)",
        detail=for_people("\n".join(lines), 3_900),
        digest=digest(plan.model_dump_json(), length=64),
        deadline_seconds=deadline_seconds,
    )


def review_approval(
    judged: ReviewJudgement,
    patch: Patch,
    *,
    asked_by: str,
    deadline_seconds: int,
    cut: str = "",
) -> Approval:
    """Return the question that a patch puts to a person; its digest is the patch's tree.

    `cut` says that its agent was cut before it was done.
    """
    detail = f"{patch.diffstat}\n\n{judged.feedback}".strip()
    return Approval(
        id=judged.item.id,
        kind=ApprovalKind.REVIEW,
        what=f"the patch of {patch.task}: {patch.files} file{'s' * (patch.files != 1)}, "
        f"+{patch.added_lines} -{patch.deleted_lines}",
        why=f"{judged.why} {cut}".strip()[:1_000],
        detail=for_people(detail, 3_900),
        digest=patch.tree,
        risk=listing(patch.risks)[:1_000],
        artefact=patch.diff,
        asked_by=asked_by,
        deadline_seconds=deadline_seconds,
    )


def delivery_approval(
    commit: ObjectId, tree_summary: str, branch: str, *, deadline_seconds: int
) -> Approval:
    """Return the question before the branch is delivered."""
    return Approval(
        id="delivery",
        kind=ApprovalKind.DELIVERY,
        what=f"deliver branch {branch}"[:1_000],
        why="the request asks for it (approve: delivery)",
        detail=for_people(tree_summary, 3_900),
        digest=commit,
        deadline_seconds=deadline_seconds,
    )
