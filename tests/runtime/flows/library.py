"""A workflow that the sandbox refuses: its module imports a library."""

import structlog
from temporalio import workflow

LOGGER = structlog.get_logger()


@workflow.defn
class LibraryWorkflow:
    """Never runs."""

    @workflow.run
    async def run(self) -> None:
        """Do nothing."""
