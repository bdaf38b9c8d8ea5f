"""
Notes: contracts that the store keeps under a ref, as a history that has forgotten a step finds it.
"""

import contextlib
import time
from typing import TypeVar

from contracts.base import Contract
from infra.store import RefConflict, RefUpdate, Store

Kind = TypeVar("Kind", bound=Contract)


async def write(store: Store, value: Contract) -> str:
    """Write a note and return its object id, for a ref to hold."""
    return await store.put_blob(value.model_dump_json().encode())


async def read(store: Store, ref: str, kind: type[Kind]) -> Kind | None:
    """Return the note that a ref holds, None when there is none."""
    oid = store.ref(ref)
    return None if oid is None else kind.model_validate_json(await store.get_blob(oid))


async def write_time(store: Store, ref: str) -> None:
    """
    Note the present second under a ref; the first one that is noted there stays.
    """
    if store.ref(ref) is None:
        now = await store.put_blob(b"%d" % time.time())
        with contextlib.suppress(RefConflict):
            await store.update_refs(RefUpdate(ref, now, None))


async def read_time(store: Store, ref: str) -> int | None:
    """
    Return the second that is noted under a ref, None when there is none.
    """
    oid = store.ref(ref)
    return None if oid is None else int(await store.get_blob(oid))
