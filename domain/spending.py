"""Sums of what agents have spent, and a status that shows them: the same number everywhere."""

from collections.abc import Iterable, Sequence

from contracts.model import Usage
from contracts.request import RequestStatus
from contracts.spending import Spending
from contracts.task import TaskStatus
from domain.scheduling.budget import usd


def merged(parts: Iterable[Spending]) -> tuple[Spending, ...]:
    """Return one sum for each task, role, model, the planner's first, in order of appearance."""
    sums: dict[tuple[str, str, str, bool], Spending] = {}
    for part in parts:
        key = (part.task, part.role, part.model, part.priced)
        known = sums.get(key)
        sums[key] = known.plus(part.turns, part.usage, part.cost_microusd) if known else part
    return tuple(sorted(sums.values(), key=lambda each: each.task != ""))


def cost_usd(parts: Iterable[Spending]) -> float:
    """Return what all have cost, without the tokens whose price is not known."""
    return usd(sum(part.cost_microusd for part in parts))


def unpriced_tokens(parts: Iterable[Spending]) -> int:
    """Return the tokens whose price is not known."""
    return sum(part.usage.total_tokens for part in parts if not part.priced)


def usage(parts: Iterable[Spending]) -> Usage:
    """Return the tokens of all."""
    total = Usage()
    for part in parts:
        total = total.plus(part.usage)
    return total


def with_spending(status: RequestStatus, parts: Sequence[Spending]) -> RequestStatus:
    """Return a status whose figures count everything that was spent, of each task and of all.

    What the store counts includes agents that still run, or ended without telling; what the
    request itself has counted stands where it is more, as in requests from before 2026-12.
    """
    rows = tuple(_row(row, [part for part in parts if part.task == row.id]) for row in status.tasks)
    return status.model_copy(
        update={
            "tasks": rows,
            "cost_usd": max(status.cost_usd, cost_usd(parts)),
            "unpriced_tokens": max(status.unpriced_tokens, unpriced_tokens(parts)),
            "model": status.model or next((part.model for part in parts if part.turns), ""),
        }
    )


def _row(row: TaskStatus, parts: Sequence[Spending]) -> TaskStatus:
    return row.model_copy(
        update={
            "cost_usd": max(row.cost_usd, cost_usd(parts)),
            "tokens": max(row.tokens, usage(parts).total_tokens),
            "turns": max(row.turns, sum(part.turns for part in parts)),
            "unpriced_tokens": max(row.unpriced_tokens, unpriced_tokens(parts)),
        }
    )
