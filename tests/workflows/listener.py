"""A workflow in the place of a request or a subtask; it keeps the signals that it receives."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.approvals import Approval
    from contracts.merge_queue import MergeVerdict
    from contracts.subtask import SubtaskReport
    from contracts.visibility import Blocker


@workflow.defn
class ListenerWorkflow:
    """Receives questions, reports and verdicts until it is stopped."""

    def __init__(self) -> None:
        self._asked: list[Approval] = []
        self._reports: list[SubtaskReport] = []
        self._verdicts: list[MergeVerdict] = []
        self._withdrawn: list[str] = []
        self._enough = False

    @workflow.run
    async def run(self, nothing: None) -> None:
        """Wait."""
        await workflow.wait_condition(lambda: self._enough)

    @workflow.signal
    def ask(self, approval: Approval) -> None:
        """Keep a question."""
        self._asked.append(approval)

    @workflow.signal
    def task_changed(self, report: SubtaskReport) -> None:
        """Keep a report."""
        self._reports.append(report)

    @workflow.signal
    def merge_verdict(self, verdict: MergeVerdict) -> None:
        """Keep a verdict."""
        self._verdicts.append(verdict)

    @workflow.signal
    def withdraw(self, patch_id: str) -> None:
        """Keep what is withdrawn."""
        self._withdrawn.append(patch_id)

    @workflow.signal
    def obstacle(self, obstacle: Blocker) -> None:
        """Receive a blocker; nothing is kept."""

    @workflow.signal
    def stop(self) -> None:
        """End."""
        self._enough = True

    @workflow.query
    def asked(self) -> list[Approval]:
        """Return the questions, oldest first."""
        return self._asked

    @workflow.query
    def reports(self) -> list[SubtaskReport]:
        """Return the reports, oldest first."""
        return self._reports

    @workflow.query
    def withdrawn(self) -> list[str]:
        """Return what was withdrawn, oldest first."""
        return self._withdrawn

    @workflow.query
    def verdicts(self) -> list[MergeVerdict]:
        """Return the verdicts, oldest first."""
        return self._verdicts
