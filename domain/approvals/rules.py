"""
May a tool call be carried out: ordered rules, the first that matches decides, no match asks.

The sandbox is the boundary; a question is only for crossing it. The risk is judged from what a call
acts on, not from the tool's name.
"""

from dataclasses import dataclass

from contracts.tools import ApprovalClass, Effect, ToolName
from domain.editing import edit
from domain.tools.registry import ToolSpec


@dataclass(frozen=True)
class Allow:
    """Carry it out."""

    rule: str


@dataclass(frozen=True)
class Ask:
    """A person decides; `why` says which rule asks."""

    rule: str
    why: str


@dataclass(frozen=True)
class Deny:
    """Do not carry it out; the model is told `why` and can do something else."""

    rule: str
    why: str


def judge(spec: ToolSpec, subject: str) -> Allow | Ask | Deny:
    """Judge one call by its tool and subject (a path, a command line)."""
    if spec.approval is ApprovalClass.FREE or spec.effect is not Effect.WRITE:
        return Allow("changes nothing")
    if spec.name is ToolName.EDIT:
        return _edit(subject)
    if spec.name is ToolName.RUN_COMMAND:
        return Allow("runs in the sandbox")
    return Ask("no rule", f"no rule speaks of {spec.name.value}")


def _edit(path: str) -> Allow | Ask | Deny:
    problem = edit.path_problem(path)
    if problem:
        return Deny("path", problem)
    if edit.protected(path):
        return Ask(
            "protected path", f"{path} is read by tools outside the sandbox and can run code there"
        )
    return Allow("inside the worktree")
