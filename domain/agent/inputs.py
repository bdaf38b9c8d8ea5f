"""How each agent begins, or goes on: the input of its workflow."""

from dataclasses import dataclass
from typing import Any

from contracts import roles
from contracts.agent import AgentLimits, AgentResult, AgentStart
from contracts.base import ObjectId
from contracts.baseline import Baseline
from contracts.checks import ChecksReport
from contracts.continuation import Continuation
from contracts.limits import RequestLimits
from contracts.model import OpenConversation
from contracts.repository import RepositoryOpened
from contracts.request import RequestStart
from contracts.review import KeptFinding, Patch
from contracts.store import ConversationRef
from contracts.subtask import SubtaskStart
from contracts.tools import CoderFinish
from contracts.worktrees import WorktreeLease
from domain import ids
from domain.agent import messages
from domain.agent.model_choice import chosen
from domain.planning import baseline as baselines
from domain.planning.scope import scope_of
from domain.review import findings
from domain.review.undone import undone_text
from domain.text import listing, visible

_PAST = "Earlier runs of this thread, for context: what was asked, and what it came to"
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
        dropped: acceptance commands that a person has dropped.
        author: its agent's conversation, whose ledger is told.
    """

    patch: Patch
    finish: CoderFinish
    checks: ChecksReport
    says: str
    earlier: tuple[str, ...]
    findings: tuple[KeptFinding, ...] = ()
    notes: tuple[str, ...] = ()
    cut: str = ""
    dropped: tuple[str, ...] = ()
    author: ConversationRef | None = None


def planner(  # noqa: PLR0913 - each a fact of its own
    request_id: str,
    request: RequestStart,
    opened: RepositoryOpened,
    *,
    lease: WorktreeLease,
    attempt: int,
    before: AgentResult | None,
    turns_before: int = 0,
    message: str | None,
    notes: tuple[str, ...] = (),
    late: tuple[str, ...] = (),
    baseline: Baseline | None = None,
    budget: int,
    parent: str = "",
) -> AgentStart:
    """Return how the planner begins, or goes on after its first plan was not valid.

    Its opening tells all `notes`; `late` are those that came after that. It runs below `parent`, by
    default the request itself.
    """
    facts = (
        ("Request", request.request),
        (_PAST, opened.past),
        ("Notes from the person who made the request", "\n".join(notes)),
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
            agent_id=ids.agent_id(parent or request_id, roles.PLANNER, attempt),
            role=roles.PLANNER,
            facts=facts,
            commit=opened.base,
            models=chosen(request),
            resumed=request.retry is not None,
            **_place(baseline, tip=opened.base, budget=budget),
        ),
        conversation=before.conversation if before else None,
        message=message,
        notes=tuple(messages.note(text) for text in late),
        limits=_limits(budget, opened.limits),
        config=before.config if before else None,
        turns_before=turns_before,
        seen=before.seen if before else None,
    )


def plans_request(start: AgentStart) -> bool:
    """Return whether an agent is the planner of a whole request, which is of no task."""
    return start.role == roles.PLANNER and start.task_ref == PLANNER


def replanner(
    start: SubtaskStart,
    *,
    agent_id: str,
    attempt: int,
    lease: WorktreeLease,
    facts: tuple[tuple[str, str], ...],
    patch: Patch,
    before: AgentResult | None,
    turns_before: int,
    message: str,
    notes: tuple[str, ...],
    budget: int,
) -> AgentStart:
    """Return how a planner begins that puts other tasks in place of one, or goes on after them."""
    return AgentStart(
        request_id=start.request_id,
        repository=start.repository,
        role=roles.PLANNER,
        task_ref=start.task.id,
        attempt=attempt,
        lease=lease,
        checkpoint=lease.commit,
        opening=OpenConversation(
            repository=start.repository,
            agent_id=agent_id,
            role=roles.PLANNER,
            facts=(
                ("Request", start.request),
                (_PAST, start.past),
                ("Notes from the person who made the request", "\n".join(notes)),
                ("Checks that must pass on the final result", "\n".join(start.checks)),
                _problems(start.baseline),
                *facts,
            ),
            documents=(("what its agent has changed", patch.diff),) if patch.files else (),
            commit=lease.commit,
            models=start.models,
            resumed=start.resumed,
            **_place(start.baseline, tip=lease.commit, budget=budget),
        ),
        conversation=before.conversation if before else None,
        message=message,
        limits=_limits(budget, start.request_limits),
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

    Its opening tells all `notes`; `late` are those that came after that. One that goes on from a
    turn is told them all again: what came after that turn is undone.
    """
    task = start.task
    continues = start.earlier.continues if start.earlier and before is None else None
    if continues:
        message, late = messages.both(continues.message, message), notes
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
            facts=_coder_facts(start, notes),
            documents=start.documents,
            commit=checkpoint,
            models=start.models,
            resumed=start.resumed,
            **_place(start.baseline, tip=lease.commit, scope=task.writes, budget=budget),
            size=task.size,
            again=start.earlier is not None,
        ),
        conversation=_going_on(before, continues, "conversation"),
        message=message,
        documents=documents,
        notes=tuple(messages.note(text) for text in late),
        limits=_limits(budget, start.request_limits),
        config=_going_on(before, continues, "config"),
        size=task.size,
        turns_before=turns_before,
        seen=_going_on(before, continues, "seen"),
        scope=scope_of(start, notes),
        answers=continues.answers if continues else (),
    )


