"""Workflows that log; imports only the standard library and the SDK."""

import datetime as dt
import logging

from temporalio import workflow

PLAIN = logging.getLogger("plain")


@workflow.defn
class TalkativeWorkflow:
    """Logs in each step, once by the SDK's logger and once by a plain one."""

    @workflow.run
    async def run(self, steps: int) -> int:
        """Run that many steps."""
        for step in range(steps):
            workflow.logger.info("turn.start", extra={"turn": step})
            await workflow.sleep(dt.timedelta(milliseconds=1))
            PLAIN.info("turn.plain", extra={"turn": step})
        return steps


@workflow.defn
class BrokenWorkflow:
    """Raises an error that fails the workflow task, not the workflow."""

    @workflow.run
    async def run(self) -> None:
        """Fail."""
        raise ValueError("broken on purpose")
