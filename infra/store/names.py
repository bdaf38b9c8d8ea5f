"""What the user's repository calls its commits: tags, and the branch that a request starts from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from domain import ids
from infra.store import transport
from infra.store.errors import StoreError
from infra.store.refs import ANY, RefUpdate, check_ref
from infra.store.store import Store

MOST_TAGS: Final = 1_000
"""Of a repository with more tags the last ones by version are taken."""


async def mirror_tags(store: Store, source: Path) -> None:
    """Bring the tags of a repository into the store, as they are now. Safe to repeat.

    Raises:
        ObjectMissing, StoreError: git failed.
    """
    there = await transport.remote_tags(store, source, most=MOST_TAGS)
    wanted = {ids.tag_ref(name): oid for name, oid in there.items() if _possible(name)}
    present = await store.refs(ids.TAG_REFS)
    changed = {ref: oid for ref, oid in wanted.items() if present.get(ref) != oid}
    lacking = [oid for oid in sorted(set(changed.values())) if await store.resolve(oid) is None]
    if lacking:
        await transport.fetch_objects(store, source, *lacking)
    # First, since the name of one that is gone may be a folder of one that is new.
    await store.update_refs(*(RefUpdate(ref, None, ANY) for ref in present if ref not in wanted))
    await store.update_refs(*(RefUpdate(ref, oid, ANY) for ref, oid in changed.items()))


def _possible(name: str) -> bool:
    try:
        check_ref(ids.tag_ref(name))
    except StoreError:
        return False
    return True


async def note_branch(store: Store, request_key: str, branch: str, commit: str) -> None:
    """Note that a request starts from a branch, and where that was."""
    await store.update_refs(RefUpdate(ids.branch_ref(request_key, branch), commit, ANY))


async def branches(store: Store, request_key: str) -> dict[str, str]:
    """Return the branch that a request starts from, if it is one: name to commit."""
    return await _below(store, ids.branch_refs(request_key))


async def in_worktree(store: Store, heads: Mapping[str, str]) -> dict[str, str]:
    """Return the references of a worktree beside its own branch, by full name."""
    tags = await _below(store, ids.TAG_REFS)
    named = {f"refs/tags/{name}": oid for name, oid in tags.items()}
    return named | {f"refs/heads/{name}": oid for name, oid in heads.items()}


async def _below(store: Store, folder: str) -> dict[str, str]:
    found = await store.refs(folder)
    return {ref.removeprefix(f"{folder}/"): oid for ref, oid in found.items()}
