"""The mark of each task state, the same in the terminal and in the web UI."""

from types import MappingProxyType

from contracts.task import TaskState

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
