"""What a patch does to lines that landed since its request began."""

from contracts.review import Undone
from domain.review.landed_lines import LandedLine, undone
from domain.review.patch import task_of
from infra.store import Store
from infra.store.line_origins import FileChange, LineChanges, changed_files, line_changes, origins


async def undone_by(store: Store, since: str, base: str, commit: str) -> tuple[Undone, ...]:
    """Return what a patch undoes of the work that landed from `since` to its base."""
    if base == since:
        return ()
    landed = {change.path: change for change in await changed_files(store, since, base)}
    lines: list[LandedLine] = []
    added: list[str] = []
    for change in await changed_files(store, base, commit):
        changed = await line_changes(store, change.before, change.after)
        added += changed.added
        path = change.source or change.path
        if path in landed:
            lines += await _removed(store, since, base, path, changed)
            lines += await _restored(store, landed[path], changed)
    return undone(lines, added)


async def _removed(
    store: Store, since: str, base: str, path: str, changed: LineChanges
) -> list[LandedLine]:
    texts = dict(changed.removed)
    found = await origins(store, since, base, path, list(texts))
    return [
        LandedLine(task_of((await store.get_commit(commit)).message), path, texts[number])
        for number, commit in sorted(found.items())
    ]


async def _restored(store: Store, landed: FileChange, changed: LineChanges) -> list[LandedLine]:
    """Return the added lines of a file that landed work removed from it."""
    removed = [text for _, text in (await line_changes(store, landed.before, landed.after)).removed]
    found: list[LandedLine] = []
    for text in changed.added:
        if text in removed:
            removed.remove(text)
            found.append(LandedLine("", landed.path, text, restored=True))
    return found
