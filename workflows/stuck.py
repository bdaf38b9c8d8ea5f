"""A task whose agent was cut: it fails, unless it is stuck and can go on in another way.

The planner may put other tasks in its place; else a person may let it go on.

Whether one is asked, and how it goes on, is decided in domain.agent.stuck.
"""

from collections.abc import Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.agent import AgentResult
    from contracts.approvals import Choice
    from contracts.continuation import TellAttempts
    from contracts.endings import TaskEnding
    from contracts.limits import RequestLimits
    from contracts.ports import ContinuationActivities
    from contracts.review import Patch
    from contracts.subtask import SubtaskStart
    from domain.agent import stuck
    from domain.approvals import questions
    from domain.approvals.questions import Asker
    from domain.planning import replan
    from workflows import activity_options, retrying
    from workflows.replanning import Replanning
    from workflows.reviewing import Reviewing
    from workflows.task_report import TaskReporter, fail


class StuckAgents:
    """The questions about the stuck agents of one task."""

    def __init__(self, start: SubtaskStart, reviewing: Reviewing, reporter: TaskReporter) -> None:
        self._start = start
        self._reviewing = reviewing
        self._limits = start.request_limits or RequestLimits()
        self._replanning = Replanning(reviewing, reporter, self._limits)
        self._asked = 0

    async def hint(
        self, result: AgentResult | None, why: str, patch: Patch, notes: Sequence[str]
    ) -> str:
        """Return a person's hint for the agent that begins again, "" for none, or fail the task.

        Before a person is asked, the planner is, for other tasks in its place.
        """
        tried: str | None = None
        if result is not None and replan.may(result, self._start, asked=self._replanning.asked):
            tried = await self._tried(result)
            await self._replanning.ask(why, tried, patch, notes)
        asks = stuck.asks(result, self._asked, self._limits, self._start.on_limit)
        if result is None or not asks:
            fail(TaskEnding.CUT, why)
        self._asked += 1
        approval = questions.stuck_approval(
            self._start.task,
            patch,
            why=why,
            tried=await self._tried(result) if tried is None else tried,
            refused=self._replanning.refused,
            asker=Asker(workflow.info().workflow_id, self._limits.approval_seconds),
        )
        decision = await self._reviewing.decision(approval)
        if decision.choice is Choice.REJECT:
            fail(TaskEnding.CUT, stuck.failure(why, decision))
        return stuck.hint(decision)

    async def _tried(self, result: AgentResult) -> str:
        """Return what its ledger has as tried, for a person."""
        if result.conversation is None:
            return ""
        told = await retrying.execute(
            ContinuationActivities.tell_attempts,
            TellAttempts(repository=self._start.repository, conversation=result.conversation),
            activity_options.store(f"read what the agent of {self._start.task.id} has tried"),
        )
        return told.text
