"""A project's .gitattributes: read by git itself, and applied as `git add` would.

A bare repository has no work tree from which git could read them. So the .gitattributes files of a
commit, and nothing else of it, are laid out in a folder that stands for the work tree.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.git.command import GitCommand
from infra.store import diffs, trees
from infra.store.diffs import PathChange
from infra.store.object_format import EMPTY_TREE
from infra.store.reader import path_parts
from infra.store.store import Store

_NAME = ".gitattributes"
_ADDED: Final = "* -filter -ident -working-tree-encoding\n"
"""Of what `git add` does only line ends: the rest runs programs, or worktrees hold its result."""
_MARKER_SIZE = re.compile(rb"(?<=\s)[-!]?conflict-marker-size(?:=\S*)?")
_REGULAR = "100"
_NOT_SET = frozenset({"unspecified", "unset"})


@dataclass(frozen=True)
class AttributeFiles:
    """The .gitattributes files of a commit on disk.

    Attributes:
        folder: holds them, each at its path.
        git: an empty repository with this work tree and no attributes of its own.
    """

    folder: Path
    git: GitCommand

    async def values(self, names: Sequence[str], paths: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return what is set of these attributes, by path; "set" where an attribute has no value.

        Attributes that are unset or unspecified, and paths without any, are left out.
        """
        stdin = b"".join(os.fsencode(path) + b"\0" for path in paths)
        found = await self.git("check-attr", "-z", "--stdin", *names, stdin=stdin, reads=True)
        fields = [os.fsdecode(field) for field in found.out.split(b"\0")]
        values: dict[str, dict[str, str]] = {}
        for path, name, value in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
            if value not in _NOT_SET:
                values.setdefault(path, {})[name] = value
        return values


@contextlib.asynccontextmanager
async def attribute_files(store: Store, tree: str) -> AsyncIterator[AttributeFiles | None]:
    """Lay out the .gitattributes files of a tree or commit; None = it has none.

    Raises:
        ObjectMissing, StoreError: they cannot be read.
    """
    files = await _files(store, tree)
    if not files:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="orchestcode-attributes-") as place:
        folder, git_dir = Path(place) / "files", Path(place) / "git"
        for path, oid in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            # Our own words in a conflict are found by markers of the usual size.
            file.write_bytes(_MARKER_SIZE.sub(b"", await store.get_blob(oid)))
        _create(git_dir, store)
        yield AttributeFiles(folder, GitCommand(git_dir, work_tree=folder))


async def _files(store: Store, tree: str) -> dict[str, str]:
    """Return the object ids of a tree's .gitattributes files, by path."""
    words = ("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", EMPTY_TREE)
    pathspec = f":(top,glob)**/{_NAME}"
    found = await store.run(*words, await store.full_id(tree), "--", pathspec, reads=True)
    fields = [os.fsdecode(field) for field in found.out.split(b"\0")]
    entries = ((row.split(" "), path) for row, path in zip(fields[::2], fields[1::2], strict=False))
    # git follows no link to one. A path comes from a tree that somebody else made.
    return {
        path: entry[3]
        for entry, path in entries
        if entry[1].startswith(_REGULAR) and ".git" not in map(str.lower, path_parts(path))
    }


def _create(git_dir: Path, store: Store) -> None:
    for name in ("objects/info", "refs", "info"):
        (git_dir / name).mkdir(parents=True)
    (git_dir / "HEAD").write_text("ref: refs/heads/none\n")
    (git_dir / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = false\n")
    (git_dir / "objects" / "info" / "alternates").write_text(f"{store.path / 'objects'}\n")


async def normalised(store: Store, base: str, tree: str) -> str:
    """Return the tree with the line ends that git would have recorded by its .gitattributes.

    Only files that differ from the base are looked at. Without this a file that has CRLF where
    git stores LF is shown as modified in every checkout of it, whatever one does.
    """
    changed = [change for change in await diffs.changes(store, base, tree) if _text_file(change)]
    contents = {change.path: await store.get_blob(change.after) for change in changed}
    affected = {change.path: change for change in changed if b"\r\n" in contents[change.path]}
    if not affected:
        return tree
    async with attribute_files(store, tree) as attributes:
        if attributes is None:
            return tree
        for path in affected:
            file = attributes.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(contents[path])
        added = await _added(store, attributes.git, base, list(affected))
    entries: dict[str, trees.Entry | None] = {
        path: (affected[path].mode, await store.put_blob(data))
        for path, data in added.items()
        if data != contents[path]
    }
    return await trees.with_paths(store, tree, entries) if entries else tree


def _text_file(change: PathChange) -> bool:
    return change.status != "D" and change.mode.startswith(_REGULAR)


async def _added(
    store: Store, git: GitCommand, base: str, paths: Sequence[str]
) -> Mapping[str, bytes]:
    """Return what `git add` records of files in a work tree on a base."""
    (git.git_dir / "info" / "attributes").write_text(_ADDED)
    # By what the base holds git knows a file whose line ends are to stay.
    before = [(path, await store.entry_at(base, path)) for path in paths]
    rows = (
        os.fsencode(f"{entry.mode} {entry.oid}\t{path}")
        for path, entry in before
        if entry is not None and entry.mode.startswith(_REGULAR)
    )
    await git("update-index", "-z", "--index-info", stdin=b"".join(row + b"\0" for row in rows))
    names = b"".join(os.fsencode(path) + b"\0" for path in paths)
    await git("update-index", "--add", "-z", "--stdin", stdin=names)
    listing = (await git("ls-files", "-s", "-z", reads=True)).out
    found = (row.partition(b"\t") for row in listing.split(b"\0") if row)
    return {
        os.fsdecode(path): (await git("cat-file", "blob", what.split(b" ")[1].decode())).out
        for what, _, path in found
    }


async def filters(store: Store, tree: str, paths: Sequence[str]) -> dict[str, str]:
    """Return the paths whose content git passes through a program or another encoding.

    Nothing of that is run here: what a tree holds is taken as it is.
    """
    async with attribute_files(store, tree) as attributes:
        if attributes is None or not paths:
            return {}
        found = await attributes.values(("filter", "working-tree-encoding"), paths)
    return {path: " ".join(values.values()) for path, values in found.items()}
