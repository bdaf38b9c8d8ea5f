"""
The review of a patch: a reviewer in a fresh context, and a person where a rule says so.

What a verdict means, and who must decide, is domain.review.verdict.
"""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.approvals import Decision
    from contracts.checks import ChecksReport
    from contracts.model import Role
    from contracts.review import Patch, ReviewFinish, ReviewItem
    from contracts.subtask import SubtaskStart
    from contracts.task import TaskState
    from contracts.tools import CoderFinish
    from contracts.visibility import RunState
    from domain import ids
    from domain.agent import inputs
    from domain.review.rework import Rounds
    from domain.review.verdict import NeedsPerson, answer, decide
    from workflows.task_report import TaskReporter
    from workflows.visibility import show
    from workflows.worktrees import worktree_lease


class Reviewing:
    """Reviews of one task's patches."""

    def __init__(self, start: SubtaskStart, reporter: TaskReporter) -> None:
        self._start = start
        self._reporter = reporter
        self._decisions: dict[str, Decision] = {}

    def decided(self, decision: Decision) -> None:
        """Take a person's decision; the first one stands."""
        self._decisions.setdefault(decision.approval, decision)

    async def review(
        self,
        patch: Patch,
        finish: CoderFinish,
        checks: ChecksReport,
        *,
        rounds: Rounds,
        budget: int,
    ) -> ReviewItem:
        """Return the review item as it was decided."""
        item = ReviewItem(
            id=f"review/{patch.task}/{patch.round}",
            task=patch.task,
            tree=patch.tree,
            patch_commit=patch.commit,
            risks=patch.risks,
            human_required=self._start.human_review,
        )
        await self._reporter.set(TaskState.REVIEW, "the reviewer reads the patch")
        verdict = await self._verdict(
            patch, finish, checks, attempt=rounds.total + 1, budget=budget
        )
        decision = decide(item, verdict, patch, rounds_left=rounds.left)
        if isinstance(decision, NeedsPerson):
            return await self._ask(decision, patch)
        return decision

    async def _verdict(
        self, patch: Patch, finish: CoderFinish, checks: ChecksReport, *, attempt: int, budget: int
    ) -> ReviewFinish | None:
        """Run the reviewer in a worktree of its own; None when it was cut."""
        agent = ids.agent_id(workflow.info().workflow_id, Role.REVIEWER, attempt)
        async with worktree_lease(
            self._start.repository, ids.purpose(Role.REVIEWER, attempt), commit=patch.commit
        ) as lease:
            start = inputs.reviewer(
                self._start,
                agent_id=agent,
                attempt=attempt,
                lease=lease,
                patch=patch,
                finish=finish,
                checks=checks,
                budget=budget,
            )
            result = await self._reporter.run_agent(start)
        return ReviewFinish.model_validate_json(result.output) if result.output else None

    async def _ask(self, needed: NeedsPerson, patch: Patch) -> ReviewItem:
        """Ask a person and wait; the patch stays exactly as it is."""
        approval = inputs.review_approval(needed, patch, asked_by=workflow.info().workflow_id)
        await self._reporter.set(TaskState.REVIEW, f"waits for a person: {needed.why}")
        await self._reporter.ask(approval)
        show(RunState.WAITING_REVIEW, 1)
        await workflow.wait_condition(lambda: approval.id in self._decisions)
        show(RunState.RUNNING, 0)
        return answer(needed.item, self._decisions[approval.id])
