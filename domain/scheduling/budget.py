"""Money leases: what one more task may spend so that all together never exceed the budget.

All amounts are integer microUSD (1 USD = 1,000,000); knows nothing of prices.
"""

from contracts.planning import Plan

_MICRO = 1_000_000
_TEN_CENTS = 100_000


def grant(total: int, *, spent: int, reserved: int, of: int, floor: int, weight: int = 1) -> int:
    """Return the lease for one more task: its share of what is free, 0 when it cannot start.

    Args:
        total: the whole budget.
        spent: settled by tasks that have ended, and by the planner.
        reserved: sum of the leases of everything that still runs, each in full.
        of: the weights of all tasks without a lease, the one that asks among them.
        floor: a lease below this is of no use, so what is left goes to fewer tasks.
        weight: of the one that asks.
    """
    free = total - spent - reserved
    if free < max(1, floor):
        return 0
    return min(free, max(floor, free * weight // max(1, of)))


def weights(plan: Plan, *, turns_beside: int) -> dict[str, int]:
    """Return each task's weight in the sharing of money: its estimated turns and what is beside.

    Without a number for what is beside, tasks share evenly.
    """
    return {task.id: task.size + turns_beside if turns_beside else 1 for task in plan.tasks}


def microusd(usd: float) -> int:
    """Return an amount in microUSD, rounded to the nearest."""
    return round(usd * _MICRO)


def dollars(micro: int) -> str:
    """Return an amount for people: $1,234.50; of less than ten cents $0.0123."""
    return f"${usd(micro):,.{2 if micro >= _TEN_CENTS or not micro else 4}f}"


def usd(micro: int) -> float:
    """Return an amount in USD."""
    return micro / _MICRO
