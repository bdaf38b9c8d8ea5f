"""The task scheduler: runs every task of a plan as soon as it is ready, and keeps its table.

What starts next, what is blocked and what a task may spend is decided in domain.
"""

import asyncio
from collections.abc import Callable, Sequence

from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError, is_cancelled_exception
from typing_extensions import override

with workflow.unsafe.imports_passed_through():
    from contracts.agent import Note
    from contracts.base import ObjectId
    from contracts.baseline import Baseline
    from contracts.endings import TaskEnding
    from contracts.planning import Plan, TaskSpec
    from contracts.repository import RepositoryOpened
    from contracts.request import RequestStart
    from contracts.subtask import Replanned, SubtaskReport, SubtaskStart
    from contracts.task import TaskState, TaskStatus
    from contracts.task_queue import WORKFLOW_TASK_TIMEOUT
    from domain import ids
    from domain.agent import messages
    from domain.planning import replan
    from domain.request import status as requests
    from domain.scheduling import budget, ready
    from domain.scheduling.task_state import terminal
    from workflows.approvals import PendingApprovals
    from workflows.budget import RequestBudget
    from workflows.going_back import GoingBack
    from workflows.handing_off import HandOffs
    from workflows.scheduled_turns import ScheduledTurns
    from workflows.signals import signal_if_running
    from workflows.subtask import SubtaskWorkflow


