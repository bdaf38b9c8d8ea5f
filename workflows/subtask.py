"""SubtaskWorkflow: one task in its own worktree, from agent to landed patch.

How often it goes back, what a patch lacks and what a review means is decided in domain.
"""

from temporalio import workflow
from temporalio.exceptions import ActivityError, ChildWorkflowError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from contracts import roles
    from contracts.agent import AgentResult
    from contracts.checks import CHECKS, ChecksReport
    from contracts.endings import TaskEnding
    from contracts.limits import RequestLimits
    from contracts.ports import PatchActivities
    from contracts.review import Patch, ReviewState
    from contracts.subtask import SubtaskReport, SubtaskStart
    from contracts.task import TaskState
    from contracts.tools import CoderFinish
    from contracts.worktrees import WorktreeLease
    from domain import ids, lanes
    from domain.agent import inputs, stuck
    from domain.planning import baseline as baselines
    from domain.planning import unfinished
    from domain.request import endings
    from domain.review import commit_message, cuts, evictions, rework
    from domain.review import patch as patches
    from domain.review.patch_request import patch_request
    from workflows import activity_options, cancellation, retrying
    from workflows.checks import accept
    from workflows.landing import Landing, feedback
    from workflows.retrying import ChildOfRequest
    from workflows.reviewing import Reviewing
    from workflows.setup import set_up_patch
    from workflows.stuck import StuckAgents
    from workflows.task_handlers import TaskHandlers
    from workflows.task_report import TaskFailed, TaskReporter, fail
    from workflows.unfinished import Unfinished
    from workflows.worktrees import worktree_lease


