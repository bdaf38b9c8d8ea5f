"""An agent's scratch folder: its /tmp, which views and searches may read and no patch holds.

The record of what the agent has seen also names the content that it knows, so that an agent is
told when that was lost.
"""

import hashlib
from pathlib import Path

from activities.tools.tool import ToolContext
from infra.files.confined_files import ConfinedFiles

TMP = "/tmp"  # noqa: S108 - as commands of an agent see it
LOST = (
    f"{TMP} and HOME were emptied since your last command: a call was interrupted, or the worktree "
    "was lost. Make again what you need of them."
)


def place_of(context: ToolContext, path: str) -> tuple[Path, str, str]:
    """Return the folder that a path lies in, the path in it, and what to put before names of it."""
    if path == TMP or path.startswith(f"{TMP}/"):
        return context.worktree.scratch, path[len(TMP) :].strip("/") or ".", f"{TMP}/"
    return context.worktree.path, path, ""


def was_lost(context: ToolContext) -> bool:
    """Return whether the scratch folder was emptied since the agent's last command."""
    return context.seen.get(TMP, context.worktree.record.scratch) != context.worktree.record.scratch


def remember(context: ToolContext) -> None:
    """Note which content of the scratch folder the agent knows."""
    context.seen[TMP] = context.worktree.record.scratch


def keep_output(context: ToolContext, output: str) -> str:
    """Write a command's whole output into the scratch folder; return its path for the agent.

    Raises:
        PathRefused: a command put something else in its place.
    """
    data = output.encode()
    name = f"output-{hashlib.sha256(data).hexdigest()[:10]}.txt"
    uid = context.worktree.uid
    owner = (uid, uid) if uid is not None else None
    with ConfinedFiles(context.worktree.scratch, owner=owner) as files:
        files.write(name, data)
    return f"{TMP}/{name}"
