"""Pollers: whether somebody already works for a Temporal service run by others."""

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


async def polled(settings: Settings) -> bool:
    """
    Say whether a living worker polls the workflows' queue of the settings' service.

    Raises:
        UnreachableError: nothing answers there.
    """
    client = await connect(settings)
    shown = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueueName(name=TaskQueue.WORKFLOWS),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    return any(_lives(poller) for poller in shown.pollers)


def _lives(poller: PollerInfo) -> bool:
    """Say whether a poller may still be there: the service remembers dead ones for minutes."""
    seen = poller.last_access_time.ToDatetime(dt.UTC)
    if dt.datetime.now(dt.UTC) - seen > _LONGEST_POLL:
        return False
    # The SDK's own identity; of this host's workers we know whether they live.
    here = re.fullmatch(rf"(\d+)@{re.escape(socket.gethostname())}", poller.identity)
    return here is None or Path(f"/proc/{here[1]}").exists()
