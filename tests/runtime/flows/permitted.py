"""A workflow whose module imports what workflows may import."""

from temporalio import workflow

from contracts.task_queue import TaskQueue
from contracts.visibility import RunState


@workflow.defn
class PermittedWorkflow:
    """Returns whether a contract's class is the host's own."""

    @workflow.run
    async def run(self, state: RunState) -> bool:
        """Compare by identity, which only a passed-through module gives."""
        return state is RunState.DONE and TaskQueue.WORKFLOWS.value == "orchestcode"
