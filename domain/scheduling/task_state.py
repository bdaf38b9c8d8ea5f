"""A task's states: which move is allowed from where, and the mark by which each is shown."""

from types import MappingProxyType

from contracts.task import TaskState

_MOVES = MappingProxyType(
    {
        TaskState.PENDING: (TaskState.RUNNING, TaskState.CANCELLED),
        TaskState.RUNNING: (
            TaskState.BLOCKED,
            TaskState.REVIEW,
            TaskState.DONE,
            TaskState.FAILED,
            TaskState.CANCELLED,
        ),
        TaskState.BLOCKED: (TaskState.RUNNING, TaskState.CANCELLED),
        TaskState.REVIEW: (TaskState.RUNNING, TaskState.DONE, TaskState.CANCELLED),
        TaskState.DONE: (),
        TaskState.FAILED: (TaskState.PENDING,),
        TaskState.CANCELLED: (),
    }
)

TASK_MARKS = MappingProxyType(
    {
        TaskState.PENDING: "○",
        TaskState.RUNNING: "●",
        TaskState.BLOCKED: "◌",
        TaskState.REVIEW: "◆",
        TaskState.DONE: "✓",
        TaskState.FAILED: "✗",
        TaskState.CANCELLED: "⊘",
    }
)
"""One column wide each, and no emoji, so that tables stay aligned."""


def move(present: TaskState, to: TaskState) -> TaskState:
    """Return `to`; to stay where one is counts as no move and is always fine.

    Raises:
        ValueError: the move is not in the table.
    """
    if to is not present and to not in _MOVES[present]:
        possible = ", ".join(_MOVES[present]) or "nothing"
        raise ValueError(f"a task that is {present} cannot become {to}, only {possible}")
    return to


def terminal(state: TaskState) -> bool:
    """Return whether the task is over unless it is retried: done, failed or cancelled."""
    return state in (TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED)
