"""Messages to workflows that may not run yet, or no longer."""

import json

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode
from typing_extensions import override

from activities.failures import translated_failures
from contracts.merge_queue import EnqueuePatch, MergeQueueStart, MergeVerdict, QueuedPatch
from contracts.ports import QueueActivities
from contracts.repository import OpenRequest
from contracts.request import RequestStart
from contracts.task_queue import WORKFLOW_TASK_TIMEOUT, TaskQueue
from domain import ids
from domain.text import one_line
from infra.start_codes import StartCodes
from infra.store import records
from infra.store.open_stores import OpenStores

_MERGE_QUEUE = "MergeQueueWorkflow"
_REQUEST = "RequestWorkflow"


class MergeQueueClient(QueueActivities):
    """Signal-with-start by the worker's own client."""

    def __init__(self, client: Client, stores: OpenStores) -> None:
        self._client = client
        self._stores = stores

    @override
    @activity.defn
    async def enqueue_patch(self, request: EnqueuePatch) -> MergeVerdict | None:
        """Signal the merge queue, starting it when it does not run.

        Safe to repeat: the queue takes each patch id once. For a sender that has ended meanwhile
        nothing is done: a late attempt would start a queue that no request ends. A patch
        that did not land before a database was lost does not land: its agent has gone on.
        """
        known = await self._known(request.queued)
        if known is not None:
            return known
        if not await is_open(self._client, request.queued.reply_to):
            return None
        await self._client.start_workflow(
            _MERGE_QUEUE,
            queue_start(request),
            id=request.queue_id,
            task_queue=TaskQueue.WORKFLOWS,
            task_timeout=WORKFLOW_TASK_TIMEOUT,
            start_signal="enqueue",
            start_signal_args=[request.queued],
            static_summary=f"merge queue of {request.queued.repository.target}"[:180],
        )
        return None

    async def _known(self, queued: QueuedPatch) -> MergeVerdict | None:
        ref = ids.verdict_ref(queued.repository.request_key, queued.patch.task, queued.patch.round)
        async with translated_failures():
            store = await self._stores.get(queued.repository.key)
            return await records.read(store, ref, MergeVerdict)


def queue_start(request: EnqueuePatch) -> MergeQueueStart:
    """Return how a queue begins; one of a retried request knows what has landed before."""
    commands = (command for promise in request.landed for command in promise.commands)
    return MergeQueueStart(
        repository=request.queued.repository,
        limits=request.limits,
        landed_acceptance=tuple(dict.fromkeys(commands)),
        promises=request.landed,
    )


async def workflow_status(client: Client, workflow_id: str) -> WorkflowExecutionStatus | None:
    """Return how a workflow stands, None when the server does not know it."""
    try:
        return (await client.get_workflow_handle(workflow_id).describe()).status
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


async def is_open(client: Client, workflow_id: str) -> bool:
    """Return whether a workflow is open; one that the server does not know is not."""
    return await workflow_status(client, workflow_id) is WorkflowExecutionStatus.RUNNING


async def restart_request(
    client: Client, request: OpenRequest, starts: StartCodes | None = None
) -> None:
    """Start a request that the server's database has forgotten; its finished steps count.

    Safe to repeat: one that runs already goes on.
    """
    asked = {**json.loads(request.asked), "resumes": request.key}
    if starts:
        code = starts.sign(request.id, RequestStart.model_validate(asked)).code
        asked = {**asked, "code": code}
    await client.start_workflow(
        _REQUEST,
        asked,
        id=request.id,
        task_queue=TaskQueue.WORKFLOWS,
        task_timeout=WORKFLOW_TASK_TIMEOUT,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary=one_line(str(asked.get("request", "")), 60),
    )
