"""Patches and the merge queue's chain: made in the store, without a work tree."""

import re
from collections.abc import Sequence

from temporalio import activity
from typing_extensions import override

from activities.chain_order import in_order
from activities.failures import translated_failures
from activities.landed_lines import lost_by, undone_by
from activities.patch_files import patch_files
from contracts.merge_queue import (
    BuildChain,
    Chain,
    ChainLink,
    LandChain,
    Landed,
    MergeVerdict,
    RebasedPatch,
    RebasePatch,
)
from contracts.ports import PatchActivities
from contracts.review import MakePatch, Patch, Undone
from domain import ids
from domain.planning import undeclared
from domain.planning.write_patterns import covers
from domain.review.commit_message import landing_message, merge_message, task_of
from domain.review.conflicts import YOURS, conflicts_feedback, landed_label
from domain.review.patch import judged
from domain.review.risk import risks, sensitive
from domain.text import clip, for_people
from infra.store import ANY, Commit, RefConflict, RefUpdate, Store, diffs, merges, records
from infra.store.attributes import normalised
from infra.store.conflicts import labelled
from infra.store.diffs import PathChange
from infra.store.merges import Conflicted, Merged
from infra.store.open_stores import OpenStores

_DIFF_BYTES = 256 * 1024
_PATHS = 200
_OUTSIDE = 20
_FEEDBACK_CHARS = 16_000
_MET = 20
_MARKER = re.compile(
    rb"<<<<<<< (landed by |(landed work|[0-9a-f]{40})(:|$))|>>>>>>> (yours|[0-9a-f]{40})(:|$)"
)
"""A marker of our own merge, perhaps with a path; before 2026-12 it named a commit."""


class StorePatches(PatchActivities):
    """Commits, merges and landings by object id."""

    def __init__(self, stores: OpenStores) -> None:
        self._stores = stores

    @override
    @activity.defn
    async def make_patch(self, request: MakePatch) -> Patch:
        """Turn a checkpoint into one commit on its base, and say what it changes.

        Safe to repeat: the same request makes the same objects.
        """
        store = await self._stores.get(request.repository.key)
        async with translated_failures():
            key = request.repository.request_key
            base = await store.get_commit(request.base)
            left = (await store.get_commit(request.checkpoint)).tree
            tree = await normalised(store, request.base, left)
            commit = request.base
            if tree != base.tree:
                commit = await store.put_commit(
                    tree,
                    (request.base,),
                    request.message,
                    when=await _date(store, key, base),
                    author=await _author(store, key),
                )
            ref = ids.patch_ref(key, request.task, request.round)
            await store.update_refs(RefUpdate(ref, commit, ANY))
            await merges.verify_complete(store, commit, excluding=request.base)
            patch, misplaced = await _described(store, request, commit, tree)
            return judged(request, patch, misplaced=misplaced)

    @override
    @activity.defn
    async def rebase_patch(self, request: RebasePatch) -> RebasedPatch:
        """Merge a patch with the target's tip into a checkpoint, conflict markers included.

        Safe to repeat: the tip and the verdict of the first time stand, and make the same objects.
        """
        store = await self._stores.get(request.repository.key)
        patch, key = request.patch, request.repository.request_key
        async with translated_failures():
            first = ids.rebase_tip_ref(key, patch.task, patch.round)
            tip = store.ref(first) or await _tip(store, request.repository.target)
            merged = await merges.merge(store, tip, patch.commit)
            tree, feedback = merged.tree, ""
            paths: tuple[str, ...] = ()
            if isinstance(merged, Conflicted):
                tree, feedback = await _explained(store, merged, tip=tip, patch=patch)
                paths = tuple(for_people(path) for path in merged.paths[:_PATHS])
            checkpoint = tip
            when = (await store.get_commit(tip)).author_seconds + 1
            if tree != (await store.get_commit(tip)).tree:
                checkpoint = await store.put_commit(
                    tree, (tip,), f"{patch.task} on what has landed", when=when
                )
            ref = ids.rebase_ref(key, patch.task, patch.round)
            await store.update_refs(RefUpdate(ref, checkpoint, ANY), RefUpdate(first, tip, ANY))
            verdict = await _first_verdict(store, request)
            return RebasedPatch(
                tip=tip,
                checkpoint=checkpoint,
                conflicts=paths,
                feedback=feedback,
                verdict=None if verdict == request.verdict else verdict,
            )

    @override
    @activity.defn
    async def build_chain(self, request: BuildChain) -> Chain:
        """Stack patches on the target's tip and pin every candidate.

        Safe to repeat: it moves nothing but pins.
        """
        store = await self._stores.get(request.repository.key)
        key = request.repository.request_key
        async with translated_failures():
            tip = top = await _tip(store, request.repository.target)
            links: list[ChainLink] = []
            for patch_id, commit in await in_order(store, request):
                link = await _link(store, key, patch_id, commit, tip=tip, top=top)
                if link.commit is not None:
                    top = link.commit
                    pin = ids.candidate_ref(key, top)
                    await store.update_refs(RefUpdate(pin, top, ANY))
                links.append(link)
            return Chain(tip=tip, links=tuple(links))

    @override
    @activity.defn
    async def land_chain(self, request: LandChain) -> Landed:
        """Move the target to a commit that has exactly the candidate's tree.

        Safe to repeat: a target that is there already has landed. First-parent history holds only
        tested trees: the candidate itself when it is one step, else one commit over both.
        """
        if request.candidate == request.tip:
            return Landed(commit=request.tip)
        store = await self._stores.get(request.repository.key)
        async with translated_failures():
            candidate = await store.get_commit(request.candidate)
            landing = request.candidate
            if candidate.parents[:1] != (request.tip,):
                landing = await _landing(store, request, candidate)
            ref = ids.target_ref(request.repository.target)
            try:
                await store.advance(ref, landing, request.tip)
            except RefConflict:
                return Landed(commit=None)
            activity.logger.info("merge.landed", extra={"commit": landing})
            return Landed(commit=landing)