def _going_on(before: AgentResult | None, continues: Continuation | None, name: str) -> Any:
    """Return what an agent goes on with: of its last round, or of the turn that was chosen."""
    return getattr(before or continues, name, None)


def _coder_facts(start: SubtaskStart, notes: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    task = start.task
    return (
        ("Task", f"{task.title}\n\n{task.goal}"),
        ("Paths you may change", "\n".join(map(visible, task.writes))),
        ("Acceptance commands, run by the system", "\n".join(task.acceptance)),
        ("An earlier attempt at this task", messages.earlier_attempt(start.earlier)),
        (_PAST, start.past),
        ("The person's checks, run by the system too", "\n".join(start.checks)),
        _problems(start.baseline),
        *_around(start, notes),
    )


def _around(start: SubtaskStart, notes: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return what coders and reviewers are told of everything beside their task."""
    return (
        ("The whole request, for context only", start.request),
        ("Other tasks, each done by another agent", "\n".join(start.siblings)),
        ("Notes from the person who made the request", "\n".join(notes)),
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
            facts=_reviewer_facts(start, offer),
            documents=(("patch", patch.diff),),
            commit=patch.commit,
            models=start.models,
            resumed=start.resumed,
            author=offer.author,
            **_place(start.baseline, tip=patch.base, scope=task.writes, budget=budget),
        ),
        conversation=before.conversation if before else None,
        message=message,
        limits=_limits(budget, start.request_limits),
        config=before.config if before else None,
        seen=before.seen if before else None,
    )


def _reviewer_facts(start: SubtaskStart, offer: Offer) -> tuple[tuple[str, str], ...]:
    task, patch = start.task, offer.patch
    undoes = offer.finish.undoes if patch.undone else ""
    no_change = "" if patch.files else offer.finish.no_change
    return (
        ("Task", f"{task.title}\n\n{task.goal}"),
        ("What its author says", offer.says),
        ("How its author ended", f"{offer.cut} Look for what is missing." if offer.cut else ""),
        ("Commands that passed on it", _passed(offer.checks)),
        ("Acceptance commands that a person dropped", "\n".join(offer.dropped)),
        _problems(start.baseline),
        *_around(start, offer.notes),
        ("Changed files", f"{patch.files}: {listing(patch.paths, most=30)}"),
        ("Changed outside the declared paths", listing(patch.outside, most=20)),
        ("Why it changes nothing, as its author says", no_change),
        ("Why it was sent back before", messages.earlier(offer.earlier)),
        ("Findings of earlier reviews that are open", findings.told(offer.findings)),
        ("Work that it undoes", undone_text(patch.undone)),
        ("Why it undoes that, as its author says", undoes),
    )


def _passed(checks: ChecksReport) -> str:
    told = {True: "", False: " (fails, in nothing that did not fail before)"}
    return "\n".join(f"{run.command}{told[run.passed]}" for run in checks.results)


def _problems(baseline: Baseline | None) -> tuple[str, str]:
    """Return the fact that names what fails or is flaky on the base, "" for nothing."""
    return ("Red or flaky before any change", baselines.told(baseline))


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
