"""What is said of an estimate of a plan's cost."""

from contracts.budget import CostEstimate
from contracts.request import RequestStatus
from domain.request import goal_words
from domain.scheduling.budget import dollars, microusd


def in_words(found: CostEstimate) -> str:
    """Return an estimate for people, in one sentence."""
    tasks = _tasks(found.tasks)
    if not found.past_tasks:
        model = f" with {found.model}" if found.model else ""
        return f"no past here to estimate {tasks} by: none has ended in this repository{model}"
    return (
        f"about {dollars(found.low_microusd)}–{dollars(found.high_microusd)}, from {tasks}; "
        f"{_tasks(found.past_tasks)} with {found.model} cost {dollars(found.past_microusd)} "
        "here before"
    )


def of_status(status: RequestStatus) -> str:
    """Return what is said of what a request's plan may cost, "" before there is an estimate.

    Once tasks have begun, nothing is warned of any more: the money tells.
    """
    if status.estimate is None:
        return ""
    rounds = goal_words.of_estimate(status.goal)
    said = in_words(status.estimate) + (f" ({rounds})" if rounds else "")
    if any(task.workflow_id for task in status.tasks):
        return said
    budget, spent = microusd(status.budget_usd), microusd(status.cost_usd)
    warned = warning(status.estimate, budget=budget, spent=spent)
    return f"{said}; {warned}" if warned else said


def told(found: CostEstimate, *, budget: int, spent: int) -> str:
    """Return what is said of a plan's cost: the estimate, and whether the budget is too small."""
    said = f"Cost: {in_words(found)}."
    wrong = warning(found, budget=budget, spent=spent)
    return f"{said} {wrong[:1].upper()}{wrong[1:]}." if wrong else said


def warning(found: CostEstimate, *, budget: int, spent: int) -> str:
    """Return that a budget is likely too small, in a sentence; "" when it may do.

    `spent`: before the tasks, by the planner; both in microUSD.
    """
    if not found.past_tasks or spent + found.low_microusd <= budget:
        return ""
    return (
        f"the budget of {dollars(budget)} is likely too small; raise it at any time: "
        "`budget` with the dollars"
    )


def _tasks(count: int) -> str:
    return f"{count} task{'s' * (count != 1)}"
