"""
SubtaskWorkflow: one task in its own worktree, from agent to landed patch.

How often it goes back, what a patch lacks and what a review means is decided in domain.
"""

import asyncio
from typing import NoReturn

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from contracts.agent import AgentResult, AgentStart, Note
    from contracts.approval import Decision
    from contracts.base import Contract
    from contracts.checks import ChecksReport, RunChecks
    from contracts.merge import EnqueuePatch, MergeVerdict, QueuedPatch
    from contracts.ports import (
        CheckActivities,
        PatchActivities,
        QueueActivities,
        WorktreeActivities,
    )
    from contracts.review import (
        MakePatch,
        Patch,
        RebasePatch,
        ReviewFinish,
        ReviewItem,
        ReviewState,
    )
    from contracts.subtask import SubtaskReport, SubtaskStart
    from contracts.task import TaskState
    from contracts.tool import CoderFinish
    from contracts.turn import Role
    from contracts.visibility import RunState
    from contracts.worktree import LeaseWorktree, ReleaseWorktree, WorktreeLease
    from domain import briefing, ids, lane, review, rework
    from domain import patch as patches
    from domain import task as tasks
    from workflows import calls
    from workflows.agent import AgentWorkflow
    from workflows.visibility import show

CHECK_SECONDS = 1_200


class TaskFailed(Exception):  # noqa: N818 - a decision that ends the task, not an error of ours
    """
    The task cannot be done; the text says why.
    """


