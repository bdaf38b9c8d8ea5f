"""RequestWorkflow: one request, from words to a tested branch.

It supervises without a model: what starts next, what is blocked and what is missing is decided in
domain.
"""

import asyncio
import contextlib
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from contracts.agent import Note
    from contracts.approvals import Approval, ApprovalKind, Choice
    from contracts.checks import CheckResult
    from contracts.delivery import Delivered
    from contracts.endings import RequestEnding
    from contracts.failures import FailureKind
    from contracts.limits import RequestLimits
    from contracts.merge_queue import Chain
    from contracts.planning import Plan
    from contracts.repository import RepositoryOpened, RequestClosed
    from contracts.request import RequestEnded, RequestStart, RequestStatus
    from contracts.resume import RequestResumed
    from contracts.visibility import OC_COST
    from domain.agent import messages
    from domain.request import endings
    from domain.request import status as requests
    from workflows import approvals, baseline, cancellation, repository, setup
    from workflows.approvals import PendingApprovals
    from workflows.budget import RequestBudget
    from workflows.follow_ups import FollowUps
    from workflows.goal import GoalLoop
    from workflows.planning import Planning
    from workflows.request_status import ReportsStatus
    from workflows.scheduler import TaskScheduler
    from workflows.turn_choices import TurnChoices


