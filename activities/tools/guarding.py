"""What rules about paths do to searches and commands: some files they do not reach."""

import asyncio
from collections.abc import Sequence

from activities.tools import scratch
from activities.tools.tool import ToolContext, ToolOutput
from contracts.tools import ToolOutcome
from domain.policy.guards import Guards
from domain.policy.rules import Rule
from domain.text import listing
from infra.commands import undo
from infra.guarded_files import GuardedFiles, guarded_files
from infra.store import diffs

_MOST_NAMED = 3


def searchable(
    context: ToolContext, names: Sequence[str]
) -> tuple[list[str], dict[str, list[str]]]:
    """Return the files that rules let be read, and the others by the rule that closes each."""
    guards = Guards(context.policy)
    if not guards.guards_reads:
        return list(names), {}
    kept: list[str] = []
    closed: dict[str, list[str]] = {}
    for name in names:
        if rule := guards.closed(name):
            closed.setdefault(f"closed by {rule.source.text}", []).append(name)
        else:
            kept.append(name)
    return kept, closed


async def kept_from_commands(context: ToolContext) -> GuardedFiles:
    """Return what rules keep from a command in the worktree as it lies there now.

    Raises:
        TooManyGuarded: more than can be kept from it.
    """
    return await asyncio.to_thread(guarded_files, context.worktree.path, Guards(context.policy))


async def undone(context: ToolContext, commit: str, guarded: GuardedFiles) -> ToolOutput | None:
    """Undo what a command did where it changed what rules keep; None where it did not.

    Mounts keep a command from what is there; this also finds what it made, moved or removed.
    """
    guards = Guards(context.policy)
    broken = await _broken(context, commit, guards) if guards else {}
    root = context.worktree.path
    moved = [path for path in guarded.closed if not (root / path).exists()]
    if not (broken or moved):
        return None
    await undo(context.worktree, context.expected)
    scratch.remember(context)
    rules = dict.fromkeys(_said(rule) for rule in broken.values())
    paths = listing(tuple(dict.fromkeys((*broken, *moved))), most=_MOST_NAMED)
    why = "; ".join(rules) or "rules say that it may not be read"
    return ToolOutput(
        f"Denied: the command changed {paths}, and {why}. All that it changed was undone. "
        f"{scratch.LOST}",
        ToolOutcome.DENIED,
        left_out="",
    )


def _said(rule: Rule) -> str:
    source = rule.source
    instead = ": change it with a tool that edits, which asks" if rule.asks else ""
    reason = f" ({source.reason})" if source.reason else ""
    return f"{source.text} of {source.file} keeps it{reason}{instead}"


async def _broken(context: ToolContext, commit: str, guards: Guards) -> dict[str, Rule]:
    if commit == context.expected:
        return {}
    changed = await diffs.changes(context.store, context.expected, commit)
    found = {change.path: guards.kept(change.path) for change in changed}
    return {path: rule for path, rule in found.items() if rule is not None}
