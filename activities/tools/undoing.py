"""Takes an agent's last edit of a file back, from the checkpoint before it."""

from dataclasses import dataclass

from activities.tools import changing
from activities.tools.tool import ToolContext, ToolOutput, failed
from contracts.verdicts import Permission
from domain.editing.patching import ChangedFile, Version
from domain.policy.judge import judge
from domain.text import listing
from domain.tools.registry import ToolSpec
from infra.files.confined_files import ConfinedFiles, FileState
from infra.store import diffs
from infra.store.diffs import PathChange
from infra.store.object_format import Commit, object_id

_EDITS = ("edit: ", "patch: ")
_UNDO = "undo: "
_OF = "Undoes: "
_MOST_STEPS = 500
_NONE = frozenset("0")


@dataclass(frozen=True)
class _Edit:
    """An edit of the agent: its checkpoint, the one before, and the files that it changed."""

    commit: str
    before: str
    files: tuple[PathChange, ...]


async def undo(
    context: ToolContext, files: ConfinedFiles, path: str, *, spec: ToolSpec
) -> ToolOutput:
    """Make what the agent's last edit of a file changed as it was, in every file of that edit.

    Raises:
        PathRefused: a file cannot be written; nothing is changed.
    """
    found = await _last_edit(context, path)
    if found is None:
        return failed(f"Error: {path} has no edit of yours that is not undone already.")
    others = [each.path for each in found.files if each.path != path]
    for other in others:
        verdict = judge(context.policy, spec, {"command": "undo_edit", "path": other})
        if verdict.permission is not Permission.ALLOW:
            return failed(
                f"Error: That edit changed {other} too, and {verdict.reason or verdict.rule}. "
                "Nothing was undone: change the files back one by one."
            )
    states = {each.path: files.read(each.path) for each in found.files}
    for each in found.files:
        if not _is_as_left(each, states[each.path]):
            return failed(
                f"Error: {each.path} has changed since that edit, so it is not undone. "
                "Undo later edits of it first, or change it by hand."
            )
    changes = [await _back(context, each, states[each.path]) for each in found.files]
    changes.sort(key=lambda change: change.after is not None)
    paths = [change.path for change in changes]
    made = changing.Changes(
        files=changes,
        states=states,
        told=[f"Done: your last edit of {path} is undone{_beside(others)}."],
        formats=False,
        message=f"{changing.about('undo', paths)}\n\n{_OF}{found.commit}\n",
    )
    return await changing.carry_out(context, files, made)


def _beside(others: list[str]) -> str:
    return f", and with it that of {listing(tuple(others))}" if others else ""


async def _last_edit(context: ToolContext, path: str) -> _Edit | None:
    """Return the last edit of a file that is not undone, by the checkpoints since the lease."""
    record, at = context.worktree.record, context.expected
    ends = {record.base, record.commit}
    undone: set[str] = set()
    for _ in range(_MOST_STEPS):
        commit = await context.store.get_commit(at)
        if at in ends or len(commit.parents) != 1:
            return None
        before = commit.parents[0]
        if of := _undoes(commit):
            undone.add(of)
        elif at not in undone and commit.message.startswith(_EDITS):
            entries = [await context.store.entry_at(each, path) for each in (before, at)]
            if entries[0] != entries[1]:
                changed = await diffs.changes(context.store, before, at)
                return _Edit(at, before, tuple(changed))
        at = before
    return None


def _undoes(commit: Commit) -> str:
    """Return the checkpoint that another one undoes, "" for none."""
    if not commit.message.startswith(_UNDO):
        return ""
    return commit.message.rpartition(_OF)[2].strip()


def _is_as_left(change: PathChange, state: FileState | None) -> bool:
    """Return whether a file is as the edit left it."""
    if state is None or set(change.after) <= _NONE:
        return state is None and set(change.after) <= _NONE
    return object_id("blob", state.data) == change.after


async def _back(context: ToolContext, change: PathChange, state: FileState | None) -> ChangedFile:
    now = changing.version(state)
    if set(change.before) <= _NONE:
        return ChangedFile(change.path, now, None)
    data = await context.store.get_blob(change.before)
    return ChangedFile(change.path, now, Version(data, executable=change.mode_before == "100755"))
