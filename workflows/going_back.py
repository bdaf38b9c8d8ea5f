"""Tasks that go on from one of their turns while their request runs.

Whether one can is decided by what the store keeps, in an activity; what it did after that turn is
kept, and nothing that was paid is paid again.
"""

import asyncio
from collections.abc import Callable, Mapping

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from contracts.continuation import ContinueTask, TurnChoice
    from contracts.endings import TaskEnding
    from contracts.ports import ContinuationActivities
    from contracts.repository import RepositoryOpened
    from contracts.request import RequestStart
    from contracts.subtask import SubtaskReport
    from contracts.task import EarlierAttempt, TaskState, TaskStatus
    from domain import ids
    from domain.request import retry
    from workflows import activity_options, retrying

_MOST_REPAIRS = 3
"""How often a task goes on by itself from a sound turn after damage."""


class GoingBack:
    """What goes back, of the tasks of one scheduler.

    Attributes:
        tasks: which go back at this moment.
        ended: how often one did.
    """

    def __init__(
        self,
        start: RequestStart,
        opened: RepositoryOpened,
        *,
        rows: dict[str, TaskStatus],
        running: Mapping[str, asyncio.Task[None]],
        changed: Callable[[], None],
    ) -> None:
        self._opened = opened
        self._attempt = start.retry.attempt if start.retry else 1
        self._rows = rows
        self._running = running
        self._changed = changed
        self._number = 0
        self._repairs: dict[str, int] = {}
        self._mending: list[asyncio.Task[None]] = []
        self.tasks: set[str] = set()
        self.ended = 0

    async def choose(self, choice: TurnChoice) -> EarlierAttempt:
        """Let a task go on from a turn; what it does at this moment is ended first.

        Raises:
            ActivityError: it cannot; the task is as it was.
        """
        parent = self._parent(choice)
        self.tasks.add(choice.task)
        try:
            await self._continued(choice, parent, looks=True)
            await self._end(choice.task)
            return await self._go_on(choice, parent)
        finally:
            self._settled(choice.task)

    async def stop(self, task: str) -> EarlierAttempt:
        """End what a task does, and return with what it would go on from its last sound turn.

        Raises:
            ActivityError: it has made no turn, or nothing of it is left; it is as it was.
        """
        choice = TurnChoice(task=task)
        self.tasks.add(task)
        try:
            found = await self._continued(choice, self._parent(choice), looks=True)
            await self._end(task)
            return found
        finally:
            self._settled(task)

    async def fork(self, choice: TurnChoice, *, begun: Callable[[], None]) -> EarlierAttempt:
        """Let a fork of a task begin at a turn; the task itself goes on.

        `begun` is called once its row is there.
        """
        parent, task = self._parent(choice), choice.fork or ""
        self.tasks.add(task)
        try:
            continued = await self._continued(choice, parent)
            row = self._rows[choice.task]
            self._rows[task] = retry.forked(row, choice, parent, continued)
            begun()
            return continued
        finally:
            self._settled(task)

    def mend(self, report: SubtaskReport) -> None:
        """Let a task go on by itself whose state or conversation is damaged in the store."""
        tried = self._repairs.get(report.task, 0)
        if report.ending is TaskEnding.CORRUPT and tried < _MOST_REPAIRS:
            self._repairs[report.task] = tried + 1
            self.tasks.add(report.task)
            self._mending.append(asyncio.create_task(self._mend(report.task)))

    async def cancel(self) -> None:
        """End the repairs."""
        for task in self._mending:
            task.cancel()
        await asyncio.gather(*self._mending, return_exceptions=True)

    async def _mend(self, task: str) -> None:
        choice = TurnChoice(task=task)
        try:
            await self._end(task)
            await self._go_on(choice, self._parent(choice))
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("checkpoint.lost", extra={"reason": f"{task}: {error}"})
        finally:
            self._settled(task)

    def _parent(self, choice: TurnChoice) -> str:
        self._number += 1
        me = workflow.info().workflow_id
        return ids.going_back_id(me, self._attempt, self._number, choice.turn or "")

    async def _end(self, task: str) -> None:
        """End what a task does, and wait until it has freed what it holds."""
        running = self._running.get(task)
        if running:
            running.cancel()
        await workflow.wait_condition(lambda: task not in self._running)

    async def _go_on(self, choice: TurnChoice, parent: str) -> EarlierAttempt:
        row = self._rows[choice.task]
        try:
            continued = await self._continued(choice, parent)
        except ActivityError:
            if row.ending is TaskEnding.CANCELLED:
                # It was ended for this alone: its agent finds its calls, and goes on.
                self._rows[choice.task] = retry.as_before(row)
            raise
        self._rows[choice.task] = retry.goes_on(row, parent, continued)
        for other in tuple(self._rows.values()):
            self._rows[other.id] = retry.open_again(other)
        return continued

    async def _continued(
        self, choice: TurnChoice, parent: str, *, looks: bool = False
    ) -> EarlierAttempt:
        row = self._rows[choice.task]
        return await retrying.execute(
            ContinuationActivities.continue_task,
            ContinueTask(
                repository=self._opened.repository,
                choice=choice,
                parent=parent,
                before=row.earlier.number + 1 if row.earlier else 1,
                looks=looks,
            ),
            activity_options.store(f"go on from a turn of {choice.task}"),
        )

    def _settled(self, task: str) -> None:
        self.tasks.discard(task)
        self.ended += 1
        self._changed()

    def problem(self, choice: TurnChoice) -> str:
        """Return why a task cannot go on from a turn just now, "" when it can."""
        row = self._rows.get(choice.task)
        if row is None:
            return f"there is no task {choice.task!r}: {', '.join(self._rows)}"
        if choice.turn is None and choice.taken is None:
            return "name the turn"
        if self.tasks:
            return f"{', '.join(sorted(self.tasks))} goes back already: try again in a moment"
        if row.state is TaskState.PENDING and not row.workflow_id:
            return f"{choice.task!r} has not begun"
        return retry.not_chosen(row, choice, self._rows)
