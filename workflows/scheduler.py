"""The task scheduler: runs every task of a plan as soon as it is ready, and keeps its table.

What starts next, what is blocked and what a task may spend is decided in domain.
"""

import asyncio
from collections.abc import Callable, Sequence

from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from contracts.agent import Note
    from contracts.baseline import Baseline
    from contracts.endings import TaskEnding
    from contracts.limits import RequestLimits
    from contracts.planning import Plan, TaskSpec
    from contracts.repository import RepositoryOpened
    from contracts.request import RequestStart
    from contracts.subtask import SubtaskReport, SubtaskStart
    from contracts.task import TaskState, TaskStatus
    from contracts.task_queue import WORKFLOW_TASK_TIMEOUT
    from domain import ids
    from domain.agent import messages
    from domain.request import status as requests
    from domain.scheduling import budget, ready
    from workflows.signals import signal_if_running
    from workflows.subtask import SubtaskWorkflow


class TaskScheduler:
    """The tasks of one plan.

    `changed` is called after every change, to show it, and `ended` with the workflow id of every
    task that has ended.

    Attributes:
        rows: by task id, in the plan's order.
        spent: before this plan, and by everything that has ended, in microUSD.
        model: the model that answered last.
    """

    def __init__(
        self,
        start: RequestStart,
        opened: RepositoryOpened,
        plan: Plan,
        *,
        spent: int,
        baseline: Baseline | None,
        changed: Callable[[], None],
        ended: Callable[[str], None],
    ) -> None:
        self._start = start
        self._opened = opened
        self._plan = plan
        self._baseline = baseline
        self._changed = changed
        self._ended = ended
        self._request_id = workflow.info().workflow_id
        self._running: dict[str, asyncio.Task[None]] = {}
        self._starting: set[str] = set()
        self._allowances: dict[str, int] = {}
        self.rows = requests.table(plan)
        self.spent = spent
        self.model = ""

    async def run(self, notes: Sequence[Note]) -> None:
        """Run every task that can run; the rest is blocked or failed, with the reason.

        `notes` is read again for each task that starts.
        """
        while True:
            self._block()
            task_nodes = requests.task_nodes(self._plan, self.rows)
            found = ready.ready(
                task_nodes, running=len(self._running), width=self._start.max_parallel
            )
            for task in found:
                self._launch(task, notes)
            self._block()
            self._changed()
            if before := tuple(self._running):
                await workflow.wait_condition(lambda b=before: tuple(self._running) != b)  # type: ignore[misc]
            elif not found:
                break

    async def cancel(self) -> None:
        """Cancel what runs and wait until it has cleaned up."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def note(self, note: Note) -> None:
        """Pass a person's text to the running tasks that it is for."""
        for task in tuple(self._running):
            if note.task in {None, task}:
                # One that is still being started would not hear it, and was not given it either.
                await workflow.wait_condition(lambda task=task: task not in self._starting)  # type: ignore[misc]
                await signal_if_running(ids.subtask_id(self._request_id, task), "add_note", note)

    def reported(self, report: SubtaskReport) -> None:
        """Keep a task's standing."""
        row = self.rows.get(report.task)
        if row is not None:
            child = ids.subtask_id(self._request_id, report.task)
            self._row(requests.reported(row, report, child))

    def _row(self, row: TaskStatus) -> None:
        self.rows[row.id] = row
        self._changed()

    def _block(self) -> None:
        task_nodes = requests.task_nodes(self._plan, self.rows)
        for task, reason in ready.blocked(task_nodes):
            self.rows[task] = requests.ended(
                self.rows[task], TaskState.BLOCKED, reason, TaskEnding.BLOCKED
            )

    def _launch(self, task_id: str, notes: Sequence[Note]) -> None:
        allowance = budget.grant(
            budget.microusd(self._start.budget_usd),
            spent=self.spent,
            reserved=sum(self._allowances.values()),
            waiting_tasks=sum(row.state is TaskState.PENDING for row in self.rows.values()),
            floor=(self._opened.limits or RequestLimits()).smallest_allowance_microusd,
        )
        row = self.rows[task_id]
        if not allowance:
            why = f"the budget of ${self._start.budget_usd:.2f} is used up or reserved"
            self.rows[task_id] = requests.ended(row, TaskState.FAILED, why, TaskEnding.NO_MONEY)
            return
        child = ids.subtask_id(self._request_id, task_id)
        self.rows[task_id] = requests.launched(row, child)
        self._allowances[task_id] = allowance
        task = next(task for task in self._plan.tasks if task.id == task_id)
        work = requests.subtask(
            self._start,
            self._opened,
            self._plan,
            task,
            request_id=self._request_id,
            allowance=allowance,
            notes=tuple(notes),
            rows=self.rows,
            baseline=self._baseline,
        )
        self._starting.add(task_id)
        self._running[task_id] = asyncio.create_task(self._run_task(task, work, child))

    async def _run_task(self, task: TaskSpec, work: SubtaskStart, child: str) -> None:
        """Run one task; its failure is its own."""
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
            self.spent += report.cost_microusd
            self.model = report.model or self.model
            self.reported(report)
        except ChildWorkflowError as error:
            cancelled = is_cancelled_exception(error)
            state = TaskState.CANCELLED if cancelled else TaskState.FAILED
            reason = "cancelled" if cancelled else messages.cause(error)
            # Without a result, what it reported last is what is known of its cost.
            self.spent += budget.microusd(self.rows[task.id].cost_usd)
            ending = TaskEnding.CANCELLED if cancelled else TaskEnding.BROKEN
            self._row(requests.ended(self.rows[task.id], state, reason, ending))
        finally:
            self._starting.discard(task.id)
            self._allowances.pop(task.id, None)
            self._running.pop(task.id, None)
            self._ended(child)
