"""A subtask's standing: its report, kept in one place and told to the request when it changes."""

from typing import NoReturn

from temporalio import workflow
from temporalio.exceptions import ActivityError, ChildWorkflowError

with workflow.unsafe.imports_passed_through():
    from contracts import roles
    from contracts.agent import AgentResult, AgentStart
    from contracts.base import Contract
    from contracts.endings import TaskEnding
    from contracts.failures import FailureKind
    from contracts.subtask import SubtaskReport
    from contracts.task import TaskState
    from contracts.task_queue import WORKFLOW_TASK_TIMEOUT
    from contracts.tools import CoderFinish
    from domain import ids
    from domain.agent import messages
    from domain.planning.unfinished import Settled
    from domain.scheduling import task_state as tasks
    from workflows import cancellation, retrying
    from workflows.agent import AgentWorkflow
    from workflows.signals import signal_if_running


class TaskFailed(Exception):  # noqa: N818 - a decision that ends the task, not an error of ours
    """The task cannot be done; the text says why."""

    def __init__(self, ending: TaskEnding, why: str) -> None:
        super().__init__(why[:1_000])
        self.ending = ending


def fail(ending: TaskEnding, why: str) -> NoReturn:
    """End the task."""
    raise TaskFailed(ending, why)


class TaskReporter:
    """How a task stands; the request is told.

    Attributes:
        starting: an agent is named in the report that does not run yet.
    """

    def __init__(self, task: str, request_id: str) -> None:
        me = workflow.info().workflow_id
        self.report = SubtaskReport(task=task, workflow_id=me, state=TaskState.PENDING)
        self._request_id = request_id
        self.starting = False

    def note(self, **change: object) -> None:
        """Change the report without telling; the next change tells it too."""
        self.report = self.report.model_copy(update=change)

    async def set(self, state: TaskState, reason: str, *, agent: str | None = None) -> None:
        """Change the state and tell the request."""
        if state is not self.report.state:
            tasks.move(self.report.state, state)
        self.note(state=state, reason=reason[:1_000], agent=agent)
        await signal_if_running(self._request_id, "task_changed", self.report)

    def settled(self, settled: Settled) -> tuple[str, ...]:
        """Note what an agent's needs came to; return all commands that were dropped."""
        dropped = (*self.report.dropped, *settled.dropped)
        granted = (*self.report.granted, settled.granted)
        self.note(dropped=dropped, granted=tuple(filter(None, granted)))
        return dropped

    def money_left(self, share: int) -> int:
        """Return what is left of a share of the budget and of what was granted; microUSD."""
        return max(share + self.report.granted_microusd - self.report.cost_microusd, 0)

    async def unchanged(self, finish: CoderFinish) -> bool:
        """End the task as done without a change: what its agent says is the answer; True."""
        self.note(no_change=finish.no_change[:1_000], answer=finish.summary)
        await self.set(TaskState.DONE, finish.summary[:300])
        return True

    async def fail(self, reason: str, ending: TaskEnding) -> None:
        """End the task as failed; what waits or is under review comes back to work first."""
        if self.report.state is not TaskState.RUNNING:
            self.note(state=tasks.move(self.report.state, TaskState.RUNNING))
        self.note(ending=ending)
        await self.set(TaskState.FAILED, reason)

    async def broken(self, error: ActivityError | ChildWorkflowError) -> None:
        """End the task as failed by a step of it."""
        kind = retrying.kind_of(error) if isinstance(error, ActivityError) else None
        corrupt = kind == FailureKind.CHECKPOINT_CORRUPTION
        ending = TaskEnding.CORRUPT if corrupt else TaskEnding.BROKEN
        await self.fail(messages.cause(error), ending)

    async def ask(self, approval: Contract) -> None:
        """Put a question into the request's approval inbox."""
        await signal_if_running(self._request_id, "ask", approval)

    async def run_agent(self, start: AgentStart, *, again: bool = False) -> AgentResult:
        """Run an agent of this task and book what it used; `again`: a second time in its round."""
        me = workflow.info().workflow_id
        agent = ids.agent_id(me, start.role, start.attempt) + ("-again" if again else "")
        self.starting = True
        try:
            await self.set(self.report.state, self.report.reason, agent=agent)
            handle = await workflow.start_child_workflow(
                AgentWorkflow.run,
                start,
                id=agent,
                task_timeout=WORKFLOW_TASK_TIMEOUT,
                static_summary=f"{start.role} of {start.task_ref}, round {start.attempt}",
            )
        finally:
            self.starting = False
        result = await handle
        tokens = result.usage.total_tokens
        self.note(
            agent=None,
            turns=self.report.turns + result.turns,
            tokens=self.report.tokens + tokens,
            unpriced_tokens=self.report.unpriced_tokens + (0 if result.priced else tokens),
            cost_microusd=self.report.cost_microusd + result.cost_microusd,
            model=result.model or self.report.model,
            granted_microusd=self.report.granted_microusd + result.granted_microusd,
        )
        if start.role == roles.CODER and result.left_out is not None:
            self.note(left_out=result.left_out)
        cancellation.raise_if_cancelled()
        if result.failure == FailureKind.CHECKPOINT_CORRUPTION:
            fail(TaskEnding.CORRUPT, result.reason)
        return result
