"""Messages to the merge queue, which may not run yet."""

from collections.abc import Awaitable, Callable

from temporalio import activity
from typing_extensions import override

from activities.merge_queue import queue_start
from contracts.merge_queue import EnqueuePatch, MergeQueueStart, QueuedPatch
from contracts.ports import QueueActivities
from tests.fakes.calls import Before, Fake
from tests.fakes.store import MemoryStore

Enqueue = Callable[[str, MergeQueueStart, QueuedPatch], Awaitable[None]]
"""Signal-with-start: the queue's workflow id, its start and the patch."""


class FakeMergeQueue(Fake, QueueActivities):
    """Passes each patch to `enqueue`."""

    def __init__(self, store: MemoryStore, before: Before, enqueue: Enqueue) -> None:
        super().__init__(store, before)
        self._enqueue = enqueue

    @override
    @activity.defn
    async def enqueue_patch(self, request: EnqueuePatch) -> None:
        await self._before("enqueue_patch", request)
        await self._enqueue(request.queue_id, queue_start(request), request.queued)
