"""Which models a request asks for, and how much effort: recorded with it, for all its agents."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from contracts.base import Contract

ModelName = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
"""A model as its service names it."""

LEAST_WINDOW_TOKENS: Final = 10_000
MOST_WINDOW_TOKENS: Final = 2_000_000
WindowTokens = Annotated[int, Field(ge=LEAST_WINDOW_TOKENS, le=MOST_WINDOW_TOKENS)]
"""Input tokens of a call after which an agent goes on in a fresh window."""


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
        window_tokens: after which an agent of any role goes on in a fresh window.
    """

    model: ModelName | None = None
    planner: ModelName | None = None
    coder: ModelName | None = None
    reviewer: ModelName | None = None
    effort: Effort | None = None
    fallback: ModelName | None = None
    window_tokens: WindowTokens | None = None
