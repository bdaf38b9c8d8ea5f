"""Git's object formats: ids, trees and commits, encoded and decoded. No input or output."""

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from infra.git.command import IDENTITY_EMAIL, IDENTITY_NAME
from infra.store.errors import StoreError

ObjectKind = Literal["blob", "tree", "commit", "tag"]
"""The four kinds of git objects."""

OID = re.compile(r"[0-9a-f]{40}")

MODES: Final = frozenset({"100644", "100755", "120000", "40000", "160000"})
"""Every mode a tree may hold, in octal without a leading zero: file, executable, symbolic link,
tree, link to a repository.
"""

TREE_MODE: Final = "40000"
LINK_MODE: Final = "120000"
SUBMODULE_MODE: Final = "160000"

EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""The id of the tree without entries."""

SYSTEM = f"{IDENTITY_NAME} <{IDENTITY_EMAIL}>"
"""The committer of every commit, and the author where nobody else is."""


@dataclass(frozen=True)
class GitObject:
    """One object, whole; its data is what git hashes, without the header."""

    oid: str
    kind: ObjectKind
    data: bytes


@dataclass(frozen=True)
class TreeEntry:
    """One name in a tree.

    Attributes:
        mode: one of `MODES`.
        name: one path component; bytes that are not UTF-8 are surrogate escapes.
        oid: id of the object of that name.
    """

    mode: str
    name: str
    oid: str

    @property
    def is_tree(self) -> bool:
        """Return whether the entry is a folder."""
        return self.mode == TREE_MODE


@dataclass(frozen=True)
class Commit:
    """A commit, read; its author's time is in seconds since the epoch."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    message: str
    author_seconds: int


def is_oid(name: str) -> bool:
    """Return whether the name is a full object id."""
    return OID.fullmatch(name) is not None


def object_id(kind: str, data: bytes) -> str:
    """Return the id of an object, which is a hash of its kind, length and content."""
    digest = hashlib.sha1(b"%s %d\0" % (kind.encode(), len(data)), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def encode_tree(entries: Iterable[TreeEntry]) -> bytes:
    """Return the content of a tree object, its entries in git's order.

    Raises:
        StoreError: a name no file can have, a repeated name, an unknown mode, a short id.
    """
    rows = sorted((_checked(entry) for entry in entries), key=_tree_order)
    names = [entry.name for entry in rows]
    if len(set(names)) != len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise StoreError(f"the name {repeated!r} occurs twice in one tree")
    return b"".join(
        b"%s %s\0%s" % (row.mode.encode(), os.fsencode(row.name), bytes.fromhex(row.oid))
        for row in rows
    )


def _checked(entry: TreeEntry) -> TreeEntry:
    name = entry.name
    if not name or name in {".", ".."} or name.lower() == ".git" or "/" in name or "\0" in name:
        raise StoreError(f"{name!r} cannot be a name in a tree")
    if entry.mode not in MODES:
        raise StoreError(f"{entry.mode!r} is not a mode of git ({name!r})")
    if not is_oid(entry.oid):
        raise StoreError(f"{entry.oid!r} is not an object id ({name!r})")
    return entry


def _tree_order(entry: TreeEntry) -> bytes:
    name = os.fsencode(entry.name)
    return name + b"/" if entry.is_tree else name


def decode_tree(data: bytes) -> tuple[TreeEntry, ...]:
    """Return the entries of a tree object, in its order."""
    entries: list[TreeEntry] = []
    at = 0
    while at < len(data):
        space = data.index(b" ", at)
        end = data.index(b"\0", space)
        oid = data[end + 1 : end + 21].hex()
        mode = data[at:space].decode("ascii").lstrip("0")
        entries.append(TreeEntry(mode, os.fsdecode(data[space + 1 : end]), oid))
        at = end + 21
    return tuple(entries)


def encode_commit(
    tree: str, parents: Sequence[str], message: str, *, when: int, author: str | None = None
) -> bytes:
    """Return the content of a commit object; the committer is the system.

    Args:
        tree: id of the recorded tree.
        parents: their ids.
        message: as it is; a NUL, which git cannot hold, becomes U+FFFD.
        when: author and commit time, seconds since the epoch; recorded as UTC.
        author: "Name <mail>"; None for the system.

    Raises:
        StoreError: a short id.
    """
    for oid in (tree, *parents):
        if not is_oid(oid):
            raise StoreError(f"{oid!r} is not an object id")
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    lines += [f"author {author or SYSTEM} {when} +0000", f"committer {SYSTEM} {when} +0000"]
    text = "\n".join(lines) + "\n\n" + message.replace("\0", "\ufffd")
    return text.encode("utf-8", "surrogateescape")


def decode_commit(oid: str, data: bytes) -> Commit:
    """Return a commit object as values; the message's foreign bytes are replaced."""
    head, _, message = data.partition(b"\n\n")
    fields = [line.partition(b" ") for line in head.split(b"\n")]
    tree = next(value.decode() for key, _, value in fields if key == b"tree")
    parents = tuple(value.decode() for key, _, value in fields if key == b"parent")
    author = next(value for key, _, value in fields if key == b"author")
    seconds = int(author.rsplit(b" ", 2)[1])
    return Commit(oid, tree, parents, message.decode("utf-8", "replace"), seconds)
