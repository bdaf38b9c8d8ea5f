"""Formats what an agent has edited, by the repository's own formatter, in the sandbox.

Only a file that was formatted before its edit, or is new: an edit shall not change the lines of a
file that nobody formats. A formatter that is not there or fails leaves the file as it was edited.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from activities.tools import guarding, scratch
from activities.tools.tool import ToolContext
from domain.editing.diff import difference
from domain.editing.document import decode
from domain.editing.formatters import Formatter, configurations, formatter
from domain.editing.patching import ChangedFile
from domain.repository_settings import parsed
from domain.settings_json import SettingsProblem
from domain.text import one_line
from infra.files.confined_files import ConfinedFiles
from infra.files.confined_root import PathRefused
from infra.guarded_files import GuardedFiles, TooManyGuarded
from infra.layers import LayerMissing
from infra.sandbox import SandboxUnavailable
from infra.store import Store

_SETTINGS = ".orchestcode/settings.json"
_MOST_FILES = 20
"""The files of one call that are formatted."""
_SECONDS = 20
_BEFORE, _SAID = ".before-edit", ".formatter-said"
_UNFORMATTED, _MISSING = 3, 127


@dataclass(frozen=True)
class Formatted:
    """What formatters made of files.

    Attributes:
        files: the new content by path, where it differs.
        told: for the agent: what they changed, and which failed.
        guarded: what was kept from them; None when none was run.
    """

    files: dict[str, bytes]
    told: tuple[str, ...] = ()
    guarded: GuardedFiles | None = None


async def formatted(context: ToolContext, changes: Sequence[ChangedFile]) -> Formatted:
    """Return what the repository's formatters make of files that were written just now."""
    found = [
        (change, wanted)
        for change in changes
        if change.after is not None
        if (wanted := await _formatter(context, change.path)) is not None
    ][:_MOST_FILES]
    if not found or not await _wanted(context):
        return Formatted({})
    try:
        guarded = await guarding.kept_from_commands(context)
    except TooManyGuarded:
        return Formatted({})
    files: dict[str, bytes] = {}
    notes: list[str] = []
    for change, wanted in found:
        made = await _run(context, change, wanted, guarded)
        if isinstance(made, str):
            notes.append(made)
        elif change.after is not None and made and made != change.after.data:
            files[change.path] = made
            notes.append(_changed(change.path, wanted.name, change.after.data, made))
    return Formatted(files, tuple(filter(None, notes)), guarded)


def _changed(path: str, name: str, before: bytes, after: bytes) -> str:
    old, new = decode(before), decode(after)
    return f"[{name} formatted it:]\n{difference(path, old, new) if new else path}"


async def _wanted(context: ToolContext) -> bool:
    """Return whether the base's settings do not switch formatting off."""
    record = context.worktree.record
    content = await _content(context.store, record.base or record.commit, _SETTINGS)
    try:
        return content is None or parsed(content).format
    except SettingsProblem:
        return False


async def _formatter(context: ToolContext, path: str) -> Formatter | None:
    for name in configurations(path):
        content = await _content(context.store, context.expected, name)
        if content is not None and (found := formatter(path, name, content)) is not None:
            return found
    return None


async def _content(store: Store, commit: str, path: str) -> bytes | None:
    entry = await store.entry_at(commit, path)
    return None if entry is None or entry.is_tree else await store.get_blob(entry.oid)


async def _run(
    context: ToolContext, change: ChangedFile, wanted: Formatter, guarded: GuardedFiles
) -> bytes | str:
    """Return a file as it is formatted, or what is to be told; "" for nothing."""
    before = change.before.data if change.before else None
    try:
        line = _line(context, change.path, before, wanted)
    except PathRefused:
        return ""
    place = await context.commands.environment_at(
        context.store, context.environment, context.expected
    )
    try:
        ran = await context.commands.run(
            context.worktree,
            line,
            place.environment,
            timeout_seconds=_SECONDS,
            guarded=guarded,
            folders=context.policy.record.folders,
        )
    except (SandboxUnavailable, LayerMissing):
        return ""  # the next command says so; an edit needs neither
    if ran.passed:
        return ran.outcome.output
    if ran.outcome.exit_code in {_UNFORMATTED, _MISSING}:
        return ""
    said = one_line(ran.text, 200)
    return f"[{wanted.name} could not format {change.path} ({ran.ending}): {said}]"


def _line(context: ToolContext, path: str, before: bytes | None, wanted: Formatter) -> str:
    """Return the command line that formats a file that was formatted before.

    Raises:
        PathRefused: a command put something else where the file as it was is laid.
    """
    said, copy = f"{scratch.TMP}/{_SAID}", f"{scratch.TMP}/{_BEFORE}"
    there = f"trap 'rm -f {said} {copy}' EXIT\n"
    # Where a project's own programs of node.js lie.
    there += 'export PATH="$PWD/node_modules/.bin:$PATH"\n'
    there += f"command -v {wanted.name} >/dev/null || exit {_MISSING}"
    # What it says of a file that it formats is no part of that.
    format_after = f"{wanted.line} < {shlex.quote(path)} 2>{said} || {{ cat {said}; exit 1; }}"
    if before is None:
        return f"{there}\n{format_after}"
    uid = context.worktree.uid
    with ConfinedFiles(
        context.worktree.scratch, owner=None if uid is None else (uid, uid)
    ) as files:
        files.write(_BEFORE, before)
    same = f"{wanted.line} < {copy} 2>/dev/null | cmp -s - {copy} || exit {_UNFORMATTED}"
    return f"{there}\n{same}\n{format_after}"