@workflow.defn
class RequestWorkflow(ReportsStatus, TurnChoices, FollowUps):
    """One request.

    1. opens the repository: every condition is checked before anything is touched;
    2. plans (a person may approve the plan);
    3. runs the tasks, each as soon as it is ready, critical path first; with a goal, further ones
       in rounds, until its command passes on the merged tree;
    4. runs the checks on the merged tree (a person may approve the delivery);
    5. delivers one branch and reports; what failed is named, what is green lands all the same.
    """

    @workflow.init
    def __init__(self, payload: Any) -> None:  # noqa: ANN401, RUF100 - as a person typed it
        self._id = workflow.info().workflow_id
        self._start: RequestStart | None = None
        self._opened: RepositoryOpened | None = None
        self._resumed = RequestResumed()
        self._plan: Plan | None = None
        self._approved = False
        self._scheduler: TaskScheduler | None = None
        self._doing = "starting"
        self._notes: list[Note] = []
        self._checks: tuple[CheckResult, ...] = ()
        self._delivered: Delivered | None = None
        self._inbox = PendingApprovals(self._show)
        self._budget = RequestBudget(self._inbox, self._show)
        self._blockers = {}
        self._planning: Planning | None = None
        self._goal: GoalLoop | None = None
        self._ending: tuple[RequestEnding, str] | None = None
        self._freed: RequestClosed | None = None
        self._queued, self._left = [], False
        self._shown, self._since = "", workflow.time()

    @workflow.run
    async def run(self, payload: Any) -> RequestStatus:  # noqa: ANN401, RUF100
        """Carry the request out; its failure carries the status in the error's details."""
        try:
            return await self._carry_out(payload)
        except ApplicationError as error:
            # Only now: what was spent is counted when everything has been given back.
            raise ApplicationError(
                error.message, self.status(), type=error.type, non_retryable=True
            ) from None

    async def _carry_out(self, payload: object) -> RequestStatus:
        start = requests.read(payload)
        if isinstance(start, str):
            self._fail(start, RequestEnding.REFUSED)
        self._start = start
        self._budget.begin(start)
        keepers = [asyncio.create_task(each.keep()) for each in (self._inbox, self._budget)]
        try:
            await self._serve(start)
        except (ActivityError, ChildWorkflowError, ApplicationError) as error:
            self._give_up(error)
        except asyncio.CancelledError:
            self._closed(RequestEnding.CANCELLED, "cancelled")
            raise
        finally:
            for keeper in keepers:
                keeper.cancel()
            # Too late to cancel: what has been delivered, or has failed, stays so.
            with contextlib.suppress(asyncio.CancelledError):
                await cancellation.run_to_completion(self._clean_up())
        return self._closed(self._done(), "")

    @workflow.signal(description='Tell the agents something: {"text": "…", "task": "…"} or a text')
    async def note(self, payload: Any = None) -> None:  # noqa: ANN401, RUF100
        """Pass a person's text to the agents at work, and keep it for later ones."""
        note = await self._inbox.read_note(payload, tuple(row.id for row in self._rows()))
        if note is None:
            return
        self._notes.append(note)
        for worker in (self._planning, self._scheduler):
            if worker:
                await worker.note(note)

    @workflow.signal(description="A question of one of this request's agents")
    async def ask(self, approval: Approval) -> None:
        """Let a child's question wait for a person."""
        await self._inbox.receive(approval)

    async def _serve(self, start: RequestStart) -> None:
        self.say("opens the repository")
        opened = self._opened = await cancellation.complete_despite_cancel(
            repository.open_repository(start)
        )
        cancellation.raise_if_cancelled()
        self._inbox.begin(opened)
        self._budget.limits = opened.limits or RequestLimits()
        start = self._start = requests.with_settings(start, opened)
        workflow.upsert_memo(requests.memo(start, opened))
        opened = self._opened = await self._set_up(opened)
        resumed = self._resumed = await repository.resume(start, opened)
        self._notes[:0], self._budget.spent = resumed.notes, resumed.spent_microusd
        planning = self._planning = Planning(
            self._id, start, opened, self._notes, resumed, self._budget
        )
        self.say("runs the checks on the base")
        await planning.look_at_base()
        if start.until is not None:
            self._goal = GoalLoop(start, opened, resumed, self._budget, self._inbox, self)
            if self._goal.met_on(planning.baseline):
                return
        # A retry is a person's word that it goes on.
        found = None if start.retry else planning.baseline
        if why := await baseline.refusal(opened, found, self._inbox):
            self._fail(why, RequestEnding.CHECKS_UNUSABLE)
        plan = await self._planned(start, opened, planning)
        self._approved = True
        self.say("tasks at work")
        if plan.answer and not self._goal:
            return
        scheduler = self._new_scheduler(start, opened, plan)
        if self._goal:
            await self._goal.run(scheduler, self._notes)
        else:
            await scheduler.run(self._notes)
        landed = await self._verify(opened, scheduler.plan)
        if landed.tip != opened.base:
            await self._deliver(start, opened, landed)
        if self._goal and self._goal.missed:
            self._fail(self._goal.missed, RequestEnding.GOAL_MISSED)
        if missing := endings.incomplete(self._counted_rows()):
            self._fail(missing, RequestEnding.INCOMPLETE)

    async def _set_up(self, opened: RepositoryOpened) -> RepositoryOpened:
        """Install what the base needs; where that fails, nothing is asked of a model."""
        if opened.setup:
            self.say("installs what the base needs")
        done = await setup.set_up(opened, self._inbox)
        if done.failed:
            self._checks = done.results
            self._fail(done.failed, RequestEnding.SETUP_FAILED)
        return done.opened

    def _new_scheduler(
        self, start: RequestStart, opened: RepositoryOpened, plan: Plan
    ) -> TaskScheduler:
        """Return a plan's scheduler; a plan that was sent back has left nothing on the old one."""
        self._scheduler = TaskScheduler(
            start,
            opened,
            plan,
            money=self._budget,
            baseline=self._planning.baseline if self._planning else None,
            known=self._resumed.tasks if self._resumed.plan in (None, plan) else (),
            changed=self._show,
            ended=self._inbox.withdraw_of,
            inbox=self._inbox,
            noted=self._notes.append,
        )
        return self._scheduler

    async def _planned(
        self, start: RequestStart, opened: RepositoryOpened, planning: Planning
    ) -> Plan:
        """Return the plan, approved where the request asks for it; an earlier attempt's stands."""
        feedback, plan = None, self._resumed.plan
        if plan is not None:
            await planning.estimate_rest(plan)
        while True:
            if plan is None:
                self.say("plans")
                plan = await planning.plan(feedback=feedback)
            self._plan = plan
            self._new_scheduler(start, opened, plan)
            if plan.answer or self._resumed.approved or ApprovalKind.PLAN not in start.approve:
                return plan
            decision = await approvals.ask_plan(self._inbox, opened, plan, planning.expected)
            if decision.choice is Choice.APPROVE:
                return plan
            if decision.choice is Choice.REJECT:
                why = f"the plan was rejected by {decision.by}: {decision.reason}"
                self._fail(why, RequestEnding.PLAN_REJECTED)
            before = plan if plan is self._resumed.plan else None
            feedback, plan = messages.plan_sent_back(decision.reason, before), None

    async def _verify(self, opened: RepositoryOpened, plan: Plan) -> Chain:
        """Run everything that must pass on the merged tree; nothing is done without it."""
        assert self._start and self._scheduler  # noqa: S101, PT018 - set before any task ran
        self.say("runs the checks on the merged tree")
        commands = requests.final_commands(plan, self._scheduler.rows, self._start.checks)
        commands, known = self._goal.beside(commands) if self._goal else (commands, ())
        merged, report = await repository.check_merged_tree(self._start, opened, commands)
        self._checks = (*report.results, *known)
        if not report.passed:
            landed = merged.tip != opened.base
            self._fail(*endings.checks_failed(report.results, self._rows(), landed=landed))
        return merged

    async def _deliver(self, start: RequestStart, opened: RepositoryOpened, landed: Chain) -> None:
        if ApprovalKind.DELIVERY in start.approve:
            summary = requests.delivery_summary(self._rows(), self._checks, landed.diffstat)
            decision = await approvals.ask_delivery(self._inbox, opened, landed.tip, summary)
            if decision.choice is not Choice.APPROVE:
                why = f"{decision.by} does not want it delivered: {decision.reason}"
                self._fail(why, RequestEnding.NOT_DELIVERED)
        self.say(f"delivers {opened.branch}")
        self._delivered = await repository.deliver(
            opened, landed.tip, before=self._resumed.delivered
        )

    async def _clean_up(self) -> None:
        """End what still runs, then give back what the request holds."""
        if self._scheduler:
            await self._scheduler.cancel()
        if self._opened:
            ending = self._ending or (self._done(), "")
            ended = RequestEnded(
                status=self._ended(*ending),
                plan=self._plan,
                approved=self._approved,
                notes=tuple(self._notes),
            )
            self._freed = await repository.close(
                self._opened, ended, used_queue=self._scheduler is not None
            )
            self._show()
        if self._freed:  # nothing is told of it in histories from before 2026-12
            workflow.upsert_memo({OC_COST: self.status().cost_usd})
        await workflow.wait_condition(workflow.all_handlers_finished)
        await self.start_follow_ups()

    def _done(self) -> RequestEnding:
        """Return how it has ended, with everything done."""
        answered = bool(self._plan and self._plan.answer) and self._goal is None
        met = self._goal is not None and self._goal.at_base
        return endings.done(changed=self._delivered is not None, answered=answered, met=met)

    def _give_up(self, error: ActivityError | ChildWorkflowError | ApplicationError) -> NoReturn:
        """End as cancelled or failed; an error raised by the request has its status already."""
        if is_cancelled_exception(error):
            self._closed(RequestEnding.CANCELLED, "cancelled")
            raise error
        if isinstance(error, ApplicationError) and self._ending:
            raise error
        failure = error if isinstance(error, ApplicationError) else error.cause
        kind = getattr(failure, "type", None) or FailureKind.BUG
        kept = bool(self._plan) or bool(self._start and self._start.retry)
        self._fail(messages.cause(error), endings.broken(kind, kept=kept), kind)

    def _fail(self, reason: str, ending: RequestEnding, kind: str = "") -> NoReturn:
        self._closed(ending, reason)
        raise ApplicationError(reason, type=kind or endings.error_type(ending), non_retryable=True)
