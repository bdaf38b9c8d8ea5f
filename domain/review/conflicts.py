"""What an agent is told of a conflict between its patch and work that landed meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.text import listing, one_line

YOURS = "yours"
"""The label of the agent's side of a conflict in a file."""

_TEXT, _BINARY, _FOLDER = "contents", "binary", "file/directory"
_DELETED, _RENAMED_TWICE = "modify/delete", "rename/rename"
_TOLD = 30


@dataclass(frozen=True)
class Conflict:
    """One conflict, as git tells them apart.

    Attributes:
        kind: "contents", "binary", "modify/delete", "file/directory", "rename/rename" and others.
        paths: the path; more of them for renames and for names that git invents.
        landed, patch: the first path exists in the landed work, in the patch.
    """

    kind: str
    paths: tuple[str, ...]
    landed: bool
    patch: bool


def landed_label(tasks: Sequence[str]) -> str:
    """Return the label of the landed side of a conflict in a file."""
    return f"landed by {listing(tuple(tasks), most=3)}" if tasks else "landed work"


def conflicts_feedback(conflicts: Sequence[Conflict], *, tip: str, patch: str, label: str) -> str:
    """Return what the agent is told: each conflict in its own words, with the choices.

    `tip` and `patch` are the commits of both sides, `label` names the landed one.
    """
    binary = {each.paths[0] for each in conflicts if each.kind == _BINARY}
    told = [
        f"- {_told(each, tip=tip, patch=patch)}"
        for each in conflicts
        if each.kind != _TEXT or each.paths[0] not in binary
    ]
    more = [f"- and {len(told) - _TOLD} more"] if len(told) > _TOLD else []
    opening = (
        "Your patch conflicts with work that landed meanwhile. Your worktree now stands on that "
        "work: `git log` shows it, `git diff HEAD` shows your side."
    )
    markers = (
        f"Between markers, `<<<<<<< {label}` begins what landed and `>>>>>>> {YOURS}` ends your "
        "lines. Leave no marker. "
    )
    marked = any(each.kind == _TEXT and each.paths[0] not in binary for each in conflicts)
    closing = f"{markers * marked}Keep the meaning of both, then finish again."
    return "\n".join([opening, *told[:_TOLD], *more, closing])


def invented(conflict: Conflict) -> str | None:
    """Return the name that git invented for the file of a conflict; it must not be kept."""
    return conflict.paths[0] if conflict.kind == _FOLDER and len(conflict.paths) > 1 else None


def _told(conflict: Conflict, *, tip: str, patch: str) -> str:
    path = one_line(conflict.paths[0], 300)
    if conflict.kind == _TEXT:
        return f"{path}: both changed the same lines; the markers show them."
    if conflict.kind == _BINARY:
        return (
            f"{path}: a binary file that both changed. It holds what landed; yours is "
            f"`git show {patch}:{path}`. Decide which one stays."
        )
    if conflict.kind == _DELETED and conflict.patch:
        return (
            f"{path}: landed work deleted it and you changed it; it is there as you left it. "
            "Delete it as well, or say in the summary why it has to stay."
        )
    if conflict.kind == _DELETED:
        return (
            f"{path}: you deleted it and landed work changed it; it is there as it landed. "
            "Delete it again only if that change is not needed, and say so in the summary."
        )
    if conflict.kind == _FOLDER and len(conflict.paths) > 1:
        path = one_line(conflict.paths[1], 300)
        whose, commit = ("your", patch) if conflict.patch else ("the landed", tip)
        return (
            f"{path}: a file on one side and a folder on the other. The folder is there; "
            f"{whose} file is `git show {commit}:{path}`. Give it another name."
        )
    if conflict.kind == _RENAMED_TWICE and len(conflict.paths) == 3:
        _, theirs, yours = (one_line(each, 300) for each in conflict.paths)
        return (
            f"{path}: landed work renamed it to {theirs} and you to {yours}; both are there. "
            "Keep one of them."
        )
    others = f" ({listing(conflict.paths[1:])})" if conflict.paths[1:] else ""
    return (
        f"{path}{others}: {conflict.kind}. What landed is `git show {tip}:{path}`, yours is "
        f"`git show {patch}:{path}`. Decide which one stays."
    )
