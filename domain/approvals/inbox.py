"""The inbox where questions wait for people, and the reading of what people type.

The first answer wins; one that cannot be taken is kept and shown, never dropped. Time comes in as
an argument, in seconds. Knows nothing of signals and updates, which share these decisions.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import BaseModel

from contracts.approvals import Answered, AnswerRecord, Approval, Choice, Decision
from contracts.base import Contract
from domain.approvals import shared
from domain.text import for_people, one_line

EXPIRED = "the deadline"
"""Who decided what nobody answered in time."""

_KEPT_REFUSALS = 20
_KEPT_DECISIONS = 64
_ANSWER_CHARS = 300
_DIGEST_CHARS = 12
_YES = ("", "yes", "y", "ok", "true", "null")
_DONE = MappingProxyType(
    {Choice.APPROVE: "approved", Choice.REJECT: "rejected", Choice.REVISE: "sent back"}
)
_FIELDS = MappingProxyType(
    {
        **dict.fromkeys(("approval", "id", "approval_id", "request_id", "approvalid"), "approval"),
        **dict.fromkeys(("digest", "sha256", "hash", "tree"), "digest"),
        **dict.fromkeys(("reason", "comment", "feedback", "message", "why", "note"), "reason"),
        **dict.fromkeys(("by", "user", "name", "who"), "by"),
        "code": "code",
    }
)


class Waiting(Contract):
    """An approval and since when it waits, in seconds of the caller's clock.

    Attributes:
        joined: questions of other tasks that its answer settles too.
    """

    approval: Approval
    since: float
    joined: tuple[Approval, ...] = ()

    @property
    def until(self) -> float:
        """When no answer counts as no."""
        return self.since + self.approval.deadline_seconds

    def without(self, asked_by: str) -> "Waiting | None":
        """Return what still waits once a workflow has ended: another of those that asked."""
        left = tuple(each for each in (self.approval, *self.joined) if each.asked_by != asked_by)
        return self.model_copy(update={"approval": left[0], "joined": left[1:]}) if left else None


def parse_answer(
    payload: object,
    choice: Choice,
    *,
    pending: Sequence[Approval],
    decided: Sequence[Decision] = (),
) -> Decision | str:
    """Return what an answer decides, or the problem in one sentence.

    Accepted are an id, an object with it ("approval", "id", "request_id"), and, while exactly one
    approval waits, nothing, `true`, "yes" or an object without an id. `decided` is for a better
    sentence; it and `pending` are oldest first.
    """
    given = _read(payload)
    if isinstance(given, str):
        return f"{given} {_how(pending)}"
    found = _find(given.get("approval", ""), pending, decided)
    if isinstance(found, str):
        return found
    digest = given.get("digest", "").casefold()
    if digest and not _same_digest(digest, found.digest):
        return (
            f"'{found.id}' has changed since you looked at it (you name digest "
            f"{one_line(digest[:12])}, it is {found.digest[:12]} now): "
            "look at it again and answer again."
        )
    reason = given.get("reason", "")
    if choice is Choice.REVISE and not reason:
        example = json.dumps({"approval": found.id, "reason": "..."})
        return f"Say what to change, with a reason: {example}."
    return Decision(
        approval=found.id,
        choice=choice,
        reason=for_people(reason, 8_000),
        by=one_line(given.get("by", ""), 100) or "a person",
        digest=found.digest,
    )


def code_of(payload: object) -> str:
    """Return the code that came with an answer, "" for none."""
    given = _read(payload)
    return "" if isinstance(given, str) else one_line(given.get("code", ""))


def without_code(payload: object) -> object:
    """Return an answer as it may be shown: whoever sees its code must not be able to send it."""
    code = code_of(payload)
    return _written(payload).replace(code, "…") if code else payload


def _same_digest(given: str, digest: str) -> bool:
    return given == digest or (len(given) >= _DIGEST_CHARS and digest.startswith(given))


def _read(payload: object) -> dict[str, str] | str:
    """Return the fields of an answer by their one name, or what cannot be read about it."""
    match _unwrapped(payload):
        case None | True:
            return {}
        case str() as text:
            word = text.strip()
            return {} if word.casefold() in _YES else {"approval": word}
        case Mapping() as fields:
            return _fields(fields)
        case False:
            return "The answer `false` is not clear: approve, reject or revise by name."
        case other:
            return f"An answer cannot be a value of type {type(other).__name__}."


def _unwrapped(payload: object) -> object:
    if isinstance(payload, BaseModel):
        return payload.model_dump(exclude_none=True, exclude={"choice"}, mode="json")
    if isinstance(payload, list | tuple) and len(payload) == 1:
        return _unwrapped(payload[0])
    if isinstance(payload, str) and payload.strip()[:1] in ("{", "[", '"'):
        # Quoted once too often, as a shell makes it easy to do.
        try:
            return _unwrapped(json.loads(payload))
        except (ValueError, RecursionError):
            return payload
    return payload


def _fields(fields: Mapping[object, object]) -> dict[str, str] | str:
    read: dict[str, str] = {}
    for key, value in fields.items():
        name = _FIELDS.get(str(key).strip().casefold())
        if name is None:
            return f"The field {_quoted(key)} is unknown; known are approval, digest, reason, by."
        if value is None:
            continue
        if not isinstance(value, str):
            return f"The field {_quoted(key)} must be a text."
        if name in read and read[name] != value.strip():
            return f"The answer gives its {name} twice, and not the same."
        read[name] = value.strip()
    return read


def _quoted(value: object) -> str:
    return f"'{one_line(str(value), 80)}'"


def _find(name: str, pending: Sequence[Approval], decided: Sequence[Decision]) -> Approval | str:
    if not name:
        if len(pending) == 1:
            return pending[0]
        problem = "Say which approval you mean." if pending else "No approval is pending."
        return f"{problem} {_how(pending)}"
    wanted = name.casefold()
    for approval in pending:
        if approval.id.casefold() == wanted:
            return approval
    for decision in reversed(decided):
        if decision.approval.casefold() == wanted:
            by = decision.by or "somebody"
            return f"'{decision.approval}' was already {_DONE[decision.choice]} by {by}."
    return f"Nothing called {_quoted(name)} waits for an answer. {_how(pending)}"


def _how(pending: Sequence[Approval]) -> str:
    if not pending:
        return "Nothing waits for an answer now."
    waiting = "; ".join(f"'{each.id}' ({one_line(each.what, 80)})" for each in pending[:5])
    more = f"; and {len(pending) - 5} more" if len(pending) > 5 else ""
    example = json.dumps({"approval": pending[0].id})
    return f"Waiting: {waiting}{more}. Answer with {example}."


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
    """

    waiting: tuple[Waiting, ...] = ()
    decided: tuple[Decision, ...] = ()
    refused: tuple[AnswerRecord, ...] = ()

    @property
    def pending(self) -> tuple[Approval, ...]:
        """What waits for a person, oldest first."""
        return tuple(shared.shown(each.approval, each.joined) for each in self.waiting)

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
        """Return what people have answered to the same for another task, None for nothing."""
        return shared.earlier_answer(approval, self.decided, unanswered=EXPIRED)

    def reuse(self, decision: Decision) -> "ApprovalInbox":
        """Return the inbox with a question settled by an answer to an earlier one."""
        return self.model_copy(update={"decided": (*self.decided, decision)[-_KEPT_DECISIONS:]})

    def problem(self, payload: object, choice: Choice) -> str | None:
        """Return why an answer would not be taken, None when it would; for a validator."""
        found = parse_answer(payload, choice, pending=self.pending, decided=self.decided)
        return found if isinstance(found, str) else None

    def take(self, payload: object, choice: Choice) -> AnswerOutcome:
        """Return what becomes of an answer; the first one that can be taken decides."""
        found = parse_answer(payload, choice, pending=self.pending, decided=self.decided)
        if isinstance(found, str):
            return AnswerOutcome(self.refuse(payload, found), None, found)
        message = f"'{found.approval}' is {_DONE[choice]} by {found.by}."
        return self._settled(found, message)

    def refuse(self, payload: object, problem: str) -> "ApprovalInbox":
        """Return the inbox with an answer among those that were not taken."""
        record = AnswerRecord(
            received=one_line(_written(payload), 300), problem=one_line(problem, 1_000)
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
                denials.append(inbox._settled(denial, message))
                inbox = denials[-1].inbox
        return inbox, tuple(denials)

    def due(self) -> float | None:
        """Return when the next deadline passes, None when nothing waits."""
        return min((each.until for each in self.waiting), default=None)

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

    def _settled(self, decision: Decision, message: str) -> AnswerOutcome:
        """Return what comes of a decision: for its question, and for those that joined it."""
        waited = next(each for each in self.waiting if each.approval.id == decision.approval)
        made = shared.about(decision, waited.approval)
        others = tuple((each.asked_by, shared.answer_of(made, each)) for each in waited.joined)
        decided = (*self.decided, made, *(each for _, each in others))[-_KEPT_DECISIONS:]
        left = tuple(each for each in self.waiting if each is not waited)
        inbox = self.model_copy(update={"waiting": left, "decided": decided})
        return AnswerOutcome(inbox, made, message, waited.approval.asked_by, others)

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


def _written(payload: object) -> str:
    if isinstance(payload, BaseModel):
        return payload.model_dump_json(exclude_none=True)
    try:
        return payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return f"a {type(payload).__name__} that is not JSON"
