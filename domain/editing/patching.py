"""What a whole patch makes of the files that it names: all of it, or a refusal and none.

Files in, changes out; knows no file system. Refusals are sentences for the agent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.editing import hunks
from domain.editing import seen as seen_record
from domain.editing.diff import difference
from domain.editing.edit import Refused, digest, encoded, opened, stale_note
from domain.editing.patch import FilePatch, PatchText
from domain.text import clip

_MOST_PROBLEMS = 12
_PROBLEM_CHARS = 2_500


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a file."""

    data: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file before and after; None = there is none."""

    path: str
    before: Version | None
    after: Version | None


@dataclass(frozen=True, slots=True)
class PatchChanges:
    """A patch that may be written.

    Attributes:
        changes: one for each path, those that remove a file first.
        told: what is done, for the agent, a line or more for each file.
        origins: the old path of each moved file, by its new one.
    """

    changes: tuple[ChangedFile, ...]
    told: tuple[str, ...]
    origins: Mapping[str, str]


@dataclass
class _Work:
    """The files as the parts of the patch leave them, one after the other."""

    files: dict[str, Version | None]
    seen: dict[str, str | None]
    told: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    origins: dict[str, str] = field(default_factory=dict)


def plan(
    patch: PatchText, files: Mapping[str, Version | None], seen: Mapping[str, str]
) -> PatchChanges | Refused:
    """Return what a patch makes of files, or why nothing of it is done.

    `files` has every path of the patch; `seen` records what the agent knows of each (`seen.py`).
    """
    work = _Work(dict(files), {path: seen.get(path) for path in files})
    for each in patch.files:
        if problem := _change(work, each):
            work.problems.append(problem)
    if work.problems:
        return _refused(work.problems)
    changes = [
        ChangedFile(path, files[path], after)
        for path, after in work.files.items()
        if after != files[path]
    ]
    if not changes:
        return Refused("Error: Nothing would change: the files hold what the patch says already.")
    if crossing := _crossing(changes):
        return Refused(f"Error: {crossing}: make two calls. Nothing was changed.")
    changes.sort(key=lambda change: change.after is not None)
    return PatchChanges(tuple(changes), tuple(work.told), work.origins)


def _refused(problems: list[str]) -> Refused:
    shown = "\n".join(clip(each, _PROBLEM_CHARS) for each in problems[:_MOST_PROBLEMS])
    rest = len(problems) - _MOST_PROBLEMS
    more = f"\n{rest} more parts of it do not fit." if rest > 0 else ""
    return Refused(
        f"Error: Nothing was changed, since a part of the patch does not fit.\n{shown}{more}"
    )


def _crossing(changes: list[ChangedFile]) -> str:
    """Return that a path is a file and a folder at once; "" when none is."""
    paths = {change.path for change in changes}
    for path in sorted(paths):
        parts = path.split("/")
        for depth in range(1, len(parts)):
            if (folder := "/".join(parts[:depth])) in paths:
                return f"{folder} is a file that changes, and {path} lies in it"
    return ""


def _change(work: _Work, part: FilePatch) -> str:
    """Do what the patch says of one file; return why not, "" when it is done."""
    if part.added is not None:
        return _add(work, part, part.added)
    before = work.files[part.path]
    if before is None:
        return f"{part.path}: File not found"
    if part.deleted:
        return _delete(work, part, before)
    return _update(work, part, before)


def _add(work: _Work, part: FilePatch, text: str) -> str:
    if work.files[part.path] is not None:
        return f"{part.path} exists already: change it by hunks, or replace it whole with `edit`"
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return f"{part.path}: its text has half of a surrogate pair, which no file can hold"
    work.files[part.path] = Version(data, executable=bool(part.executable))
    work.seen[part.path] = digest(data)
    work.told.append(f"A {part.path}")
    return ""


def _delete(work: _Work, part: FilePatch, before: Version) -> str:
    known = work.seen[part.path]
    stale = stale_note(before.data, known)
    if part.hunks:
        if problem := _not_whole(part, before, stale):
            return problem
    elif stale and known is not None:
        return f"{part.path}: {stale}: view it before you delete it"
    work.files[part.path] = None
    work.told.append(_noted(f"D {part.path}", [stale]))
    return ""


def _not_whole(part: FilePatch, before: Version, stale: str) -> str:
    """Return why the lines that a patch deletes are not all of the file, "" when they are."""
    document = opened(before.data)
    if isinstance(document, Refused):
        return f"{part.path}: {document.message}"
    applied = hunks.apply(document, part.hunks, staleness=stale)
    if isinstance(applied, hunks.Misfits):
        return "\n".join(f"{part.path}: {problem}" for problem in applied.problems)
    if rest := applied.document.line_count:
        return f"{part.path} is to be deleted, but the patch leaves {rest} of its lines"
    return ""


def _update(work: _Work, part: FilePatch, before: Version) -> str:
    target = part.moved_to or part.path
    if part.moved_to and work.files[part.moved_to] is not None:
        return f"{part.moved_to} exists already: {part.path} is not moved over it"
    data, notes, places = before.data, list[str](), ""
    if part.hunks:
        applied = _applied(work, part, before)
        if isinstance(applied, str):
            return applied
        data, notes, places = applied
    executable = before.executable if part.executable is None else part.executable
    known = seen_record.edited(work.seen[part.path], digest(before.data), digest(data))
    work.files[part.path] = None
    work.files[target] = Version(data, executable=executable)
    work.seen[target] = known
    if part.moved_to:
        work.origins[target] = work.origins.get(part.path, part.path)
        work.told.append(_noted(f"R {part.path} -> {target}{places}", notes))
    else:
        work.told.append(_noted(f"M {target}{places}", notes))
    return ""


def _applied(work: _Work, part: FilePatch, before: Version) -> tuple[bytes, list[str], str] | str:
    """Return a file's new content, what is to be told of it, and where it changed; or why not."""
    document = opened(before.data)
    if isinstance(document, Refused):
        return f"{part.path}: {document.message.removeprefix('Error: ')}"
    stale = stale_note(before.data, work.seen[part.path])
    applied = hunks.apply(document, part.hunks, staleness=stale)
    if isinstance(applied, hunks.Misfits):
        return "\n".join(f"{part.path}: {problem}" for problem in applied.problems)
    data = encoded(applied.document)
    if isinstance(data, Refused):
        return f"{part.path}: {data.message.removeprefix('Error: ')}"
    notes = list(filter(None, [stale, *applied.notes]))
    if applied.notes:
        notes.append(f"it became\n{difference(part.path, document, applied.document)}")
    return data, notes, f": {hunks.said_lines(applied.places)}"


def _noted(what: str, notes: list[str]) -> str:
    return f"{what} ({'; '.join(filter(None, notes))})" if any(notes) else what
