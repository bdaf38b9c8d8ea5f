"""
Signals to workflows that may have ended: then nobody listens, and nothing is lost.
"""

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from contracts.base import Contract


async def tell(workflow_id: str, signal: str, value: Contract | str) -> None:
    """
    Signal a workflow; one that has ended needs no answer.
    """
    try:
        await workflow.get_external_workflow_handle(workflow_id).signal(signal, value)
    except ApplicationError:
        workflow.logger.info("signal.unheard", extra={"signal": signal, "to": workflow_id})
