"""Patches and targets: what an agent changed, stacked and landed by compare-and-swap."""

from dataclasses import dataclass
from itertools import combinations

from temporalio import activity
from typing_extensions import override

from contracts.merge_queue import (
    BuildChain,
    Chain,
    ChainLink,
    LandChain,
    Landed,
    RebasedPatch,
    RebasePatch,
)
from contracts.ports import PatchActivities
from contracts.review import MakePatch, Patch, Undone, UndoneKind
from contracts.setup import WantedSetup
from domain.merge_queue import fewest_conflicts
from domain.planning import undeclared
from domain.planning.write_patterns import covers
from domain.review.patch import judged
from domain.review.risk import risks, sensitive
from tests.fakes.calls import Before, Fake
from tests.fakes.store import MARKED, MemoryStore, oid


@dataclass(frozen=True)
class TargetMove:
    """One move of a target, by the patches' titles."""

    target: str
    commit: str
    tree: str
    titles: tuple[str, ...]


class FakePatches(Fake, PatchActivities):
    """Makes, rebases, stacks and lands patches.

    Attributes:
        landings: oldest first.
        setup: what the first patch of each task needs installed.
    """

    setup: WantedSetup | None = None

    def __init__(self, store: MemoryStore, before: Before) -> None:
        super().__init__(store, before)
        self.landings: list[TargetMove] = []

    @override
    @activity.defn
    async def make_patch(self, request: MakePatch) -> Patch:
        await self._before("make_patch", request)
        store = self._store
        tree, old = store.tree(request.checkpoint), store.tree(request.base)
        commit = request.base
        if tree != old:
            commit = store.commit(tree, request.base, note=request.message)
        paths = store.changed(request.base, commit)
        outside = tuple(path for path in paths if not covers(request.writes, path))
        asked, misplaced = outside, None
        if request.scope is not None:
            whole = len(outside) == len(paths)
            asked = undeclared.asked_about(outside, request.scope, sensitive)
            misplaced = undeclared.problem(outside, request.scope, sensitive, whole=whole)
        patch = Patch(
            task=request.task,
            round=request.round,
            base=request.base,
            commit=commit,
            tree=store.commits[commit].tree,
            patch_id=oid("patch", request.base, commit),
            files=len(paths),
            added_lines=len(paths),
            deleted_lines=0,
            paths=paths,
            outside=outside,
            risks=risks(
                paths,
                added=len(paths),
                deleted=0,
                outside=asked,
                deleted_tests=(),
                planned=lambda path: undeclared.planned(path, request.writes, request.scope),
            ),
            markers=tuple(
                path
                for path in paths
                if tree.get(path, "").startswith(MARKED)
                and not old.get(path, "").startswith(MARKED)
            ),
            undone=self._undone(request.base, commit),
            diff=store.blob(f"diff of {commit}"),
            requested=undeclared.requested(request.needs_paths, request.scope, sensitive),
            setup=None if request.round else self.setup,
        )
        return judged(request, patch, misplaced=misplaced)

    def _undone(self, base: str, commit: str) -> tuple[Undone, ...]:
        """Return the landed lines that a patch removes; a line begins with its task."""
        return tuple(
            Undone(
                task=lines[0].split(" ")[0],
                path=path,
                kind=UndoneKind.REMOVES,
                count=len(lines),
                lines=lines,
            )
            for path, lines in self._store.dropped(base, commit).items()
        )

    @override
    @activity.defn
    async def rebase_patch(self, request: RebasePatch) -> RebasedPatch:
        await self._before("rebase_patch", request)
        tip = self._store.tips[request.repository.target]
        merged = self._store.merge(tip, request.patch.commit)
        checkpoint = tip
        if merged.tree != self._store.tree(tip):
            checkpoint = self._store.commit(merged.tree, tip, note="rebased")
        return RebasedPatch(tip=tip, checkpoint=checkpoint, conflicts=merged.conflicts)

    @override
    @activity.defn
    async def build_chain(self, request: BuildChain) -> Chain:
        await self._before("build_chain", request)
        tip = top = self._store.tips[request.repository.target]
        links: list[ChainLink] = []
        patches = dict(request.patches)
        order = tuple(patches)
        if request.free_from is not None:
            merge = self._store.merge
            pairs = [
                (a, b) for a, b in combinations(order, 2) if merge(patches[a], patches[b]).conflicts
            ]
            order = fewest_conflicts(order, pairs, fixed=request.free_from)
        for patch_id, commit in ((each, patches[each]) for each in order):
            link = self._link(patch_id, commit, tip=tip, top=top)
            top = link.commit or top
            links.append(link)
        return Chain(tip=tip, links=tuple(links))

    def _link(self, patch_id: str, commit: str, *, tip: str, top: str) -> ChainLink:
        store, met = self._store, self._met(commit)
        if store.commits[commit].parents[:1] == (top,):
            return ChainLink(id=patch_id, commit=commit)
        merged = store.merge(top, commit)
        if not merged.conflicts:
            return ChainLink(id=patch_id, commit=store.commit(merged.tree, top, commit), met=met)
        alone = store.merge(tip, commit)
        return ChainLink(
            id=patch_id, conflicts=merged.conflicts, with_tip=bool(alone.conflicts), met=met
        )

    def _met(self, commit: str) -> tuple[str, ...]:
        """Return the tasks that landed since a patch's base."""
        tips = [landing.commit for landing in self.landings]
        base = self._store.commits[commit].parents[0]
        since = self.landings[tips.index(base) + 1 if base in tips else 0 :]
        return tuple(title.split("/")[-2:][0] for each in since for title in each.titles)

    @override
    @activity.defn
    async def land_chain(self, request: LandChain) -> Landed:
        await self._before("land_chain", request)
        store, target = self._store, request.repository.target
        commit = request.candidate
        if store.commits[commit].parents[:1] != (request.tip,):
            commit = store.commit(
                store.tree(request.candidate), request.tip, request.candidate, note="land"
            )
        if store.tips[target] == commit:
            return Landed(commit=commit)
        if store.tips[target] != request.tip:
            return Landed(commit=None)
        self._move(target, commit, request.titles)
        return Landed(commit=commit)

    def _move(self, target: str, commit: str, titles: tuple[str, ...]) -> None:
        self._store.tips[target] = commit
        tree = self._store.commits[commit].tree
        self.landings.append(TargetMove(target, commit, tree, titles))
