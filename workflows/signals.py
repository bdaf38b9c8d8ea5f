"""Signals to workflows that may have ended; such a signal is dropped, and nothing is lost."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from contracts.base import Contract


async def signal_if_running(workflow_id: str, signal: str, value: Contract | str) -> None:
    """Signal a workflow; one that has ended needs no answer."""
    try:
        # Shielded: a cancellation that comes while a signal is under way would be lost with it.
        await asyncio.shield(
            workflow.get_external_workflow_handle(workflow_id).signal(signal, value)
        )
    except ApplicationError:
        workflow.logger.info("signal.unheard", extra={"signal": signal, "receiver": workflow_id})
