"""A workflow that the sandbox refuses: its module reads the clock."""

import datetime as dt

from temporalio import workflow

LOADED = dt.datetime.now(dt.UTC)


@workflow.defn
class ClockWorkflow:
    """Never runs."""

    @workflow.run
    async def run(self) -> None:
        """Do nothing."""
