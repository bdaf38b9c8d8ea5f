"""How a request stands, and how it has ended: told to whoever asks, and shown."""

from temporalio import workflow
from typing_extensions import override

with workflow.unsafe.imports_passed_through():
    from contracts.checks import CheckResult
    from contracts.delivery import Delivered
    from contracts.endings import RequestEnding
    from contracts.planning import Plan
    from contracts.repository import RepositoryOpened, RequestClosed
    from contracts.request import RequestStart, RequestStatus
    from contracts.resume import RequestResumed
    from contracts.subtask import SubtaskReport
    from contracts.task import TaskStatus
    from contracts.threads import FollowUp
    from contracts.visibility import OC_REFUSED, RunState
    from domain import threads
    from domain.request import endings
    from domain.request import status as requests
    from domain.request.markdown import card
    from domain.spending import with_spending
    from workflows import retrying
    from workflows.approvals import ApprovalHandlers
    from workflows.budget import BudgetHandlers
    from workflows.goal import GoalLoop
    from workflows.planning import Planning
    from workflows.scheduler import TaskScheduler
    from workflows.visibility import show


class ReportsStatus(ApprovalHandlers, BudgetHandlers, retrying.ShowsBlockers):
    """What a request knows of itself, as its status; the workflow that inherits this sets it."""

    _id: str
    _start: RequestStart | None
    _opened: RepositoryOpened | None
    _resumed: RequestResumed
    _plan: Plan | None
    _scheduler: TaskScheduler | None
    _planning: Planning | None
    _goal: GoalLoop | None
    _checks: tuple[CheckResult, ...]
    _delivered: Delivered | None
    _ending: tuple[RequestEnding, str] | None
    _freed: RequestClosed | None
    _queued: list[FollowUp]
    _doing: str
    _shown: str
    _since: float

    @workflow.query(description="State, reason, tasks, approvals, branch, cost")
    def status(self) -> RequestStatus:
        """Return the request's present standing, or how it has ended."""
        if self._ending:
            return self._ended(*self._ending)
        state, reason = requests.state_of(self._inbox.inbox, tuple(self._blockers.values()))
        return self._status((state, reason or self._doing))

    @workflow.signal(description="A subtask's report")
    def task_changed(self, report: SubtaskReport) -> None:
        """Keep a task's standing, and the plan where others are done in its place."""
        if self._scheduler:
            self._scheduler.reported(report)
            self._plan = self._scheduler.plan

    def _rows(self) -> tuple[TaskStatus, ...]:
        return tuple(self._scheduler.rows.values()) if self._scheduler else ()

    def _counted_rows(self) -> tuple[TaskStatus, ...]:
        """Return the rows that must be done for the request to be."""
        return self._goal.counted(self._rows()) if self._goal else self._rows()

    def say(self, doing: str) -> None:
        """Show what the request does."""
        self._doing = doing
        self._show()

    def planned(self, plan: Plan) -> None:
        """Take a plan that has a task more."""
        self._plan = plan

    @override
    def _show(self) -> None:
        status = self.status()
        if self._shown != status.state + status.reason:
            self._shown, self._since = status.state + status.reason, workflow.time()
        show(status.state, 0 if self._ending else len(status.approvals))
        workflow.set_current_details(card(status))

    def _closed(self, ending: RequestEnding, reason: str) -> RequestStatus:
        """Show how the request has ended; later reports do not change that."""
        self._ending = (ending, reason)
        self._show()
        # What was refused before anything was made of it stands in no list.
        if ending is RequestEnding.REFUSED and workflow.patched("refused-in-memo-2026-12"):
            workflow.upsert_memo({OC_REFUSED: True})
        return self.status()

    def _ended(self, ending: RequestEnding, reason: str) -> RequestStatus:
        # What an earlier attempt has delivered stays delivered, however this one ends.
        delivered = self._delivered or self._resumed.delivered
        status = self._status((endings.run_state(ending), reason), delivered)
        return status.model_copy(update={"ending": ending})

    def _status(
        self, standing: tuple[RunState, str], delivered: Delivered | None = None
    ) -> RequestStatus:
        planning = self._planning
        status = requests.status(
            self._id,
            standing,
            start=self._start,
            opened=self._opened,
            plan=self._plan,
            rows=self._rows(),
            inbox=self._inbox.inbox,
            planner=planning.agent if planning else None,
            spent=requests.Spent(self._budget.spent, planning.unpriced_tokens if planning else 0),
            checks=self._checks,
            delivered=delivered,
            model=next((one.model for one in (self._scheduler, planning) if one and one.model), ""),
        )
        spent = self._freed.spent if self._freed else ()
        waiting = tuple(
            f"{each.request_id}: {threads.summary(each.start)}" for each in self._queued
        )
        told = {
            "since": self._since,
            "answers": (*self._resumed.answers, *status.answers),
            "follow_ups": waiting,
            **self._budget.told,
            **(planning.told if planning else {}),
            "goal": self._goal.status if self._goal else None,
        }
        return with_spending(status.model_copy(update=told), spent)
