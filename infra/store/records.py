"""Records: values that the store keeps under a ref.

A workflow whose history lacks a finished step finds the step's result in them.
"""

import contextlib
import time
from typing import TypeVar

from contracts.base import Contract
from infra.store import RefConflict, RefUpdate, Store

Kind = TypeVar("Kind", bound=Contract)


async def write(store: Store, value: Contract) -> str:
    """Write a record and return its object id, for a ref to hold."""
    return await store.put_blob(value.model_dump_json().encode())


async def read(store: Store, ref: str, kind: type[Kind]) -> Kind | None:
    """Return the record that a ref holds; None = there is none."""
    oid = store.ref(ref)
    return None if oid is None else kind.model_validate_json(await store.get_blob(oid))


async def write_first(store: Store, ref: str, value: Contract) -> None:
    """Keep a record under a ref; the first one recorded there stays."""
    await write_text(store, ref, value.model_dump_json())


async def write_time(store: Store, ref: str) -> None:
    """Record the present second under a ref; the first one recorded there stays."""
    await write_text(store, ref, str(int(time.time())))


async def write_text(store: Store, ref: str, text: str) -> None:
    """Record a text under a ref; the first one recorded there stays."""
    if store.ref(ref) is None:
        blob = await store.put_blob(text.encode("utf-8", "surrogateescape"))
        with contextlib.suppress(RefConflict):
            await store.update_refs(RefUpdate(ref, blob, None))


async def read_text(store: Store, ref: str) -> str | None:
    """Return the text that is recorded under a ref; None = there is none."""
    oid = store.ref(ref)
    return None if oid is None else (await store.get_blob(oid)).decode("utf-8", "surrogateescape")


async def read_time(store: Store, ref: str) -> int | None:
    """Return the second that is recorded under a ref; None = there is none."""
    text = await read_text(store, ref)
    return None if text is None else int(text)
