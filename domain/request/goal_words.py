"""What is said of a request's goal: how it stands, and what each round came to."""

from contracts.goal import GoalRound, GoalStatus
from contracts.request import RequestStatus
from contracts.visibility import RunState
from domain.text import listing, one_line

_ENDED = (RunState.DONE, RunState.FAILED, RunState.CANCELLED)


def standing(status: RequestStatus) -> str:
    """Return how a request stands with its goal, in one sentence; "" where it has none."""
    goal = status.goal
    if goal is None:
        return ""
    command = f"`{one_line(goal.command, 300)}`"
    if goal.met:
        count = len(goal.rounds)
        return f"{command} passes {f'after {_rounds(count)}' if count else 'on the base already'}"
    if goal.missed or status.state in _ENDED:
        return f"{command} does not pass, after {_rounds(len(goal.rounds))}"
    at_work = goal.rounds[-1].number + 1 if goal.rounds else 1
    return f"until {command} passes: round {at_work} of at most {goal.most}"


def rounds(status: RequestStatus) -> list[str]:
    """Return what the command came to before any round, and after each, a line for each."""
    goal = status.goal
    if goal is None:
        return []
    return [*_before(goal), *map(_round, goal.rounds)]


def _before(goal: GoalStatus) -> list[str]:
    earlier = goal.rounds and goal.rounds[0].number > 1
    return [f"before: it fails {goal.before}"] if goal.before and not earlier else []


def _round(each: GoalRound) -> str:
    tasks = f" ({listing(each.tasks, most=6)})" if each.tasks else ""
    came_to = each.outcome if each.passed else f"it fails {each.outcome}"
    facts = (
        f"{each.failing} tests fail" if each.failing > 1 else "",
        "" if each.changed else "no file changed",
        f"{each.cost_usd:.4f} USD",
    )
    return f"round {each.number}{tasks}: {came_to}; {'; '.join(fact for fact in facts if fact)}"


def _rounds(count: int) -> str:
    return f"{count} round{'s' * (count != 1)}"


def of_estimate(goal: GoalStatus | None) -> str:
    """Return what an estimate of a plan leaves out: further rounds, within the budget."""
    if goal is None or goal.most <= 1:
        return ""
    return f"for one round; up to {goal.most} rounds follow each other within the budget"
