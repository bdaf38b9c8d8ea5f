"""The planner's other tasks in place of one whose agent is stuck.

When it is asked, and what comes of its tasks, is decided in domain.planning.replan.
"""

from collections.abc import Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts import roles
    from contracts.agent import AgentResult
    from contracts.approvals import Choice
    from contracts.endings import TaskEnding
    from contracts.limits import RequestLimits
    from contracts.planning import Plan
    from contracts.policy import JudgePlan, PlanJudgement
    from contracts.ports import PolicyActivities
    from contracts.review import Patch
    from contracts.task import TaskState
    from contracts.worktrees import WorktreeLease
    from domain import ids
    from domain.agent import inputs, messages
    from domain.approvals import questions
    from domain.approvals.questions import Asker
    from domain.planning import plan as plans
    from domain.planning import replan
    from workflows import activity_options, retrying
    from workflows.reviewing import Reviewing
    from workflows.task_report import TaskReporter, fail
    from workflows.worktrees import worktree_lease


class Replanning:
    """The planner of one stuck task; it works with the task's share of the money.

    Attributes:
        asked: it was.
        refused: why there are no other tasks; "" before it was asked.
    """

    def __init__(self, reviewing: Reviewing, reporter: TaskReporter, limits: RequestLimits) -> None:
        self._reviewing = reviewing
        self._reporter = reporter
        self._limits = limits
        self._before: AgentResult | None = None
        self._turns = 0
        self.asked = False
        self.refused = ""

    async def ask(self, why: str, tried: str, patch: Patch, notes: Sequence[str]) -> None:
        """Ask for other tasks, once; where there are some, the task ends.

        Raises:
            TaskFailed: others are done in its place.
        """
        self.asked = True
        await self._reporter.set(TaskState.RUNNING, replan.DOING)
        repository = self._reviewing.start.repository
        async with worktree_lease(repository, ids.purpose(roles.PLANNER, 1)) as lease:
            plan = await self._planned(lease, why, tried, patch, tuple(notes))
        if plan is None:
            return
        found = replan.found(plan, why, patch)
        self._reporter.note(instead=found)
        fail(TaskEnding.SUPERSEDED, replan.told(found))

    async def _planned(
        self, lease: WorktreeLease, why: str, tried: str, patch: Patch, notes: tuple[str, ...]
    ) -> Plan | None:
        """Return a valid plan that a person approves where plans are asked about."""
        start = self._reviewing.start
        facts, message = replan.facts(start, why, tried), replan.asked(start)
        for attempt in range(1, self._limits.planner_attempts + 1):
            judged = await self._judged(lease, attempt, facts, message, patch, notes)
            if judged is None:
                return None
            if judged.plan is None:
                self.refused = f"its plan was not valid: {'; '.join(judged.problems)}"[:1_000]
                message = plans.repair_message(judged.problems)
                continue
            if judged.plan.answer:
                self.refused = f"it sees no better way: {judged.plan.answer}"[:1_000]
                return None
            if not start.plan_review:
                return judged.plan
            me = workflow.info().workflow_id
            asker = Asker(me, self._limits.approval_seconds)
            decision = await self._reviewing.decision(
                questions.replan_approval(
                    start.task, judged.plan, number=attempt, why=why, asker=asker
                )
            )
            if decision.choice is Choice.APPROVE:
                return judged.plan
            said = f"{decision.by} does not want its plan: {decision.reason}"
            self.refused = said.rstrip(": ")[:1_000]
            if decision.choice is Choice.REJECT:
                return None
            message = messages.plan_sent_back(decision.reason)
        return None

    async def _judged(
        self,
        lease: WorktreeLease,
        attempt: int,
        facts: tuple[tuple[str, str], ...],
        message: str,
        patch: Patch,
        notes: tuple[str, ...],
    ) -> PlanJudgement | None:
        """Return what the planner's output is worth; None when it was cut."""
        start = self._reviewing.start
        result = self._before = await self._reporter.run_agent(
            inputs.replanner(
                start,
                agent_id=ids.agent_id(workflow.info().workflow_id, roles.PLANNER, attempt),
                attempt=attempt,
                lease=lease,
                facts=facts,
                patch=patch,
                before=self._before,
                turns_before=self._turns,
                message=message,
                notes=notes,
                budget=self._reporter.money_left(start.limits.budget_microusd),
            )
        )
        self._turns += result.turns
        if result.output is None:
            self.refused = f"it was cut ({result.cut}): {result.reason}"[:1_000]
            return None
        return await retrying.execute(
            PolicyActivities.judge_plan,
            JudgePlan(output=result.output, most=start.replans),
            activity_options.store(f"judge the tasks in place of {start.task.id}"),
        )
