"""Follow-ups: requests that wait until this one has ended, and start then."""

from temporalio import workflow
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from contracts.endings import RequestEnding
    from contracts.failures import FailureKind
    from contracts.task_queue import WORKFLOW_TASK_TIMEOUT
    from contracts.threads import FollowUp, FollowUpReceipt
    from contracts.visibility import OC_REPOSITORY, OC_THREAD
    from domain import threads
    from workflows.signals import signal_if_running


class FollowUps:
    """The queue of a request's follow-ups.

    A workflow that inherits this keeps them in `_queued`, and `_left` once they have started.
    """

    _queued: list[FollowUp]
    _left: bool
    _id: str
    _ending: tuple[RequestEnding, str] | None

    @workflow.update(description="Start this request once this one has ended")
    def follow_up(self, wanted: FollowUp) -> FollowUpReceipt:
        """Keep a follow-up; the same one again changes nothing."""
        self._keep(wanted)
        return FollowUpReceipt(message=f"{wanted.request_id} starts once {self._id} has ended")

    @follow_up.validator
    def check_follow_up(self, wanted: FollowUp) -> None:
        """Refuse what cannot wait, before it reaches history."""
        problem = threads.problem(wanted, self._queued, self._id)
        if self._left:
            problem = f"{self._id} has ended"
        if problem:
            raise ApplicationError(problem, type=FailureKind.REFUSED, non_retryable=True)

    @workflow.signal(description="Follow-ups of the request before this one")
    def queue(self, waiting: FollowUp) -> None:
        """Take over what waits for the whole thread."""
        self._keep(waiting)

    def _keep(self, wanted: FollowUp) -> None:
        if wanted.request_id not in {each.request_id for each in self._queued}:
            self._queued.append(wanted)

    async def start_follow_ups(self) -> None:
        """Start the first one, which takes over the others; a cancelled request starts none."""
        self._left = True
        cancelled = self._ending is not None and self._ending[0] is RequestEnding.CANCELLED
        if not self._queued or cancelled:
            return
        first, *others = self._queued
        try:
            await workflow.start_child_workflow(
                "RequestWorkflow",
                first.start,
                id=first.request_id,
                task_timeout=WORKFLOW_TASK_TIMEOUT,
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=threads.summary(first.start),
                memo={
                    OC_REPOSITORY: str(first.start.get("repository", "")),
                    OC_THREAD: str(first.start.get("thread", "")),
                },
            )
        except WorkflowAlreadyStartedError:
            workflow.logger.warning("thread.started", extra={"receiver": first.request_id})
        for other in others:
            await signal_if_running(first.request_id, "queue", other)
