"""The execution lane: a task's isolation mode."""

from enum import StrEnum


class Lane(StrEnum):
    """Where a task runs and what separates it from everything else."""

    LOCAL = "local"
    """The person's own working directory: fast, no isolation."""
    WORKTREE = "worktree"
    """A leased git worktree with its own git directory, commands in a sandbox."""
    CLOUD = "cloud"
    """A sealed throw-away environment, elsewhere or as if elsewhere."""
