"""The bare, content-addressed store: what the rest of the room imports."""

from infra.store.store import (
    ANY,
    Batch,
    BranchTaken,
    Commit,
    Conflicted,
    GitObject,
    Merged,
    ObjectMissing,
    PathChange,
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
    "Commit",
    "Conflicted",
    "GitObject",
    "Merged",
    "ObjectMissing",
    "PathChange",
    "RefConflict",
    "RefUpdate",
    "Store",
    "StoreError",
    "TreeEntry",
]
