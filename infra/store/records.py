"""
Notes: contracts that the store keeps under a ref, as a history that has forgotten a step finds it.
"""

from typing import TypeVar

from contracts.base import Contract
from infra.store import Store

Kind = TypeVar("Kind", bound=Contract)


async def write(store: Store, value: Contract) -> str:
    """Write a note and return its object id, for a ref to hold."""
    return await store.put_blob(value.model_dump_json().encode())


async def read(store: Store, ref: str, kind: type[Kind]) -> Kind | None:
    """Return the note that a ref holds, None when there is none."""
    oid = store.ref(ref)
    return None if oid is None else kind.model_validate_json(await store.get_blob(oid))
