"""A workflow that the sandbox refuses: its module imports a module that is not passed through."""

from temporalio import workflow

from tests.runtime.flows.talkative import PLAIN

LOGGER = PLAIN


@workflow.defn
class SiblingWorkflow:
    """Never runs."""

    @workflow.run
    async def run(self) -> None:
        """Do nothing."""
