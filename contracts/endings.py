"""How a request and a task can end; `domain.request.endings` has what is said of each."""

from enum import StrEnum


class RequestEnding(StrEnum):
    """How a request ended."""

    DELIVERED = "delivered"
    UNCHANGED = "unchanged"
    ANSWERED = "answered"
    """It only asked a question."""
    GOAL_MET = "goal met"
    """The command of its goal passes on the base: nothing was done."""
    GOAL_MISSED = "goal missed"
    """The command of its goal fails still; what has landed is delivered."""
    INCOMPLETE = "incomplete"
    CHECKS_FAILED = "checks failed"
    """On the merged tree: work has landed, and is not delivered."""
    BASE_FAILED = "base failed"
    """Nothing has landed, and the person's own base fails the checks."""
    PLAN_REJECTED = "plan rejected"
    NOT_DELIVERED = "delivery rejected"
    NO_BUDGET = "no budget"
    """Its budget was used up before there was a plan, and was not raised."""
    REFUSED = "refused"
    """The input, the repository or what it asks for cannot be used."""
    SETUP_FAILED = "setup failed"
    """What the base needs could not be installed; nothing was paid for."""
    CHECKS_UNUSABLE = "checks unusable"
    """A check cannot start on the base, and no person let it go on; nothing was paid for."""
    BROKEN = "broken"
    """Something that the request needs failed for good."""
    CANCELLED = "cancelled"


class TaskEnding(StrEnum):
    """How a task ended."""

    LANDED = "landed"
    UNCHANGED = "unchanged"
    CUT = "cut"
    """Its agent was cut by a limit, or said no."""
    GIVEN_UP = "given up"
    """It had its share of rounds."""
    IMPOSSIBLE = "impossible"
    """Its agent says that it cannot be done as it stands, and nobody gave it what it needs."""
    REJECTED = "rejected"
    UNTESTED = "untested"
    """The merge queue could not run the checks."""
    CORRUPT = "checkpoint corruption"
    """What it goes on from is damaged in the store."""
    SUPERSEDED = "superseded"
    """A fork of it has landed in its place, or the task of which it is a fork; or the planner has
    put other tasks in its place.
    """
    BROKEN = "broken"
    NO_MONEY = "no money"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"
