"""Judgements: what people tune is judged in an activity, and the result is recorded."""

from abc import ABC, abstractmethod

from pydantic import Field
from temporalio import activity

from contracts.agent import Note
from contracts.approvals import Approval
from contracts.base import Contract, ShortText
from contracts.budget import BudgetChange
from contracts.planning import Plan
from contracts.review import KeptFinding, Patch, ReviewItem


class JudgePlan(Contract):
    """Ask whether a planner's output, JSON, is a plan.

    Attributes:
        most: tasks that it may have; 0 = as many as any plan.
    """

    output: str = Field(max_length=49_152)
    most: int = 0


class PlanJudgement(Contract):
    """A valid plan, or sentences that tell the planner what to change."""

    plan: Plan | None = None
    problems: tuple[ShortText, ...] = ()


class JudgeReview(Contract):
    """Ask what a reviewer's verdict makes of a patch.

    Attributes:
        item: pending, for the tree of `patch`.
        output: the JSON of its ReviewFinish; None when the reviewer was cut.
        rounds_left: how often the agent may still be sent back.
        findings: of the task so far.
        asked_again: the reviewer was asked for what it had left unanswered.
    """

    item: ReviewItem
    output: str | None = Field(default=None, max_length=49_152)
    patch: Patch
    rounds_left: int
    findings: tuple[KeptFinding, ...] = ()
    asked_again: bool = False


class ReviewJudgement(Contract):
    """The item as the rules leave it.

    Attributes:
        item: pending when a person must decide.
        why: why a person must decide, in a sentence; "" when the rules decided.
        feedback: what the reviewer found, for that person.
        findings: of the task, after this review.
        ask: what the same reviewer is asked before its verdict counts; "" for nothing.
    """

    item: ReviewItem
    why: ShortText = ""
    feedback: str = Field(default="", max_length=16_000)
    findings: tuple[KeptFinding, ...] = ()
    ask: str = Field(default="", max_length=4_000)


class JudgeCode(Contract):
    """Ask whether what a person sent came with its code.

    Attributes:
        answers: the question, for an answer; None for a note.
        choice: of the answer; "" for a note.
        note: the note, without its code.
        budget: a new budget.
    """

    request_id: str
    run_id: str
    answers: Approval | None = None
    choice: str = ""
    note: Note | None = None
    budget: BudgetChange | None = None
    code: str = Field(default="", max_length=100)


class CodeJudgement(Contract):
    """Why it does not count, in a sentence; "" when it does."""

    problem: ShortText = ""


class PolicyActivities(ABC):
    """What people tune, judged and recorded; task queue `git`."""

    @activity.defn
    @abstractmethod
    async def judge_plan(self, request: JudgePlan) -> PlanJudgement:
        """Judge what a planner handed in."""

    @activity.defn
    @abstractmethod
    async def judge_review(self, request: JudgeReview) -> ReviewJudgement:
        """Judge what a reviewer's verdict makes of a patch."""

    @activity.defn
    @abstractmethod
    async def judge_code(self, request: JudgeCode) -> CodeJudgement:
        """Judge whether a person's answer or note came with its code."""
