"""Task queues: Temporal's word for where a worker takes its work from."""

import datetime as dt
from enum import StrEnum
from typing import Final

WORKFLOW_TASK_TIMEOUT: Final = dt.timedelta(seconds=3)
"""The workflow task timeout of every workflow; after it another worker takes the task."""


class TaskQueue(StrEnum):
    """The shared queues; the value is the queue's name."""

    WORKFLOWS = "orchestcode"
    """Workflows only, no activities. What `temporal workflow start --task-queue` names."""
    MODEL = "model"
    """Model calls: asynchronous, bound by the provider."""
    GIT = "git"
    """Store and worktree administration: short, serialised per store where it must be."""


def host_queue(host_id: str) -> str:
    """Return the queue of the host that holds a worktree: edits, reads, commands."""
    return f"host/{host_id}"


def checks_queue(host_id: str) -> str:
    """Return the queue of a host's checks, apart so that tests cannot starve edits."""
    return f"test/{host_id}"


MODEL_TAKEN_WITHIN = dt.timedelta(minutes=10)
"""How long a model call waits for a worker; then its run shows that none takes it, and goes on."""
