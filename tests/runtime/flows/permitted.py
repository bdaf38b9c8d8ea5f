"""A workflow whose module imports only what workflows may import."""

from temporalio import workflow

from contracts.task_queue import TaskQueue
from contracts.visibility import RunState


@workflow.defn
class PermittedWorkflow:
    """Returns whether a contract's class is the worker's own."""

    @workflow.run
    async def run(self, state: RunState) -> bool:
        """Compare by identity, which holds only for a passed-through module."""
        return state is RunState.DONE and TaskQueue.WORKFLOWS.value == "orchestcode"
