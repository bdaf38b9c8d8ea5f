"""Which store of this host has a request."""

from pathlib import Path

from domain import ids
from infra.store.refs import read_ref


def store_of(stores: Path, request_key: str) -> Path | None:
    """Return the folder of the store that has a request; None while none has it."""
    ref = ids.base_ref(request_key)
    folders = sorted(stores.glob("*.git"))
    return next((folder for folder in folders if read_ref(folder, ref) is not None), None)
