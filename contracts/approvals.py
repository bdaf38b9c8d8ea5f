"""Questions to people and their answers."""

from enum import StrEnum

from pydantic import Field

from contracts import wire_defaults
from contracts.base import Contract, HumanInput, ObjectId, ShortText


class ApprovalKind(StrEnum):
    """What a person is asked about."""

    PLAN = "plan"
    REVIEW = "review"
    TOOL = "tool"
    DELIVERY = "delivery"
    TASK = "task"
    """A task that cannot be done as it stands: its paths, its acceptance commands."""
    SETUP = "setup"
    """Commands that run with a network, to install what a commit depends on."""
    BUDGET = "budget"
    """Whether a request whose budget does not allow the next call gets more."""
    STUCK = "stuck"
    """A task whose agent is stuck, after all that was tried."""
    CHECKS = "checks"
    """Checks that cannot start on the base: whether the request goes on all the same."""
    HAND_OFF = "hand-off"
    """A task whose files a person works on: it waits until they are done."""


class Approval(Contract):
    """One thing that waits for a person.

    Attributes:
        id: short and stable: "plan", "review/<task>/<round>", "task/<task>/<round>", "delivery",
            "setup", "setup/<task>/<round>", "setup/<task>/<call>", "budget", "checks",
            "hand-off/<task>", "stuck/<task>/<round>".
        what: one line.
        why: the rule that asks.
        detail: markdown for the card.
        digest: sha256 of the exact action; an answer that names another digest is stale.
        asked_by: workflow id that gets the decision; None when the request itself asks.
        deadline_seconds: unanswered after this long means denied.
        asked: which of the request's questions it is, counted from 1, where answers need a code.
        shared: the same for questions of one request that one answer settles; "" = none other.
        commit: on which a setup runs that was asked about; None of other questions.
        rules: what an answer can allow for the rest of the request, as rules; empty for nothing.
        since: when it began to wait, in seconds since the epoch; 0 = not told.
    """

    id: str
    kind: ApprovalKind
    what: ShortText
    why: ShortText
    detail: str = Field(default="", max_length=4_000)
    digest: str
    risk: ShortText = ""
    artefact: ObjectId | None = None
    asked_by: str | None = None
    deadline_seconds: int = wire_defaults.APPROVAL_SECONDS
    asked: int = 0
    shared: str = ""
    commit: ObjectId | None = None
    rules: tuple[ShortText, ...] = ()
    since: float = 0.0

    @property
    def until(self) -> float:
        """When no answer counts as no, in seconds since the epoch; 0 = not told."""
        return self.since + self.deadline_seconds if self.since else 0.0


class Choice(StrEnum):
    """What a person can answer."""

    APPROVE = "approve"
    REJECT = "reject"
    REVISE = "revise"


class Answer(HumanInput):
    """A person's answer.

    Attributes:
        approval: may be left out while exactly one is pending.
        digest: what the person saw; checked when given.
        reason: why it is rejected, or what to change when it is revised.
        code: where answers need one: `orchestcode code` prints it.
        for_request: an approval that also allows the question's rules for the rest of the request.
    """

    approval: str | None = None
    digest: str | None = None
    reason: str = Field(default="", max_length=8_000)
    by: str = Field(default="", max_length=100)
    code: str | None = Field(default=None, max_length=100)
    for_request: bool = False


class Decide(HumanInput):
    """The validated form: approve, reject or revise, with a reply."""

    choice: Choice
    approval: str | None = None
    digest: str | None = None
    reason: str = Field(default="", max_length=8_000)
    by: str = Field(default="", max_length=100)
    code: str | None = Field(default=None, max_length=100)
    for_request: bool = False


class Decision(Contract):
    """What was decided, for the workflow that asked.

    Attributes:
        digest: of what the person saw: of another question than one's own where that is shared.
        shared, commit: as in the question that the person saw.
        rules: what the answer allows for the rest of the request.
    """

    approval: str
    choice: Choice
    reason: str = ""
    by: str = ""
    digest: str = ""
    shared: str = ""
    commit: ObjectId | None = None
    rules: tuple[ShortText, ...] = ()


class Answered(Contract):
    """What was answered to a question, for people; `reason` is cut."""

    approval: str
    choice: Choice
    by: str = ""
    reason: ShortText = ""


class Receipt(Contract):
    """The reply to an update: what became of the answer."""

    approval: str
    choice: Choice
    message: str


class AnswerRecord(Contract):
    """An answer that was not taken: shown, never dropped."""

    received: str = Field(max_length=300)
    problem: ShortText
