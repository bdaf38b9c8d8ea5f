"""Planning a request: planner's turns, one repair, a person's decision, single-task fallback.

What a valid plan is, is judged in an activity and recorded.
"""

from collections.abc import Sequence

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from contracts import roles
    from contracts.agent import AgentResult, AgentStart, Note, StopCause
    from contracts.baseline import Baseline
    from contracts.budget import CostEstimate, EstimateCost
    from contracts.failures import FailureKind
    from contracts.limits import RequestLimits
    from contracts.planning import Plan, TaskSpec
    from contracts.policy import JudgePlan, PlanJudgement
    from contracts.ports import EstimateActivities, PolicyActivities
    from contracts.repository import RepositoryOpened
    from contracts.request import RequestStart
    from contracts.resume import RequestResumed
    from contracts.task_queue import WORKFLOW_TASK_TIMEOUT
    from contracts.worktrees import WorktreeLease
    from domain import ids, wire
    from domain.agent import inputs
    from domain.agent.model_choice import chosen
    from domain.planning import baseline as baselines
    from domain.planning import plan as plans
    from domain.request import endings, expected_cost
    from domain.request import status as requests
    from workflows import activity_options, baseline, cancellation, retrying
    from workflows.agent import AgentWorkflow
    from workflows.budget import RequestBudget
    from workflows.signals import signal_if_running
    from workflows.worktrees import worktree_lease


