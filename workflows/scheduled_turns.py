"""What a person does with the scheduled tasks of a request: turns, forks, hand-offs."""

import asyncio
from abc import ABC, abstractmethod

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.continuation import HandOffReceipt, TurnChoice
    from contracts.planning import Plan
    from contracts.task import EarlierAttempt, TaskState, TaskStatus
    from domain.planning import forks, replan
    from domain.scheduling import budget
    from workflows.budget import RequestBudget
    from workflows.going_back import GoingBack
    from workflows.handing_off import HandOffs
    from workflows.signals import signal_if_running


class ScheduledTurns(ABC):
    """The part of a task scheduler by which tasks go back, are forked and are handed off.

    The scheduler that inherits this sets these attributes.

    Attributes:
        plan: as it stands, with the forks that a person has made.
        rows: by task id, in the plan's order.
    """

    plan: Plan
    rows: dict[str, TaskStatus]
    _back: GoingBack
    _handed: HandOffs
    _money: RequestBudget
    _sizes: dict[str, int]
    _starting: set[str]
    _running: dict[str, asyncio.Task[None]]

    @abstractmethod
    def _row(self, row: TaskStatus) -> None:
        """Take a row as it is now, and show it."""

    @abstractmethod
    def _workflow_id(self, task: str) -> str:
        """Return the id of a task's workflow."""

    def turn_problem(self, choice: TurnChoice) -> str:
        """Return why a task cannot go on from a turn just now, "" when it can."""
        replaced = replan.problem(self.plan, choice.task)
        return replaced or self._back.problem(choice) or (choice.fork and self._too_poor()) or ""

    def _too_poor(self) -> str:
        """Return that no money is left for a fork, "" while there is some."""
        money = self._money.money
        if money.total - money.committed >= max(1, self._money.limits.smallest_allowance_microusd):
            return ""
        return (
            f"all of its budget of {budget.dollars(money.total)} is spent or reserved by agents at "
            "work, so none is left for a fork: raise the budget, then fork"
        )

    def hand_off_problem(self, task: str) -> str:
        """Return why a task cannot be handed off just now, "" when it can."""
        return replan.problem(self.plan, task) or self._handed.problem(task)

    async def hand_off(self, task: str) -> HandOffReceipt:
        """Stop a task's agent, for a person to work on its files.

        Raises:
            ActivityError: it cannot be stopped; nothing has changed.
        """
        return await self._handed.hand_off(task)

    async def choose_turn(self, choice: TurnChoice) -> EarlierAttempt:
        """Let a task go on from a turn, or a fork of it begin there.

        Raises:
            ActivityError: it cannot; nothing has changed.
        """
        if choice.fork is None:
            continued = await self._back.choose(choice)
            self._handed.given_back(choice.task)
            return continued
        found = await self._back.fork(choice, begun=lambda: self._forked(choice))
        await workflow.wait_condition(lambda: choice.task not in self._starting)
        if choice.task in self._running:
            await signal_if_running(self._workflow_id(choice.task), "forked", choice.fork)
        return found

    def _forked(self, choice: TurnChoice) -> None:
        self._set_plan(forks.with_fork(self.plan, choice))

    def _set_plan(self, plan: Plan) -> None:
        """Take a plan that has a task more, and weigh its tasks."""
        self.plan = plan
        self._sizes = budget.weights(plan, turns_beside=self._money.limits.turns_beside)

    def _supersede(self, task: str) -> None:
        """End the forks of a task that is done, or that of which it is a fork."""
        for rival in forks.rivals(self.plan, task):
            if self.rows[rival].state is not TaskState.DONE:
                self._row(forks.superseded(self.rows[rival], task))
                if rival in self._running:
                    self._running[rival].cancel()
