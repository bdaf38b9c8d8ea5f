"""What a patch does to lines that landed since its request began, and to its own earlier ones."""

from collections.abc import Mapping

from contracts.review import Undone, UndoneKind
from domain.review.commit_message import task_of
from domain.review.landed_lines import LandedLine, copies, restored, undone
from infra.store import Store
from infra.store.line_origins import (
    FileChange,
    LineChanges,
    changed_files,
    line_changes,
    origins,
)


async def undone_by(store: Store, since: str, base: str, commit: str) -> tuple[Undone, ...]:
    """Return what a patch undoes of the work that landed from `since` to its base."""
    if base == since:
        return ()
    landed = {change.path: change for change in await changed_files(store, since, base)}
    lines: list[LandedLine] = []
    copied: list[LandedLine] = []
    added: list[str] = []
    for change in await changed_files(store, base, commit):
        changed = await line_changes(store, change.before, change.after)
        added += [line.text for line in changed.added]
        path = change.source or change.path
        if path in landed:
            new = await _removed(store, since, base, path, changed, moves=True)
            lines += new.values()
            taken = await _removed(store, since, base, path, changed, moves=False)
            copied += [line for number, line in taken.items() if number not in new]
            theirs = await line_changes(store, landed[path].before, landed[path].after)
            kept = [line.text for line in theirs.added]
            back = restored(theirs.removed, kept, changed.added)
            lines += [LandedLine("", path, text, restored=True) for text in back]
    if copied:
        lines += copies(copied, await _moved(store, landed))
    return undone(lines, added)


async def lost_by(store: Store, task: str, earlier: str, commit: str) -> tuple[Undone, ...]:
    """Return the lines that a task's earlier patch added and that its new one has lost.

    A line counts as kept wherever it stands in the file, as it is or in a longer one.
    """
    (base,) = (await store.get_commit(earlier)).parents[:1]
    since = {change.source: change for change in await changed_files(store, earlier, commit)}
    lost: tuple[Undone, ...] = ()
    for change in await changed_files(store, base, earlier):
        after = since.get(change.path)
        if change.after is None or after is None:
            continue
        added = (await line_changes(store, change.before, change.after)).added
        removed = (await line_changes(store, change.after, after.after)).removed
        held = (await line_changes(store, None, after.after)).added if after.after else ()
        gone = {line.text for line in removed}
        lines = [LandedLine(task, change.path, each.text) for each in added if each.text in gone]
        lost += undone(lines, [each.text for each in held], kind=UndoneKind.LOSES)
    return lost


async def _removed(
    store: Store, since: str, base: str, path: str, changed: LineChanges, *, moves: bool
) -> dict[int, LandedLine]:
    """Return the landed lines that a change of a file removes, by their number."""
    texts = {line.number: line.text for line in changed.removed}
    found = await origins(store, since, base, path, list(texts), moves=moves)
    return {
        number: LandedLine(task_of((await store.get_commit(commit)).message), path, texts[number])
        for number, commit in sorted(found.items())
    }


async def _moved(store: Store, landed: Mapping[str, FileChange]) -> list[str]:
    """Return every line that landed work removed, from whatever file."""
    return [
        line.text
        for change in landed.values()
        for line in (await line_changes(store, change.before, change.after)).removed
    ]