class Planning:
    """The planner of one request, in a worktree of its own.

    `notes` are the person's, read again for each of its attempts; `resumed` is what earlier
    attempts at the request have left.

    Attributes:
        agent: workflow id of the planner at work, None when none is.
        unpriced_tokens: of calls whose price is not known, earlier attempts at the request too.
        estimate: what the last plan may cost; None before there is one.
    """

    def __init__(
        self,
        request_id: str,
        start: RequestStart,
        opened: RepositoryOpened,
        notes: Sequence[Note],
        resumed: RequestResumed,
        money: RequestBudget,
    ) -> None:
        self._request_id = request_id
        self._start = start
        self._opened = opened
        self._notes = notes
        self._money = money
        self._noted = 0
        self._starting = False
        self._before: AgentResult | None = None
        self._attempt = 0
        self._surveyed: Baseline | None = None
        self._lacking: tuple[str, ...] = ()
        self.agent: str | None = None
        self._turns = 0
        self._resumed = resumed
        self.unpriced_tokens = resumed.unpriced_tokens
        self.model = ""
        self.estimate: CostEstimate | None = None

    async def look_at_base(self) -> None:
        """Survey the base and run the person's checks on it: all agents are told what is found."""
        attempt = self._start.retry.attempt if self._start.retry else 0
        self._surveyed = await baseline.survey(self._opened, self._start.checks, attempt=attempt)

    @property
    def baseline(self) -> Baseline | None:
        """What was found on the base, and what the plan lacks there; None before it was looked at.

        It is None for good in requests from before 2026-12.
        """
        return self._surveyed and baselines.with_lacking(self._surveyed, self._lacking)

    @property
    def told(self) -> dict[str, object]:
        """What the request's status tells of base and plan."""
        return {**requests.of_base(self._start, self.baseline), "estimate": self.estimate}

    @property
    def expected(self) -> str:
        """What the last plan may cost, for people; "" before there is an estimate."""
        money = self._money
        if self.estimate is None:
            return ""
        return expected_cost.told(self.estimate, budget=money.total, spent=money.spent)

    async def plan(self, *, feedback: str | None = None) -> Plan:
        """Return a valid plan; `feedback` sends the planner back with a person's words."""
        purpose = ids.purpose(roles.PLANNER, 1)
        async with worktree_lease(
            self._opened.repository, purpose, commit=self._opened.base
        ) as lease:
            limits = self._opened.limits or RequestLimits()
            self._money.share("", of=limits.planner_shares)
            self._money.weigh({}, limits.planner_shares - 1)
            plan = await self._plan(lease, feedback)
            self._money.settle("", 0)
        if plan.tasks:
            await self._estimate(plan.tasks)
        return plan

    async def estimate_rest(self, plan: Plan) -> None:
        """Have what an earlier attempt at the request has left of its plan estimated."""
        tasks = requests.remaining(plan, self._resumed.tasks)
        if tasks and workflow.patched("estimate-of-retry-2026-12"):
            await self._estimate(tasks)

    async def note(self, note: Note) -> None:
        """Pass a person's text to the planner at work; one that begins later is told it then."""
        if self.agent is None or note.task:
            return
        if workflow.patched("note-to-planner-2026-12"):
            # One that is still being started would not hear it.
            await workflow.wait_condition(lambda: not self._starting)
            if self.agent:
                await signal_if_running(self.agent, "add_note", note)

    async def _estimate(self, tasks: Sequence[TaskSpec]) -> None:
        """Have the cost of tasks estimated by what others have cost here before."""
        if not workflow.patched("cost-estimate-2026-12"):
            return
        self.estimate = await retrying.execute(
            EstimateActivities.estimate_cost,
            EstimateCost(
                repository=self._opened.repository,
                sizes=tuple(task.size for task in tasks),
                models=chosen(self._start),
                answered=self.model,
            ),
            activity_options.store("estimate what the plan costs"),
        )

    async def _plan(self, lease: WorktreeLease, message: str | None) -> Plan:
        limits = self._opened.limits or RequestLimits()
        problems: tuple[str, ...] = ("the planner was cut",)
        kept: Plan | None = None
        self._lacking = ()
        for _ in range(limits.planner_attempts):
            result = await self._run_planner(lease, message)
            if result.output is None:
                if kept:
                    break
                self._check_money(result)
                return self._fallback(f"the planner was cut ({result.cut}): {result.reason}")
            judged = await self._judge(result.output)
            if judged.plan:
                kept = judged.plan
                if self._surveyed and not kept.answer:
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

    def _check_money(self, result: AgentResult) -> None:
        """End the request when there is no plan, and no money to make one or to work by it."""
        if result.cut is StopCause.BUDGET and self._money.closed:
            raise ApplicationError(
                f"no plan came: {result.reason}; {self._money.closed}",
                type=endings.NO_BUDGET_ERROR,
                non_retryable=True,
            )

    async def _run_planner(self, lease: WorktreeLease, message: str | None) -> AgentResult:
        self._attempt += 1
        notes = tuple(note.text for note in self._notes if note.task is None)
        # The opening tells the first notes; later ones may have found no agent at work.
        late = notes[self._noted :] if self._before else ()
        self._noted = len(notes)
        start = inputs.planner(
            self._request_id,
            self._start,
            self._opened,
            lease=lease,
            attempt=self._attempt,
            before=self._before,
            turns_before=self._turns,
            message=message,
            notes=notes,
            late=late,
            baseline=self.baseline,
            budget=self._money.shares.get("", 0),
            parent=self._resumed.planner,
        )
        result = await (await self._started(start))
        self.agent, self._before = None, result
        self._turns += result.turns
        self._money.book("", result.cost_microusd)
        self.unpriced_tokens += 0 if result.priced else result.usage.total_tokens
        self.model = result.model or self.model
        cancellation.raise_if_cancelled()
        if result.failure and not self._can_do_without(result.failure):
            raise ApplicationError(
                f"the planner failed: {result.reason}", type=result.failure, non_retryable=True
            )
        return result

    async def _started(
        self, start: AgentStart
    ) -> workflow.ChildWorkflowHandle[AgentWorkflow, AgentResult]:
        self.agent, self._starting = start.opening.agent_id, True
        try:
            return await workflow.start_child_workflow(
                AgentWorkflow.run,
                start,
                id=self.agent,
                task_timeout=WORKFLOW_TASK_TIMEOUT,
                static_summary=f"planner, attempt {self._attempt}",
            )
        finally:
            self._starting = False

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
