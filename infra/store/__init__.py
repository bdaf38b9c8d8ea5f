"""The bare, content-addressed store: what the rest of the room imports."""

from infra.store.store import (
    ANY,
    Batch,
    BranchTaken,
    Change,
    Commit,
    Conflicted,
    GitObject,
    Merged,
    ObjectMissing,
    RefConflict,
    RefUpdate,
    Store,
    StoreError,
    TreeEntry,
)

__all__ = [
    "ANY",
    "Batch",
    "BranchTaken",
    "Change",
    "Commit",
    "Conflicted",
    "GitObject",
    "Merged",
    "ObjectMissing",
    "RefConflict",
    "RefUpdate",
    "Store",
    "StoreError",
    "TreeEntry",
]
