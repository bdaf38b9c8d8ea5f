"""What people tune, judged by the rules of the moment; the result is recorded in history."""

from temporalio import activity
from typing_extensions import override

from contracts.policy import (
    CodeJudgement,
    JudgeCode,
    JudgePlan,
    JudgeReview,
    PlanJudgement,
    ReviewJudgement,
)
from contracts.ports import PolicyActivities
from domain import limits
from domain.approvals import codes
from domain.planning import plan
from domain.review import verdict

_NO_CODE = (
    "the answer came without its code, or with another's: `orchestcode code` prints it, and the "
    "commands of `orchestcode` send it by themselves"
)


class CurrentPolicy(PolicyActivities):
    """The rules of this worker. Safe to repeat: a judgement changes nothing.

    Args:
        secret: of the home, of which codes are made; without one no code is right.
    """

    def __init__(self, secret: bytes = b"") -> None:
        self._secret = secret

    @override
    @activity.defn
    async def judge_plan(self, request: JudgePlan) -> PlanJudgement:
        """Judge what a planner handed in."""
        return plan.judge(request.output, plan.at_most(limits.PLAN, request.most))

    @override
    @activity.defn
    async def judge_review(self, request: JudgeReview) -> ReviewJudgement:
        """Judge what a reviewer's verdict makes of a patch."""
        return verdict.judge(request, priority=limits.BLOCKING_PRIORITY)

    @override
    @activity.defn
    async def judge_code(self, request: JudgeCode) -> CodeJudgement:
        """Judge whether a person's answer, note or budget came with its code."""
        expected = _expected_code(self._secret, request) if self._secret else ""
        right = bool(expected) and codes.same(request.code, expected)
        return CodeJudgement(problem="" if right else _NO_CODE)


def _expected_code(secret: bytes, request: JudgeCode) -> str:
    """Return the code of what a person sent, "" for nothing."""
    if request.answers is not None:
        return codes.answer_code(
            secret, request.request_id, request.run_id, request.answers, request.choice
        )
    if request.note is not None:
        return codes.note_code(secret, request.request_id, request.run_id, request.note)
    if request.budget is not None:
        return codes.budget_code(secret, request.request_id, request.run_id, request.budget)
    return ""
