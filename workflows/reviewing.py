"""The review of a patch: a reviewer in a fresh context, and a person where a rule says so.

What a verdict means, and who must decide, is judged in an activity and recorded.
"""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts import roles
    from contracts.agent import AgentResult, StopCause
    from contracts.approvals import Approval, Decision
    from contracts.budget import OnLimit
    from contracts.endings import TaskEnding
    from contracts.limits import RequestLimits
    from contracts.policy import JudgeReview, ReviewJudgement
    from contracts.ports import PolicyActivities
    from contracts.review import KeptFinding, Patch, ReviewFinish, ReviewItem, ReviewState
    from contracts.subtask import SubtaskStart
    from contracts.task import TaskState
    from contracts.visibility import RunState
    from domain import ids, lanes, wire
    from domain.agent import inputs
    from domain.agent.inputs import Offer
    from domain.approvals import questions
    from domain.review import cuts, findings
    from domain.review.rework import Rounds
    from domain.review.verdict import answer, decide, unchanged
    from workflows import activity_options, retrying
    from workflows.task_report import TaskReporter, fail
    from workflows.visibility import show
    from workflows.worktrees import worktree_lease


class Reviewing:
    """Reviews of one task's patches.

    Attributes:
        start: the task as it stands.
        findings: of all reviews so far.
        forked: a person decides on every patch, since only one of it and its forks is taken.
    """

    def __init__(self, start: SubtaskStart, reporter: TaskReporter) -> None:
        self.start = start
        self._reporter = reporter
        self._decisions: dict[str, Decision] = {}
        self._refused: str | None = None  # the tree that was sent back last
        self._by_person = False
        self._reviewer: AgentResult | None = None
        self.findings: tuple[KeptFinding, ...] = ()
        self.forked = False

    def decided(self, decision: Decision) -> None:
        """Take a person's decision; the first one stands."""
        self._decisions.setdefault(decision.approval, decision)

    async def review(self, offer: Offer, *, rounds: Rounds, budget: int) -> ReviewItem:
        """Return the review item as it was decided.

        A change that comes again as it was sent back goes to whoever objected.
        """
        patch = offer.patch
        item = ReviewItem(
            id=f"review/{patch.task}/{patch.round}",
            task=patch.task,
            tree=patch.tree,
            patch_commit=patch.commit,
            risks=patch.risks,
            human_required=self.start.human_review or self.forked,
        )
        again = self._refused == patch.tree and workflow.patched("objector-asked-2026-12")
        if again and self._by_person:
            judged = unchanged(item, offer.finish.summary)
        else:
            says = offer.finish.summary
            question = findings.unchanged_question(says, self.findings) if again else ""
            judged = await self._reviewed(item, offer, rounds, budget, question)
        if judged.why:
            return await self._ask(judged, offer)
        if judged.item.state is ReviewState.REVISED:
            self._refused, self._by_person = patch.tree, False
        return judged.item

    async def _reviewed(
        self, item: ReviewItem, offer: Offer, rounds: Rounds, budget: int, question: str
    ) -> ReviewJudgement:
        """Have a reviewer judge: a fresh one, or with a question the one that judged last."""
        await self._reporter.set(TaskState.REVIEW, "the reviewer reads the patch")
        attempt, before = rounds.total + 1, self._reporter.report
        verdict = await self._verdict(offer, attempt=attempt, budget=budget, question=question)
        judged = await self._judge(item, verdict, offer.patch, rounds)
        if judged.ask:
            share = budget + before.cost_microusd - before.granted_microusd
            left = self._reporter.money_left(share)
            verdict = await self._verdict(
                offer, attempt=attempt, budget=left, question=judged.ask, again=True
            )
            judged = await self._judge(item, verdict, offer.patch, rounds, asked_again=True)
        self._keep(judged.findings)
        return judged

    def _keep(self, kept: tuple[KeptFinding, ...]) -> None:
        self.findings = kept
        self._reporter.note(findings=kept)

    async def _judge(
        self,
        item: ReviewItem,
        verdict: ReviewFinish | None,
        patch: Patch,
        rounds: Rounds,
        *,
        asked_again: bool = False,
    ) -> ReviewJudgement:
        """Have the verdict judged; requests from before 2026-12 judge it here, as they did."""
        limits = self.start.request_limits
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
                findings=self.findings,
                asked_again=asked_again,
            ),
            activity_options.store(f"judge the review of {patch.task}"),
        )

    async def _verdict(
        self, offer: Offer, *, attempt: int, budget: int, question: str, again: bool = False
    ) -> ReviewFinish | None:
        """Run the reviewer in a worktree of its own; None when it was cut."""
        agent = ids.agent_id(workflow.info().workflow_id, roles.REVIEWER, attempt)
        purpose = ids.purpose(roles.REVIEWER, attempt) + ("-again" if again else "")
        async with worktree_lease(
            self.start.repository,
            purpose,
            commit=offer.patch.commit,
            lane=lanes.facts(self.start),
        ) as lease:
            start = inputs.reviewer(
                self.start,
                agent_id=agent,
                attempt=attempt,
                lease=lease,
                offer=offer,
                budget=budget,
                before=self._reviewer if question else None,
                message=question or None,
            )
            result = await self._reporter.run_agent(start, again=again)
        self._reviewer = result
        if result.cut is StopCause.BUDGET and self.start.on_limit is OnLimit.FINISH:
            fail(TaskEnding.CUT, cuts.unreviewed(result))
        return ReviewFinish.model_validate_json(result.output) if result.output else None

    async def decision(self, approval: Approval, why: str = "") -> Decision:
        """Put a question to a person and wait for the answer."""
        await self._reporter.set(TaskState.REVIEW, f"waits for a person: {why or approval.what}")
        await self._reporter.ask(approval)
        show(RunState.WAITING_REVIEW, 1)
        await workflow.wait_condition(lambda: approval.id in self._decisions)
        show(RunState.RUNNING, 0)
        return self._decisions[approval.id]

    async def _ask(self, judged: ReviewJudgement, offer: Offer) -> ReviewItem:
        """Ask a person and wait; the patch stays exactly as it is."""
        patch = offer.patch
        limits = self.start.request_limits or RequestLimits()
        approval = questions.review_approval(
            judged,
            patch,
            cut=offer.cut,
            asked_by=workflow.info().workflow_id,
            deadline_seconds=limits.approval_seconds,
        )
        decision = await self.decision(approval, judged.why)
        item = answer(judged.item, decision)
        self._keep(findings.decided(self.findings, decision))
        if item.state is ReviewState.REVISED:
            self._refused, self._by_person = patch.tree, True
        return item
