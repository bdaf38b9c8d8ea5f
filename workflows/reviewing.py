"""The review of a patch: a reviewer in a fresh context, and a person where a rule says so.

What a verdict means, and who must decide, is judged in an activity and recorded.
"""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts import roles
    from contracts.approvals import Decision
    from contracts.limits import RequestLimits
    from contracts.policy import JudgeReview, ReviewJudgement
    from contracts.ports import PolicyActivities
    from contracts.review import Patch, ReviewFinish, ReviewItem, ReviewState
    from contracts.subtask import SubtaskStart
    from contracts.task import TaskState
    from contracts.visibility import RunState
    from domain import ids, wire
    from domain.agent import inputs
    from domain.agent.inputs import Offer
    from domain.approvals import questions
    from domain.review.rework import Rounds
    from domain.review.verdict import answer, decide, unchanged
    from workflows import activity_options, retrying
    from workflows.task_report import TaskReporter
    from workflows.visibility import show
    from workflows.worktrees import worktree_lease


class Reviewing:
    """Reviews of one task's patches."""

    def __init__(self, start: SubtaskStart, reporter: TaskReporter) -> None:
        self._start = start
        self._reporter = reporter
        self._decisions: dict[str, Decision] = {}
        self._refused: str | None = None  # the tree that a person sent back last

    def decided(self, decision: Decision) -> None:
        """Take a person's decision; the first one stands."""
        self._decisions.setdefault(decision.approval, decision)

    async def review(
        self,
        offer: Offer,
        *,
        rounds: Rounds,
        budget: int,
    ) -> ReviewItem:
        """Return the review item as it was decided."""
        patch = offer.patch
        item = ReviewItem(
            id=f"review/{patch.task}/{patch.round}",
            task=patch.task,
            tree=patch.tree,
            patch_commit=patch.commit,
            risks=patch.risks,
            human_required=self._start.human_review,
        )
        if self._refused == patch.tree and workflow.patched("objector-asked-2026-12"):
            judged = unchanged(item, offer.finish.summary)
        else:
            await self._reporter.set(TaskState.REVIEW, "the reviewer reads the patch")
            verdict = await self._verdict(offer, attempt=rounds.total + 1, budget=budget)
            judged = await self._judge(item, verdict, patch, rounds)
        return await self._ask(judged, patch) if judged.why else judged.item

    async def _judge(
        self, item: ReviewItem, verdict: ReviewFinish | None, patch: Patch, rounds: Rounds
    ) -> ReviewJudgement:
        """Have the verdict judged; requests from before 2026-12 judge it here, as they did."""
        limits = self._start.request_limits
        if limits is None:
            return decide(
                item,
                verdict,
                patch,
                rounds_left=rounds.left(RequestLimits()),
                objections=wire.objections(verdict, patch),
            )
        return await retrying.execute(
            PolicyActivities.judge_review,
            JudgeReview(
                item=item,
                output=verdict.model_dump_json() if verdict else None,
                patch=patch,
                rounds_left=rounds.left(limits),
            ),
            activity_options.store(f"judge the review of {patch.task}"),
        )

    async def _verdict(self, offer: Offer, *, attempt: int, budget: int) -> ReviewFinish | None:
        """Run the reviewer in a worktree of its own; None when it was cut."""
        agent = ids.agent_id(workflow.info().workflow_id, roles.REVIEWER, attempt)
        async with worktree_lease(
            self._start.repository,
            ids.purpose(roles.REVIEWER, attempt),
            commit=offer.patch.commit,
        ) as lease:
            start = inputs.reviewer(
                self._start,
                agent_id=agent,
                attempt=attempt,
                lease=lease,
                offer=offer,
                budget=budget,
            )
            result = await self._reporter.run_agent(start)
        return ReviewFinish.model_validate_json(result.output) if result.output else None

    async def _ask(self, judged: ReviewJudgement, patch: Patch) -> ReviewItem:
        """Ask a person and wait; the patch stays exactly as it is."""
        limits = self._start.request_limits or RequestLimits()
        approval = questions.review_approval(
            judged,
            patch,
            asked_by=workflow.info().workflow_id,
            deadline_seconds=limits.approval_seconds,
        )
        await self._reporter.set(TaskState.REVIEW, f"waits for a person: {judged.why}")
        await self._reporter.ask(approval)
        show(RunState.WAITING_REVIEW, 1)
        await workflow.wait_condition(lambda: approval.id in self._decisions)
        show(RunState.RUNNING, 0)
        item = answer(judged.item, self._decisions[approval.id])
        if item.state is ReviewState.REVISED:
            self._refused = patch.tree
        return item
