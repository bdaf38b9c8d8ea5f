"""What a plan may cost, by what tasks have cost here before. Values in, amounts out.

Tuned freely: it is judged in an activity, and the result is recorded.
"""

from collections.abc import Sequence

from contracts import roles
from contracts.budget import CostEstimate, PastRequest, PastTask
from contracts.request import RequestStatus
from contracts.spending import Spending
from domain.agent.models import REHEARSED, facts

_FEW = 4
"""With fewer past tasks the range is twice as wide at both ends."""
_UNKNOWN_SIZE = 10


def past(status: RequestStatus, spent: Sequence[Spending], *, at: float) -> PastRequest:
    """Return what a request's tasks have cost, without those whose price is not known."""
    return PastRequest(
        at=at,
        tasks=tuple(
            PastTask(
                model=_coder(parts),
                size=row.size,
                cost_microusd=sum(each.cost_microusd for each in parts),
            )
            for row in status.tasks
            if (parts := [each for each in spent if each.task == row.id])
            and _coder(parts)
            and all(each.priced for each in parts)
        ),
    )


def _coder(parts: Sequence[Spending]) -> str:
    """Return the model of a task's coder, "" when none has finished a turn."""
    return next((each.model for each in parts if each.role == roles.CODER and each.turns), "")


def named_as(model: str, answered: str) -> str:
    """Return how a model will name itself where another has answered: rehearsed or not."""
    return model + REHEARSED if answered.endswith(REHEARSED) else model


def estimate(
    sizes: Sequence[int], before: Sequence[PastRequest], *, model: str, turns_beside: int, most: int
) -> CostEstimate:
    """Return what a plan may cost: the middle half of what a planned turn has cost here, in all.

    Args:
        sizes: of the plan's tasks, in estimated turns.
        before: the earlier requests of the repository.
        model: of the coders; tasks of other models say nothing.
        turns_beside: what a task costs beside its size, in turns.
        most: so many tasks count, the newest.
    """
    newest = sorted(before, key=lambda each: -each.at)
    known = [task for each in newest for task in each.tasks if _same(task.model, model)][:most]
    if not known:
        return CostEstimate(tasks=len(sizes), model=model)
    rates = sorted(task.cost_microusd / _weight(task.size, turns_beside) for task in known)
    low, high = _quantile(rates, 0.25), _quantile(rates, 0.75)
    if len(known) < _FEW:
        low, high = rates[0] / 2, rates[-1] * 2
    weight = sum(_weight(size, turns_beside) for size in sizes)
    return CostEstimate(
        tasks=len(sizes),
        low_microusd=int(low * weight),
        high_microusd=round(high * weight),
        past_tasks=len(known),
        past_microusd=sum(task.cost_microusd for task in known),
        model=model,
    )


def _weight(size: int, turns_beside: int) -> int:
    return (size or _UNKNOWN_SIZE) + turns_beside


def _same(one: str, other: str) -> bool:
    """Return whether two names are one model's, and both rehearsed or neither."""
    return facts(one).name == facts(other).name and one.endswith(REHEARSED) == other.endswith(
        REHEARSED
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
