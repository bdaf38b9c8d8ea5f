"""Tasks whose files a person works on: their agents have stopped, and wait until they are done.

What the person made is taken in as any other going on from a turn; see `workflows.going_back`.
"""

import asyncio
from collections.abc import Callable

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.agent import Note
    from contracts.approvals import Choice
    from contracts.base import ObjectId
    from contracts.continuation import HandOffReceipt
    from contracts.endings import TaskEnding
    from contracts.task import TaskState, TaskStatus
    from domain import ids
    from domain.approvals import questions
    from domain.request import retry
    from domain.request import status as requests
    from workflows.approvals import PendingApprovals
    from workflows.going_back import GoingBack


class HandOffs:
    """The tasks of one scheduler that a person works on; `noted` takes what they say of one.

    Attributes:
        ended: how often one was given back or given up.
    """

    def __init__(
        self,
        back: GoingBack,
        inbox: PendingApprovals,
        *,
        rows: dict[str, TaskStatus],
        noted: Callable[[Note], None],
        changed: Callable[[], None],
    ) -> None:
        self._back = back
        self._inbox = inbox
        self._rows = rows
        self._noted = noted
        self._changed = changed
        self._waiting: dict[str, asyncio.Task[None]] = {}
        self._states: dict[str, ObjectId] = {}
        self.ended = 0

    @property
    def tasks(self) -> tuple[str, ...]:
        """Which a person works on."""
        return tuple(self._waiting)

    def problem(self, task: str) -> str:
        """Return why a task cannot be handed off just now, "" when it can."""
        row = self._rows.get(task)
        if row is None:
            return f"there is no task {task!r}: {', '.join(self._rows)}"
        if task in self._waiting:
            return ""
        if self._back.tasks:
            return f"{', '.join(sorted(self._back.tasks))} goes back: try again in a moment"
        if row.state is TaskState.PENDING and not row.workflow_id:
            return f"{task!r} has not begun"
        if row.state is TaskState.DONE:
            return f"{task!r} is done: ask for more with `run --after`"
        return ""

    async def hand_off(self, task: str) -> HandOffReceipt:
        """Stop a task's agent and let it wait for a person; asked for again, say the same.

        Raises:
            ActivityError: it cannot be stopped at a turn; it is as it was.
        """
        if task not in self._waiting:
            await self._stop(task)
        return HandOffReceipt(
            message=f"{task!r} is with you: its agent has stopped", checkpoint=self._states[task]
        )

    async def _stop(self, task: str) -> None:
        found = await self._back.stop(task)
        checkpoint: ObjectId = found.commit or ""
        self._states[task] = checkpoint
        self._rows[task] = retry.handed_off(self._rows[task])
        for other in tuple(self._rows.values()):
            self._rows[other.id] = retry.open_again(other)
        self._waiting[task] = asyncio.create_task(self._wait(task, checkpoint))
        self._changed()

    def given_back(self, task: str) -> None:
        """Ask no more about a task that goes on with what the person made."""
        waiting = self._waiting.pop(task, None)
        if waiting:
            waiting.cancel()
            self._inbox.withdraw(ids.hand_off_id(task))
            self.ended += 1

    async def cancel(self) -> None:
        """End the waiting: what a person works on is cancelled with the request."""
        for task in self.tasks:
            self._rows[task] = requests.ended(
                self._rows[task], TaskState.CANCELLED, "cancelled", TaskEnding.CANCELLED
            )
            self.given_back(task)

    async def _wait(self, task: str, checkpoint: ObjectId) -> None:
        """Wait for the answer that lets the agent go on without the person, or ends the task."""
        me = workflow.info().workflow_id
        decision = await self._inbox.ask(questions.hand_off_approval(me, task, checkpoint))
        row = self._rows[task]
        if decision.choice is Choice.REJECT:
            why = f"given up by {decision.by}: {decision.reason}".rstrip(": ")
            row = requests.ended(row, TaskState.FAILED, why, TaskEnding.REJECTED)
        else:
            row = retry.as_before(row)
            if decision.reason:
                self._noted(Note(text=decision.reason, task=task))
        self._rows[task] = row
        self._waiting.pop(task, None)
        self.ended += 1
        self._changed()
