"""What people tune, judged by the rules of the moment; the result is recorded in history."""

from temporalio import activity
from typing_extensions import override

from contracts.policy import JudgePlan, JudgeReview, PlanJudgement, ReviewJudgement
from contracts.ports import PolicyActivities
from domain import limits
from domain.planning import plan
from domain.review import verdict


class CurrentPolicy(PolicyActivities):
    """The rules of this worker. Safe to repeat: a judgement changes nothing."""

    @override
    @activity.defn
    async def judge_plan(self, request: JudgePlan) -> PlanJudgement:
        """Judge what a planner handed in."""
        return plan.judge(request.output, limits.PLAN)

    @override
    @activity.defn
    async def judge_review(self, request: JudgeReview) -> ReviewJudgement:
        """Judge what a reviewer's verdict makes of a patch."""
        return verdict.judge(request, priority=limits.BLOCKING_PRIORITY)
