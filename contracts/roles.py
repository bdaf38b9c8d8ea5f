"""Roles: what an agent is for. A role is a file that the worker finds; three have names here."""

from typing import Annotated, Final

from pydantic import StringConstraints

RoleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
"""A role by the name of its file."""

PLANNER: Final = "planner"
"""Turns a request into a plan."""
CODER: Final = "coder"
"""Carries a task out."""
REVIEWER: Final = "reviewer"
"""Reads a patch in a fresh context."""
