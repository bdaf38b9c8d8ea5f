"""Which execution lane a task gets, and why."""

from contracts.lanes import Lane
from contracts.planning import TaskSpec


def choose(task: TaskSpec) -> tuple[Lane, str]:
    """Return the lane for `task` and the reason; only the worktree is offered yet."""
    facts = f"{task.risk} risk, about {task.size} turns"
    if task.writes:
        count = len(task.writes)
        wording = "1 path pattern" if count == 1 else f"{count} path patterns"
        return Lane.WORKTREE, f"it writes {wording} ({facts})"
    return Lane.WORKTREE, f"it only reads, and the worktree is the only lane offered ({facts})"
