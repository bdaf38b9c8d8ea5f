"""
The desk of a request: where questions wait for people, and how answers reach whoever asked.

What an answer means, and whether it counts, is decided in domain.approval.
"""

import asyncio
import datetime as dt
from collections.abc import Callable

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from contracts.approval import Approval, Choice, Decision
    from domain.approval import Desk, Taken


class ApprovalDesk:
    """
    Open questions, their deadlines and answers.

    Args:
        changed: called after every change, to show it.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.desk = Desk()
        self._changed = changed
        self._version = 0

    def open(self, approval: Approval) -> None:
        """
        Let a question wait for a person.
        """
        self._set(self.desk.open(approval, now=workflow.time()))

    async def ask(self, approval: Approval) -> Decision:
        """
        Let a question wait and return what was decided.
        """
        self.open(approval)
        await workflow.wait_condition(lambda: self.desk.decision(approval.id) is not None)
        decision = self.desk.decision(approval.id)
        assert decision is not None  # noqa: S101 - the condition above says so
        return decision

    async def take(self, payload: object, choice: Choice) -> Taken:
        """
        Take an answer, tell whoever asked, and return what became of it.
        """
        taken = self.desk.take(payload, choice)
        await self._settle(taken)
        return taken

    def refuse(self, payload: object, problem: str) -> None:
        """
        Keep an answer that could not be taken, where people see it.
        """
        self._set(self.desk.refuse(payload, problem))

    def withdraw_of(self, asked_by: str) -> None:
        """
        Forget the questions of a workflow that has ended.
        """
        self._set(self.desk.withdraw_of(asked_by))

    async def keep_deadlines(self) -> None:
        """
        Deny what nobody answers in time, for as long as the request runs.
        """
        while True:
            version, due = self._version, self.desk.due()
            wait = None if due is None else dt.timedelta(seconds=max(due - workflow.time(), 0))
            try:
                await workflow.wait_condition(
                    lambda version=version: self._version != version,  # type: ignore[misc]
                    timeout=wait,
                    timeout_summary="approval deadline",
                )
            except TimeoutError:
                _, denials = self.desk.expire(workflow.time())
                for denial in denials:
                    await self._settle(denial)

    async def _settle(self, taken: Taken) -> None:
        self._set(taken.desk)
        if taken.decision is None or taken.asked_by is None:
            return
        asker = workflow.get_external_workflow_handle(taken.asked_by)
        try:
            await asyncio.shield(asker.signal("decided", taken.decision))
        except ApplicationError:
            workflow.logger.info("signal.unheard", extra={"workflow": taken.asked_by})

    def _set(self, desk: Desk) -> None:
        self.desk = desk
        self._version += 1
        self._changed()