async def _date(store: Store, request: str, base: Commit) -> int:
    """Return the date of a request's patch: when the request began, and later than the base.

    It is read from the store, so that a repeated step makes the same commit. Merges and landings
    take their dates from the patches.
    """
    after = base.author_seconds + 1
    began = await records.read_time(store, ids.began_ref(request))
    # A request that older code opened has no such note. All of its patches stay dated from their
    # base, also one that is made again: a new date would make another commit of landed work.
    return after if began is None else max(began, after)


async def _author(store: Store, request: str) -> str | None:
    """Return the author of a request's commits; None for one that older code opened."""
    return await records.read_text(store, ids.author_ref(request))


async def _landing(store: Store, request: LandChain, candidate: Commit) -> str:
    """Return the commit that puts a chain of several candidates on the tip in one step."""
    tip = await store.get_commit(request.tip)
    author = await _author(store, request.repository.request_key)
    message = f"Land {len(request.titles)} tasks\n\n" + "\n".join(request.titles)
    if author:
        patches = await _patches(store, candidate.oid, since=request.tip)
        message = landing_message([patch.message for patch in patches])
    return await store.put_commit(
        candidate.tree,
        (request.tip, request.candidate),
        message,
        when=max(tip.author_seconds, candidate.author_seconds) + 1,
        author=author,
    )


async def _patches(
    store: Store, commit: str, *, since: str, paths: Sequence[str] = ()
) -> list[Commit]:
    """Return the patches in a commit and not in `since`, oldest first, of these paths or of all."""
    words = (
        "rev-list",
        "--topo-order",
        "--reverse",
        "--no-merges",
        commit,
        f"^{since}",
        "--",
        *paths,
    )
    found = (await store.run("--literal-pathspecs", *words, reads=True)).text.split()
    return [await store.get_commit(each) for each in found]


