"""A request's money: shares of what runs, and the pause at its limit.

Who gets how much, what is asked and what may be set is decided in domain.scheduling.limit.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from contracts.approvals import Choice, Decision
    from contracts.budget import (
        BudgetChange,
        BudgetReceipt,
        MoneyAnswer,
        MoneyNeed,
        OnLimit,
        SetBudget,
    )
    from contracts.failures import FailureKind
    from contracts.limits import RequestLimits
    from contracts.request import RequestStart
    from domain.scheduling import budget as budgets
    from domain.scheduling import limit
    from workflows.approvals import PendingApprovals, judge_code
    from workflows.signals import signal_if_running


_FINISHES = "the request finishes at the limit of its budget (on_limit: finish)"


class RequestBudget:
    """What a request may cost, who has a share of it, and who waits for more.

    `changed` is called after every change of what people see.

    Attributes:
        total: the budget, in microUSD like all amounts here; 0 before the request is read.
        spent: by everything that has ended.
        shares: of what runs, each in full, by task; "" is the planner.
        limits: of the request, once it is opened.
        closed: why nothing more is given, "" while more is or may be.
    """

    def __init__(self, inbox: PendingApprovals, changed: Callable[[], None]) -> None:
        self._inbox = inbox
        self._changed = changed
        self._on_limit = OnLimit.ASK
        self._needs: dict[str, MoneyNeed] = {}
        self._unstarted: tuple[str, ...] = ()
        self._weights: Mapping[str, int] = {}
        self._others = 0
        self._asked: tuple[int, int] | None = None  # the budget when asked, and the proposed one
        self._asked_for: tuple[tuple[MoneyNeed, ...], tuple[str, ...]] = ((), ())
        self._version = 0
        self.total = self.spent = 0
        self.shares: dict[str, int] = {}
        self.limits = RequestLimits()
        self.closed = ""

    def begin(self, start: RequestStart) -> None:
        """Take what the request asks for."""
        self.total, self._on_limit = budgets.microusd(start.budget_usd), start.on_limit

    @property
    def money(self) -> limit.Money:
        """How it stands."""
        return limit.Money(self.total, self.spent, self.shares)

    @property
    def used_up(self) -> str:
        """Why nothing more can begin; "" while there is money, or a person is asked for more."""
        finishes = self._on_limit is OnLimit.FINISH
        free = self.money.total - self.money.committed
        if free >= self.limits.smallest_allowance_microusd or not (self.closed or finishes):
            return ""
        return self.closed or _FINISHES

    @property
    def told(self) -> dict[str, object]:
        """What the request's status tells of the budget."""
        return {"budget_usd": budgets.usd(self.total)}

    def share(self, task: str, *, of: int, weight: int = 1) -> int:
        """Give something that starts its share of what is free, 0 when there is too little."""
        amount = budgets.grant(
            self.total,
            spent=self.spent,
            reserved=sum(self.shares.values()),
            of=of,
            floor=self.limits.smallest_allowance_microusd,
            weight=weight,
        )
        if amount:
            self.shares[task] = self.shares.get(task, 0) + amount
        return amount

    def book(self, task: str, cost: int) -> None:
        """Count what an agent without a task has spent of its share."""
        self.spent += cost
        self.shares[task] = max(self.shares.get(task, 0) - cost, 0)
        self._version += 1

    def settle(self, task: str, cost: int) -> None:
        """Count what something that has ended has spent; the rest of its share is free."""
        self.spent += cost
        self.shares.pop(task, None)
        self._needs = {key: need for key, need in self._needs.items() if need.task != task}
        self._version += 1

    def weigh(self, weights: Mapping[str, int], others: int) -> None:
        """Keep by what weights money is shared, and those of the tasks without a share."""
        self._weights, self._others = weights, others

    def lacks(self, tasks: Sequence[str]) -> None:
        """Keep which tasks cannot start for lack of money while nothing else runs."""
        self._unstarted = tuple(tasks)
        self._version += 1

    def need(self, need: MoneyNeed) -> None:
        """Let an agent wait for more money."""
        self._needs[need.agent] = need
        self._version += 1

    def set(self, total: int) -> None:
        """Set the budget; what waits goes on if it suffices."""
        self.total, self.closed = total, ""
        self._version += 1
        self._changed()

    async def keep(self) -> None:
        """Serve those that wait, and ask when there is too little, for as long as it runs."""
        while True:
            version = self._version
            await self._serve()
            if version == self._version:
                self._ask()
                await workflow.wait_condition(
                    lambda version=version: self._version != version or self._decision() is not None  # type: ignore[misc]
                )
            self._take_answer()

    async def _serve(self) -> None:
        """Give what is free to those that wait; refuse the others once nothing more is given."""
        needs = tuple(self._needs.values())
        found = limit.grants(self.money, needs, weights=self._weights, others=self._others)
        answers = [(need, MoneyAnswer(microusd=amount)) for need, amount in found]
        for need, amount in found:
            self.shares[need.task] = self.shares.get(need.task, 0) + amount
            del self._needs[need.agent]
        if self._needs and self._on_limit is OnLimit.FINISH:
            self._close(_FINISHES)
        if self.closed:
            no = MoneyAnswer(reason=self.closed[:1_000])
            answers += [(need, no) for need in self._needs.values()]
            self._needs.clear()
        for need, answer in answers:
            await signal_if_running(need.agent, "grant_money", answer)

    def _close(self, why: str) -> None:
        self.closed = why
        self._version += 1
        self._changed()

    def _ask(self) -> None:
        """Have a person asked while something waits for money, and no longer."""
        if not (self._needs or self._unstarted) or self.closed:
            if self._asked:
                self._asked = None
                self._inbox.withdraw(limit.APPROVAL)
            return
        if self._on_limit is OnLimit.FINISH:
            self._close(_FINISHES)
            return
        needs = tuple(self._needs.values())
        floor = self.limits.smallest_allowance_microusd
        least = limit.least(self.money, needs, unstarted=len(self._unstarted), floor=floor)
        proposed = limit.proposal(self.money, least)
        if self._asked and self._asked[0] == self.total and self._asked[1] >= least:
            proposed = self._asked[1]  # so that an answer to what was seen before counts
            if self._asked_for == (needs, self._unstarted):
                return
        approval = limit.question(
            self.money,
            needs,
            self._unstarted,
            proposed=proposed,
            least_total=least,
            deadline_seconds=self.limits.approval_seconds,
        )
        self._asked, self._asked_for = (self.total, proposed), (needs, self._unstarted)
        self._inbox.open(approval)

    def _decision(self) -> Decision | None:
        return self._inbox.inbox.decision(limit.APPROVAL) if self._asked else None

    def _take_answer(self) -> None:
        """Act on what a person decided, or the deadline did."""
        decision = self._decision()
        if decision is None or self._asked is None:
            return
        _, proposed = self._asked
        self._asked = None
        match decision.choice:
            case Choice.APPROVE:
                self.set(max(proposed, self.total))
            case Choice.REVISE:
                self._take_amount(decision.reason)
            case Choice.REJECT:
                why = f": {decision.reason}" if decision.reason else ""
                self._close(f"the budget was not raised by {decision.by}{why}")

    def _take_amount(self, text: str) -> None:
        """Set another amount that a person answers with; what is none leaves the question open."""
        given = limit.read(text)
        wrong = given if isinstance(given, str) else limit.problem(given.usd, self.money)
        if isinstance(given, str) or wrong:
            self._inbox.refuse(text, wrong)
            self._version += 1
        else:
            self.set(budgets.microusd(given.usd))


