"""Two workflows of the bench: pairs of empty activities, and one agent without a request."""

import datetime as dt
import time
from typing import ClassVar

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from contracts import roles
    from contracts.agent import AgentLimits, AgentResult, AgentStart
    from contracts.base import Contract
    from contracts.model import OpenConversation
    from contracts.repository import RepositoryOpened
    from contracts.request import RequestStart
    from contracts.task_queue import WORKFLOW_TASK_TIMEOUT, TaskQueue
    from contracts.worktrees import WorktreeLease
    from workflows.repository import open_repository
    from workflows.worktrees import worktree_lease

PAIRS_QUEUE = "bench"
FIRST_QUEUE = "bench-first"
SECOND_QUEUE = "bench-second"
_MINUTE = dt.timedelta(minutes=1)


class PairTimes:
    """When the first activity of each pair began and ended, in seconds of one clock."""

    begun: ClassVar[list[float]] = []
    ended: ClassVar[list[float]] = []


@activity.defn
async def empty_first() -> None:
    """An empty activity in the place of a model call."""
    PairTimes.begun.append(time.perf_counter())
    PairTimes.ended.append(time.perf_counter())


@activity.defn
async def empty_second() -> None:
    """An empty activity in the place of a tool call."""


@workflow.defn(failure_exception_types=[Exception])
class BenchPairsWorkflow:
    """Pairs of empty activities on two queues, one after another."""

    @workflow.run
    async def run(self, pairs: int) -> None:
        """Run so many pairs."""
        for _ in range(pairs):
            await workflow.execute_activity(
                empty_first, task_queue=FIRST_QUEUE, start_to_close_timeout=_MINUTE
            )
            await workflow.execute_activity(
                empty_second, task_queue=SECOND_QUEUE, start_to_close_timeout=_MINUTE
            )


class BenchAgent(Contract):
    """One coder to be run on a repository.

    Attributes:
        path: the repository.
        turns: how many model calls it may make.
    """

    path: str
    turns: int


@workflow.defn(failure_exception_types=[Exception])
class BenchAgentWorkflow:
    """One coder in a leased worktree of the product's worker: no plan, no review, no merge."""

    @workflow.run
    async def run(self, start: BenchAgent) -> AgentResult:
        """Lease, let the agent work, give back."""
        opened = await open_repository(RequestStart(repository=start.path, request="Count."))
        async with worktree_lease(opened.repository, "count", commit=opened.base) as lease:
            return await self._agent(start, opened, lease)

    async def _agent(
        self, start: BenchAgent, opened: RepositoryOpened, lease: WorktreeLease
    ) -> AgentResult:
        name = workflow.info().workflow_id
        result: AgentResult = await workflow.execute_child_workflow(
            "AgentWorkflow",
            AgentStart(
                request_id=name,
                repository=opened.repository,
                role=roles.CODER,
                task_ref="count",
                lease=lease,
                checkpoint=opened.base,
                opening=OpenConversation(
                    repository=opened.repository,
                    agent_id=f"{name}/agent",
                    role=roles.CODER,
                    facts=(("Request", "Count."), ("Task", "Count upwards in counter.txt.")),
                    commit=opened.base,
                ),
                limits=AgentLimits(turns=start.turns, budget_microusd=10**9),
            ),
            id=f"{name}/agent",
            task_queue=TaskQueue.WORKFLOWS,
            task_timeout=WORKFLOW_TASK_TIMEOUT,
            result_type=AgentResult,
        )
        return result
