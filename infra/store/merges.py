"""Merging two commits without a work tree, and checking that nothing they need is missing."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from domain.review.conflicts import Conflict
from infra.fsync import sync_folder
from infra.git.command import GitError, GitResult, bounded
from infra.store.attributes import attribute_files
from infra.store.errors import ObjectMissing, StoreError
from infra.store.object_format import OID
from infra.store.store import Store

_COMPLAINT = re.compile(r"^(?:error|fatal):", re.MULTILINE)
"""A line of stderr that voids the exit code."""

_GONE = re.compile(
    r"missing|bad object|bad tree object|could not read|unable to read|corrupt|is empty"
    r"|unable to parse|not a valid object|failed to (?:traverse|parse|read)",
    re.IGNORECASE,
)


_KIND = re.compile(r"CONFLICT \((.+)\)")


@dataclass(frozen=True)
class Merged:
    """The two sides merge cleanly, into a tree that is in the store."""

    tree: str


@dataclass(frozen=True)
class Conflicted:
    """The two sides do not merge by themselves.

    Attributes:
        paths: sorted, each once.
        conflicts: what kind each conflict is, as git tells them apart.
        tree: the merge as far as it goes, conflict markers where it does not; never to be landed.
    """

    paths: tuple[str, ...]
    conflicts: tuple[Conflict, ...]
    tree: str


async def verify_complete(store: Store, commit: str, *, excluding: str | None = None) -> None:
    """Check that everything a commit reaches is in the store.

    What a commit that is known to be complete reaches, the `excluding` one, is not walked again.

    Raises:
        ObjectMissing: something is missing or unreadable; `detail` says what.
    """
    limits = [] if excluding is None else [f"^{await store.full_id(excluding)}"]
    start = await store.full_id(commit)
    try:
        found = await store.git("rev-list", "--objects", "--quiet", start, *limits, reads=True)
    except GitError as failed:
        if failed.code > 0 and _GONE.search(failed.stderr):
            raise ObjectMissing(commit, failed.stderr) from failed
        raise StoreError(str(failed)) from failed
    if _COMPLAINT.search(found.err):
        raise ObjectMissing(commit, bounded(found.err.strip(), 500))


async def merge(store: Store, ours: str, theirs: str) -> Merged | Conflicted:
    """Merge two commits without a work tree; no commit is made.

    The .gitattributes of ours say how files are merged (`merge=union`, `binary`); a driver that is
    a program is not run, and the text is merged instead.

    The exit code alone is no verdict: git also says "clean" with an empty tree, or
    "conflict", when a tree object is missing. The caller verifies both sides first.

    Raises:
        ObjectMissing: one side is not in the store.
        StoreError: anything that is neither a clean merge nor a conflict; never evict for it.
    """
    sides = [await store.resolve(side) or "" for side in (ours, theirs)]
    if "" in sides:
        raise ObjectMissing((ours, theirs)[sides.index("")])
    words = ("merge-tree", "--write-tree", "-z", "--messages", *sides)
    async with attribute_files(store, sides[0]) as attributes:
        folder = None if attributes is None else attributes.folder
        found = await store.run(*words, ok=(0, 1), work_tree=folder)
    verdict = _parsed(found)
    if verdict is None:
        said = bounded(found.err.strip(), 500) or f"exit {found.code} without a tree"
        raise StoreError(f"merging {theirs} into {ours}: {said}")
    if isinstance(verdict, Merged):
        # git syncs the objects it makes, not their names; the root tree is the last one.
        with contextlib.suppress(FileNotFoundError):
            sync_folder(f"{store.path}/objects/{verdict.tree[:2]}")
    return verdict


async def contains(store: Store, commit: str, older: str) -> bool:
    """Return whether a commit is another one, or has it among its ancestors.

    Raises:
        ObjectMissing: one of them is not in the store.
    """
    both = [await store.full_id(older), await store.full_id(commit)]
    return (await store.run("merge-base", "--is-ancestor", *both, ok=(0, 1))).code == 0


def _parsed(found: GitResult) -> Merged | Conflicted | None:
    """Return the verdict; None = git's answer is neither a clean merge nor a conflict."""
    tree, _, rest = found.out.partition(b"\0")
    if _COMPLAINT.search(found.err) or OID.fullmatch(tree.decode("ascii", "replace")) is None:
        return None
    if found.code == 0:
        return Merged(tree.decode("ascii"))
    entries, _, messages = rest.partition(b"\0\0")
    rows = [os.fsdecode(row) for row in entries.split(b"\0") if row]
    stages: dict[str, set[str]] = {}
    for what, _, path in (row.partition("\t") for row in rows):
        stages.setdefault(path, set()).add(what[-1:])
    paths = tuple(sorted(path for path in stages if path))
    return Conflicted(paths, tuple(_conflicts(messages, stages)), tree.decode("ascii"))


def _conflicts(data: bytes, stages: Mapping[str, set[str]]) -> Iterator[Conflict]:
    """Read merge-tree's messages: number of paths, the paths, the kind, the text."""
    fields = [os.fsdecode(field) for field in data.split(b"\0")]
    at = 0
    while at < len(fields) and fields[at].isdigit():
        end = at + int(fields[at]) + 1
        paths, kind = tuple(fields[at + 1 : end]), _KIND.fullmatch(fields[end])
        if kind and paths:
            held = stages.get(paths[0], set())
            yield Conflict(kind[1], paths, landed="2" in held, patch="3" in held)
        at = end + 2
