"""An agent's money: at the end of its share it waits for more instead of being cut."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from contracts.agent import AgentProgress, AgentStart, StopCause
    from contracts.budget import MoneyAnswer, MoneyNeed
    from contracts.visibility import RunState
    from domain.agent import inputs, loop
    from workflows.visibility import show

DOING = "waits for more money: its share of the budget does not allow the next call"


class AgentMoney:
    """What an agent gets beyond its share, from its request."""

    def __init__(self, start: AgentStart) -> None:
        self._start = start
        self._answer: MoneyAnswer | None = None

    def answered(self, answer: MoneyAnswer) -> None:
        """Take the request's answer."""
        self._answer = answer

    async def more(self, stop: loop.Stop, progress: AgentProgress) -> AgentProgress | None:
        """Return the counters of an agent that stops and gets more money; None when it gets none.

        A request that has ended, or whose budget is not raised, gives none.
        """
        if stop.cut is not StopCause.BUDGET or not workflow.patched("budget-pause-2026-12"):
            return None
        self._answer, since = None, workflow.time()
        show(RunState.WAITING_BUDGET, 0)
        granted = await self._ask(stop.short_microusd)
        show(RunState.RUNNING, 0)
        waited = workflow.time() - since
        return loop.with_money(progress, granted, waited=waited) if granted else None

    async def _ask(self, least: int) -> int:
        start = self._start
        need = MoneyNeed(
            agent=workflow.info().workflow_id,
            task="" if inputs.plans_request(start) else start.task_ref,
            role=start.role,
            microusd=least,
        )
        request = workflow.get_external_workflow_handle(start.request_id)
        try:
            # Shielded: a cancellation that comes while a signal is under way would be lost with it.
            await asyncio.shield(request.signal("need_money", need))
        except ApplicationError:
            return 0
        await workflow.wait_condition(lambda: self._answer is not None)
        return self._answer.microusd if self._answer else 0
