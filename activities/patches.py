"""Patches and the merge queue's chain: made in the store, without a work tree."""

from temporalio import activity
from typing_extensions import override

from activities.chain_order import in_order
from activities.corruption import sound_checkpoint
from activities.failures import translated_failures
from activities.merge_commits import (
    chain_link,
    commit_author,
    commit_date,
    landed_tasks,
    landing_commit,
)
from activities.patch_facts import described
from activities.wanted_setup import setup_of_patch
from contracts.limits import MOST_PATHS
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
from contracts.repository import Environment
from contracts.review import MakePatch, Patch
from domain import ids
from domain.review.conflicts import YOURS, conflicts_feedback, landed_label
from domain.review.patch import judged
from domain.text import clip, for_people
from infra.layers import Layers
from infra.store import ANY, RefConflict, RefUpdate, Store, diffs, merges, records
from infra.store.attributes import normalised
from infra.store.conflicts import labelled
from infra.store.merges import Conflicted
from infra.store.open_stores import OpenStores

_FEEDBACK_CHARS = 16_000
_STAT_CHARS = 3_000


class StorePatches(PatchActivities):
    """Commits, merges and landings by object id."""

    def __init__(self, stores: OpenStores, layers: Layers) -> None:
        self._stores = stores
        self._layers = layers

    @override
    @activity.defn
    async def make_patch(self, request: MakePatch) -> Patch:
        """Turn a checkpoint into one commit on its base, and say what it changes.

        Safe to repeat: the same request makes the same objects.
        """
        store = await self._stores.get(request.repository.key)
        async with translated_failures(), sound_checkpoint(store, request.checkpoint):
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
                    when=await commit_date(store, key, base),
                    author=await commit_author(store, key),
                )
            ref = ids.patch_ref(key, request.task, request.round)
            await store.update_refs(RefUpdate(ref, commit, ANY))
            await merges.verify_complete(store, commit, excluding=request.base)
            patch, misplaced = await described(store, request, commit, tree)
            environment = await store.get_blob(request.repository.environment)
            needs = await setup_of_patch(
                store,
                Environment.model_validate_json(environment),
                request.base,
                commit,
                self._layers,
            )
            patch = patch.model_copy(update={"setup": needs})
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
                paths = tuple(for_people(path) for path in merged.paths[:MOST_PATHS])
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
                link = await chain_link(store, key, patch_id, commit, tip=tip, top=top)
                if link.commit is not None:
                    top = link.commit
                    pin = ids.candidate_ref(key, top)
                    await store.update_refs(RefUpdate(pin, top, ANY))
                links.append(link)
            stat = "" if request.patches else await _landed_stat(store, key, tip)
            return Chain(tip=tip, links=tuple(links), diffstat=stat)

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
                landing = await landing_commit(store, request, candidate)
            ref = ids.target_ref(request.repository.target)
            try:
                await store.advance(ref, landing, request.tip)
            except RefConflict:
                return Landed(commit=None)
            activity.logger.info("merge.landed", extra={"commit": landing})
            return Landed(commit=landing)


async def _landed_stat(store: Store, request_key: str, tip: str) -> str:
    """Return the diffstat of what has landed, for a person."""
    base = store.ref(ids.base_ref(request_key))
    if base is None:
        return ""
    return clip(for_people(await diffs.diffstat(store, base, tip), _STAT_CHARS), _STAT_CHARS)


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
    tasks = await landed_tasks(store, tip, since=patch.base, paths=merged.paths[:MOST_PATHS])
    label = landed_label(sorted(tasks))
    tree = await labelled(store, merged, {tip: label, patch.commit: YOURS})
    feedback = conflicts_feedback(merged.conflicts, tip=tip, patch=patch.commit, label=label)
    return tree, clip(feedback, _FEEDBACK_CHARS)


async def _tip(store: Store, target: str) -> str:
    return (await store.get(ids.target_ref(target))).oid
