"""What is known of a request at one moment: its status, its agents, its merge queue."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cli.client import RequestClient
from cli.feed import Feed
from contracts.agent import AgentStatus
from contracts.merge_queue import MergeQueueStatus
from contracts.request import RequestStatus
from contracts.task import TaskState

PLANNER = "planner"
"""The planner's key among the agents, which are otherwise keyed by task."""
_AGENT_AT_WORK = (TaskState.RUNNING, TaskState.REVIEW, TaskState.BLOCKED)


@dataclass(frozen=True)
class Snapshot:
    """A request at one moment.

    Attributes:
        agents: by task id, and PLANNER; only those at work.
        queue: None while the request has none or it does not run.
        problem: why nothing newer is known, "" when all is well.
        seconds: since the request started.
        link: its page in the web UI, "" when unknown.
        feed: nothing where a snapshot stands alone.
    """

    status: RequestStatus
    agents: Mapping[str, AgentStatus] = field(default_factory=dict)
    queue: MergeQueueStatus | None = None
    problem: str = ""
    seconds: float = 0.0
    link: str = ""
    feed: Feed = field(default_factory=Feed)


async def take_snapshot(requests: RequestClient, status: RequestStatus) -> Snapshot:
    """Return a snapshot with this status and with what agents and merge queue report."""
    agent_ids = agents_at_work(status)
    agents = await asyncio.gather(*(requests.agent(name) for name in agent_ids.values()))
    queue = await requests.queue(status.merge_queue) if status.merge_queue else None
    known = {task: agent for task, agent in zip(agent_ids, agents, strict=True) if agent}
    return Snapshot(status, known, queue)


def with_agents_spending(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot whose status counts its agents at work, which have told nothing yet."""
    status, agents = snapshot.status, snapshot.agents
    spent = sum(agent.cost_usd for agent in agents.values())
    unpriced = sum(agent.tokens for agent in agents.values() if not agent.priced)
    rows = tuple(
        row.model_copy(
            update={
                "cost_usd": row.cost_usd + agent.cost_usd,
                "tokens": row.tokens + agent.tokens,
            }
        )
        if (agent := agents.get(row.id))
        else row
        for row in status.tasks
    )
    counted = {
        "cost_usd": status.cost_usd + spent,
        "unpriced_tokens": status.unpriced_tokens + unpriced,
        "tasks": rows,
    }
    return replace(snapshot, status=status.model_copy(update=counted))


def agents_at_work(status: RequestStatus) -> dict[str, str]:
    """Return the workflow ids of the agents at work, by task id and PLANNER."""
    agents = {
        task.id: task.agent for task in status.tasks if task.agent and task.state in _AGENT_AT_WORK
    }
    if status.planner:
        agents[PLANNER] = status.planner
    return agents
