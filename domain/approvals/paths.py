"""Which paths an agent may name, and which of them a person is asked about first.

Looks at the text of a path only. That a path does not leave the worktree through a symbolic
link is checked where files are opened.
"""

from contracts.verdicts import CallVerdict, Permission
from domain.approvals.runs_code import folded, runs
from domain.text import escaped

CONTROL = frozenset({".git", "git~1", ".orchestcode"})
"""Folders that control git or this system, in lower case: refused at any depth."""


def path_problem(path: str) -> str | None:
    """Return why an agent may not name this path, in a sentence for the agent; None: it may.

    Refused are empty and absolute paths, `..`, characters that no file name has, and at any
    depth the folders that control git and this system.
    """
    if not path:
        return "The path is empty."
    if "\0" in path or not _encodable(path):
        return "The path has a character that no file name can have."
    if path.startswith(("/", "~/")) or path == "~":
        return "The path must be relative to the root of the repository."
    if ".." in path.split("/"):
        return "The path must not contain '..'."
    names = [name for name in folded(path) if name in CONTROL]
    if names:
        return f"'{names[0]}' is not open to tools: it controls git or this system."
    return None


def path_verdict(path: str) -> CallVerdict:
    """Judge the change of one path of a worktree."""
    if problem := path_problem(path):
        return CallVerdict(permission=Permission.DENY, rule="path", reason=problem)
    found = runs(path)
    if found and not found.planned:
        shown = escaped(path if len(path) <= 400 else f"{path[:400]}…")
        why = f"{shown} {found.when}, outside the sandbox"
        return CallVerdict(permission=Permission.ASK, rule="protected path", reason=why[:1_000])
    return CallVerdict(rule="inside the worktree")


def _encodable(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
