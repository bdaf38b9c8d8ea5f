"""Money leases: what one more task may spend so that all together never exceed the budget.

All amounts are integer microUSD (1 USD = 1,000,000); knows nothing of prices.
"""

_MICRO = 1_000_000


def grant(total: int, *, spent: int, reserved: int, waiting_tasks: int, floor: int) -> int:
    """Return the lease for one more task: an even share of what is free, 0 when it cannot start.

    Args:
        total: the whole budget.
        spent: settled by tasks that have ended, and by the planner.
        reserved: sum of the leases of everything that still runs, each in full.
        waiting_tasks: tasks without a lease, the one that asks among them.
        floor: a lease below this is of no use, so what is left goes to fewer tasks.
    """
    free = total - spent - reserved
    if free < max(1, floor):
        return 0
    return min(free, max(floor, free // max(1, waiting_tasks)))


def microusd(usd: float) -> int:
    """Return an amount in microUSD, rounded to the nearest."""
    return round(usd * _MICRO)


def usd(micro: int) -> float:
    """Return an amount in USD."""
    return micro / _MICRO
