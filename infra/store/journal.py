"""The journal: the outcome of each call, recorded under the call's id before the call is answered.

A repeated call finds the record and returns it, so its effect happens once.
"""

from collections.abc import Mapping

from infra.store import Batch, RefUpdate, Store, TreeEntry

RECORD = "record.json"


async def recorded(store: Store, ref: str) -> bytes | None:
    """Return the record under a ref; None = the call has not ended."""
    entry = store.ref(ref)
    return None if entry is None else await store.get_blob(f"{entry}:{RECORD}")


def entry(batch: Batch, record: bytes, attachments: Mapping[str, str]) -> str:
    """Add a journal entry and return its tree; `attachments` are object ids of blobs by name."""
    names = {**attachments, RECORD: batch.blob(record)}
    return batch.tree(TreeEntry("100644", name, oid) for name, oid in names.items())


async def settle(store: Store, tree: str, ref: str, *others: RefUpdate) -> None:
    """Put an entry under its ref, and move other refs with it: all or none."""
    await store.update_refs(RefUpdate(ref, tree, None), *others)
