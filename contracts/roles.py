"""Roles: what an agent is for. A role is a file that the worker finds; three have names here."""

from typing import Annotated

from pydantic import StringConstraints

from contracts.role_names import CODER, PLANNER, REVIEWER

__all__ = ["CODER", "PLANNER", "REVIEWER", "RoleName"]

RoleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
"""A role by the name of its file."""
