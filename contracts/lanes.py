"""The execution lane: a task's isolation mode, and by what it is chosen."""

from enum import StrEnum
from typing import Final

from contracts.base import Contract
from contracts.planning import Risk


class Lane(StrEnum):
    """Where a task runs and what separates it from everything else."""

    LOCAL = "local"
    """The person's own working directory: fast, no isolation."""
    WORKTREE = "worktree"
    """A leased git worktree with its own git directory, commands in a sandbox."""
    CLOUD = "cloud"
    """A sealed throw-away clone under a user of its own: narrower limits, and an end of its time.

    It is provisioned for one task and torn down with it, also after a failure or a kill.
    """


OFFERED: Final = (Lane.WORKTREE, Lane.CLOUD)
"""The lanes that a person may ask for."""


class LaneFacts(Contract):
    """By what the lane of a task is chosen.

    Attributes:
        writes: how many path patterns it may change; 0 = it only reads.
        risk: as the planner sees it.
        size: estimated agent turns.
        asked: what the person or the repository's settings ask for.
        untrusted: the words that it works from are a stranger's.
    """

    writes: int = 0
    risk: Risk = Risk.NORMAL
    size: int = 10
    asked: Lane | None = None
    untrusted: bool = False
