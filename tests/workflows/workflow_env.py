"""What a workflow test reaches: a task queue and a host of its own, a fake behind every port."""

import asyncio
import contextlib
import datetime as dt
import functools
import inspect
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.worker import Worker

from contracts.merge_queue import MergeQueueStart, MergeVerdict, QueuedPatch
from contracts.model import ModelCall
from contracts.ports import (
    PORTS,
    CheckActivities,
    ModelActivities,
    ReconcileActivities,
    SetupActivities,
    SurveyActivities,
    ToolActivities,
)
from contracts.store import RepositoryRef
from contracts.task_queue import TaskQueue, checks_queue, host_queue
from contracts.worktrees import WorktreeLease
from runtime.interceptors import OrchestInterceptor
from runtime.workflow_sandbox import workflow_runner
from tests.fakes.calls import CallLog
from tests.fakes.model import ScriptedReplies, ScriptedReply, agent_of
from tests.fakes.ports import FakePorts
from tests.fakes.store import BASE
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
_ON_THE_HOST = frozenset({ToolActivities, ReconcileActivities})


class WorkflowEnv(FakePorts):
    """A task queue and a host of its own, with a fake behind every port.

    Args:
        scripts: the model's replies by "role/task".
        verdicts: answers in the merge queue's place; None starts the real one.
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
        self.calls = CallLog()
        self.replies = ScriptedReplies(scripts)
        self._verdicts = None if verdicts is None else deque(verdicts)
        super().__init__(self.name, before=self.calls, replies=self.replies, enqueue=self._enqueue)

    @functools.cached_property
    def repository(self) -> RepositoryRef:
        """The repository of a workflow that is started without a request."""
        self.store.tips["target"] = BASE
        return RepositoryRef(
            key=f"memory-{self.name}",
            request_key="key",
            target="target",
            environment=self.store.blob("environment"),
            host_id=self.name,
        )

    @functools.cached_property
    def lease(self) -> WorktreeLease:
        """A lease for an agent that is started without a subtask."""
        held = self.store.lease("the test", BASE)
        return WorktreeLease(
            worktree=held.worktree, epoch=held.epoch, host_id=self.name, commit=BASE
        )

    @property
    def tip(self) -> str:
        """The tip of the only target."""
        (tip,) = self.store.tips.values()
        return tip

    @property
    def landed(self) -> list[tuple[str, ...]]:
        """The titles of each landing, oldest first."""
        return [landing.titles for landing in self.patches.landings]

    @property
    def tool_calls(self) -> list[Any]:
        """Reads and writes, oldest first."""
        return self.calls.of("read_files", "apply_edit", "run_command", "call_tool")

    @property
    def model_calls(self) -> list[ModelCall]:
        """The calls that needed a reply, oldest first."""
        return self.calls.of("call_model")

    def messages(self, agent: str) -> list[str | None]:
        """The message of every call of one "role/task"."""
        return [call.message for call in self.model_calls if agent_of(call) == agent]

    def written(self, commit: str) -> set[str]:
        """The paths that a commit has and the base has not."""
        return set(self.store.changed(BASE, commit))

    async def _enqueue(self, queue_id: str, start: MergeQueueStart, patch: QueuedPatch) -> None:
        if self._verdicts is None:
            await self.client.start_workflow(
                "MergeQueueWorkflow",
                start,
                id=queue_id,
                task_queue=self.name,
                start_signal="enqueue",
                start_signal_args=[patch],
            )
        elif self._verdicts:
            sender = self.client.get_workflow_handle(patch.reply_to)
            await sender.signal("merge_verdict", self._verdicts.popleft()(patch))

    def _queue(self, port: type) -> str:
        if port is ModelActivities:
            return TaskQueue.MODEL
        if port in {CheckActivities, SetupActivities, SurveyActivities}:
            return checks_queue(self.name)
        return host_queue(self.name) if port in _ON_THE_HOST else TaskQueue.GIT

    def worker(self, queue: str) -> Worker:
        """Return a worker of one of the queues of activities."""
        ports = [port for port in PORTS if self._queue(port) == queue]
        return Worker(
            self.client,
            task_queue=queue,
            activities=[
                getattr(self.of(port), each) for port in ports for each in port.__abstractmethods__
            ],
            interceptors=[OrchestInterceptor()],
        )

    def _workers(self, idle: str) -> list[Worker]:
        queues = dict.fromkeys(self._queue(port) for port in PORTS)
        return [
            *(self.worker(queue) for queue in queues if queue != idle),
            # Ended first, so that nothing comes back while its workflows are let go.
            Worker(
                self.client,
                task_queue=self.name,
                workflows=WORKFLOWS,
                workflow_runner=workflow_runner(),
                # An error of ours ends the workflow at once: no test waits for a stuck one.
                workflow_failure_exception_types=[Exception],
                # A collection of this process's garbage may take the 2 s of a deadlock.
                debug_mode=True,
            ),
        ]

    @contextlib.asynccontextmanager
    async def at_work(self, *, idle: str = "") -> AsyncIterator[None]:
        """Serve every queue but `idle` while the block lasts, then end what is still open.

        A worker drops open workflows as they are, and Python would run the ends of their blocks
        at any point, from its garbage collector.
        """
        async with contextlib.AsyncExitStack() as stack:
            for worker in self._workers(idle):
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
        """Start a workflow under this environment's id, followed by a name."""
        return await (client or self.client).start_workflow(
            workflow.run,  # type: ignore[attr-defined]
            payload,
            id=self.id + name,
            task_queue=self.name,
            execution_timeout=LONGEST if client is None else None,
        )

    async def listener(self, name: str = "/listener") -> WorkflowHandle[Any, Any]:
        """Start a workflow that receives the signals of subtasks, agents and queues."""
        return await self.start(ListenerWorkflow, None, name=name)


async def until(seen: Callable[[], Any], *, seconds: float = 15.0) -> Any:
    """Wait until a function, plain or async, returns something true, and return that."""
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
