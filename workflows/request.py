"""
RequestWorkflow: one request, from words to a tested branch.

It supervises without a model: what starts next, what is blocked and what is missing is decided in
domain.
"""

import asyncio
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
    from contracts.approval import Approval, ApprovalKind, Choice, Decide, Receipt
    from contracts.checks import CheckResult, RunChecks
    from contracts.failure import FailureKind
    from contracts.merge import BuildChain
    from contracts.plan import Plan, TaskSpec
    from contracts.ports import CheckActivities, PatchActivities, RepositoryActivities
    from contracts.repository import (
        CloseRequest,
        DeliverBranch,
        Delivered,
        OpenRepository,
        RepositoryOpened,
    )
    from contracts.request import RequestStart, RequestStatus
    from contracts.subtask import SubtaskReport, SubtaskStart
    from contracts.task import TaskState, TaskStatus
    from contracts.visibility import RunState
    from domain import briefing, budget, ids, schedule
    from domain import request as requests
    from domain.card import card
    from workflows import calls
    from workflows.approvals import ApprovalDesk
    from workflows.planning import Planning
    from workflows.subtask import SubtaskWorkflow
    from workflows.visibility import show

CHECK_SECONDS = 1_200


@workflow.defn
class RequestWorkflow:
    """
    One request.

    1. opens the repository: every condition is checked before anything is touched;
    2. plans (a person may approve the plan);
    3. runs the tasks, each as soon as it is ready, critical path first;
    4. runs the checks on the merged tree (a person may approve the delivery);
    5. delivers one branch and reports; what failed is named, what is green lands all the same.

    Signals: `approve`, `reject`, `revise`, `note`; `ask`, `task_changed` come from its children.
    Update: `decide`. Queries: `status`, `pending_approvals`.
    """

    @workflow.init
    def __init__(self, payload: Any) -> None:  # noqa: ANN401, RUF100 - whatever a person typed
        self._id = workflow.info().workflow_id
        self._start: RequestStart | None = None
        self._opened: RepositoryOpened | None = None
        self._plan: Plan | None = None
        self._tasks: dict[str, TaskStatus] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._leases: dict[str, int] = {}
        self._spent = 0
        self._doing = "starting"
        self._notes: list[Note] = []
        self._checks: tuple[CheckResult, ...] = ()
        self._delivered: Delivered | None = None
        self._model = ""
        self._desk = ApprovalDesk(self._show)
        self._planning: Planning | None = None

    @workflow.run
    async def run(self, payload: Any) -> RequestStatus:  # noqa: ANN401, RUF100
        """
        Carry the request out; its failure carries the status in the error's details.
        """
        start = requests.read(payload)
        if isinstance(start, str):
            raise ApplicationError(start, type=FailureKind.REFUSED, non_retryable=True)
        self._start = start
        deadlines = asyncio.create_task(self._desk.keep_deadlines())
        try:
            await self._serve(start)
        except (ActivityError, ChildWorkflowError) as error:
            if is_cancelled_exception(error):
                raise
            kind = getattr(error.cause, "type", None) or FailureKind.BUG
            self._fail(briefing.cause(error), kind)
        except asyncio.CancelledError:
            show(RunState.CANCELLED, 0)
            raise
        finally:
            deadlines.cancel()
            await asyncio.shield(self._clean_up())
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._closed(RunState.DONE, "")

    @workflow.signal(description='Approve what waits: {"approval": "plan"}, or nothing')
    async def approve(self, payload: Any = None) -> None:  # noqa: ANN401, RUF100
        """
        Approve; whatever cannot be taken is kept and shown.
        """
        await self._desk.take(payload, Choice.APPROVE)

    @workflow.signal(description='Reject what waits: {"approval": "plan", "reason": "…"}')
    async def reject(self, payload: Any = None) -> None:  # noqa: ANN401, RUF100
        """
        Reject; whatever cannot be taken is kept and shown.
        """
        await self._desk.take(payload, Choice.REJECT)

    @workflow.signal(description='Send it back with feedback: {"approval": "…", "reason": "…"}')
    async def revise(self, payload: Any = None) -> None:  # noqa: ANN401, RUF100
        """
        Send it back; whatever cannot be taken is kept and shown.
        """
        await self._desk.take(payload, Choice.REVISE)

    @workflow.update(description='Answer with a reply: {"choice": "approve", "approval": "plan"}')
    async def decide(self, decision: Decide) -> Receipt:
        """
        Take an answer and say what became of it.
        """
        taken = await self._desk.take(decision, decision.choice)
        approval = taken.decision.approval if taken.decision else str(decision.approval)
        return Receipt(approval=approval, choice=decision.choice, message=taken.message)

    @decide.validator
    def check_decision(self, decision: Decide) -> None:
        """
        Refuse an answer that cannot be taken, before it reaches history.
        """
        problem = self._desk.desk.problem(decision, decision.choice)
        if problem:
            raise ValueError(problem)

    @workflow.signal(description='Tell the agents something: {"text": "…", "task": "…"} or a text')
    async def note(self, payload: Any = None) -> None:  # noqa: ANN401, RUF100
        """
        Pass a person's text to the running tasks, and keep it for later ones.
        """
        note = requests.note(payload, tuple(self._tasks))
        if isinstance(note, str):
            self._desk.refuse(payload, note)
            return
        self._notes.append(note)
        for task in self._running:
            if note.task in {None, task}:
                await self._tell(task, note)

    @workflow.signal(description="A question of one of this request's agents")
    def ask(self, approval: Approval) -> None:
        """
        Let a child's question wait for a person.
        """
        self._desk.open(approval)

    @workflow.signal(description="A subtask's report")
    def task_changed(self, report: SubtaskReport) -> None:
        """
        Keep a task's standing.
        """
        self._reported(report)

    @workflow.signal(dynamic=True, description="Anything else: kept and shown")
    def unknown(self, name: str, args: Sequence[RawValue]) -> None:
        """
        Keep a signal whose name nobody knows, where people see it.
        """
        self._desk.refuse(
            name, f"there is no signal {name!r}: send approve, reject, revise or note"
        )

    @workflow.query(description="State, reason, tasks, approvals, branch, cost")
    def status(self) -> RequestStatus:
        """
        Return the request's present standing.
        """
        state, reason = requests.state_of(self._desk.desk)
        return self._status(state, reason or self._doing)

    @workflow.query(description="What waits for a person")
    def pending_approvals(self) -> list[Approval]:
        """
        Return what waits for a person, oldest first.
        """
        return list(self._desk.desk.pending)

    async def _serve(self, start: RequestStart) -> None:
        opened = await self._open(start)
        self._planning = Planning(self._id, start, opened)
        plan = await self._planned(start)
        await self._run_tasks(start, opened, plan)
        tip = await self._tip(opened)
        await self._verify(opened, plan, tip)
        if tip != opened.base:
            await self._deliver(start, opened, tip)
        missing = requests.shortfall(tuple(self._tasks.values()))
        if missing:
            self._fail(missing, "Incomplete")

    async def _open(self, start: RequestStart) -> RepositoryOpened:
        self._say("opens the repository")
        key = ids.request_key(self._id, workflow.info().first_execution_run_id)
        self._opened = await workflow.execute_activity_method(
            RepositoryActivities.open_repository,
            OpenRepository(
                request_id=self._id,
                request_key=key,
                path=start.repository,
                base=start.base,
                branch=start.branch,
                suggested_branch=ids.branch_name(start.request, key),
                checks=start.checks,
                environment=start.environment,
            ),
            **calls.store(f"open {start.repository}"),
        )
        return self._opened

    async def _planned(self, start: RequestStart) -> Plan:
        """
        Return the plan, approved where the request asks for it.
        """
        planning, feedback = self._planning, None
        assert planning is not None  # noqa: S101 - set by the only caller
        total = budget.microusd(start.budget_usd)
        while True:
            self._say("plans")
            lease = budget.grant(total, spent=planning.spent, reserved=0, waiting_tasks=3)
            plan = await planning.plan(planning.spent + lease, feedback=feedback)
            self._spent, self._model = planning.spent, planning.model
            self._plan, self._tasks = plan, requests.table(plan)
            if ApprovalKind.PLAN not in start.approve:
                return plan
            decision = await self._desk.ask(briefing.plan_approval(plan))
            if decision.choice is Choice.APPROVE:
                return plan
            if decision.choice is Choice.REJECT:
                self._fail(f"the plan was rejected by {decision.by}: {decision.reason}", "Rejected")
            feedback = f"A person sent the plan back: {decision.reason}"

    async def _run_tasks(self, start: RequestStart, opened: RepositoryOpened, plan: Plan) -> None:
        """
        Run every task that can run; the rest is blocked or failed, with the reason.
        """
        while True:
            standings = requests.standings(plan, self._tasks)
            for task, reason in schedule.blocked(standings):
                self._tasks[task] = requests.blocked(self._tasks[task], reason)
            standings = requests.standings(plan, self._tasks)
            width = start.max_parallel
            for task in schedule.ready(standings, running=len(self._running), width=width):
                self._launch(start, opened, plan, task)
            self._say(f"{len(self._running)} tasks at work")
            if not self._running:
                break
            before = frozenset(self._running)
            await workflow.wait_condition(lambda b=before: frozenset(self._running) != b)  # type: ignore[misc]
        stalled = schedule.stalled(requests.standings(plan, self._tasks))
        if stalled:
            workflow.logger.error("plan.stalled", extra={"reason": stalled})

    def _launch(
        self, start: RequestStart, opened: RepositoryOpened, plan: Plan, task_id: str
    ) -> None:
        waiting = sum(row.state is TaskState.PENDING for row in self._tasks.values())
        lease = budget.grant(
            budget.microusd(start.budget_usd),
            spent=self._spent,
            reserved=sum(self._leases.values()),
            waiting_tasks=waiting,
        )
        if not lease:
            why = f"the budget of ${start.budget_usd:.2f} is used up or reserved"
            self._tasks[task_id] = requests.ended(self._tasks[task_id], TaskState.FAILED, why)
            return
        self._leases[task_id] = lease
        self._tasks[task_id] = self._tasks[task_id].model_copy(
            update={"state": TaskState.RUNNING, "workflow_id": ids.subtask_id(self._id, task_id)}
        )
        task = next(task for task in plan.tasks if task.id == task_id)
        work = requests.subtask(
            start, opened, plan, task, request_id=self._id, lease=lease, notes=tuple(self._notes)
        )
        self._running[task_id] = asyncio.create_task(self._run_task(task, work))

    async def _run_task(self, task: TaskSpec, work: SubtaskStart) -> None:
        """
        Run one task; its failure is its own.
        """
        child = ids.subtask_id(self._id, task.id)
        try:
            report = await workflow.execute_child_workflow(
                SubtaskWorkflow.run,
                work,
                id=child,
                task_timeout=calls.TASK_TIMEOUT,
                static_summary=task.title[:100],
            )
            self._reported(report)
            self._spent += report.cost_microusd
            self._model = report.model or self._model
        except ChildWorkflowError as error:
            cancelled = is_cancelled_exception(error)
            state = TaskState.CANCELLED if cancelled else TaskState.FAILED
            reason = "cancelled" if cancelled else briefing.cause(error)
            self._tasks[task.id] = requests.ended(self._tasks[task.id], state, reason)
        finally:
            self._leases.pop(task.id, None)
            self._running.pop(task.id, None)
            self._desk.withdraw_of(child)

    def _reported(self, report: SubtaskReport) -> None:
        row = self._tasks.get(report.task)
        if row is not None:
            child = ids.subtask_id(self._id, report.task)
            self._tasks[report.task] = requests.reported(row, report, child)
            self._show()

    async def _tip(self, opened: RepositoryOpened) -> str:
        chain = await workflow.execute_activity_method(
            PatchActivities.build_chain,
            BuildChain(repository=opened.repository, patches=()),
            **calls.store("read the target's tip"),
        )
        return chain.tip

    async def _verify(self, opened: RepositoryOpened, plan: Plan, tip: str) -> None:
        """
        Run everything that must pass on the merged tree; nothing is done without it.
        """
        assert self._start is not None  # noqa: S101 - run() set it
        commands = requests.final_commands(plan, self._tasks, self._start.checks)
        self._say("runs the checks on the merged tree")
        report = await workflow.execute_activity_method(
            CheckActivities.run_checks,
            RunChecks(
                repository=opened.repository,
                commit=tip,
                commands=commands,
                timeout_seconds=CHECK_SECONDS,
            ),
            **calls.checks(
                opened.repository.host_id,
                "check the merged tree",
                commands=len(commands),
                seconds=CHECK_SECONDS,
            ),
        )
        self._checks = report.results
        if not report.passed:
            missing = requests.shortfall(tuple(self._tasks.values()))
            red = next(result for result in report.results if not result.passed)
            self._fail(
                f"the merged tree fails `{red.command}`; nothing was delivered, the work is kept "
                f"at {tip[:12]} in the store" + (f"; {missing}" if missing else ""),
                "ChecksFailed",
            )

    async def _deliver(self, start: RequestStart, opened: RepositoryOpened, tip: str) -> None:
        if ApprovalKind.DELIVERY in start.approve:
            summary = requests.delivery_summary(tuple(self._tasks.values()), self._checks)
            approval = briefing.delivery_approval(tip, summary, opened.branch)
            decision = await self._desk.ask(approval)
            if decision.choice is not Choice.APPROVE:
                self._fail(f"not delivered, {decision.by} says: {decision.reason}", "Rejected")
        self._say(f"delivers {opened.branch}")
        self._delivered = await workflow.execute_activity_method(
            RepositoryActivities.deliver_branch,
            DeliverBranch(
                repository=opened.repository,
                path=opened.path,
                branch=opened.branch,
                commit=tip,
                base=opened.base,
            ),
            **calls.store(f"deliver {opened.branch}"),
        )

    async def _tell(self, task: str, note: Note) -> None:
        child = workflow.get_external_workflow_handle(ids.subtask_id(self._id, task))
        try:
            await child.signal("add_note", note)
        except ApplicationError:
            workflow.logger.info("signal.unheard", extra={"task": task})

    async def _clean_up(self) -> None:
        """
        End what still runs, leave the merge queue, give up the claim on the branch.
        """
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        if self._opened is None:
            return
        repository = self._opened.repository
        if self._plan is not None:
            queue = workflow.get_external_workflow_handle(
                ids.queue_id(repository.key, repository.target)
            )
            try:
                await queue.signal("leave", repository.request_key)
            except ApplicationError:
                workflow.logger.info("signal.unheard", extra={"workflow": queue.id})
        await workflow.execute_activity_method(
            RepositoryActivities.close_request,
            CloseRequest(repository=repository, request_id=self._id, branch=self._opened.branch),
            **calls.store("close the request"),
        )

    def _say(self, doing: str) -> None:
        self._doing = doing
        self._show()

    def _show(self) -> None:
        """
        Show the present standing: search attributes and the card.
        """
        status = self.status()
        show(status.state, len(status.approvals))
        workflow.set_current_details(card(status))

    def _closed(self, state: RunState, reason: str) -> RequestStatus:
        status = self._status(state, reason)
        show(state, 0)
        workflow.set_current_details(card(status))
        return status

    def _fail(self, reason: str, kind: str) -> NoReturn:
        status = self._closed(RunState.FAILED, reason)
        raise ApplicationError(reason, status, type=kind, non_retryable=True)

    def _status(self, state: RunState, reason: str) -> RequestStatus:
        view = requests.View(
            id=self._id,
            start=self._start,
            opened=self._opened,
            plan=self._plan,
            tasks=tuple(self._tasks.values()),
            desk=self._desk.desk,
            planner=self._planning.agent if self._planning else None,
            spent=self._spent,
            checks=self._checks,
            delivered=self._delivered,
            model=self._model,
        )
        return requests.status(view, state, reason)
