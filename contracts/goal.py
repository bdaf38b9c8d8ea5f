"""A request's goal: a command that is to pass on the merged tree, and the rounds towards it."""

from typing import Final

from contracts.base import Contract, ObjectId, ShortText, TaskId

MOST_ROUNDS: Final = 50
"""Rounds that a request may ask for."""
MOST_DEADLINE_MINUTES: Final = 30 * 24 * 60


class GoalRound(Contract):
    """What one round came to: its tasks have ended, and the command ran on the merged tree.

    Attributes:
        number: counted from 1, over all attempts at the request.
        tasks: those that ran in it.
        commit: the merged tree's commit.
        changed: files of the merged tree did.
        passed: the command did.
        outcome: how the command ended, the tests that fail first, the last line of its output.
        failing: tests that its output names as failed; 0 where it names none, or too many.
        cost_usd: what the request spent in it, in US dollars.
    """

    number: int
    tasks: tuple[TaskId, ...] = ()
    commit: ObjectId
    changed: bool = False
    passed: bool = False
    outcome: ShortText = ""
    failing: int = 0
    cost_usd: float = 0.0


class GoalStatus(Contract):
    """How a request stands with its goal.

    Attributes:
        command: what is to pass.
        before: how it fails before any round of this attempt; "" before that is known.
        rounds: those that have ended, oldest first.
        most: the number of the last round that may begin.
        deadline: no round begins later, in seconds since the epoch; 0 = there is none.
        met: the command passes.
        missed: why no further round begins while it fails; "" while one may.
    """

    command: str
    before: ShortText = ""
    rounds: tuple[GoalRound, ...] = ()
    most: int = 0
    deadline: float = 0.0
    met: bool = False
    missed: ShortText = ""
