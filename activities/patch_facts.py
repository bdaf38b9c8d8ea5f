"""What is known of a patch without trusting anyone."""

import re
from collections.abc import Sequence

from activities.landed_lines import lost_by, undone_by
from activities.patch_files import patch_files
from contracts.limits import MOST_PATHS
from contracts.review import MakePatch, Patch, Undone
from domain import ids
from domain.approvals.runs_code import Links
from domain.planning import undeclared
from domain.planning.write_patterns import covers
from domain.review.risk import risks, sensitive
from domain.text import clip, for_people
from infra.store import Store, diffs, trees
from infra.store.diffs import PathChange

_DIFF_BYTES = 256 * 1024
_OUTSIDE = 20
_MARKER = re.compile(
    rb"<<<<<<< (landed by |(landed work|[0-9a-f]{40})(:|$))|>>>>>>> (yours|[0-9a-f]{40})(:|$)"
)
"""A marker of our own merge, perhaps with a path; before 2026-12 it named a commit."""


async def described(
    store: Store, request: MakePatch, commit: str, tree: str
) -> tuple[Patch, str | None]:
    """Return the patch, and what is wrong with its undeclared paths; None when unknown."""
    changes = await diffs.changes(store, request.base, commit)
    paths = [change.path for change in changes]
    outside = [path for path in paths if not covers(request.writes, path)]
    added = sum(change.added_lines or 0 for change in changes)
    deleted = sum(change.deleted_lines or 0 for change in changes)
    diff, _ = await diffs.patch_text(store, request.base, commit, _DIFF_BYTES)
    asked, misplaced = outside, None
    if request.scope is not None:
        whole = len(outside) == len(paths)
        asked = list(undeclared.asked_about(outside, request.scope, sensitive))
        misplaced = undeclared.problem(outside, request.scope, sensitive, whole=whole)
    patch = Patch(
        task=request.task,
        round=request.round,
        base=request.base,
        commit=commit,
        tree=tree,
        patch_id=await diffs.patch_id(store, request.base, commit) or "",
        files=len(changes),
        added_lines=added,
        deleted_lines=deleted,
        paths=tuple(for_people(path) for path in paths[:MOST_PATHS]),
        outside=tuple(for_people(path) for path in outside[:_OUTSIDE]),
        risks=risks(
            paths,
            added=added,
            deleted=deleted,
            outside=asked,
            deleted_tests=[c.path for c in changes if c.status == "D" and "test" in c.path],
            files=await patch_files(store, tree, changes),
            links=Links(await trees.links(store, tree)),
            planned=lambda path: undeclared.planned(path, request.writes, request.scope),
        ),
        markers=await _marked(store, request.base, commit, changes),
        undone=await _undone(store, request, commit),
        diff=await store.put_blob(diff.encode("utf-8", "backslashreplace")),
        diffstat=clip(for_people(await diffs.diffstat(store, request.base, commit)), 1_000),
        requested=undeclared.requested(request.needs_paths, request.scope, sensitive),
    )
    return patch, misplaced


async def _undone(store: Store, request: MakePatch, commit: str) -> tuple[Undone, ...]:
    """Return what the patch undoes of landed work, and what it has lost of its evicted self."""
    since = store.ref(ids.base_ref(request.repository.request_key))
    undone = await undone_by(store, since or request.base, request.base, commit)
    if request.evicted is None:
        return undone
    return undone + await lost_by(store, request.task, request.evicted, commit)


async def _marked(
    store: Store, base: str, commit: str, changes: Sequence[PathChange]
) -> tuple[str, ...]:
    """Return the changed files in which conflict markers are new: no agent may hand them in."""
    marked: list[str] = []
    for change in changes:
        if change.status == "D" or not await _has_markers(store, commit, change.path):
            continue
        if not await _has_markers(store, base, change.path):
            marked.append(for_people(change.path))
    return tuple(marked)


async def _has_markers(store: Store, commit: str, path: str) -> bool:
    entry = await store.entry_at(commit, path)
    if entry is None or not entry.mode.startswith("100"):
        return False
    return any(_MARKER.match(line) for line in (await store.get_blob(entry.oid)).splitlines())
