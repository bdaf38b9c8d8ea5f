"""How each agent begins, or goes on: the input of its workflow."""

from dataclasses import dataclass
from typing import Any

from contracts import roles
from contracts.agent import AgentLimits, AgentResult, AgentStart
from contracts.base import ObjectId
from contracts.baseline import Baseline
from contracts.checks import ChecksReport
from contracts.limits import RequestLimits
from contracts.model import OpenConversation
from contracts.repository import RepositoryOpened
from contracts.request import RequestStart
from contracts.review import KeptFinding, Patch
from contracts.subtask import SubtaskStart
from contracts.tools import CoderFinish
from contracts.worktrees import WorktreeLease
from domain.agent import messages
from domain.planning.scope import scope_of
from domain.review import findings
from domain.review.undone import undone_text
from domain.text import listing

PLANNER = "planner"
"""The planner's name where a task's would stand."""


@dataclass(frozen=True)
class Offer:
    """A patch as it is put before a reviewer.

    Attributes:
        finish: what its agent handed in last.
        says: what its agent says of the whole patch.
        earlier: why it was sent back before, oldest first.
        findings: of the reviews before.
        notes: the person's.
        cut: that its agent was cut before it was done, in words; "" when it was not.
    """

    patch: Patch
    finish: CoderFinish
    checks: ChecksReport
    says: str
    earlier: tuple[str, ...]
    findings: tuple[KeptFinding, ...] = ()
    notes: tuple[str, ...] = ()
    cut: str = ""


def planner(
    request_id: str,
    request: RequestStart,
    opened: RepositoryOpened,
    *,
    agent_id: str,
    lease: WorktreeLease,
    attempt: int,
    before: AgentResult | None,
    turns_before: int = 0,
    message: str | None,
    baseline: Baseline | None = None,
    budget: int,
) -> AgentStart:
    """Return how the planner begins, or goes on after its first plan was not valid."""
    facts = (
        ("Request", request.request),
        ("Checks that must pass on the final result", "\n".join(request.checks)),
        _problems(baseline),
    )
    return AgentStart(
        request_id=request_id,
        repository=opened.repository,
        role=roles.PLANNER,
        task_ref=PLANNER,
        attempt=attempt,
        lease=lease,
        checkpoint=before.checkpoint if before else opened.base,
        opening=OpenConversation(
            repository=opened.repository,
            agent_id=agent_id,
            role=roles.PLANNER,
            facts=facts,
            commit=opened.base,
            **_place(baseline, tip=opened.base, budget=budget),
        ),
        conversation=before.conversation if before else None,
        message=message,
        limits=_limits(budget, opened.limits),
        config=before.config if before else None,
        turns_before=turns_before,
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
    turns_before: int = 0,
    message: str | None,
    documents: tuple[tuple[str, ObjectId], ...],
    notes: tuple[str, ...],
    late: tuple[str, ...] = (),
    budget: int,
) -> AgentStart:
    """Return how a task's agent begins, or goes on in the same conversation.

    Its opening tells all `notes`; `late` are those that came after that.
    """
    task = start.task
    facts = (
        ("Task", f"{task.title}\n\n{task.goal}"),
        ("Paths you may change", "\n".join(task.writes)),
        ("Acceptance commands, run by the system", "\n".join(task.acceptance)),
        ("The person's checks, run by the system too", "\n".join(start.checks)),
        _problems(start.baseline),
        ("The whole request, for context only", start.request),
        ("Other tasks, each done by another agent", "\n".join(start.siblings)),
        ("Notes from the person who made the request", "\n".join(notes)),
    )
    return AgentStart(
        request_id=start.request_id,
        repository=start.repository,
        role=roles.CODER,
        task_ref=task.id,
        attempt=attempt,
        lease=lease,
        checkpoint=checkpoint,
        opening=OpenConversation(
            repository=start.repository,
            agent_id=agent_id,
            role=roles.CODER,
            facts=facts,
            commit=checkpoint,
            **_place(start.baseline, tip=lease.commit, scope=task.writes, budget=budget),
            size=task.size,
        ),
        conversation=before.conversation if before else None,
        message=message,
        documents=documents,
        notes=tuple(messages.note(text) for text in late),
        limits=_limits(budget, start.request_limits),
        config=before.config if before else None,
        size=task.size,
        turns_before=turns_before,
        seen=before.seen if before else None,
        scope=scope_of(start, notes),
    )


def reviewer(
    start: SubtaskStart,
    *,
    agent_id: str,
    attempt: int,
    lease: WorktreeLease,
    offer: Offer,
    budget: int,
    before: AgentResult | None = None,
    message: str | None = None,
) -> AgentStart:
    """Return how a reviewer begins: a fresh context with the task, the patch and what was run.

    With a message it goes on in its conversation.
    """
    task, patch = start.task, offer.patch
    undoes = offer.finish.undoes if patch.undone else ""
    no_change = "" if patch.files else offer.finish.no_change
    facts = (
        ("Task", f"{task.title}\n\n{task.goal}"),
        ("What its author says", offer.says),
        ("How its author ended", f"{offer.cut} Look for what is missing." if offer.cut else ""),
        ("Commands that passed on it", "\n".join(run.command for run in offer.checks.results)),
        _problems(start.baseline),
        ("The whole request, for context only", start.request),
        ("Other tasks, each done by another agent", "\n".join(start.siblings)),
        ("Notes from the person who made the request", "\n".join(offer.notes)),
        ("Changed files", f"{patch.files}: {listing(patch.paths, most=30)}"),
        ("Changed outside the declared paths", listing(patch.outside, most=20)),
        ("Why it changes nothing, as its author says", no_change),
        ("Why it was sent back before", messages.earlier(offer.earlier)),
        ("Findings of earlier reviews that are open", findings.told(offer.findings)),
        ("Work that it undoes", undone_text(patch.undone)),
        ("Why it undoes that, as its author says", undoes),
    )
    return AgentStart(
        request_id=start.request_id,
        repository=start.repository,
        role=roles.REVIEWER,
        task_ref=task.id,
        attempt=attempt,
        lease=lease,
        checkpoint=patch.commit,
        opening=OpenConversation(
            repository=start.repository,
            agent_id=agent_id,
            role=roles.REVIEWER,
            facts=facts,
            documents=(("patch", patch.diff),),
            commit=patch.commit,
            **_place(start.baseline, tip=patch.base, scope=task.writes, budget=budget),
        ),
        conversation=before.conversation if before else None,
        message=message,
        limits=_limits(budget, start.request_limits),
        config=before.config if before else None,
        seen=before.seen if before else None,
    )


def _problems(baseline: Baseline | None) -> tuple[str, str]:
    """Return the fact that names what fails on the base, "" for nothing."""
    return ("Red before any change", "\n".join(baseline.problems) if baseline else "")


def _place(
    baseline: Baseline | None, *, tip: ObjectId, scope: tuple[str, ...] = (), budget: int
) -> dict[str, Any]:
    """Return what an opening says of where the agent works; nothing without a baseline."""
    if baseline is None:
        return {}
    return {
        "base": baseline.commit,
        "survey": baseline.survey,
        "tip": tip,
        "scope": scope,
        "budget_microusd": budget,
    }


def _limits(budget: int, request: RequestLimits | None) -> AgentLimits:
    """Return the limits that an agent's caller sets; its role has the others."""
    seconds = (request or RequestLimits()).approval_seconds
    return AgentLimits(budget_microusd=budget, approval_seconds=seconds)
