"""ReconcileWorkflow: one look at a host's disk, by a schedule, at a worker's start or by hand."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.ports import ReconcileActivities
    from contracts.reconcile import Reconcile, ReconcileReport
    from workflows import activity_options, retrying


@workflow.defn
class ReconcileWorkflow:
    """One reconciliation of one host; its result says what was done."""

    @workflow.run
    async def run(self, request: Reconcile) -> ReconcileReport:
        """Have the host compare its disk with the open workflows."""
        return await retrying.execute(
            ReconcileActivities.reconcile,
            request,
            activity_options.host(request.host_id, "compare the disk with the open workflows"),
        )
