"""A request without agents: it reports a fixed status and ends when it is answered.

It uses the product's wire names on a real server, so that the CLI is tested alone.
"""

import contextlib
from collections.abc import AsyncIterator

from temporalio import workflow
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue as TaskQueueName
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from contracts.agent import Note
    from contracts.approvals import Answer, Approval, ApprovalKind, Choice, Decide, Receipt
    from contracts.failures import FailureKind
    from contracts.request import RequestStart, RequestStatus
    from contracts.task import TaskState, TaskStatus
    from contracts.task_queue import TaskQueue
    from contracts.visibility import OC_PENDING_APPROVALS, OC_STATE, RunState

DIGEST = "0123456789abcdef" * 4
COMMIT = "3f9c" * 10
SINCE = 1_800_000_000.0


@workflow.defn(name="RequestWorkflow")
class PlayedRequest:
    """Waits for an approval of its plan, then ends as its request says: delivered, refused or
    failed.
    """

    @workflow.init
    def __init__(self, start: RequestStart) -> None:
        self._start = start
        self._answer: tuple[Choice, str] | None = None
        self._notes: list[str] = []

    @workflow.run
    async def run(self, start: RequestStart) -> RequestStatus:
        """Wait for the answer and end."""
        if start.request.startswith("Refuse"):
            kind = FailureKind.REFUSED
            raise ApplicationError("there is no base branch x", type=kind, non_retryable=True)
        workflow.upsert_search_attributes(
            [
                SearchAttributeKey.for_keyword(OC_STATE).value_set(RunState.WAITING_APPROVAL),
                SearchAttributeKey.for_int(OC_PENDING_APPROVALS).value_set(1),
            ]
        )
        await workflow.wait_condition(lambda: self._answer is not None)
        assert self._answer is not None
        if self._answer[0] is not Choice.APPROVE:
            status = self._status(RunState.FAILED, f"rejected: {self._answer[1]}")
            raise ApplicationError(status.reason, status, type="Rejected", non_retryable=True)
        return self._status(RunState.DONE, "")

    @workflow.query
    def status(self) -> RequestStatus:
        """Return the status; the reason holds the notes."""
        return self._status(RunState.WAITING_APPROVAL, f"waits; notes: {', '.join(self._notes)}")

    @workflow.query
    def pending_approvals(self) -> list[Approval]:
        """Return the one question, or none once it is answered."""
        return [] if self._answer else [self._question()]

    @workflow.signal
    def approve(self, answer: Answer) -> None:
        """Take an approval that was sent without a worker."""
        self._answer = (Choice.APPROVE, answer.reason)

    @workflow.signal
    def note(self, note: Note) -> None:
        """Store a note."""
        self._notes.append(note.text)

    @workflow.update
    def decide(self, decide: Decide) -> Receipt:
        """Take an answer."""
        self._answer = (decide.choice, decide.reason)
        message = f"{decide.choice} taken from {decide.by}: {decide.reason}"
        return Receipt(approval="plan", choice=decide.choice, message=message)

    @decide.validator
    def check(self, decide: Decide) -> None:
        """Refuse an answer to anything but the plan as it is."""
        if decide.approval not in (None, "plan"):
            raise ValueError(f"nothing called {decide.approval} waits")
        if decide.digest not in (None, DIGEST):
            raise ValueError(f"you saw {decide.digest}, not this")

    def _status(self, state: RunState, reason: str) -> RequestStatus:
        done = state is RunState.DONE
        return RequestStatus(
            id=workflow.info().workflow_id,
            state=state,
            reason=reason,
            request=self._start.request,
            tasks=(
                TaskStatus(
                    id="one",
                    title="Do one",
                    state=TaskState.DONE if done else TaskState.PENDING,
                ),
            ),
            approvals=() if self._answer else (self._question(),),
            branch="orchestcode/x" if done else None,
            commit=COMMIT if done else None,
            model="claude-x (rehearsed)",
        )

    def _question(self) -> Approval:
        return Approval(
            id="plan",
            kind=ApprovalKind.PLAN,
            what="one task",
            why="--approve plan",
            digest=DIGEST,
            since=SINCE,
        )


@contextlib.asynccontextmanager
async def playing(client: Client) -> AsyncIterator[None]:
    """Run a worker of played requests, known to the server, so that no other is started."""
    async with Worker(client, task_queue=TaskQueue.WORKFLOWS, workflows=[PlayedRequest]):
        while not await _polled(client):
            pass
        yield


async def _polled(client: Client) -> bool:
    question = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueueName(name=TaskQueue.WORKFLOWS),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    return bool((await client.workflow_service.describe_task_queue(question)).pollers)
