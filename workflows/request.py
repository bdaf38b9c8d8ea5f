"""RequestWorkflow: one request, from words to a tested branch.

It supervises without a model: what starts next, what is blocked and what is missing is decided in
domain.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.common import RawValue
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
    from contracts.endings import RequestEnding
    from contracts.failures import FailureKind
    from contracts.limits import RequestLimits
    from contracts.planning import Plan
    from contracts.repository import Delivered, RepositoryOpened
    from contracts.request import RequestStart, RequestStatus
    from contracts.subtask import SubtaskReport
    from contracts.task import TaskStatus
    from contracts.visibility import OC_KEPT, Blocker, RunState
    from domain.agent import messages
    from domain.approvals import questions
    from domain.request import endings
    from domain.request import status as requests
    from domain.request.markdown import card
    from domain.scheduling import budget
    from workflows import cancellation, repository
    from workflows.approvals import ApprovalHandlers, PendingApprovals
    from workflows.planning import Planning
    from workflows.scheduler import TaskScheduler
    from workflows.visibility import show


@workflow.defn
class RequestWorkflow(ApprovalHandlers):
    """One request.

    1. opens the repository: every condition is checked before anything is touched;
    2. plans (a person may approve the plan);
    3. runs the tasks, each as soon as it is ready, critical path first;
    4. runs the checks on the merged tree (a person may approve the delivery);
    5. delivers one branch and reports; what failed is named, what is green lands all the same.
    """

    @workflow.init
    def __init__(self, payload: Any) -> None:  # noqa: ANN401, RUF100 - as a person typed it
        self._id = workflow.info().workflow_id
        self._start: RequestStart | None = None
        self._opened: RepositoryOpened | None = None
        self._plan: Plan | None = None
        self._scheduler: TaskScheduler | None = None
        self._doing = "starting"
        self._notes: list[Note] = []
        self._checks: tuple[CheckResult, ...] = ()
        self._delivered: Delivered | None = None
        self._inbox = PendingApprovals(self._show)
        self._blockers: dict[str, Blocker] = {}
        self._planning: Planning | None = None
        self._ending: tuple[RequestEnding, str] | None = None

    @workflow.run
    async def run(self, payload: Any) -> RequestStatus:  # noqa: ANN401, RUF100
        """Carry the request out; its failure carries the status in the error's details."""
        start = requests.read(payload)
        if isinstance(start, str):
            self._fail(start, RequestEnding.REFUSED)
        self._start = start
        deadlines = asyncio.create_task(self._inbox.keep_deadlines())
        try:
            await self._serve(start)
        except (ActivityError, ChildWorkflowError, ApplicationError) as error:
            self._give_up(error)
        except asyncio.CancelledError:
            self._closed(RequestEnding.CANCELLED, "cancelled")
            raise
        finally:
            deadlines.cancel()
            # Too late to cancel: what has been delivered, or has failed, stays so.
            with contextlib.suppress(asyncio.CancelledError):
                await cancellation.run_to_completion(self._clean_up())
        return self._closed(endings.done(changed=self._delivered is not None), "")

    @workflow.signal(description='Tell the agents something: {"text": "…", "task": "…"} or a text')
    async def note(self, payload: Any = None) -> None:  # noqa: ANN401, RUF100
        """Pass a person's text to the running tasks, and keep it for later ones."""
        note = requests.note(payload, tuple(row.id for row in self._rows()))
        if isinstance(note, str):
            self._inbox.refuse(payload, note)
            return
        self._notes.append(note)
        if self._scheduler:
            await self._scheduler.note(note)

    @workflow.signal(description="A question of one of this request's agents")
    def ask(self, approval: Approval) -> None:
        """Let a child's question wait for a person."""
        self._inbox.open(approval)

    @workflow.signal(description="A subtask's report")
    def task_changed(self, report: SubtaskReport) -> None:
        """Keep a task's standing."""
        if self._scheduler:
            self._scheduler.reported(report)

    @workflow.signal(description="What a child cannot go on without")
    def obstacle(self, blocker: Blocker) -> None:
        """Keep what keeps a child waiting."""
        self._blockers.pop(blocker.sender, None)
        if blocker.state is not RunState.RUNNING:
            self._blockers[blocker.sender] = blocker
        self._show()

    async def report_blocker(self, blocker: Blocker) -> None:
        """Show a blocker of the request's own."""
        self.obstacle(blocker)

    @workflow.signal(dynamic=True, description="Anything else: kept and shown")
    def unknown(self, name: str, args: Sequence[RawValue]) -> None:
        """Keep a signal of an unknown name, where people see it."""
        self._inbox.refuse(name, f"there is no signal {name!r}: approve, reject, revise or note")

    @workflow.query(description="State, reason, tasks, approvals, branch, cost")
    def status(self) -> RequestStatus:
        """Return the request's present standing, or how it has ended."""
        if self._ending:
            ending, why = self._ending
            ended = self._status((endings.run_state(ending), why))
            return ended.model_copy(update={"ending": ending})
        state, reason = requests.state_of(self._inbox.inbox, tuple(self._blockers.values()))
        return self._status((state, reason or self._doing))

    async def _serve(self, start: RequestStart) -> None:
        self._say("opens the repository")
        opened = self._opened = await cancellation.complete_despite_cancel(
            repository.open_repository(start)
        )
        cancellation.raise_if_cancelled()
        workflow.upsert_memo({OC_KEPT: requests.salvage_command(opened)})
        planning = self._planning = Planning(self._id, start, opened)
        self._say("runs the checks on the base")
        await planning.look_at_base()
        plan = await self._planned(start, opened, planning)
        self._say("tasks at work")
        await self._new_scheduler(start, opened, plan).run(self._notes)
        tip = await self._verify(opened, plan)
        if tip != opened.base:
            await self._deliver(start, opened, tip)
        if missing := endings.incomplete(self._rows()):
            self._fail(missing, RequestEnding.INCOMPLETE)

    def _new_scheduler(
        self, start: RequestStart, opened: RepositoryOpened, plan: Plan
    ) -> TaskScheduler:
        """Return a plan's scheduler; a plan that was sent back has left nothing on the old one."""
        self._scheduler = TaskScheduler(
            start,
            opened,
            plan,
            spent=self._planning.spent if self._planning else 0,
            baseline=self._planning.baseline if self._planning else None,
            changed=self._show,
            ended=self._inbox.withdraw_of,
        )
        return self._scheduler

    async def _planned(
        self, start: RequestStart, opened: RepositoryOpened, planning: Planning
    ) -> Plan:
        """Return the plan, approved where the request asks for it."""
        feedback = None
        total = budget.microusd(start.budget_usd)
        limits = opened.limits or RequestLimits()
        while True:
            self._say("plans")
            allowance = budget.grant(
                total,
                spent=planning.spent,
                reserved=0,
                waiting_tasks=limits.planner_shares,
                floor=limits.smallest_allowance_microusd,
            )
            plan = await planning.plan(planning.spent + allowance, feedback=feedback)
            self._plan = plan
            self._new_scheduler(start, opened, plan)
            if ApprovalKind.PLAN not in start.approve:
                return plan
            decision = await self._inbox.ask(
                questions.plan_approval(plan, deadline_seconds=limits.approval_seconds)
            )
            if decision.choice is Choice.APPROVE:
                return plan
            if decision.choice is Choice.REJECT:
                why = f"the plan was rejected by {decision.by}: {decision.reason}"
                self._fail(why, RequestEnding.PLAN_REJECTED)
            feedback = f"A person sent the plan back: {decision.reason}"

    async def _verify(self, opened: RepositoryOpened, plan: Plan) -> str:
        """Run everything that must pass on the merged tree; nothing is done without it."""
        assert self._start and self._scheduler  # noqa: S101, PT018 - set before any task ran
        self._say("runs the checks on the merged tree")
        commands = requests.final_commands(plan, self._scheduler.rows, self._start.checks)
        tip, report = await repository.check_merged_tree(opened, commands)
        self._checks = report.results
        if not report.passed:
            landed = tip != opened.base
            self._fail(*endings.checks_failed(report.results, self._rows(), landed=landed))
        return tip

    async def _deliver(self, start: RequestStart, opened: RepositoryOpened, tip: str) -> None:
        if ApprovalKind.DELIVERY in start.approve:
            approval = questions.delivery_approval(
                tip,
                requests.delivery_summary(self._rows(), self._checks),
                opened.branch,
                deadline_seconds=(opened.limits or RequestLimits()).approval_seconds,
            )
            decision = await self._inbox.ask(approval)
            if decision.choice is not Choice.APPROVE:
                why = f"{decision.by} does not want it delivered: {decision.reason}"
                self._fail(why, RequestEnding.NOT_DELIVERED)
        self._say(f"delivers {opened.branch}")
        self._delivered = await repository.deliver(opened, tip)

    async def _clean_up(self) -> None:
        """End what still runs, then give back what the request holds."""
        if self._scheduler:
            await self._scheduler.cancel()
        if self._opened:
            await repository.close(self._opened, used_queue=self._scheduler is not None)
        await workflow.wait_condition(workflow.all_handlers_finished)

    def _rows(self) -> tuple[TaskStatus, ...]:
        return tuple(self._scheduler.rows.values()) if self._scheduler else ()

    def _say(self, doing: str) -> None:
        self._doing = doing
        self._show()

    def _show(self) -> None:
        status = self.status()
        show(status.state, 0 if self._ending else len(status.approvals))
        workflow.set_current_details(card(status))

    def _closed(self, ending: RequestEnding, reason: str) -> RequestStatus:
        """Show how the request has ended; later reports do not change that."""
        self._ending = (ending, reason)
        self._show()
        return self.status()

    def _give_up(self, error: ActivityError | ChildWorkflowError | ApplicationError) -> NoReturn:
        """End as cancelled or failed; an error raised by the request has its status already."""
        if is_cancelled_exception(error):
            self._closed(RequestEnding.CANCELLED, "cancelled")
            raise error
        if isinstance(error, ApplicationError) and error.details:
            raise error
        failure = error if isinstance(error, ApplicationError) else error.cause
        kind = getattr(failure, "type", None) or FailureKind.BUG
        self._fail(messages.cause(error), endings.broken(kind, planned=bool(self._plan)), kind)

    def _fail(self, reason: str, ending: RequestEnding, kind: str = "") -> NoReturn:
        status = self._closed(ending, reason)
        kind = kind or endings.error_type(ending)
        raise ApplicationError(reason, status, type=kind, non_retryable=True)

    def _status(self, standing: tuple[RunState, str]) -> RequestStatus:
        planned = self._planning.model if self._planning else ""
        status = requests.status(
            self._id,
            standing,
            start=self._start,
            opened=self._opened,
            plan=self._plan,
            rows=self._rows(),
            inbox=self._inbox.inbox,
            planner=self._planning.agent if self._planning else None,
            spent=requests.Spent(
                self._scheduler.spent if self._scheduler else 0,
                self._planning.unpriced_tokens if self._planning else 0,
            ),
            checks=self._checks,
            delivered=self._delivered,
            model=(self._scheduler.model if self._scheduler else "") or planned,
        )
        found = self._planning.baseline if self._planning else None
        return status.model_copy(update={"base_problems": found.problems if found else ()})
