"""Tools as rules name them: by our names, or by Claude Code's, which people know."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from contracts.verdicts import Effect
from domain.editing.patch_parser import paths_changed


class Family(StrEnum):
    """By what a rule about a tool speaks of its calls."""

    COMMAND = "command"
    """A command line, that of `subject`."""
    EDIT = "edit"
    """Paths that are changed."""
    READ = "read"
    """A path that is read."""
    OTHER = "other"


@dataclass(frozen=True)
class ToolFacts:
    """What rules need to know of a tool.

    Attributes:
        approval: its `ApprovalClass`, as its value.
        subject: the argument that says what a call acts on: its command line or path.
        parameters: names of its arguments.
        changed_paths: returns the paths that a call changes; None where one argument names it.
    """

    family: Family
    approval: str
    effect: Effect
    subject: str
    parameters: frozenset[str]
    changed_paths: Callable[[Mapping[str, object]], tuple[str, ...]] | None = None


FAMILY_NAMES: Final[Mapping[str, Family]] = MappingProxyType(
    {
        "Bash": Family.COMMAND,
        "run_command": Family.COMMAND,
        "Edit": Family.EDIT,
        "MultiEdit": Family.EDIT,
        "NotebookEdit": Family.EDIT,
        "Write": Family.EDIT,
        "Read": Family.READ,
    }
)
"""Names that mean every tool of a family, by any of its names here."""

ELSEWHERE: Final = frozenset(
    """
    Agent AskUserQuestion BashOutput EnterPlanMode ExitPlanMode Glob KillShell LS LSP Monitor
    NotebookRead PowerShell SendMessage Skill SlashCommand Task TodoRead TodoWrite ToolSearch
    WebFetch WebSearch
    """.split()  # noqa: SIM905
)
"""Tools of Claude Code of which there is none here."""


def _reads(subject: str, parameters: str, family: Family = Family.OTHER) -> ToolFacts:
    return ToolFacts(family, "free", Effect.READ, subject, frozenset(parameters.split()))


def _writes(
    approval: str, subject: str, parameters: str, family: Family = Family.OTHER
) -> ToolFacts:
    return ToolFacts(family, approval, Effect.WRITE, subject, frozenset(parameters.split()))


BUILT_IN: Final[Mapping[str, ToolFacts]] = MappingProxyType(
    {
        "apply_patch": replace(
            _writes("path", "patch", "patch", Family.EDIT), changed_paths=paths_changed
        ),
        "edit": _writes(
            "path",
            "path",
            "command path file_text old_str new_str edits insert_line insert_text",
            Family.EDIT,
        ),
        "history_read": _reads("handle", "handle first_line"),
        "history_search": _reads("text", "text"),
        "install_dependencies": _writes("setup", "reason", "reason command folder"),
        "memory_search": _reads("query", "query"),
        "remember": _writes("free", "description", "type description text evidence files"),
        "run_command": _writes("command", "command", "command timeout_seconds", Family.COMMAND),
        "search": _reads("pattern", "pattern path ignore_case", Family.READ),
        "view": _reads("path", "path view_range", Family.READ),
    }
)
"""The tools that come with the product, for who cannot ask the registry."""
