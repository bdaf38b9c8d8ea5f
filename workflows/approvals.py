"""The pending approvals of a request, and how answers reach the workflow that asked.

What an answer means, and whether it counts, is decided in domain.approvals.inbox.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from contracts.approvals import Approval, Choice, Decide, Decision, Receipt
    from contracts.failures import FailureKind
    from domain.approvals.inbox import AnswerOutcome, ApprovalInbox
    from workflows.signals import signal_if_running


class PendingApprovals:
    """Open questions, their deadlines and answers; `changed` is called after every change."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.inbox = ApprovalInbox()
        self._changed = changed
        self._version = 0

    def open(self, approval: Approval) -> None:
        """Let a question wait for a person."""
        self._set(self.inbox.open(approval, now=workflow.time()))

    async def ask(self, approval: Approval) -> Decision:
        """Let a question wait and return what was decided."""
        self.open(approval)
        await workflow.wait_condition(lambda: self.inbox.decision(approval.id) is not None)
        decision = self.inbox.decision(approval.id)
        assert decision is not None  # noqa: S101 - the condition above says so
        return decision

    async def take(self, payload: object, choice: Choice) -> AnswerOutcome:
        """Take an answer, tell the workflow that asked, and return what became of it."""
        outcome = self.inbox.take(payload, choice)
        self._set(outcome.inbox)
        await self._tell(outcome)
        return outcome

    def refuse(self, payload: object, problem: str) -> None:
        """Keep an answer that could not be taken, where people see it."""
        self._set(self.inbox.refuse(payload, problem))

    def withdraw_of(self, asked_by: str) -> None:
        """Forget the questions of a workflow that has ended."""
        self._set(self.inbox.withdraw_of(asked_by))

    async def keep_deadlines(self) -> None:
        """Deny what is not answered in time, for as long as the request runs."""
        while True:
            version, due = self._version, self.inbox.due()
            wait = None if due is None else dt.timedelta(seconds=max(due - workflow.time(), 0))
            try:
                await workflow.wait_condition(
                    lambda version=version: self._version != version,  # type: ignore[misc]
                    timeout=wait,
                    timeout_summary="approval deadline",
                )
            except TimeoutError:
                inbox, denials = self.inbox.expire(workflow.time())
                # Set before anybody is told: meanwhile others may ask and answer.
                self._set(inbox)
                for denial in denials:
                    await self._tell(denial)

    async def _tell(self, outcome: AnswerOutcome) -> None:
        if outcome.decision is None or outcome.asked_by is None:
            return
        await signal_if_running(outcome.asked_by, "decided", outcome.decision)

    def _set(self, inbox: ApprovalInbox) -> None:
        self.inbox = inbox
        self._version += 1
        self._changed()


class ApprovalHandlers:
    """The handlers by which people answer: signals for the web UI and CLI, an update with a reply.

    A workflow that inherits them keeps its pending approvals in `_inbox`.
    """

    _inbox: PendingApprovals

    @workflow.signal(description='Approve what waits: {"approval": "plan"}, or nothing')
    async def approve(self, payload: Any = None) -> None:  # noqa: ANN401, RUF100
        """Approve; an answer that cannot be taken is kept and shown."""
        await self._inbox.take(payload, Choice.APPROVE)

    @workflow.signal(description='Reject what waits: {"approval": "plan", "reason": "…"}')
    async def reject(self, payload: Any = None) -> None:  # noqa: ANN401, RUF100
        """Reject; an answer that cannot be taken is kept and shown."""
        await self._inbox.take(payload, Choice.REJECT)

    @workflow.signal(description='Send it back with feedback: {"approval": "…", "reason": "…"}')
    async def revise(self, payload: Any = None) -> None:  # noqa: ANN401, RUF100
        """Send it back; an answer that cannot be taken is kept and shown."""
        await self._inbox.take(payload, Choice.REVISE)

    @workflow.update(description='Answer with a reply: {"choice": "approve", "approval": "plan"}')
    async def decide(self, decision: Decide) -> Receipt:
        """Take an answer and say what became of it."""
        outcome = await self._inbox.take(decision, decision.choice)
        approval = outcome.decision.approval if outcome.decision else str(decision.approval)
        return Receipt(approval=approval, choice=decision.choice, message=outcome.message)

    @decide.validator
    def check_decision(self, decision: Decide) -> None:
        """Refuse an answer that cannot be taken, before it reaches history."""
        problem = self._inbox.inbox.problem(decision, decision.choice)
        if problem:
            raise ApplicationError(problem, type=FailureKind.REFUSED, non_retryable=True)

    @workflow.query(description="What waits for a person")
    def pending_approvals(self) -> list[Approval]:
        """Return what waits for a person, oldest first."""
        return list(self._inbox.inbox.pending)
