"""The order in which waiting patches are stacked, and what landed beside them; found by merging."""

from collections.abc import Sequence
from itertools import combinations

from contracts.merge_queue import BuildChain
from domain.merge_queue import fewest_conflicts
from infra.store import Store, diffs, merges
from infra.store.merges import Conflicted

_MOVABLE = 3
"""Of fewer patches every order has the same conflicts."""
_MOST_PAIRS = 400


async def in_order(store: Store, request: BuildChain) -> Sequence[tuple[str, str]]:
    """Return the patches in the order with the fewest conflicts, as far as they may move."""
    patches, fixed = dict(request.patches), request.free_from
    if fixed is None or len(patches) < _MOVABLE:
        return request.patches
    touched = {each: await _touched(store, commit) for each, commit in patches.items()}
    meeting = [(a, b) for a, b in combinations(patches, 2) if touched[a] & touched[b]]
    if len(meeting) > _MOST_PAIRS:
        return request.patches
    pairs = [
        (a, b)
        for a, b in meeting
        if isinstance(await merges.merge(store, patches[a], patches[b]), Conflicted)
    ]
    order = fewest_conflicts(tuple(patches), pairs, fixed=fixed)
    return [(each, patches[each]) for each in order]


async def _touched(store: Store, commit: str) -> frozenset[str]:
    """Return the paths that a patch changes; for membership only."""
    base = (await store.get_commit(commit)).parents[0]
    return frozenset(change.path for change in await diffs.changes(store, base, commit))
