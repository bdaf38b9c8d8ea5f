"""Which models a request asks for, and how much effort: recorded with it, for all its agents."""

from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from contracts.base import Contract

ModelName = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
"""A model as its service names it."""


class Effort(StrEnum):
    """How much a model may think, as the Messages API names it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    XHIGH = "xhigh"
    MAX = "max"


class ModelChoice(Contract):
    """A request's choice; what is None is the worker's.

    Attributes:
        model: of every role without one of its own here.
        planner, coder, reviewer: of one role.
        fallback: of every role, where its own model declines or is overloaded for long; None asks
            no other.
    """

    model: ModelName | None = None
    planner: ModelName | None = None
    coder: ModelName | None = None
    reviewer: ModelName | None = None
    effort: Effort | None = None
    fallback: ModelName | None = None
