"""
What each agent and each person is told: openings, messages, cards' details. Values in, words out.
"""

from collections.abc import Sequence

from contracts.agent import AgentLimits, AgentResult, AgentStart
from contracts.approvals import Approval, ApprovalKind
from contracts.base import ObjectId
from contracts.checks import ChecksReport
from contracts.model import OpenConversation, Role
from contracts.planning import Plan
from contracts.repository import RepositoryOpened
from contracts.request import RequestStart
from contracts.review import Patch
from contracts.subtask import SubtaskStart
from contracts.tools import CoderFinish
from contracts.worktrees import WorktreeLease
from domain.ids import digest
from domain.review.verdict import NeedsPerson
from domain.text import for_people, listing

PLANNER = "planner"
"""The planner's name where a task's would stand."""
_GAP = "\n\n"
_MESSAGE_CHARS = 16_000
PLANNER_LIMITS = AgentLimits(turns=40, seconds=3_600)


def planner(
    request_id: str,
    request: RequestStart,
    opened: RepositoryOpened,
    *,
    agent_id: str,
    lease: WorktreeLease,
    attempt: int,
    before: AgentResult | None,
    message: str | None,
    budget: int,
) -> AgentStart:
    """Return how the planner begins, or goes on after its first plan was not valid."""
    facts = (
        ("Request", request.request),
        ("Checks that must pass on the final result", "\n".join(request.checks)),
    )
    return AgentStart(
        request_id=request_id,
        repository=opened.repository,
        role=Role.PLANNER,
        task_ref=PLANNER,
        attempt=attempt,
        lease=lease,
        checkpoint=before.checkpoint if before else opened.base,
        opening=OpenConversation(
            repository=opened.repository,
            agent_id=agent_id,
            role=Role.PLANNER,
            facts=facts,
            commit=opened.base,
        ),
        conversation=before.conversation if before else None,
        message=message,
        limits=PLANNER_LIMITS.model_copy(update={"budget_microusd": budget}),
        seen=before.seen if before else None,
    )


def coder(
    start: SubtaskStart,
    *,
    agent_id: str,
    attempt: int,
    lease: WorktreeLease,
    checkpoint: ObjectId,
    before: AgentResult | None,
    message: str | None,
    documents: tuple[tuple[str, ObjectId], ...],
    notes: tuple[str, ...],
    late: tuple[str, ...] = (),
    budget: int,
) -> AgentStart:
    """
    Return how a task's agent begins, or goes on in the same conversation.

    Its opening tells all `notes`; `late` are those that came after that.
    """
    task = start.task
    facts = (
        ("Task", f"{task.title}\n\n{task.goal}"),
        ("Paths you may change", "\n".join(task.writes)),
        ("Acceptance commands, run by the system", "\n".join(task.acceptance)),
        ("The whole request, for context only", start.request),
        ("Notes from the person who made the request", "\n".join(notes)),
    )
    return AgentStart(
        request_id=start.request_id,
        repository=start.repository,
        role=Role.CODER,
        task_ref=task.id,
        attempt=attempt,
        lease=lease,
        checkpoint=checkpoint,
        opening=OpenConversation(
            repository=start.repository,
            agent_id=agent_id,
            role=Role.CODER,
            facts=facts,
            commit=checkpoint,
        ),
        conversation=before.conversation if before else None,
        message=message,
        documents=documents,
        notes=tuple(note(text) for text in late),
        limits=start.limits.model_copy(update={"budget_microusd": budget}),
        seen=before.seen if before else None,
    )


def note(text: str) -> str:
    """Return a person's words as an agent is told them."""
    return f"A note from the person who made the request: {text}"


def message(texts: Sequence[str]) -> tuple[str | None, int]:
    """
    Return one message with as many of the first texts as it holds, and how many these are.

    A single text that is too long is cut; the others wait for the next message.
    """
    held, length = 0, 0
    for text in texts:
        length += len(text) + len(_GAP)
        if held and length > _MESSAGE_CHARS:
            break
        held += 1
    return _GAP.join(texts[:held])[:_MESSAGE_CHARS] or None, held


def reviewer(
    start: SubtaskStart,
    *,
    agent_id: str,
    attempt: int,
    lease: WorktreeLease,
    patch: Patch,
    finish: CoderFinish,
    checks: ChecksReport,
    budget: int,
) -> AgentStart:
    """Return how a reviewer begins: a fresh context with the task, the patch and what was run."""
    task = start.task
    facts = (
        ("Task", f"{task.title}\n\n{task.goal}"),
        ("What its author says", finish.summary),
        ("Commands that passed on it", "\n".join(result.command for result in checks.results)),
        ("Changed files", f"{patch.files}: {listing(patch.paths, most=30)}"),
        ("Changed outside the declared paths", listing(patch.outside, most=20)),
    )
    limits = start.limits.model_copy(
        update={"budget_microusd": budget, "turns": max(start.limits.turns // 3, 10)}
    )
    return AgentStart(
        request_id=start.request_id,
        repository=start.repository,
        role=Role.REVIEWER,
        task_ref=task.id,
        attempt=attempt,
        lease=lease,
        checkpoint=patch.commit,
        opening=OpenConversation(
            repository=start.repository,
            agent_id=agent_id,
            role=Role.REVIEWER,
            facts=facts,
            documents=(("patch", patch.diff),),
            commit=patch.commit,
        ),
        limits=limits,
    )


def review_approval(needed: NeedsPerson, patch: Patch, *, asked_by: str) -> Approval:
    """Return the question that a patch puts to a person; its digest is the patch's tree."""
    detail = f"{patch.diffstat}\n\n{needed.feedback}".strip()
    return Approval(
        id=needed.item.id,
        kind=ApprovalKind.REVIEW,
        what=f"the patch of {patch.task}: {patch.files} file{'s' * (patch.files != 1)}, "
        f"+{patch.added_lines} -{patch.deleted_lines}",
        why=needed.why[:1_000],
        detail=for_people(detail, 3_900),
        digest=patch.tree,
        risk=listing(patch.risks)[:1_000],
        artefact=patch.diff,
        asked_by=asked_by,
    )


def plan_approval(plan: Plan) -> Approval:
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
    )


def delivery_approval(commit: ObjectId, tree_summary: str, branch: str) -> Approval:
    """Return the question before the branch is delivered."""
    return Approval(
        id="delivery",
        kind=ApprovalKind.DELIVERY,
        what=f"deliver branch {branch}"[:1_000],
        why="the request asks for it (approve: delivery)",
        detail=for_people(tree_summary, 3_900),
        digest=commit,
    )


def cause(error: BaseException) -> str:
    """
    Return a failure's own sentence, fit to show.

    It is that of the outermost error that somebody raised in so many words: Temporal's frames
    around it say only where, and its causes are written for us.
    """
    inner = error
    while not hasattr(inner, "non_retryable") and getattr(inner, "cause", None) is not None:
        inner = inner.cause  # type: ignore[attr-defined]
    return for_people(str(getattr(inner, "message", "") or inner), 900)