@workflow.defn
class SubtaskWorkflow:
    """
    One task of a plan.

    1. chooses the lane, leases a worktree at the target's tip;
    2. coder -> patch -> the system's own run of the acceptance commands -> reviewer -> decision;
    3. goes back to the coder with what was found, a bounded number of times;
    4. queues the patch, and goes back once more when the queue does not take it;
    5. frees the worktree, whatever happened.

    Signals: `add_note`, `decided`, `merge_verdict`. Query: `status`.
    """

    @workflow.init
    def __init__(self, start: SubtaskStart) -> None:
        self._start = start
        self._id = workflow.info().workflow_id
        self._report = SubtaskReport(task=start.task.id, state=TaskState.PENDING)
        self._rounds = rework.Rounds()
        self._lease: WorktreeLease | None = None
        self._base = self._checkpoint = ""
        self._coder: AgentResult | None = None
        self._message: str | None = None
        self._documents: tuple[tuple[str, str], ...] = ()
        self._notes = list(start.notes)
        self._decisions: dict[str, Decision] = {}
        self._verdicts: dict[str, MergeVerdict] = {}
        self._queued: str | None = None

    @workflow.run
    async def run(self, start: SubtaskStart) -> SubtaskReport:
        """
        Do the task; its failure is a report, not an error of the request.
        """
        try:
            await self._work()
        except TaskFailed as failure:
            await self._set(TaskState.FAILED, str(failure))
        except (ActivityError, ChildWorkflowError) as error:
            if is_cancelled_exception(error):
                self._report = self._report.model_copy(update={"state": TaskState.CANCELLED})
                raise
            await self._set(TaskState.FAILED, briefing.cause(error.cause or error))
        finally:
            await asyncio.shield(self._clean_up())
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._report

    @workflow.signal(description='Tell the task\'s agents something: {"text": "…"}')
    async def add_note(self, note: Note) -> None:
        """
        Keep a person's text and pass it to the agent at work.
        """
        self._notes.append(note.text)
        if self._report.agent:
            await self._tell(self._report.agent, "add_note", note)

    @workflow.signal(description="The desk's decision on this task's patch")
    def decided(self, decision: Decision) -> None:
        """
        Take a person's decision; the first one stands.
        """
        self._decisions.setdefault(decision.approval, decision)

    @workflow.signal(description="The merge queue's answer")
    def merge_verdict(self, verdict: MergeVerdict) -> None:
        """
        Take the queue's answer for one patch.
        """
        self._verdicts.setdefault(verdict.id, verdict)

    @workflow.query(description="State, agent, rounds, cost")
    def status(self) -> SubtaskReport:
        """
        Return the task's present standing.
        """
        return self._report

    async def _work(self) -> None:
        choice = lane.choose(self._start.task)
        self._report = self._report.model_copy(
            update={"lane": f"{choice.lane.value}: {choice.reason}"[:1_000]}
        )
        refused = lane.refusal(choice)
        if refused:
            self._fail(refused)
        await self._set(TaskState.RUNNING, "")
        self._lease = await workflow.execute_activity_method(
            WorktreeActivities.lease_worktree,
            LeaseWorktree(repository=self._start.repository, holder=self._id),
            **calls.store("lease a worktree"),
        )
        self._base = self._checkpoint = self._lease.commit
        while not await self._one_round(self._lease):
            pass

    async def _one_round(self, lease: WorktreeLease) -> bool:
        """
        Let the agent work and take its patch as far as it goes; True when the task is done.
        """
        finish = await self._code(lease)
        patch = await self._patch(finish)
        problem = patches.judge(patch, task=self._start.task, agent_summary=finish.summary)
        if problem:
            await self._back(rework.Cause.PATCH, problem.feedback)
            return False
        checks = await self._accept(patch)
        if not checks.passed:
            words = rework.checks_feedback(checks)
            await self._back(rework.Cause.CHECKS, words, ("output of the checks", checks.log))
            return False
        if not patch.files:
            await self._set(TaskState.DONE, finish.summary[:300])
            return True
        item = await self._review(patch, finish, checks)
        if item.state is ReviewState.REVISED:
            await self._back(rework.Cause.REVIEW, item.feedback)
            return False
        if item.state is ReviewState.REJECTED:
            self._fail(f"rejected by {item.decided_by}: {item.feedback}")
        return await self._land(patch)

    async def _code(self, lease: WorktreeLease) -> CoderFinish:
        """
        Run the coder: a new conversation at first, the same one when it goes back.
        """
        attempt = self._rounds.total + 1
        result = await self._run_agent(
            Role.CODER,
            briefing.coder(
                self._start,
                agent_id=ids.agent_id(self._id, Role.CODER, attempt),
                attempt=attempt,
                lease=lease,
                checkpoint=self._checkpoint,
                before=self._coder,
                message=self._message,
                documents=self._documents,
                notes=tuple(self._notes),
                budget=self._money_left(),
            ),
        )
        self._coder, self._checkpoint = result, result.checkpoint
        if result.output is None:
            self._fail(f"the agent was cut ({result.cut}): {result.reason}")
        return CoderFinish.model_validate_json(result.output)

    async def _run_agent(self, role: Role, start: AgentStart) -> AgentResult:
        agent = ids.agent_id(self._id, role, start.attempt)
        await self._set(self._report.state, "", agent=agent)
        result = await workflow.execute_child_workflow(
            AgentWorkflow.run,
            start,
            id=agent,
            task_timeout=calls.TASK_TIMEOUT,
            static_summary=f"{role.value} of {self._start.task.id}, round {start.attempt}",
        )
        self._report = self._report.model_copy(
            update={
                "agent": None,
                "turns": self._report.turns + result.turns,
                "tokens": self._report.tokens + result.usage.total_tokens,
                "cost_microusd": self._report.cost_microusd + result.cost_microusd,
                "model": result.model or self._report.model,
            }
        )
        return result

    def _money_left(self) -> int:
        return max(self._start.limits.budget_microusd - self._report.cost_microusd, 0)

    async def _patch(self, finish: CoderFinish) -> Patch:
        return await workflow.execute_activity_method(
            PatchActivities.make_patch,
            MakePatch(
                repository=self._start.repository,
                task=self._start.task.id,
                round=self._rounds.total,
                base=self._base,
                checkpoint=self._checkpoint,
                writes=self._start.task.writes,
                message=patches.commit_message(self._start.task, finish),
            ),
            **calls.store(f"make the patch of {self._start.task.id}"),
        )

    async def _accept(self, patch: Patch) -> ChecksReport:
        """
        Run the task's acceptance commands on a clean checkout: the agent is not believed.
        """
        commands = self._start.task.acceptance
        return await workflow.execute_activity_method(
            CheckActivities.run_checks,
            RunChecks(
                repository=self._start.repository,
                commit=patch.commit,
                commands=commands,
                timeout_seconds=CHECK_SECONDS,
            ),
            **calls.checks(
                self._start.repository.host_id,
                f"accept {self._start.task.id}: {'; '.join(commands)}",
                commands=len(commands),
                seconds=CHECK_SECONDS,
            ),
        )

    async def _review(self, patch: Patch, finish: CoderFinish, checks: ChecksReport) -> ReviewItem:
        """
        Have the patch reviewed in a fresh context and decide, by a person where a rule says so.
        """
        item = ReviewItem(
            id=f"review/{patch.task}/{patch.round}",
            task=patch.task,
            tree=patch.tree,
            patch_commit=patch.commit,
            risks=patch.risks,
            human_required=self._start.human_review,
        )
        await self._set(TaskState.REVIEW, "the reviewer reads the patch")
        verdict = await self._reviewer(patch, finish, checks)
        decision = review.decide(item, verdict, patch, rounds_left=self._rounds.left)
        if isinstance(decision, review.NeedsPerson):
            return await self._ask(decision, patch)
        return decision

    async def _reviewer(
        self, patch: Patch, finish: CoderFinish, checks: ChecksReport
    ) -> ReviewFinish | None:
        """
        Run the reviewer in a worktree of its own; None when it was cut.
        """
        holder = ids.agent_id(self._id, Role.REVIEWER, self._rounds.total + 1)
        lease = await workflow.execute_activity_method(
            WorktreeActivities.lease_worktree,
            LeaseWorktree(repository=self._start.repository, holder=holder, commit=patch.commit),
            **calls.store("lease a worktree for the review"),
        )
        try:
            start = briefing.reviewer(
                self._start,
                agent_id=holder,
                attempt=self._rounds.total + 1,
                lease=lease,
                patch=patch,
                finish=finish,
                checks=checks,
                budget=self._money_left(),
            )
            result = await self._run_agent(Role.REVIEWER, start)
        finally:
            await asyncio.shield(self._release(lease))
        return ReviewFinish.model_validate_json(result.output) if result.output else None

    async def _ask(self, needed: review.NeedsPerson, patch: Patch) -> ReviewItem:
        """
        Ask a person through the request's desk and wait; the patch stays exactly as it is.
        """
        approval = briefing.review_approval(needed, patch, asked_by=self._id)
        await self._set(TaskState.REVIEW, f"waits for a person: {needed.why}")
        await self._tell(self._start.request_id, "ask", approval)
        show(RunState.WAITING_REVIEW, 1)
        await workflow.wait_condition(lambda: approval.id in self._decisions)
        show(RunState.RUNNING, 0)
        return review.answer(needed.item, self._decisions[approval.id])

    async def _land(self, patch: Patch) -> bool:
        """
        Queue the patch and wait; False when it came back.
        """
        queued = QueuedPatch(
            id=f"{self._start.repository.request_key}/{patch.task}/{patch.round}",
            task=patch.task,
            repository=self._start.repository,
            patch=patch,
            reply_to=self._id,
            acceptance=self._start.task.acceptance,
            checks=self._start.checks,
        )
        self._queued = queued.id
        await self._set(TaskState.RUNNING, "in the merge queue")
        await workflow.execute_activity_method(
            QueueActivities.enqueue_patch,
            EnqueuePatch(
                queue_id=self._start.queue_id, queued=queued, lanes=self._start.merge_lanes
            ),
            **calls.store(f"queue the patch of {patch.task}"),
        )
        await workflow.wait_condition(lambda: queued.id in self._verdicts)
        self._queued = None
        verdict = self._verdicts[queued.id]
        if verdict.landed:
            self._report = self._report.model_copy(update={"landed": verdict.landed})
            await self._set(TaskState.DONE, "")
            return True
        await self._evicted(patch, verdict)
        return False

    async def _evicted(self, patch: Patch, verdict: MergeVerdict) -> None:
        """
        Put the patch on top of what has landed and go back to the agent with the reason.
        """
        if briefing.hopeless(verdict):
            self._fail(f"not landed, {verdict.eviction}: {verdict.reason}")
        documents = (("output of the checks", verdict.log),) if verdict.log else ()
        await self._back(rework.Cause.QUEUE, rework.eviction_feedback(verdict), *documents)
        rebased = await workflow.execute_activity_method(
            PatchActivities.rebase_patch,
            RebasePatch(repository=self._start.repository, patch=patch),
            **calls.store(f"rebase {patch.task}"),
        )
        self._base, self._checkpoint = rebased.tip, rebased.checkpoint

    async def _back(self, cause: rework.Cause, message: str, *documents: tuple[str, str]) -> None:
        """
        Send the task back to its agent, or fail it when it had its share.
        """
        more = rework.again(self._rounds, cause)
        if more is None:
            self._fail(f"given up after {self._rounds.total + 1} rounds ({cause}): {message}")
        self._rounds, self._message, self._documents = more, message, documents
        self._report = self._report.model_copy(update={"rounds": more.total})
        await self._set(TaskState.RUNNING, f"back to the agent: {cause.value}")

    def _fail(self, why: str) -> NoReturn:
        raise TaskFailed(why[:1_000])

    async def _set(
        self,
        state: TaskState,
        reason: str,
        *,
        agent: str | None = None,
    ) -> None:
        """
        Change the standing and tell the request.
        """
        if state is not self._report.state:
            tasks.move(self._report.state, state)
        change = {"state": state, "reason": reason[:1_000], "agent": agent}
        self._report = self._report.model_copy(update=change)
        await self._tell(self._start.request_id, "task_changed", self._report)

    async def _tell(self, workflow_id: str, signal: str, value: Contract) -> None:
        """
        Signal a workflow that may have ended: then nobody listens, and nothing is lost.
        """
        try:
            await workflow.get_external_workflow_handle(workflow_id).signal(signal, value)
        except ApplicationError:
            workflow.logger.info("signal.unheard", extra={"workflow": workflow_id})

    async def _release(self, lease: WorktreeLease) -> None:
        await workflow.execute_activity_method(
            WorktreeActivities.release_worktree,
            ReleaseWorktree(repository=self._start.repository, lease=lease),
            **calls.store("free the worktree"),
        )

    async def _clean_up(self) -> None:
        """
        Leave the queue and free the worktree.
        """
        if self._queued:
            queue = workflow.get_external_workflow_handle(self._start.queue_id)
            try:
                await queue.signal("withdraw", self._queued)
            except ApplicationError:
                workflow.logger.info("signal.unheard", extra={"workflow": self._start.queue_id})
        if self._lease:
            await self._release(self._lease)
