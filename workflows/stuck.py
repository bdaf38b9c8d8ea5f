"""A task whose agent was cut: it fails, unless it is stuck and a person lets it go on.

Whether one is asked, and how it goes on, is decided in domain.agent.stuck.
"""

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
    from workflows import activity_options, retrying
    from workflows.reviewing import Reviewing
    from workflows.task_report import fail


class StuckAgents:
    """The questions about the stuck agents of one task."""

    def __init__(self, start: SubtaskStart, reviewing: Reviewing) -> None:
        self._start = start
        self._reviewing = reviewing
        self._limits = start.request_limits or RequestLimits()
        self._asked = 0

    async def hint(self, result: AgentResult | None, why: str, patch: Patch) -> str:
        """Return a person's hint for the agent that begins again, "" for none, or fail the task."""
        asks = stuck.asks(result, self._asked, self._limits, self._start.on_limit)
        if result is None or not asks:
            fail(TaskEnding.CUT, why)
        self._asked += 1
        approval = questions.stuck_approval(
            self._start.task,
            patch,
            why=why,
            tried=await self._tried(result),
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