class TaskScheduler(ScheduledTurns):
    """The tasks of one plan.

    `known` are rows with which an earlier attempt at the request has left it.

    `changed` is called after every change, to show it, `ended` with the workflow id of every task
    that has ended, and `noted` with what a person says to a task that goes on; `inbox` holds the
    request's questions.

    Attributes:
        open: tasks of it run, or may.
        baseline: what the agents of tasks that start are told of the base.
        model: the model that answered last.
    """

    def __init__(
        self,
        start: RequestStart,
        opened: RepositoryOpened,
        plan: Plan,
        *,
        money: RequestBudget,
        baseline: Baseline | None,
        known: Sequence[TaskStatus],
        changed: Callable[[], None],
        ended: Callable[[str], None],
        inbox: PendingApprovals,
        noted: Callable[[Note], None],
    ) -> None:
        self._start = start
        self._opened = opened
        self.plan = plan
        self.baseline = baseline
        self._changed = changed
        self._ended = ended
        self._request_id = workflow.info().workflow_id
        self._running: dict[str, asyncio.Task[None]] = {}
        self._starting: set[str] = set()
        self._documents: dict[str, tuple[tuple[str, ObjectId], ...]] = {}
        self.open = False
        self.rows = requests.table(plan, known)
        self._back = GoingBack(
            start, opened, rows=self.rows, running=self._running, changed=changed
        )
        self._handed = HandOffs(self._back, inbox, rows=self.rows, noted=noted, changed=changed)
        self._landed = requests.landed_before(plan, known)
        self._money = money
        self._sizes = budget.weights(plan, turns_beside=money.limits.turns_beside)
        self.model = ""

    async def run(self, notes: Sequence[Note]) -> None:
        """Run every task that can run; the rest is blocked or failed, with the reason.

        `notes` is read again for each task that starts.
        """
        self.open = True
        while True:
            self._block()
            task_nodes = requests.task_nodes(self.plan, self.rows)
            found = ready.ready(
                task_nodes, running=len(self._running), width=self._start.max_parallel
            )
            unstarted = tuple(task for task in found if not self._launch(task, notes))
            self._block()
            self._changed()
            before = self._progress()
            if self._running or self._back.tasks or self._handed.tasks:
                await workflow.wait_condition(lambda b=before: self._progress() != b)  # type: ignore[misc]
            elif unstarted:
                await self._funded(unstarted)
            elif not found:
                break
        self.open = False

    def _progress(self) -> tuple[object, ...]:
        """Return what makes the schedule worth looking at again."""
        ended = self._back.ended + self._handed.ended
        return tuple(self._running), self._money.total, ended

    async def _funded(self, tasks: Sequence[str]) -> None:
        """Wait until there is money for tasks of which none can start, or fail them for good."""
        total = self._money.total
        self._money.lacks(tasks)
        await workflow.wait_condition(
            lambda: self._money.total != total or self._money.closed != ""
        )
        self._money.lacks(())
        if self._money.total == total:
            for task in tasks:
                self._no_money(task, self._money.closed)

    def _no_money(self, task: str, why: str = "") -> None:
        used_up = f"the budget of {budget.dollars(self._money.total)} is used up or reserved"
        told = f"{used_up}; {why}" if why else used_up
        self.rows[task] = requests.ended(
            self.rows[task], TaskState.FAILED, told, TaskEnding.NO_MONEY
        )

    async def cancel(self) -> None:
        """Cancel what runs and wait until it has cleaned up."""
        self.open = False
        await self._back.cancel()
        await self._handed.cancel()
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def note(self, note: Note) -> None:
        """Pass a person's text to the running tasks that it is for."""
        for task in tuple(self._running):
            if note.task in {None, task}:
                # One that is still being started would not hear it, and was not given it either.
                await workflow.wait_condition(lambda task=task: task not in self._starting)  # type: ignore[misc]
                await signal_if_running(self._workflow_id(task), "add_note", note)

    def reported(self, report: SubtaskReport) -> None:
        """Keep a task's standing."""
        row = self.rows.get(report.task)
        late = row and report.workflow_id not in ("", self._workflow_id(report.task))
        if row is not None and not late:
            self._row(requests.reported(row, report, self._workflow_id(report.task)))
            if report.state is TaskState.DONE:
                self._supersede(report.task)
            if report.instead and replan.takes_place(self.plan, report.task):
                self._replace(report.task, report.instead)

    def _replace(self, task: str, by: Replanned) -> None:
        """Take the tasks into the plan that stand in the place of one whose agent is stuck."""
        running = [each.id for each in self.rows.values() if not terminal(each.state)]
        self._set_plan(replan.with_tasks(self.plan, task, by, running))
        rows, first = replan.rows(self.plan, task, self.rows)
        for each in first:
            self._documents[each] = ((replan.LEFT, by.left),) if by.left else ()
        for row in rows:
            self._row(row)

    def add(self, task: TaskSpec, *, documents: tuple[tuple[str, ObjectId], ...] = ()) -> None:
        """Take a further task into the plan; its agent is shown `documents`, each with its label.

        It starts with the next `run`.
        """
        self._set_plan(self.plan.model_copy(update={"tasks": (*self.plan.tasks, task)}))
        self._documents[task.id] = documents
        self._row(TaskStatus(id=task.id, title=task.title, size=task.size))

    @override
    def _workflow_id(self, task: str) -> str:
        """Return the id of a task's workflow: the one that its row has from before, or its own."""
        return self.rows[task].workflow_id or ids.subtask_id(self._request_id, task)

    @override
    def _row(self, row: TaskStatus) -> None:
        self.rows[row.id] = row
        self._changed()

    def _block(self) -> None:
        task_nodes = requests.task_nodes(self.plan, self.rows)
        for task, reason in ready.blocked(task_nodes):
            self.rows[task] = requests.ended(
                self.rows[task], TaskState.BLOCKED, reason, TaskEnding.BLOCKED
            )

    def _launch(self, task_id: str, notes: Sequence[Note]) -> bool:
        """Start a task with its share of the money; False when it waits for some."""
        allowance = self._money.share(task_id, weight=self._sizes[task_id], of=self._unshared())
        row = self.rows[task_id]
        if not allowance:
            if workflow.patched("budget-pause-2026-12"):
                self.rows[task_id] = requests.unfunded(row)
                return False
            self._no_money(task_id)
            return True
        child, resumed = self._workflow_id(task_id), row.workflow_id is not None
        self.rows[task_id] = requests.launched(row, child)
        self._money.weigh(self._sizes, self._unshared())
        task = next(task for task in self.plan.tasks if task.id == task_id)
        work = requests.subtask(
            self._start,
            self._opened,
            self.plan,
            task,
            request_id=self._request_id,
            allowance=allowance,
            notes=tuple(notes),
            rows=self.rows,
            baseline=self.baseline,
            documents=self._documents.get(task_id, ()),
            landed=self._landed,
            resumed=resumed,
        )
        self._starting.add(task_id)
        self._running[task_id] = asyncio.create_task(self._run_task(task, work, child))
        return True

    def _unshared(self) -> int:
        """Return the weights of all tasks that have no share of the money yet."""
        pending = (row.id for row in self.rows.values() if row.state is TaskState.PENDING)
        return sum(self._sizes[task] for task in pending)

    async def _run_task(self, task: TaskSpec, work: SubtaskStart, child: str) -> None:
        """Run one task; its failure is its own."""
        cost = 0
        try:
            handle = await workflow.start_child_workflow(
                SubtaskWorkflow.run,
                work,
                id=child,
                task_timeout=WORKFLOW_TASK_TIMEOUT,
                static_summary=task.title[:100],
            )
            self._starting.discard(task.id)
            report = await handle
            cost = report.cost_microusd
            self.model = report.model or self.model
            self.reported(report)
            self._back.mend(report)
        except ChildWorkflowError as error:
            cancelled = is_cancelled_exception(error)
            state = TaskState.CANCELLED if cancelled else TaskState.FAILED
            reason = "cancelled" if cancelled else messages.cause(error)
            # Without a result, what it reported last is what is known of its cost.
            cost = budget.microusd(self.rows[task.id].cost_usd)
            ending = TaskEnding.CANCELLED if cancelled else TaskEnding.BROKEN
            self._row(requests.ended(self.rows[task.id], state, reason, ending))
        finally:
            self._starting.discard(task.id)
            self._money.settle(task.id, cost)
            self._running.pop(task.id, None)
            self._ended(child)
