"""The limit of a request's money: who gets more, what a person is asked, what a person may set.

All amounts are integer microUSD.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from contracts.approvals import Approval, ApprovalKind
from contracts.budget import MoneyNeed, SetBudget
from domain.ids import digest
from domain.scheduling.budget import dollars, grant, microusd
from domain.text import for_people, listing, one_line

APPROVAL = "budget"
"""The id of the question whether a budget is raised."""
_MOST = 100_000_000_000
_CENT = 10_000
_DOLLAR = 1_000_000
_SHOWN_NEEDS = 20
_REJECT = (
    "reject: the budget stays; what it does not pay for ends, and what has landed is checked and "
    "delivered."
)
_FIELDS = ("usd", "budget_usd", "budget")


@dataclass(frozen=True, slots=True)
class Money:
    """How a request's money stands.

    Attributes:
        total: the budget.
        spent: by everything that has ended.
        shares: of what runs, each in full, by task; "" is the planner.
    """

    total: int
    spent: int
    shares: Mapping[str, int]

    @property
    def committed(self) -> int:
        """What is spent, or may be by what runs already."""
        return self.spent + sum(self.shares.values())

    @property
    def free(self) -> int:
        """What can still be given; never below 0."""
        return max(self.total - self.committed, 0)


def grants(
    money: Money, needs: Sequence[MoneyNeed], *, weights: Mapping[str, int], others: int
) -> tuple[tuple[MoneyNeed, int], ...]:
    """Return who of those that wait gets how much more, in their order.

    Each gets its share of what is free by weight, at least what it needs; one whose need is not
    free goes on waiting. All together never get more than is free.

    Args:
        money: as it stands.
        needs: the oldest first.
        weights: by task; one that is missing counts 1.
        others: the weights of all tasks that have no share yet.
    """
    given: list[tuple[MoneyNeed, int]] = []
    reserved, rest = (
        sum(money.shares.values()),
        others + sum(_weight(each, weights) for each in needs),
    )
    later = sum(need.microusd for need in needs)
    for need in needs:
        weight = _weight(need, weights)
        amount = grant(
            money.total,
            spent=money.spent,
            reserved=reserved,
            of=rest,
            floor=need.microusd,
            weight=weight,
        )
        rest -= weight
        later -= need.microusd
        if amount:
            # What those that come later need is left for them, where it is there.
            amount = max(need.microusd, min(amount, money.total - money.spent - reserved - later))
            reserved += amount
            given.append((need, amount))
    return tuple(given)


def _weight(need: MoneyNeed, weights: Mapping[str, int]) -> int:
    return max(weights.get(need.task, 1), 1)


def least(money: Money, needs: Sequence[MoneyNeed], *, unstarted: int, floor: int) -> int:
    """Return the smallest budget with which all that waits goes on.

    Args:
        money: as it stands.
        needs: of the agents that wait.
        unstarted: how many tasks have no share yet and wait for one.
        floor: the least share of a task.
    """
    return money.committed + sum(need.microusd for need in needs) + unstarted * floor


def proposal(money: Money, least_total: int) -> int:
    """Return the budget that a person is asked for: half as much again, or what is needed.

    Rounded up, to whole dollars from ten dollars on, else to cents; never above what one may be.
    """
    wanted = max(money.total * 3 // 2, least_total * 5 // 4)
    unit = _DOLLAR if wanted >= 10 * _DOLLAR else _CENT
    return min(math.ceil(wanted / unit) * unit, _MOST)


def question(
    money: Money,
    needs: Sequence[MoneyNeed],
    unstarted: Sequence[str],
    *,
    proposed: int,
    least_total: int,
    deadline_seconds: int,
) -> Approval:
    """Return the question whether the budget is raised; its digest binds both amounts."""
    waits = [
        f"- {_who(need)}: its next call may cost up to {dollars(need.microusd)} more than its share"
        for need in needs[:_SHOWN_NEEDS]
    ]
    more = len(needs) - len(waits)
    detail = (
        *waits,
        *([f"- and {more} more"] if more else []),
        *([f"- not started: {listing(tuple(unstarted), most=20)}"] if unstarted else []),
        f"approve: it goes on with {dollars(proposed)}; another amount: `budget` with the dollars.",
        _REJECT,
    )
    return Approval(
        id=APPROVAL,
        kind=ApprovalKind.BUDGET,
        what=f"raise the budget from {dollars(money.total)} to {dollars(proposed)}",
        why=f"{dollars(money.committed)} of it is spent or reserved; what waits needs a budget of "
        f"at least {dollars(least_total)}",
        detail=for_people("\n".join(detail), 3_900),
        digest=digest(APPROVAL, str(money.total), str(proposed), length=64),
        deadline_seconds=deadline_seconds,
    )


def _who(need: MoneyNeed) -> str:
    return f"the {need.role} of {one_line(need.task)}" if need.task else need.role


def read(payload: object) -> SetBudget | str:
    """Return the budget that a person typed, or what is wrong with it in one sentence.

    Accepted are a number, a text with one (`15`, `$15`) and an object: {"usd": 15}.
    """
    if isinstance(payload, dict):
        given = {("usd" if key in _FIELDS else str(key)): value for key, value in payload.items()}
    else:
        given = {"usd": payload}
    text = str(given.get("usd", "")).strip().removeprefix("$").replace(",", "").strip()
    amount = _number(text)
    if isinstance(given.get("usd"), bool) or amount is None:
        return _no_amount(given.get("usd"))
    try:
        return SetBudget.model_validate({**given, "usd": amount})
    except ValidationError as error:
        if any(problem["loc"] == ("usd",) for problem in error.errors()):
            return _no_amount(given.get("usd"))
        return 'A budget is a number of dollars, or {"usd": 15, "by": "…"}.'


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _no_amount(given: object) -> str:
    return f"{one_line(str(given), 80)!r} is not an amount of dollars between 0 and 100000."


def problem(usd: float, money: Money) -> str:
    """Return why a budget cannot be set, "" when it can: what is given away is not taken back."""
    if microusd(usd) >= money.committed:
        return ""
    reserved = sum(money.shares.values())
    at_work = f" and {dollars(reserved)} is reserved by agents at work" if reserved else ""
    return (
        f"{dollars(money.spent)} is spent{at_work}: the budget cannot be "
        f"{dollars(microusd(usd))}; name at least {dollars(_up(money.committed))}."
    )


def _up(amount: int) -> int:
    """Return an amount in whole cents, rounded up, so that what is shown can be typed."""
    return math.ceil(amount / _CENT) * _CENT
