"""Whether a worker already polls the Temporal service at TEMPORAL_ADDRESS."""

import datetime as dt
import re
import socket
from pathlib import Path

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import PollerInfo
from temporalio.api.taskqueue.v1 import TaskQueue as TaskQueueName
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

from contracts.task_queue import TaskQueue
from runtime.connect import connect
from runtime.settings import Settings

_LONGEST_POLL = dt.timedelta(seconds=75)


async def has_live_poller(settings: Settings) -> bool:
    """Return whether a live worker polls the workflows' queue; UnreachableError without service."""
    client = await connect(settings)
    shown = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueueName(name=TaskQueue.WORKFLOWS),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    return any(_is_alive(poller) for poller in shown.pollers)


def _is_alive(poller: PollerInfo) -> bool:
    """Return whether a poller may still live: the service lists dead ones for minutes."""
    seen = poller.last_access_time.ToDatetime(dt.UTC)
    if dt.datetime.now(dt.UTC) - seen > _LONGEST_POLL:
        return False
    # The SDK's default identity, pid@host: a worker of this host can be checked.
    local = re.fullmatch(rf"(\d+)@{re.escape(socket.gethostname())}", poller.identity)
    return local is None or Path(f"/proc/{local[1]}").exists()