class BudgetHandlers:
    """The handlers of a request's money: its agents' needs, and what a person sets.

    A workflow that inherits them keeps its money in `_budget` and its questions in `_inbox`.
    """

    _budget: RequestBudget
    _inbox: PendingApprovals

    @workflow.signal(description="An agent's share of the budget does not allow its next call")
    def need_money(self, need: MoneyNeed) -> None:
        """Let an agent wait for more money."""
        self._budget.need(need)

    @workflow.signal(description='Set the request\'s budget in dollars: 15, or {"usd": 15}')
    async def budget(self, payload: Any = None) -> None:  # noqa: ANN401, RUF100
        """Set the budget; what cannot be taken is kept and shown."""
        given = limit.read(payload)
        problem = given if isinstance(given, str) else await self._set(given)
        if problem:
            self._inbox.refuse("a budget" if self._inbox.codes else payload, problem)

    @workflow.update(description='Set the budget with a reply: {"usd": 15}')
    async def set_budget(self, wanted: SetBudget) -> BudgetReceipt:
        """Set the budget and say how it stands."""
        if problem := await self._set(wanted):
            raise ApplicationError(problem, type=FailureKind.REFUSED, non_retryable=True)
        money = self._budget.money
        reserved = money.committed - money.spent
        at_work = f", {budgets.dollars(reserved)} reserved by agents at work" if reserved else ""
        return BudgetReceipt(
            budget_usd=budgets.usd(money.total),
            message=f"The budget is {budgets.dollars(money.total)}: "
            f"{budgets.dollars(money.spent)} spent{at_work}.",
        )

    @set_budget.validator
    def check_budget(self, wanted: SetBudget) -> None:
        """Refuse a budget that cannot be set, before it reaches history."""
        if problem := limit.problem(wanted.usd, self._budget.money):
            raise ApplicationError(problem, type=FailureKind.REFUSED, non_retryable=True)

    async def _set(self, wanted: SetBudget) -> str:
        """Set the budget; return why it cannot be, "" when it is set."""
        amount = budgets.microusd(wanted.usd)
        if self._inbox.codes:
            change = BudgetChange(before=self._budget.total, after=amount)
            if problem := await judge_code(budget=change, code=wanted.code or ""):
                return problem
        if problem := limit.problem(wanted.usd, self._budget.money):
            return problem
        self._budget.set(amount)
        return ""
