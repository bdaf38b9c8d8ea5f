"""Which layers a request uses, by what its store keeps: its setup, and each tree of its work."""

import contextlib
from collections.abc import Iterable

from contracts.repository import Environment, RepositoryOpened
from contracts.setup import SetupRule
from domain import ids
from domain.setup import layer_name
from infra.layers import Layer
from infra.store import ObjectMissing, Store, records
from infra.tree_environment import stated_at


async def layers_in_use(store: Store, key: str, layers: Iterable[Layer]) -> frozenset[str]:
    """Return the names of those of the layers that a request uses, or would use if it went on.

    A tree finds the layer of its own lock file, so every commit that the request keeps counts.
    """
    opened = await records.read(store, ids.opened_ref(key), RepositoryOpened)
    if opened is None:
        return frozenset()
    found = {opened.setup.layer} if opened.setup else set[str]()
    for rule in await _rules(store, opened):
        found.add(rule.layer)
        left = {each.name for each in layers if each.commands == rule.commands} - found
        commits = await _commits(store, key, opened) if left else set()
        for commit in sorted(commits):
            if not left:
                break
            name = layer_name(rule.commands, await stated_at(store, rule, commit), rule.host)
            found |= left & {name}
            left.discard(name)
    return frozenset(found)


async def _rules(store: Store, opened: RepositoryOpened) -> list[SetupRule]:
    rules = [opened.setup.rule] if opened.setup else list[SetupRule]()
    # Requests from before it was pinned may have lost it to a pruning, once they had ended.
    with contextlib.suppress(ObjectMissing):
        text = await store.get_blob(opened.repository.environment)
        if rule := Environment.model_validate_json(text).setup:
            rules.append(rule)
    return [rule for rule in rules if rule.layer]


async def _commits(store: Store, key: str, opened: RepositoryOpened) -> set[str]:
    """Return what the references of a request hold: checkpoints, patches, candidates, its target.

    Also what is no commit, in which no file is found.
    """
    own = await store.refs(ids.request_refs(key).rstrip("/"))
    return {*own.values(), *(await store.refs(ids.target_ref(opened.repository.target))).values()}
