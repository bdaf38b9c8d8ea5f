"""What an agent is told of the paths that it changes and its task did not declare."""

from activities.tools.tool import ToolContext
from domain.planning import undeclared
from domain.review.risk import sensitive
from domain.text import for_people
from infra.store import diffs
from infra.store.diffs import PathChange

_MOST = 8
"""The paths of one command that are told each with its reason; the others are counted."""
_TOLD = "//undeclared/"
"""What stands before a path in the record of what the agent has seen, once it was told of it."""


def edited(context: ToolContext, path: str) -> str:
    """Return what is told of a path that was edited, each time; "" for one that is declared."""
    warned = _warning(context, path)
    if warned:
        context.seen[_TOLD + path] = ""
    return warned


async def changed_by_command(context: ToolContext, commit: str) -> list[str]:
    """Return what is told of the paths that a command changed, once for each path.

    A path that is as it was in the base again needs no word.
    """
    if context.scope is None or commit == context.expected:
        return []
    found: dict[str, str] = {}
    for change in await diffs.changes(context.store, context.expected, commit):
        warned = "" if _TOLD + change.path in context.seen else _warning(context, change.path)
        if warned and not await _is_of_base(context, change):
            found[change.path] = warned
    notes = [f"[{for_people(words)}]" for words in list(found.values())[:_MOST]]
    if len(found) > _MOST:
        more = len(found) - _MOST
        notes.append(f"[{more} more of the changed paths are not among those of your task]")
    context.seen.update({_TOLD + path: "" for path in list(found)[:_MOST]})
    return notes


def _warning(context: ToolContext, path: str) -> str:
    if context.scope is None:
        return ""
    return undeclared.warning(path, undeclared.judge(path, context.scope, risk=sensitive(path)))


async def _is_of_base(context: ToolContext, change: PathChange) -> bool:
    record = context.worktree.record
    entry = await context.store.entry_at(record.base or record.commit, change.path)
    if entry is None:
        return change.status == "D"
    return (entry.oid, entry.mode) == (change.after, change.mode)
