"""A workflow that calls an activity through its port, as every workflow of the product does."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.ports import RepositoryActivities
    from contracts.repository import OpenRepository, RepositoryOpened
    from workflows import activity_options


@workflow.defn
class PortedWorkflow:
    """Opens a repository."""

    @workflow.run
    async def run(self, request: OpenRepository) -> RepositoryOpened:
        """Call the activity and return what it returns."""
        return await workflow.execute_activity_method(
            RepositoryActivities.open_repository, request, **activity_options.store("open")
        )
