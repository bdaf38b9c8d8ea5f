"""The inbox where questions wait for people.

The first answer wins; one that cannot be taken is kept and shown, never dropped. Time comes in as
an argument, in seconds. Knows nothing of signals and updates, which share these decisions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from contracts.approvals import Answered, AnswerRecord, Approval, Choice, Decision
from contracts.base import Contract
from contracts.permissions import AllowedRule
from domain.approvals import allowing, shared
from domain.approvals.reading import DONE, parse_answer, written
from domain.text import one_line

EXPIRED = "the deadline"
"""Who decided what nobody answered in time."""

_KEPT_REFUSALS = 20
_KEPT_DECISIONS = 64
_ANSWER_CHARS = 300
_REMINDED_AFTER = 0.75


class Waiting(Contract):
    """An approval and since when it waits, in seconds of the caller's clock.

    Attributes:
        joined: questions of other tasks that its answer settles too.
        reminded: it was said that little of its time is left.
    """

    approval: Approval
    since: float
    joined: tuple[Approval, ...] = ()
    reminded: bool = False

    @property
    def until(self) -> float:
        """When no answer counts as no."""
        return self.since + self.approval.deadline_seconds

    @property
    def remind_at(self) -> float:
        """When a person is reminded: with a quarter of the time left."""
        return self.since + self.approval.deadline_seconds * _REMINDED_AFTER

    def without(self, asked_by: str) -> "Waiting | None":
        """Return what still waits once a workflow has ended: another of those that asked."""
        left = tuple(each for each in (self.approval, *self.joined) if each.asked_by != asked_by)
        return self.model_copy(update={"approval": left[0], "joined": left[1:]}) if left else None


@dataclass(frozen=True, slots=True)
class AnswerOutcome:
    """What became of an answer.

    Attributes:
        inbox: the inbox afterwards.
        decision: None when the answer was refused.
        message: for the person: what was done, or the problem in one sentence.
        asked_by: workflow id that waits for the decision, None when the request itself asks.
        others: decisions of the questions that were settled with it, for the workflows that asked.
    """

    inbox: "ApprovalInbox"
    decision: Decision | None
    message: str
    asked_by: str | None = None
    others: tuple[tuple[str | None, Decision], ...] = ()


class ApprovalInbox(Contract):
    """All questions of a request, a value that survives continue-as-new as it is.

    Attributes:
        waiting: oldest first.
        decided, refused: the last ones, newest last.
        allowed: rules that answers have added for the rest of the request, oldest first.
    """

    waiting: tuple[Waiting, ...] = ()
    decided: tuple[Decision, ...] = ()
    refused: tuple[AnswerRecord, ...] = ()
    allowed: tuple[AllowedRule, ...] = ()

    @property
    def pending(self) -> tuple[Approval, ...]:
        """What waits for a person, oldest first."""
        return tuple(shared.shown(each.approval, each.joined) for each in self.waiting)

    @property
    def asked(self) -> tuple[Approval, ...]:
        """What waits for a person, and since when, oldest first."""
        pairs = zip(self.pending, self.waiting, strict=True)
        return tuple(each.model_copy(update={"since": held.since}) for each, held in pairs)

    @property
    def answered(self) -> tuple[Answered, ...]:
        """What was decided, newest last, with reasons short enough for a status."""
        return tuple(
            Answered(
                approval=each.approval,
                choice=each.choice,
                by=each.by,
                reason=one_line(each.reason, _ANSWER_CHARS),
            )
            for each in self.decided
        )

    def open(self, approval: Approval, *, now: float, asked: int = 0) -> "ApprovalInbox":
        """Return the inbox with `approval` waiting, as the question of this number.

        The same question again changes nothing. With another digest it replaces the old one, whose
        answers are stale from now on; a decision of that id no longer counts. One that shares its
        answer with a question that waits joins it.
        """
        waiting = [each for one in self.waiting for each in (one.approval, *one.joined)]
        if approval in (each.model_copy(update={"asked": 0}) for each in waiting):
            return self
        numbered = approval.model_copy(update={"asked": asked})
        others = self._others(approval.id)
        joins = next((each for each in others if _shares(each.approval, approval)), None)
        if joins is None:
            opened = (*others, Waiting(approval=numbered, since=now))
        else:
            more = joins.model_copy(update={"joined": (*joins.joined, numbered)})
            opened = tuple(more if each is joins else each for each in others)
        decided = tuple(each for each in self.decided if each.approval != approval.id)
        return self.model_copy(update={"waiting": opened, "decided": decided})

    def answered_before(self, approval: Approval) -> Decision | None:
        """Return what people have answered to the same already, None for nothing.

        That is what another task has asked, or what they have allowed for the rest of the request.
        """
        by_rule = allowing.decision_by_rules(approval, self.allowed)
        return by_rule or shared.earlier_answer(approval, self.decided, unanswered=EXPIRED)

    def reuse(self, decision: Decision) -> "ApprovalInbox":
        """Return the inbox with a question settled by an answer to an earlier one."""
        return self.model_copy(update={"decided": (*self.decided, decision)[-_KEPT_DECISIONS:]})

    def problem(self, payload: object, choice: Choice) -> str | None:
        """Return why an answer would not be taken, None when it would; for a validator."""
        found = parse_answer(payload, choice, pending=self.pending, decided=self.decided)
        return found if isinstance(found, str) else None

    def take(self, payload: object, choice: Choice, *, now: float = 0.0) -> AnswerOutcome:
        """Return what becomes of an answer; the first one that can be taken decides."""
        found = parse_answer(payload, choice, pending=self.pending, decided=self.decided)
        if isinstance(found, str):
            return AnswerOutcome(self.refuse(payload, found), None, found)
        message = f"'{found.approval}' is {DONE[choice]} by {found.by}."
        outcome = _settled(self, found, message)
        return _allowing(outcome, now) if found.rules else outcome

    def refuse(self, payload: object, problem: str) -> "ApprovalInbox":
        """Return the inbox with an answer among those that were not taken."""
        record = AnswerRecord(
            received=one_line(written(payload), 300), problem=one_line(problem, 1_000)
        )
        return self.model_copy(update={"refused": (*self.refused, record)[-_KEPT_REFUSALS:]})

    def expire(self, now: float) -> tuple["ApprovalInbox", tuple[AnswerOutcome, ...]]:
        """Return the inbox after all overdue at `now` was denied, with the denials in order."""
        inbox = self
        denials: list[AnswerOutcome] = []
        for each in self.waiting:
            if each.until <= now:
                denial = _denial(each.approval)
                message = f"'{each.approval.id}' is denied: {denial.reason}"
                denials.append(_settled(inbox, denial, message))
                inbox = denials[-1].inbox
        return inbox, tuple(denials)

    def due(self) -> float | None:
        """Return when the next deadline or reminder is due, None when nothing waits."""
        times = (each.until if each.reminded else each.remind_at for each in self.waiting)
        return min(times, default=None)

    def remind(self, now: float) -> tuple["ApprovalInbox", tuple[Approval, ...]]:
        """Return the inbox after all due reminders were given, and of which questions."""
        due = [each for each in self.waiting if not each.reminded and each.remind_at <= now]
        waiting = tuple(
            each.model_copy(update={"reminded": True}) if each in due else each
            for each in self.waiting
        )
        return self.model_copy(update={"waiting": waiting}), tuple(each.approval for each in due)

    @property
    def urgent(self) -> tuple[Waiting, ...]:
        """What waits of which a person was reminded, oldest first."""
        return tuple(each for each in self.waiting if each.reminded)

    def withdraw_of(self, asked_by: str) -> "ApprovalInbox":
        """Return the inbox without the questions of a workflow that has ended."""
        kept = tuple(filter(None, (each.without(asked_by) for each in self.waiting)))
        return self.model_copy(update={"waiting": kept})

    def withdraw(self, approval: str) -> "ApprovalInbox":
        """Return the inbox without a question that needs no answer any more."""
        return self.model_copy(update={"waiting": self._others(approval)})

    def decision(self, approval: str) -> Decision | None:
        """Return what was decided of an approval since it was last asked, None while it waits."""
        return next((each for each in reversed(self.decided) if each.approval == approval), None)

    def begun(self, allowed: Sequence[AllowedRule]) -> "ApprovalInbox":
        """Return the inbox with what earlier attempts of the request were allowed."""
        return self.model_copy(update={"allowed": (*allowed, *self.allowed)})

    def in_force(self, wanted: Sequence[str], pinned: Sequence[AllowedRule]) -> "ApprovalInbox":
        """Return the inbox without those rules of an answer that could not be pinned."""
        lost = set(wanted) - {rule.text for rule in pinned}
        kept = tuple(rule for rule in self.allowed if rule.text not in lost)
        return self.model_copy(update={"allowed": kept}) if lost else self

    def _others(self, approval: str) -> tuple[Waiting, ...]:
        """Return what waits beside a question of this id."""
        kept = []
        for each in self.waiting:
            joined = tuple(other for other in each.joined if other.id != approval)
            if each.approval.id != approval:
                kept.append(each.model_copy(update={"joined": joined}))
            elif joined:
                first, *rest = joined
                kept.append(each.model_copy(update={"approval": first, "joined": tuple(rest)}))
        return tuple(kept)


def _settled(before: ApprovalInbox, decision: Decision, message: str) -> AnswerOutcome:
    """Return what comes of a decision: for its question, and for those that joined it."""
    waited = next(each for each in before.waiting if each.approval.id == decision.approval)
    made = shared.about(decision, waited.approval)
    others = tuple((each.asked_by, shared.answer_of(made, each)) for each in waited.joined)
    decided = (*before.decided, made, *(each for _, each in others))[-_KEPT_DECISIONS:]
    left = tuple(each for each in before.waiting if each is not waited)
    inbox = before.model_copy(update={"waiting": left, "decided": decided})
    return AnswerOutcome(inbox, made, message, waited.approval.asked_by, others)


def _allowing(outcome: AnswerOutcome, now: float) -> AnswerOutcome:
    """Return an outcome with its rules added, and what waits of which they speak settled."""
    decision = outcome.decision
    assert decision is not None  # noqa: S101 - of an answer that was taken
    before = outcome.inbox
    new = allowing.rules_of(decision, before.allowed, now)
    inbox, settled = before.model_copy(update={"allowed": (*before.allowed, *new)}), []
    for each in before.waiting:
        if by_rule := allowing.decision_by_rules(each.approval, inbox.allowed):
            inbox = _settled(inbox, by_rule, "").inbox
            settled.append((each.approval.asked_by, by_rule))
    names = ", ".join(f"`{rule}`" for rule in decision.rules)
    message = f"{outcome.message} Allowed for the rest of the request: {names}."
    return replace(outcome, inbox=inbox, message=message, others=(*outcome.others, *settled))


def _shares(one: Approval, other: Approval) -> bool:
    return bool(one.shared) and one.shared == other.shared


def _denial(approval: Approval) -> Decision:
    return Decision(
        approval=approval.id,
        choice=Choice.REJECT,
        reason=f"nobody answered within {approval.deadline_seconds:,} seconds",
        by=EXPIRED,
        digest=approval.digest,
    )
