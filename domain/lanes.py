"""Which execution lane a task gets, and why."""

from contracts.lanes import Lane, LaneChoice
from contracts.planning import TaskSpec

OFFERED = (Lane.WORKTREE,)
"""The lanes that this release runs tasks in."""


def choose(task: TaskSpec, *, override: Lane | None = None) -> LaneChoice:
    """Return the lane for `task` with the reason; `override` is a person's choice and always wins.

    Whether the lane is offered is `refusal`'s question: an override is never quietly replaced.
    """
    facts = f"{task.risk} risk, about {task.size} turns"
    if override is not None:
        return LaneChoice(lane=override, reason=f"a person chose it ({facts})")
    if task.writes:
        count = len(task.writes)
        wording = "1 path pattern" if count == 1 else f"{count} path patterns"
        return LaneChoice(lane=Lane.WORKTREE, reason=f"it writes {wording} ({facts})")
    return LaneChoice(
        lane=Lane.WORKTREE,
        reason=f"it only reads, and the worktree is the only lane offered ({facts})",
    )


def refusal(choice: LaneChoice) -> str | None:
    """Return why a task cannot run in the chosen lane, in one sentence; None when it can."""
    if choice.lane in OFFERED:
        return None
    offered = ", ".join(OFFERED)
    return f"The lane {choice.lane} is not offered yet; choose one of: {offered}."
