"""What others tell a task while it works: a person's notes and decisions, the queue's answer."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.agent import Note
    from contracts.approvals import Decision
    from contracts.merge_queue import MergeVerdict
    from contracts.subtask import SubtaskReport
    from workflows.landing import Landing
    from workflows.reviewing import Reviewing
    from workflows.signals import signal_if_running
    from workflows.task_report import TaskReporter


class TaskHandlers:
    """The handlers of a task; the workflow that inherits this sets these attributes.

    Once it is forked, a person decides which result of the task is taken.
    """

    _reviewing: Reviewing
    _landing: Landing
    _reporter: TaskReporter
    _notes: list[str]

    @workflow.signal(description='Tell the task\'s agents something: {"text": "…"}')
    async def add_note(self, note: Note) -> None:
        """Keep a person's text and pass it to the agent at work."""
        self._notes.append(note.text)
        # An agent that is still being started would not hear it.
        await workflow.wait_condition(lambda: not self._reporter.starting)
        if self._reporter.report.agent:
            await signal_if_running(self._reporter.report.agent, "add_note", note)

    @workflow.signal(description="A person's decision on this task's patch")
    def decided(self, decision: Decision) -> None:
        """Take a person's decision."""
        self._reviewing.decided(decision)

    @workflow.signal(description="The merge queue's answer")
    def merge_verdict(self, verdict: MergeVerdict) -> None:
        """Take the queue's answer."""
        self._landing.verdict(verdict)

    @workflow.signal(description="The task was forked: a person decides on its patch")
    def forked(self, _by: str = "") -> None:
        """Have a person decide on every patch from now on."""
        self._reviewing.forked = True

    @workflow.query(description="State, agent, rounds, cost")
    def status(self) -> SubtaskReport:
        """Return the task's present standing."""
        return self._reporter.report
