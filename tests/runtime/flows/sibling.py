"""A workflow that must not start: its module imports an unlisted sibling."""

from temporalio import workflow

from tests.runtime.flows.talkative import PLAIN

LOGGER = PLAIN


@workflow.defn
class SiblingWorkflow:
    """Never runs."""

    @workflow.run
    async def run(self) -> None:
        """Do nothing."""
