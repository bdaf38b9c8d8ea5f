"""The bare, content-addressed store; these are the names that most of its users need."""

from infra.store.batch import Batch
from infra.store.errors import BranchTaken, ObjectMissing, RefConflict, StoreError
from infra.store.object_format import Commit, GitObject, TreeEntry
from infra.store.refs import ANY, RefUpdate
from infra.store.store import Store

__all__ = [
    "ANY",
    "Batch",
    "BranchTaken",
    "Commit",
    "GitObject",
    "ObjectMissing",
    "RefConflict",
    "RefUpdate",
    "Store",
    "StoreError",
    "TreeEntry",
]
