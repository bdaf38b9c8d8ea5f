"""The names of the three roles that have one; nothing heavy is imported here."""

from typing import Final

PLANNER: Final = "planner"
"""Turns a request into a plan."""
CODER: Final = "coder"
"""Carries a task out."""
REVIEWER: Final = "reviewer"
"""Reads a patch in a fresh context."""