@workflow.defn
class SubtaskWorkflow(ChildOfRequest, TaskHandlers):
    """One task of a plan.

    1. chooses the lane, leases a worktree at the target's tip;
    2. coder -> patch -> the system's own run of the acceptance commands -> reviewer -> decision;
    3. goes back to the coder with what was found, a bounded number of times;
    4. queues the patch, and goes back once more when the queue does not take it;
    5. frees the worktree, also after a failure.
    """

    @workflow.init
    def __init__(self, start: SubtaskStart) -> None:
        self._start = start
        self._request_id = start.request_id
        self._id = workflow.info().workflow_id
        self._reporter = TaskReporter(start.task.id, start.request_id)
        self._reviewing = Reviewing(start, self._reporter)
        self._landing = Landing(start, self._reporter)
        self._limits = start.request_limits or RequestLimits()
        self._unfinished = Unfinished(start, self._reviewing)
        self._stuck = StuckAgents(start, self._reviewing, self._reporter)
        self._rounds = rework.Rounds()
        self._base = self._checkpoint = ""
        self._coder: AgentResult | None = None
        self._turns = self._noted = 0
        self._message: str | None = None
        self._said: list[commit_message.Said] = []
        self._cause: rework.Cause | None = None
        self._evicted: str | None = None
        self._cut = self._offered = ""
        self._told: list[str] = []
        self._documents: tuple[tuple[str, str], ...] = ()
        self._notes = list(start.notes)
        self._promised = start.promised

    @workflow.run
    async def run(self, start: SubtaskStart) -> SubtaskReport:
        """Do the task; its failure is a report, not an error of the request."""
        try:
            await self._work()
        except TaskFailed as failure:
            await self._reporter.fail(str(failure), failure.ending)
        except (ActivityError, ChildWorkflowError) as error:
            if is_cancelled_exception(error):
                raise
            await self._reporter.broken(error)
        finally:
            await cancellation.run_to_completion(self._landing.withdraw())
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._reporter.report

    async def _work(self) -> None:
        self._reporter.note(rounds_left=self._rounds.left(self._limits))
        await self._reporter.set(TaskState.RUNNING, "")
        facts = lanes.facts(self._start)
        purpose = ids.purpose(roles.CODER, 1)
        async with worktree_lease(self._start.repository, purpose, lane=facts) as lease:
            self._reporter.note(lane=lanes.told(lease))
            self._base, self._checkpoint, self._message = await self._landing.begin(lease.commit)
            while not await self._one_round(lease):
                pass

    async def _one_round(self, lease: WorktreeLease) -> bool:
        """Let the agent work and take its patch as far as it goes; True when the task is done."""
        finish = await self._code(lease)
        patch = await self._patch()
        if unfinished.asks(finish) and not await self._settled(finish, patch):
            return False
        problem = self._patch_problem(patch, finish)
        if self._cut and (why := cuts.useless(self._cut, patch, problem, before=self._offered)):
            return await self._again(patch, why)
        if problem:
            return await self._back(rework.Cause.PATCH, problem, endings.patch_cause(problem))
        checks = await self._accepted(patch)
        if not checks.passed:
            return await self._red(patch, checks)
        if not (patch.files or finish.no_change):
            return await self._reporter.unchanged(finish)
        offer = inputs.Offer(
            patch=patch,
            finish=finish,
            checks=checks,
            says=commit_message.author_says(self._said),
            earlier=tuple(self._told),
            findings=self._reviewing.findings,
            notes=tuple(self._notes),
            cut=cuts.offered(self._cut),
            dropped=self._reporter.report.dropped,
            author=self._coder.conversation if self._coder else None,
        )
        self._offered = patch.tree
        item = await self._reviewing.review(offer, rounds=self._rounds, budget=self._money_left())
        if item.state is ReviewState.REVISED:
            why = endings.review_cause(item, self._reviewing.findings)
            return await self._back(rework.review_cause(item), item.feedback, why)
        if item.state is ReviewState.REJECTED:
            fail(TaskEnding.REJECTED, f"rejected by {item.decided_by}: {item.feedback}")
        if not patch.files:
            return await self._reporter.unchanged(finish)
        if self._reviewing.findings:
            patch = await self._patch()  # the same tree; its message tells the findings
        return await self._land(patch)

    async def _code(self, lease: WorktreeLease) -> CoderFinish:
        """Run the coder: a new conversation at first, the same one when it goes back."""
        attempt = self._rounds.total + 1
        # The opening tells the first notes; later ones may have found no agent at work.
        late = self._notes[self._noted :] if self._coder else []
        self._noted = len(self._notes)
        result = await self._reporter.run_agent(
            inputs.coder(
                self._start,
                agent_id=ids.agent_id(self._id, roles.CODER, attempt),
                attempt=attempt,
                lease=lease.model_copy(update={"commit": self._base}),
                checkpoint=self._checkpoint,
                before=self._coder,
                turns_before=self._turns,
                message=rework.told(self._message, self._rounds, self._limits),
                documents=self._documents,
                notes=tuple(self._notes),
                late=tuple(late),
                budget=self._money_left(),
            )
        )
        changed = result.checkpoint != self._checkpoint
        self._coder, self._checkpoint = result, result.checkpoint
        self._turns += result.turns
        finish = self._finish(result)
        self._said.append(commit_message.Said(self._cause, finish, changed))
        return finish

    def _finish(self, result: AgentResult) -> CoderFinish:
        """Return what the agent handed in; of one that was cut, what stands in its place."""
        self._cut = ""
        if result.output is not None:
            return CoderFinish.model_validate_json(result.output)
        if not workflow.patched("cut-is-offered-2026-12"):
            fail(TaskEnding.CUT, f"the agent was cut ({result.cut}): {result.reason}")
        self._cut = cuts.reason(result)
        return cuts.left(self._cut)

    async def _settled(self, finish: CoderFinish, patch: Patch) -> bool:
        """Act on what the agent needs; True when its change is taken as it is."""
        settled = await self._unfinished.settle(self._start.task, finish, patch)
        if isinstance(settled, str):
            fail(TaskEnding.IMPOSSIBLE, settled)
        dropped = self._reporter.settled(settled)
        baseline = baselines.without(self._start.baseline, dropped)
        update = {"task": settled.task, "baseline": baseline}
        self._take(self._start.model_copy(update=update))
        told = settled.message
        return not told or await self._back(rework.Cause.ANSWER, told, unfinished.reason(finish))

    def _take(self, start: SubtaskStart) -> None:
        """Go on with the task as it is from here on."""
        self._start = self._reviewing.start = self._landing.start = start

    def _money_left(self) -> int:
        return self._reporter.money_left(self._start.limits.budget_microusd)

    async def _patch(self) -> Patch:
        patch = await retrying.execute(
            PatchActivities.make_patch,
            patch_request(
                self._start,
                self._said,
                round_number=self._rounds.total,
                base=self._base,
                checkpoint=self._checkpoint,
                findings=self._reviewing.findings,
                notes=self._notes,
                evicted=self._evicted,
            ),
            activity_options.store(f"make the patch of {self._start.task.id}"),
        )
        if patch.files:
            key, task = self._start.repository.request_key, patch.task
            self._reporter.note(kept=ids.patch_ref(key, task, patch.round))
        return patch

    def _patch_problem(self, patch: Patch, finish: CoderFinish) -> str:
        """Return why a patch is not reviewed; patches from before 2026-12 are judged here."""
        problem = patch.problem
        if not patch.judged:
            problem = patches.judge(patch, task=self._start.task, agent_summary=finish.summary)
        return problem

    async def _again(self, patch: Patch, why: str) -> bool:
        """Fail a task whose agent was cut; where a person lets it, begin it in a fresh window."""
        hint = await self._stuck.hint(self._coder, why, patch, self._notes)
        self._notes += [hint] if hint else []
        self._take(stuck.begun_again(self._start, why, self._checkpoint, self._base))
        self._coder, self._turns = None, 0
        await self._back(rework.Cause.PERSON, stuck.begins_again(hint), why)
        # The opening of its fresh conversation tells the hint, among the notes.
        self._message = None
        return False

    async def _accepted(self, patch: Patch) -> ChecksReport:
        """Install what a changed lock file names, and run what must pass."""
        if kept_out := await set_up_patch(self._start, patch, self._reviewing):
            return kept_out
        return await accept(self._start, patch, evictions.commands(self._promised))

    async def _red(self, patch: Patch, checks: ChecksReport) -> bool:
        """Send a change that fails its acceptance back; what a cut agent left is kept."""
        if self._cut:
            why = cuts.not_offered(self._cut, problem=endings.checks_cause(checks))
            return await self._again(patch, why)
        whose = evictions.red_of(checks, self._start.task, self._promised)
        words = rework.checks_feedback(checks, whose)
        why = endings.checks_cause(checks)
        return await self._back(rework.Cause.CHECKS, words, why, (CHECKS, checks.log))

    async def _land(self, patch: Patch) -> bool:
        """Land the patch; if it comes back, it is on the landed tip and the agent goes on."""
        verdict = await self._landing.land(patch)
        if verdict.landed:
            self._reporter.note(landed=verdict.landed)
            await self._reporter.set(TaskState.DONE, cuts.offered(self._cut))
            return True
        if rework.is_final(verdict):
            fail(rework.final_ending(verdict), f"not landed, {verdict.eviction}: {verdict.reason}")
        message, documents = feedback(verdict)
        await self._back(rework.Cause.QUEUE, message, verdict.reason, *documents)
        rebased = await self._landing.rebase(patch, verdict)
        # What is red has to be written anew; a conflict has to keep both sides.
        self._evicted = patch.commit if rebased.conflicts else None
        self._base, self._checkpoint = rebased.tip, rebased.checkpoint
        self._promised = (rebased.verdict or verdict).promised or self._promised
        if rebased.verdict:
            self._message, self._documents = feedback(rebased.verdict)
        self._message = rebased.feedback or self._message
        self._told[-1:] = [self._message or ""]
        return False

    async def _back(
        self, cause: rework.Cause, message: str, why: str, *documents: tuple[str, str]
    ) -> bool:
        """Send the task back to its agent, or fail it; never done (False). People are told why."""
        more = rework.next_round(self._rounds, cause, self._limits)
        if more is None:
            fail(TaskEnding.GIVEN_UP, endings.given_up(why, self._rounds.total + 1, cause.value))
        self._rounds, self._message, self._documents = more, message, documents
        self._cause = cause
        self._told.append(message)
        self._reporter.note(rounds=more.total, rounds_left=more.left(self._limits))
        await self._reporter.set(TaskState.RUNNING, f"back to the agent: {cause.value}")
        return False
