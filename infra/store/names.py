"""What the user's repository calls its commits: tags, and the branch that a request starts from."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from domain import ids
from infra.store import transport
from infra.store.errors import RefConflict, StoreError
from infra.store.refs import ANY, RefUpdate, check_ref
from infra.store.store import Store
from infra.store.visible import View

MOST_TAGS: Final = 1_000
"""Of a repository with more tags the last ones by version are taken."""


async def mirror_tags(store: Store, source: Path) -> None:
    """Bring the tags of what the store has of a repository, as they are now. Safe to repeat.

    A tag of another history stays away: what it reaches is nothing that a request starts from.

    Raises:
        ObjectMissing, StoreError: git failed.
    """
    there = await transport.remote_tags(store, source, most=MOST_TAGS)
    known = {name: tag for name, tag in there.items() if _possible(name)}
    wanted = {
        ids.tag_ref(name): tag.oid
        for name, tag in known.items()
        if await store.resolve(f"{tag.names}^{{commit}}") == tag.names
    }
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


async def view_of(store: Store, request_key: str) -> str:
    """Return the id of the record of what commands of a request may see; the first one stays.

    "" where no base is noted: then they see what their own commit reaches.
    """
    ref = ids.view_ref(request_key)
    if found := store.ref(ref):
        return found
    base = store.ref(ids.base_ref(request_key))
    if base is None:
        return ""
    made = await write_view(store, base, await branches(store, request_key))
    with contextlib.suppress(RefConflict):
        await store.update_refs(RefUpdate(ref, made, None))
    return store.ref(ref) or made


async def write_view(store: Store, origin: str, heads: Mapping[str, str]) -> str:
    """Write the record of a view: a commit's history, its tags, and branches; return its id."""
    form = "--format=%(refname) %(objectname)"
    words = ("for-each-ref", form, f"--merged={origin}", f"{ids.TAG_REFS}/")
    rows = os.fsdecode((await store.run(*words, reads=True)).out).splitlines()
    tags = (row.removeprefix(f"{ids.TAG_REFS}/").partition(" ") for row in rows)
    named = {f"refs/tags/{name}": oid for name, _, oid in tags}
    named |= {f"refs/heads/{name}": oid for name, oid in heads.items()}
    return await store.put_blob(View(origin, named).encode())


async def _below(store: Store, folder: str) -> dict[str, str]:
    found = await store.refs(folder)
    return {ref.removeprefix(f"{folder}/"): oid for ref, oid in found.items()}
