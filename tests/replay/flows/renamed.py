"""The same workflow after somebody renamed the port's method."""

from abc import ABC, abstractmethod

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from contracts.repository import OpenRepository, RepositoryOpened
    from workflows import activity_options


class RenamedActivities(ABC):
    """The port with another name for its method."""

    @activity.defn
    @abstractmethod
    async def look_at_repository(self, request: OpenRepository) -> RepositoryOpened:
        """What was `open_repository`."""


@workflow.defn(name="PortedWorkflow")
class RenamedWorkflow:
    """Opens a repository."""

    @workflow.run
    async def run(self, request: OpenRepository) -> RepositoryOpened:
        """Call the activity and return what it returns."""
        return await workflow.execute_activity_method(
            RenamedActivities.look_at_repository, request, **activity_options.store("open")
        )
