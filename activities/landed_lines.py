"""What a patch does to lines that landed since its request began."""

from contracts.review import Undone
from domain.review.commit_message import task_of
from domain.review.landed_lines import LandedLine, restored, undone
from infra.store import Store
from infra.store.line_origins import LineChanges, changed_files, line_changes, origins


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
            theirs = await line_changes(store, landed[path].before, landed[path].after)
            back = restored([text for _, text in theirs.removed], theirs.added, changed.added)
            lines += [LandedLine("", path, text, restored=True) for text in back]
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
