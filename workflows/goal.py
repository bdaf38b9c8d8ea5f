"""A request's goal: rounds of fresh tasks until its command passes on the merged tree.

Whether a further round begins, and what its task is told, is decided in domain.request.goal.
"""

from collections.abc import Sequence
from typing import Protocol

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.agent import Note
    from contracts.approvals import ApprovalKind, Choice
    from contracts.base import ObjectId
    from contracts.baseline import Baseline
    from contracts.checks import CHECKS, CheckResult
    from contracts.goal import GoalRound, GoalStatus
    from contracts.limits import RequestLimits
    from contracts.planning import Plan, TaskSpec
    from contracts.repository import RepositoryOpened
    from contracts.request import RequestStart
    from contracts.resume import RequestResumed
    from contracts.task import TaskState, TaskStatus
    from domain.check_results import how_it_failed
    from domain.request import goal
    from domain.scheduling.budget import usd
    from workflows import approvals, repository
    from workflows.approvals import PendingApprovals
    from workflows.budget import RequestBudget
    from workflows.checks import run_checks
    from workflows.scheduler import TaskScheduler


class HasGoal(Protocol):
    """What a request's rounds tell it."""

    def say(self, doing: str) -> None:
        """Show what the request does."""

    def planned(self, plan: Plan) -> None:
        """Take a plan that has a task more."""


class GoalLoop:
    """The rounds of one request.

    Args:
        resumed: what earlier attempts at the request have left.
        request: is told what it does, and of the plan with each round's task.

    Attributes:
        command: what is to pass.
        rounds: that have ended.
        result: what the command came to last.
        missed: why no further round begins while the command fails; "" while one may.
        at_base: the command passed on the base, so nothing is done.
    """

    def __init__(
        self,
        start: RequestStart,
        opened: RepositoryOpened,
        resumed: RequestResumed,
        money: RequestBudget,
        inbox: PendingApprovals,
        request: HasGoal,
    ) -> None:
        self._start = start
        self._opened = opened
        self._money = money
        self._inbox = inbox
        self._request = request
        self._limits = opened.limits or RequestLimits()
        self._first = resumed.plan is None
        self._number = resumed.rounds[-1].number if resumed.rounds else 0
        self._most = goal.most_rounds(start, self._limits, self._number)
        minutes = start.deadline_minutes
        self._deadline = workflow.time() + 60 * minutes if minutes else 0.0
        self._outcomes: list[goal.Outcome] = []
        self._tip: ObjectId = opened.base
        self._log: ObjectId | None = None
        self.command = start.until or ""
        self.rounds: tuple[GoalRound, ...] = resumed.rounds
        self.missed = ""
        self.at_base = False

    @property
    def result(self) -> CheckResult | None:
        """What the command came to last; None before it has run on the merged tree."""
        return self._outcomes[-1].result if self._outcomes else None

    @property
    def met(self) -> bool:
        """True once the command passes on the merged tree."""
        return self.at_base or (self.result is not None and self.result.passed)

    @property
    def status(self) -> GoalStatus:
        """How the request stands with its goal."""
        first = self._outcomes[0].result if self._outcomes else None
        return GoalStatus(
            command=self.command,
            before=how_it_failed(first)[:1_000] if first and not first.passed else "",
            rounds=self.rounds,
            most=self._most,
            deadline=self._deadline,
            met=self.met,
            missed=self.missed[:1_000],
        )

    def met_on(self, found: Baseline | None) -> bool:
        """Return whether the command passes on the base of a request that has made nothing yet."""
        self.at_base = self._first and goal.base_passes(self._start, found)
        return self.at_base

    def beside(self, commands: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[CheckResult, ...]]:
        """Return the commands that must pass beside the goal's, and what that one came to."""
        result = self.result
        others = tuple(each for each in commands if each != self.command)
        return others, (result,) if result else ()

    def counted(self, rows: tuple[TaskStatus, ...]) -> tuple[TaskStatus, ...]:
        """Return the rows that must be done for the request to be."""
        return goal.counted(rows, self.rounds)

    async def run(self, scheduler: TaskScheduler, notes: Sequence[Note]) -> None:
        """Run the plan's tasks as the first round, then fresh ones while they may help."""
        await self._look()
        while True:
            if any(row.state is TaskState.PENDING for row in scheduler.rows.values()):
                await self._round(scheduler, notes)
            if self.met:
                return
            self.missed = goal.missed(
                self.command, self._number, self._outcomes, self._limits, self._allowed()
            )
            task = None if self.missed else await self._fresh(scheduler)
            if task is None:
                return
            scheduler.baseline = goal.with_outcome(
                scheduler.baseline, self._start.checks, self.command, self._outcomes[-1].result
            )
            scheduler.add(task, documents=((CHECKS, self._log),) if self._log else ())
            self._request.planned(scheduler.plan)

    def _allowed(self) -> goal.Allowed:
        late = 0 < self._deadline <= workflow.time()
        return goal.Allowed(most=self._most, late=late, closed=self._money.used_up)

    async def _round(self, scheduler: TaskScheduler, notes: Sequence[Note]) -> None:
        """Run what is pending, then the command on what has landed."""
        self._number += 1
        known = {row.id for row in scheduler.rows.values() if row.state is not TaskState.PENDING}
        spent = self._money.spent
        self._tell("tasks at work")
        await scheduler.run(notes)
        ran = tuple(row for row in scheduler.rows.values() if row.id not in known)
        self._tell(f"runs `{self.command[:200]}` on the merged tree")
        await self._look(ran)
        self.rounds += (
            goal.ended_round(
                self._number,
                self._tip,
                self._outcomes,
                ran,
                cost_usd=usd(self._money.spent - spent),
            ),
        )

    async def _look(self, ran: Sequence[TaskStatus] = ()) -> None:
        """Run the command on what has landed; a red one once more, to rule out a flake."""
        start, command = self._start, (self.command,)
        merged, report = await repository.check_merged_tree(start, self._opened, command)
        if not report.passed:
            report = await run_checks(
                self._opened.repository,
                merged.tip,
                command,
                summary="check the merged tree again",
                attempt=start.retry.attempt if start.retry else 0,
                again=True,
            )
        self._tip, self._log = merged.tip, report.log
        outcome = goal.Outcome(report.tree, report.results[-1], goal.touched(ran))
        self._outcomes.append(outcome)

    async def _fresh(self, scheduler: TaskScheduler) -> TaskSpec | None:
        """Return the next round's task; None when a person does not want it."""
        asked = ""
        while True:
            task = goal.fresh_task(
                self._start,
                scheduler.plan,
                scheduler.rows,
                self.rounds,
                self._outcomes[-1],
                number=self._number + 1,
                asked=asked,
            )
            if ApprovalKind.PLAN not in self._start.approve:
                return task
            plan = Plan(summary=goal.round_summary(self.command, task), tasks=(task,))
            decision = await approvals.ask_plan(self._inbox, self._opened, plan, "")
            if decision.choice is Choice.APPROVE:
                return task
            if decision.choice is Choice.REJECT:
                self.missed = goal.rejected(self._number + 1, decision)
                return None
            asked = decision.reason

    def _tell(self, what: str) -> None:
        self._request.say(goal.doing(self._number, self._most, what))