async def _first_verdict(store: Store, request: RebasePatch) -> MergeVerdict | None:
    """Note why a patch did not land, and return what was noted first."""
    patch = request.patch
    ref = ids.verdict_ref(request.repository.request_key, patch.task, patch.round)
    noted = await records.read(store, ref, MergeVerdict)
    if noted is None and request.verdict is not None:
        await store.advance(ref, await records.write(store, request.verdict), None)
    return noted or request.verdict


async def _explained(
    store: Store, merged: Conflicted, *, tip: str, patch: Patch
) -> tuple[str, str]:
    """Return the tree that the agent gets of a conflict, and what it is told."""
    landed = await _patches(store, tip, since=patch.base, paths=merged.paths[:_PATHS])
    tasks = [task_of(commit.message) for commit in landed]
    label = landed_label(sorted({task for task in tasks if task}))
    tree = await labelled(store, merged, {tip: label, patch.commit: YOURS})
    feedback = conflicts_feedback(merged.conflicts, tip=tip, patch=patch.commit, label=label)
    return tree, clip(feedback, _FEEDBACK_CHARS)


async def _tip(store: Store, target: str) -> str:
    return (await store.get(ids.target_ref(target))).oid


async def _link(
    store: Store, request: str, patch_id: str, commit: str, *, tip: str, top: str
) -> ChainLink:
    """Return the candidate with one more patch; a patch made on the very top is its own candidate.

    The top itself is the candidate of a patch that it holds already: one that has landed comes
    again when the server's database is older than the store.
    """
    await merges.verify_complete(store, commit, excluding=tip)
    patch = await store.get_commit(commit)
    if patch.parents[:1] == (top,):
        return ChainLink(id=patch_id, commit=commit)
    merged = await merges.merge(store, top, commit)
    base = patch.parents[0]
    if isinstance(merged, Merged):
        met = await _tasks(store, tip, since=base)
        above = await store.get_commit(top)
        if merged.tree == above.tree and await merges.contains(store, top, commit):
            return ChainLink(id=patch_id, commit=top, met=met)
        merge = await store.put_commit(
            merged.tree,
            (top, commit),
            await _merge_message(store, patch, above, request=request),
            when=max(patch.author_seconds, above.author_seconds) + 1,
            author=await _author(store, request),
        )
        return ChainLink(id=patch_id, commit=merge, met=met)
    alone = merged if top == tip else await merges.merge(store, tip, commit)
    return ChainLink(
        id=patch_id,
        conflicts=merged.paths[:_PATHS],
        with_tip=isinstance(alone, Conflicted),
        met=await _tasks(store, tip, since=base, paths=merged.paths[:_PATHS]),
    )


async def _tasks(
    store: Store, tip: str, *, since: str, paths: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the tasks that landed since a commit, oldest first; only those in some paths."""
    landed = await _patches(store, tip, since=since, paths=paths)
    return tuple(dict.fromkeys(task for each in landed if (task := task_of(each.message))))[:_MET]


async def _merge_message(store: Store, patch: Commit, above: Commit, *, request: str) -> str:
    """Return a merge's message; a request that older code opened keeps the one it began with."""
    if await _author(store, request) is None:
        return f"Merge: {patch.message.splitlines()[0]}"
    landed = await _patches(store, above.oid, since=patch.oid)
    tasks = [task for each in landed if (task := task_of(each.message))]
    return merge_message(patch.message, commit=patch.oid, top=above.oid, landed=tasks)


async def _described(
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
        paths=tuple(for_people(path) for path in paths[:_PATHS]),
        outside=tuple(for_people(path) for path in outside[:_OUTSIDE]),
        risks=risks(
            paths,
            added=added,
            deleted=deleted,
            outside=asked,
            deleted_tests=[c.path for c in changes if c.status == "D" and "test" in c.path],
            files=await patch_files(store, tree, changes),
        ),
        markers=await _marked(store, request.base, commit, changes),
        undone=await _undone(store, request, commit),
        diff=await store.put_blob(diff.encode("utf-8", "backslashreplace")),
        diffstat=clip(for_people(await diffs.diffstat(store, request.base, commit)), 1_000),
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
