"""Requests that wait for an answer and do nothing else: what `inbox` asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import workflow
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from contracts.approvals import Approval, ApprovalKind
    from contracts.task_queue import TaskQueue
    from contracts.visibility import OC_PENDING_APPROVALS

_PLAN = Approval(
    id="plan", kind=ApprovalKind.PLAN, what="a plan of 2 tasks", why="asked for", digest="0" * 64
)


@workflow.defn(name="RequestWorkflow")
class WaitingRequest:
    """A request whose plan waits."""

    @workflow.run
    async def run(self) -> None:
        """Wait until it is terminated."""
        pending = SearchAttributeKey.for_int(OC_PENDING_APPROVALS)
        workflow.upsert_search_attributes([pending.value_set(1)])
        await workflow.wait_condition(lambda: False)

    @workflow.query
    def pending_approvals(self) -> list[Approval]:
        """Return what waits."""
        return [_PLAN]


@asynccontextmanager
async def waiting_requests(client: Client) -> AsyncIterator[None]:
    """Answer for open requests, as a worker does, while the block lasts."""
    async with Worker(client, task_queue=TaskQueue.WORKFLOWS, workflows=[WaitingRequest]):
        yield
