"""What the tools that edit files have in common: read, write all or none, say so, checkpoint."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from activities.tools import formatting, guarding, undeclared_paths
from activities.tools.formatting import Formatted
from activities.tools.tool import ToolContext, ToolOutput
from domain.editing import edit, seen
from domain.editing.patching import ChangedFile, Version
from domain.editing.syntax import new_problems
from domain.text import listing
from infra.files.confined_files import ConfinedFiles, FileState
from infra.files.file_changes import FileWrite, write_all
from infra.git.command import GitCommand
from infra.guarded_files import GuardedFiles
from infra.store import trees
from infra.store.object_format import SUBMODULE_MODE

_RUNNABLE = 0o100
_MOST_TOLD = 20
"""The files of one call of which warnings are told."""


@dataclass(frozen=True)
class Changes:
    """Files that a call changes, and what the agent is told.

    Attributes:
        states: the files as they were read, by path.
        origins: the old path of each moved file, by its new one.
        message: of the checkpoint; its first line says what was done.
        formats: whether the repository's formatter sees them.
    """

    files: Sequence[ChangedFile]
    states: Mapping[str, FileState | None]
    told: Sequence[str]
    message: str
    origins: Mapping[str, str] = field(default_factory=dict)
    formats: bool = True


def editor(context: ToolContext) -> ConfinedFiles:
    """Return the files of the worktree; what is made there belongs to who runs its commands."""
    worktree = context.worktree
    owner = (worktree.uid, worktree.uid) if worktree.uid is not None else None
    return ConfinedFiles(worktree.path, owner=owner)


def versions(states: Mapping[str, FileState | None]) -> dict[str, Version | None]:
    """Return files as edits know them."""
    return {path: version(state) for path, state in states.items()}


def version(state: FileState | None) -> Version | None:
    """Return a file as edits know it."""
    return None if state is None else Version(state.data, executable=bool(state.mode & _RUNNABLE))


async def carry_out(context: ToolContext, files: ConfinedFiles, changes: Changes) -> ToolOutput:
    """Write files and checkpoint the worktree.

    Raises:
        PathRefused: one cannot be written; nothing is changed.
    """
    written = write_all(files, [_write(each, changes.states) for each in changes.files])
    made = await formatting.formatted(context, changes.files) if changes.formats else None
    if made and made.files:
        written = _reformatted(files, changes, written, made)
        changes = replace(changes, files=[_as_formatted(each, made) for each in changes.files])
    _remember(context, changes)
    told = [*changes.told, *(made.told if made else ())]
    told += _warnings(context, changes)
    unrecorded = await _unrecorded(context, [each.path for each in changes.files])
    told += [f"{path} {why}, so it will not be part of the patch." for path, why in unrecorded]
    text = "\n".join(filter(None, told))
    if made and made.guarded is not None:
        return await _scanned(context, changes, text, made.guarded)
    left_out = {path for path, _ in unrecorded}
    entries = {
        each.path: _entry(context, state)
        for each, state in zip(changes.files, written, strict=True)
        if each.path not in left_out
    }
    checkpoint = await _checkpoint(context, entries, changes.message) if entries else None
    return ToolOutput(text, checkpoint=checkpoint)


def _reformatted(
    files: ConfinedFiles, changes: Changes, written: Sequence[FileState | None], made: Formatted
) -> list[FileState | None]:
    """Write what formatters made of files; return all files as they are then."""
    pairs = list(zip(changes.files, written, strict=True))
    again = [
        FileWrite(each.path, state, made.files[each.path])
        for each, state in pairs
        if each.path in made.files
    ]
    states = dict(zip((each.path for each in again), write_all(files, again), strict=True))
    return [states.get(each.path, state) for each, state in pairs]


def _as_formatted(change: ChangedFile, made: Formatted) -> ChangedFile:
    data = made.files.get(change.path)
    if data is None or change.after is None:
        return change
    return replace(change, after=replace(change.after, data=data))


async def _scanned(
    context: ToolContext, changes: Changes, text: str, guarded: GuardedFiles
) -> ToolOutput:
    """Return a checkpoint of all files: a program has run in the worktree."""
    scan = await context.worktree.scan(context.expected, changes.message)
    denied = await guarding.undone(context, scan.commit, guarded)
    return denied or ToolOutput(text, checkpoint=scan.commit)


def _write(change: ChangedFile, states: Mapping[str, FileState | None]) -> FileWrite:
    before, after = states[change.path], change.after
    if after is None:
        return FileWrite(change.path, before, None)
    same = change.before is not None and change.before.executable == after.executable
    return FileWrite(change.path, before, after.data, None if same else after.executable)


def _remember(context: ToolContext, changes: Changes) -> None:
    """Note what the agent has seen of the new versions: not what it had not seen of the old."""
    before = dict(context.seen)
    for change in changes.files:
        origin = changes.origins.get(change.path, change.path)
        context.seen.pop(change.path, None)
        if change.after is None:
            continue
        old = changes.states.get(origin)
        digest = None if old is None else edit.digest(old.data)
        known = seen.edited(before.get(origin), digest, edit.digest(change.after.data))
        if known is not None:
            context.seen[change.path] = known


def _warnings(context: ToolContext, changes: Changes) -> list[str]:
    """Return new errors of syntax, and paths that the task did not declare."""
    told: list[str] = []
    for change in changes.files:
        if change.after is not None:
            origin = changes.origins.get(change.path, change.path)
            old = changes.states.get(origin)
            problems = new_problems(change.path, old.data if old else None, change.after.data)
            told += [_of(change.path, problem, changes) for problem in problems]
        told.append(undeclared_paths.edited(context, change.path))
    told = [each for each in told if each]
    rest = len(told) - _MOST_TOLD
    return [*told[:_MOST_TOLD], *([f"[{rest} more warnings]"] if rest > 0 else [])]


def _of(path: str, problem: str, changes: Changes) -> str:
    return problem if len(changes.files) == 1 else f"{path} {problem}"


def _entry(context: ToolContext, state: FileState | None) -> trees.Entry | None:
    if state is None:
        return None
    mode = "100755" if state.mode & _RUNNABLE else "100644"
    return mode, context.batch.blob(state.data)


async def _unrecorded(context: ToolContext, paths: Sequence[str]) -> list[tuple[str, str]]:
    """Return the files that a scan of the worktree would leave out, and why."""
    found: dict[str, str] = {}
    unknown: list[str] = []
    for path in paths:
        if folder := await _repository_of(context, path):
            found[path] = f"is in another repository, {folder}"
        elif await context.store.entry_at(context.expected, path) is None:
            unknown.append(path)  # what is tracked already is recorded, ignored or not
    found.update((path, "is ignored by git") for path in await _ignored(context, unknown))
    return [(path, found[path]) for path in paths if path in found]


async def _repository_of(context: ToolContext, path: str) -> str:
    """Return the folder of another repository that a path lies in, "" for none."""
    parts = path.split("/")
    for depth in range(1, len(parts)):
        folder = "/".join(parts[:depth])
        entry = await context.store.entry_at(context.expected, folder)
        linked = entry is not None and entry.mode == SUBMODULE_MODE
        if linked or _is_repository(context.worktree.path / folder):
            return folder
    return ""


def _is_repository(folder: Path) -> bool:
    return os.path.lexists(folder / ".git")


async def _ignored(context: ToolContext, paths: Iterable[str]) -> list[str]:
    # With "./" in front no name can be read as anything but a name.
    names = [f"./{path}" for path in paths]
    if not names:
        return []
    worktree = context.worktree
    git = GitCommand(worktree.store / "worktrees" / worktree.name, work_tree=worktree.path)
    words = ("check-ignore", "-z", "--no-index", "--stdin")
    sent = b"\0".join(os.fsencode(name) for name in names)
    found = await git(*words, stdin=sent, ok=(0, 1), reads=True)
    return [os.fsdecode(name)[2:] for name in found.out.split(b"\0") if name]


async def _checkpoint(
    context: ToolContext, entries: Mapping[str, trees.Entry | None], message: str
) -> str:
    """Return a commit of the expected tree with these files; only what changed is written."""
    before = await context.store.get_commit(context.expected)
    tree = await trees.with_paths(context.store, before.tree, entries, batch=context.batch)
    if tree == before.tree:
        return context.expected
    return context.batch.commit(tree, (context.expected,), message, when=before.author_seconds + 1)


def about(done: str, paths: Sequence[str]) -> str:
    """Return the first line of a checkpoint's message: what was done to which files."""
    return f"{done}: {paths[0] if len(paths) == 1 else listing(tuple(paths))}"
