"""From an approved patch to the merge queue's answer, and back on top of what has landed."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.checks import CHECKS
    from contracts.limits import RequestLimits
    from contracts.merge_queue import (
        EnqueuePatch,
        MergeVerdict,
        QueuedPatch,
        RebasedPatch,
        RebasePatch,
    )
    from contracts.ports import PatchActivities, QueueActivities
    from contracts.review import Patch
    from contracts.subtask import SubtaskStart
    from contracts.task import TaskState
    from domain.check_results import attempt_at
    from domain.planning.baseline import queued_checks
    from domain.review import rework
    from domain.review.patch import carried_over
    from workflows import activity_options, cancellation, retrying
    from workflows.signals import signal_if_running
    from workflows.task_report import TaskReporter


class Landing:
    """One task's patches on their way to the target.

    Attributes:
        start: the task as it stands.
    """

    def __init__(self, start: SubtaskStart, reporter: TaskReporter) -> None:
        self.start = start
        self._reporter = reporter
        self._verdicts: dict[str, MergeVerdict] = {}
        self._queued: str | None = None

    async def begin(self, commit: str) -> tuple[str, str, str | None]:
        """Return base and checkpoint of the first round, and what the agent is told of them.

        The last state of an earlier attempt is put on top of what has landed.
        """
        start = self.start
        if start.earlier is None or start.earlier.commit is None:
            return commit, commit, None
        carried = await retrying.execute(
            PatchActivities.rebase_patch,
            RebasePatch(
                repository=start.repository, patch=carried_over(start.task.id, start.earlier)
            ),
            activity_options.store(f"go on from the last attempt at {start.task.id}"),
        )
        return carried.tip, carried.checkpoint, carried.feedback or None

    def verdict(self, verdict: MergeVerdict) -> None:
        """Take the queue's answer for one patch; the first one stands."""
        self._verdicts.setdefault(verdict.id, verdict)

    async def land(self, patch: Patch) -> MergeVerdict:
        """Queue the patch and wait for the answer."""
        start = self.start
        queued = QueuedPatch(
            id=f"{start.repository.request_key}/{patch.task}/{patch.round}",
            task=patch.task,
            repository=start.repository,
            patch=patch,
            reply_to=workflow.info().workflow_id,
            acceptance=start.task.acceptance,
            checks=queued_checks(start, self._reporter.report.dropped),
            group=start.group,
            attempt=attempt_at(start),
        )
        self._queued = queued.id
        await self._reporter.set(TaskState.RUNNING, "in the merge queue")
        known = await retrying.execute(
            QueueActivities.enqueue_patch,
            EnqueuePatch(
                queue_id=start.queue_id,
                queued=queued,
                limits=start.request_limits or RequestLimits(),
                landed=start.landed,
            ),
            activity_options.external_effect(f"queue the patch of {patch.task}"),
        )
        cancellation.raise_if_cancelled()
        if known is not None:
            self.verdict(known)
        await workflow.wait_condition(lambda: queued.id in self._verdicts)
        self._queued = None
        return self._verdicts[queued.id]

    async def rebase(self, patch: Patch, verdict: MergeVerdict) -> RebasedPatch:
        """Put a patch that did not land on top of what has."""
        return await retrying.execute(
            PatchActivities.rebase_patch,
            RebasePatch(repository=self.start.repository, patch=patch, verdict=verdict),
            activity_options.store(f"rebase {patch.task}"),
        )

    async def withdraw(self) -> None:
        """Take what still waits out of the queue."""
        if self._queued:
            await signal_if_running(self.start.queue_id, "withdraw", self._queued)


def feedback(verdict: MergeVerdict) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return what the agent is told of a patch that did not land, and the documents with it."""
    documents = ((CHECKS, verdict.log),) if verdict.log else ()
    return rework.eviction_feedback(verdict), documents
