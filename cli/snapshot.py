"""Everything that a person can know of a request at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from contracts.agent import AgentStatus
from contracts.merge_queue import MergeQueueStatus
from contracts.request import RequestStatus
from contracts.task import TaskState
from contracts.visibility import RunState

PLANNER = "planner"
"""Where the planner stands among the agents, which are otherwise keyed by task."""


@dataclass(frozen=True)
class Snapshot:
    """
    One look at a request.

    Attributes:
        status: the request's own word.
        agents: by task id, and PLANNER; only those at work.
        queue: None while the request has none or it does not run.
        trouble: why nothing newer is known, "" when all is well.
        seconds: since the request started.
        link: its page in the web UI, "" when unknown.
    """

    status: RequestStatus
    agents: Mapping[str, AgentStatus] = field(default_factory=dict)
    queue: MergeQueueStatus | None = None
    trouble: str = ""
    seconds: float = 0.0
    link: str = ""


def unknown(request_id: str, **known: str) -> Snapshot:
    """Return the first snapshot of a request, before anybody answered."""
    return Snapshot(
        RequestStatus(id=request_id, state=RunState.RUNNING, reason="starting"),
        link=known.get("link", ""),
    )


def with_status(snapshot: Snapshot, status: RequestStatus) -> Snapshot:
    """
    Return the snapshot with another status and no agents at work: how a request looks at its end.
    """
    return replace(snapshot, status=status, agents={}, queue=None, trouble="")


def agents_at_work(status: RequestStatus) -> dict[str, str]:
    """Return the workflow ids of the agents at work, by task id and PLANNER."""
    at_work = (TaskState.RUNNING, TaskState.REVIEW, TaskState.BLOCKED)
    agents = {task.id: task.agent for task in status.tasks if task.agent and task.state in at_work}
    if status.planner:
        agents[PLANNER] = status.planner
    return agents
