"""Planning a request: planner's turns, one repair, a person's decision, single-task fallback.

What a valid plan is, is judged in an activity and recorded.
"""

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from contracts import roles
    from contracts.agent import AgentResult
    from contracts.baseline import Baseline
    from contracts.failures import FailureKind
    from contracts.limits import RequestLimits
    from contracts.planning import Plan
    from contracts.policy import JudgePlan, PlanJudgement
    from contracts.ports import PolicyActivities
    from contracts.repository import RepositoryOpened
    from contracts.request import RequestStart
    from contracts.task_queue import WORKFLOW_TASK_TIMEOUT
    from contracts.worktrees import WorktreeLease
    from domain import ids, wire
    from domain.agent import inputs
    from domain.planning import baseline as baselines
    from domain.planning import plan as plans
    from workflows import activity_options, baseline, cancellation, retrying
    from workflows.agent import AgentWorkflow
    from workflows.worktrees import worktree_lease


class Planning:
    """The planner of one request, in a worktree of its own.

    Attributes:
        agent: workflow id of the planner at work, None when none is.
        spent: what its calls have cost so far, in microUSD.
        unpriced_tokens: of calls whose price is not known.
    """

    def __init__(self, request_id: str, start: RequestStart, opened: RepositoryOpened) -> None:
        self._request_id = request_id
        self._start = start
        self._opened = opened
        self._before: AgentResult | None = None
        self._attempt = 0
        self._surveyed: Baseline | None = None
        self._lacking: tuple[str, ...] = ()
        self.agent: str | None = None
        self._turns = 0
        self.spent = self.unpriced_tokens = 0
        self.model = ""

    async def look_at_base(self) -> None:
        """Survey the base and run the person's checks on it: all agents are told what is found."""
        self._surveyed = await baseline.survey(self._opened, self._start.checks)

    @property
    def baseline(self) -> Baseline | None:
        """What was found on the base, and what the plan lacks there; None before it was looked at.

        It is None for good in requests from before 2026-12.
        """
        return self._surveyed and baselines.with_lacking(self._surveyed, self._lacking)

    async def plan(self, budget: int, *, feedback: str | None = None) -> Plan:
        """Return a valid plan; `feedback` sends the planner back with a person's words."""
        purpose = ids.purpose(roles.PLANNER, 1)
        async with worktree_lease(
            self._opened.repository, purpose, commit=self._opened.base
        ) as lease:
            return await self._plan(lease, budget, feedback)

    async def _plan(self, lease: WorktreeLease, budget: int, message: str | None) -> Plan:
        limits = self._opened.limits or RequestLimits()
        problems: tuple[str, ...] = ("the planner was cut",)
        kept: Plan | None = None
        self._lacking = ()
        for _ in range(limits.planner_attempts):
            result = await self._run_planner(lease, budget - self.spent, message)
            if result.output is None:
                if kept:
                    break
                return self._fallback(f"the planner was cut ({result.cut}): {result.reason}")
            judged = await self._judge(result.output)
            if judged.plan:
                kept = judged.plan
                if self._surveyed:
                    self._lacking = await baseline.lacking(self._opened, kept)
                if not self._lacking:
                    return kept
                message = baselines.lacking_message(self._lacking)
            else:
                problems, message = judged.problems, plans.repair_message(judged.problems)
        return kept or self._fallback(f"its plan was not valid: {'; '.join(problems)}")

    async def _judge(self, output: str) -> PlanJudgement:
        """Have a plan judged; requests from before 2026-12 judge it here, as they did."""
        if self._opened.limits is None:
            return plans.judge(output, wire.PLAN)
        return await retrying.execute(
            PolicyActivities.judge_plan,
            JudgePlan(output=output),
            activity_options.store("judge the plan"),
        )

    async def _run_planner(
        self, lease: WorktreeLease, budget: int, message: str | None
    ) -> AgentResult:
        self._attempt += 1
        self.agent = ids.agent_id(self._request_id, roles.PLANNER, self._attempt)
        result = await workflow.execute_child_workflow(
            AgentWorkflow.run,
            inputs.planner(
                self._request_id,
                self._start,
                self._opened,
                agent_id=self.agent,
                lease=lease,
                attempt=self._attempt,
                before=self._before,
                turns_before=self._turns,
                message=message,
                baseline=self.baseline,
                budget=budget,
            ),
            id=self.agent,
            task_timeout=WORKFLOW_TASK_TIMEOUT,
            static_summary=f"planner, attempt {self._attempt}",
        )
        self.agent, self._before = None, result
        self._turns += result.turns
        self.spent += result.cost_microusd
        self.unpriced_tokens += 0 if result.priced else result.usage.total_tokens
        self.model = result.model or self.model
        cancellation.raise_if_cancelled()
        if result.failure and not self._can_do_without(result.failure):
            raise ApplicationError(
                f"the planner failed: {result.reason}", type=result.failure, non_retryable=True
            )
        return result

    def _can_do_without(self, failure: str) -> bool:
        """Return whether the request goes on without a planner that failed so."""
        return plans.can_do_without(failure) and workflow.patched("planner-fails-2026-12")

    def _fallback(self, why: str) -> Plan:
        workflow.logger.warning("plan.fallback", extra={"reason": why[:500]})
        if not self._start.checks and not workflow.patched("fallback-without-checks-2026-12"):
            raise ApplicationError(
                f"no valid plan came ({why[:500]}), and without one nothing says how to test the "
                "result: name a command with --check",
                type=FailureKind.REFUSED,
                non_retryable=True,
            )
        return plans.single_task(
            self._start.request, self._start.checks, why=f"One task for the whole request: {why}"
        )
