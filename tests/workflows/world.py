"""
The world of a workflow test: a task queue and a host of its own, and memory behind every port.
"""

import asyncio
import contextlib
import datetime as dt
import inspect
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.policy import CurrentPolicy
from contracts.merge_queue import MergeVerdict, QueuedPatch
from contracts.store import RepositoryRef
from contracts.task_queue import TaskQueue, checks_queue, host_queue
from contracts.worktrees import WorktreeLease
from runtime.interceptors import OrchestInterceptor
from runtime.workflow_sandbox import workflow_runner
from tests.fakes import (
    BASE,
    MemoryChecks,
    MemoryDisk,
    MemoryModel,
    MemoryPatches,
    MemoryQueues,
    MemoryRepositories,
    MemoryTools,
    MemoryWorktrees,
    ScriptedReply,
    oid,
)
from tests.workflows.listener import ListenerWorkflow
from workflows.agent import AgentWorkflow
from workflows.merge_queue import MergeQueueWorkflow
from workflows.reconcile import ReconcileWorkflow
from workflows.request import RequestWorkflow
from workflows.subtask import SubtaskWorkflow

PATIENCE_SECONDS = 40.0
"""How long a test may take; then its workflows are ended in good order."""
LONGEST = dt.timedelta(seconds=60)
"""No workflow of a test may take longer by its own clock, unless the test skips time."""
WORKFLOWS: tuple[type, ...] = (
    RequestWorkflow,
    SubtaskWorkflow,
    AgentWorkflow,
    MergeQueueWorkflow,
    ReconcileWorkflow,
    ListenerWorkflow,
)


class WorkflowEnv:
    """
    Everything that a workflow can reach.

    Args:
        scripts: the model's replies by "role/task".
        verdicts: answers in the merge queue's place; None lets the real one work.
    """

    def __init__(
        self,
        client: Client,
        scripts: Mapping[str, Iterable[ScriptedReply]],
        *,
        verdicts: Sequence[Callable[[QueuedPatch], MergeVerdict]] | None = None,
    ) -> None:
        self.client = client
        self.name = uuid.uuid4().hex[:12]
        self.id = f"test/{self.name}"
        self.model = MemoryModel(scripts)
        self.tools = MemoryTools()
        self.disk = MemoryDisk()
        self.checks = MemoryChecks()
        self.patches = MemoryPatches()
        self.repositories = MemoryRepositories(self.name)
        self.worktrees = MemoryWorktrees(self.name, lambda: self.patches.tip)
        answers = None if verdicts is None else deque(verdicts)
        self.queues = MemoryQueues(client, self.name, answers)

    @property
    def repository(self) -> RepositoryRef:
        """The repository of a workflow that is started without a request."""
        return RepositoryRef(
            key=f"memory-{self.name}",
            request_key="key",
            target="target",
            environment=oid("environment"),
            host_id=self.name,
        )

    @property
    def lease(self) -> WorktreeLease:
        """A lease for an agent that is started without a subtask."""
        return WorktreeLease(worktree="w", epoch=1, host_id=self.name, commit=BASE)

    def _workers(self) -> list[Worker]:
        model, tools, patches, policy = self.model, self.tools, self.patches, CurrentPolicy()
        git: list[Callable[..., Any]] = [
            self.repositories.open_repository,
            self.repositories.deliver_branch,
            self.repositories.withdraw_delivery,
            self.repositories.close_request,
            self.worktrees.lease_worktree,
            self.worktrees.release_worktree,
            patches.make_patch,
            patches.rebase_patch,
            patches.build_chain,
            patches.land_chain,
            self.queues.enqueue_patch,
            policy.judge_plan,
            policy.judge_review,
        ]
        talk: list[Callable[..., Any]] = [model.open_conversation, model.call_model]
        hands: list[Callable[..., Any]] = [
            tools.read_files,
            tools.apply_edit,
            tools.run_command,
            tools.call_tool,
        ]
        hands.append(self.disk.reconcile)
        return [
            self._hands(TaskQueue.MODEL, talk),
            self._hands(TaskQueue.GIT, git),
            self._hands(host_queue(self.name), hands),
            self._hands(checks_queue(self.name), [self.checks.run_checks]),
            # Ended first, so that nothing comes back while its workflows are let go.
            Worker(
                self.client,
                task_queue=self.name,
                workflows=WORKFLOWS,
                workflow_runner=workflow_runner(),
                # An error of ours ends the workflow at once: no test waits for a stuck one.
                workflow_failure_exception_types=[Exception],
            ),
        ]

    def _hands(self, queue: str, activities: Sequence[Callable[..., Any]]) -> Worker:
        return Worker(
            self.client,
            task_queue=queue,
            activities=activities,
            interceptors=[OrchestInterceptor()],
        )

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """
        Serve every queue for as long as the block lasts, then end what is still open.

        A worker drops open workflows as they are, and Python would run the ends of their blocks
        wherever its garbage collector happens to be.
        """
        async with contextlib.AsyncExitStack() as stack:
            for worker in self._workers():
                await stack.enter_async_context(worker)
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    yield
            finally:
                await self._end_workflows()

    async def _end_workflows(self) -> None:
        query = f"TaskQueue = '{self.name}' AND ExecutionStatus = 'Running'"
        for _ in range(100):
            running = [each async for each in self.client.list_workflows(query)]
            for each in running:
                handle = self.client.get_workflow_handle(each.id, run_id=each.run_id)
                with contextlib.suppress(RPCError):
                    await handle.cancel()
            if not running:
                return
            await asyncio.sleep(0.05)

    async def start(
        self, workflow: type, payload: object, *, name: str = "", client: Client | None = None
    ) -> WorkflowHandle[Any, Any]:
        """Start a workflow under this world's id, followed by a name."""
        return await (client or self.client).start_workflow(
            workflow.run,  # type: ignore[attr-defined]
            payload,
            id=self.id + name,
            task_queue=self.name,
            execution_timeout=LONGEST if client is None else None,
        )

    async def listener(self, name: str = "/listener") -> WorkflowHandle[Any, Any]:
        """Start a workflow that hears what subtasks, agents and queues tell."""
        return await self.start(ListenerWorkflow, None, name=name)


async def until(seen: Callable[[], Any], *, seconds: float = 15.0) -> Any:
    """
    Wait until a function, awaited where it is asynchronous, returns something true; return that.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        found = seen()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert loop.time() < end, "it did not happen in time"
        await asyncio.sleep(0.02)
