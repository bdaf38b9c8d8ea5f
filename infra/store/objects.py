"""
Git's object formats and the loose objects on disk: encoding, decoding, durable writing.

Blocking and synchronous; knows neither references nor git processes.
"""

import hashlib
import mmap
import os
import re
import secrets
import struct
import threading
import time
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeGuard

KINDS: Final = ("blob", "tree", "commit", "tag")
ObjectKind = Literal["blob", "tree", "commit", "tag"]
"""The four kinds of git objects."""

OID = re.compile(r"[0-9a-f]{40}")

MODES: Final = frozenset({"100644", "100755", "120000", "40000", "160000"})
"""Every mode a tree may hold: file, executable, symbolic link, tree, link to a repository."""

TREE_MODE: Final = "40000"

EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""The id of the tree without entries."""

_LOOSE_LEVEL = 1  # what git uses for loose objects: speed; packing compresses again


class MalformedObjectError(Exception):
    """An object cannot be encoded or decoded: a wrong name, mode or id."""


@dataclass(frozen=True)
class TreeEntry:
    """
    One name in a tree.

    Attributes:
        mode: git's octal mode without leading zero: 100644, 100755, 120000, 40000, 160000.
        name: one path component; bytes that are not UTF-8 are surrogate escapes.
        oid: what the name stands for.
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
    """
    A commit, read.

    Attributes:
        oid: its id.
        tree: id of the tree it records.
        parents: ids, in order; empty for a first commit.
        message: the whole message, as written.
        author_seconds: author time, seconds since the epoch.
    """

    oid: str
    tree: str
    parents: tuple[str, ...]
    message: str
    author_seconds: int


def is_oid(name: str) -> bool:
    """Return whether the name is a full object id."""
    return OID.fullmatch(name) is not None


def is_kind(name: str) -> TypeGuard[ObjectKind]:
    """Return whether the name is one of git's four kinds."""
    return name in KINDS


def object_id(kind: str, data: bytes) -> str:
    """Return the id of an object, which is a hash of its kind, length and content."""
    digest = hashlib.sha1(b"%s %d\0" % (kind.encode(), len(data)), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def encode_tree(entries: Iterable[TreeEntry]) -> bytes:
    """
    Return the content of a tree object, its entries in git's order.

    Raises:
        MalformedObjectError: a name no file can have, a repeated name, an unknown mode, a short id.
    """
    rows = sorted((_checked(entry) for entry in entries), key=_tree_order)
    names = [entry.name for entry in rows]
    if len(set(names)) != len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise MalformedObjectError(f"the name {repeated!r} stands twice in one tree")
    return b"".join(
        b"%s %s\0%s" % (row.mode.encode(), os.fsencode(row.name), bytes.fromhex(row.oid))
        for row in rows
    )


def _checked(entry: TreeEntry) -> TreeEntry:
    name = entry.name
    if not name or name in {".", ".."} or name.lower() == ".git" or "/" in name or "\0" in name:
        raise MalformedObjectError(f"{name!r} cannot be a name in a tree")
    if entry.mode not in MODES:
        raise MalformedObjectError(f"{entry.mode!r} is no mode of git ({name!r})")
    if not is_oid(entry.oid):
        raise MalformedObjectError(f"{entry.oid!r} is no object id ({name!r})")
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
    tree: str, parents: Sequence[str], message: str, *, when: int, author: str, committer: str
) -> bytes:
    """
    Return the content of a commit object.

    Args:
        tree: id of the recorded tree.
        parents: ids, in order.
        message: as it is; a NUL, which git cannot hold, becomes U+FFFD.
        when: author and commit time, seconds since the epoch; recorded as UTC.
        author: "Name <mail>".
        committer: "Name <mail>".
    """
    for oid in (tree, *parents):
        if not is_oid(oid):
            raise MalformedObjectError(f"{oid!r} is no object id")
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    lines.append(f"author {author} {when} +0000")
    lines.append(f"committer {committer} {when} +0000")
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


class LooseObjects:
    """
    Writes objects as loose files so that they survive a power cut once the call returns.

    Every file is synced under a temporary name, renamed into place, and its folder synced.
    Several processes may write the same object at once: each rename puts the same bytes there.

    Args:
        folder: the `objects` folder of a repository.

    Attributes:
        pace_seconds: how long the last written object took, most of it waiting for the disk.
    """

    def __init__(self, folder: Path) -> None:
        self.pace_seconds = 0.0
        self._folder = str(folder)
        self._packs = PackIndexes(folder / "pack")

    def put(self, kind: ObjectKind, data: bytes) -> str:
        """Store one object and return its id; nothing is written when it is stored already."""
        oid = object_id(kind, data)
        folder = f"{self._folder}/{oid[:2]}"
        path = f"{folder}/{oid[2:]}"
        if _refreshed(path):
            sync_folder(folder)  # whoever wrote it may not have come so far yet
        elif not self._packs.holds(oid):
            start = time.perf_counter()
            self._write(folder, path, b"%s %d\0" % (kind.encode(), len(data)) + data)
            self.pace_seconds = time.perf_counter() - start
        return oid

    def close(self) -> None:
        """Release the pack indexes."""
        self._packs.close()

    def _write(self, folder: str, path: str, content: bytes) -> None:
        packed = zlib.compress(content, _LOOSE_LEVEL)
        # git's own gc removes forgotten files of this name.
        temporary = f"{folder}/tmp_obj_{secrets.token_hex(8)}"  # noqa: S108 - not in /tmp
        try:
            handle = _create(temporary)
        except FileNotFoundError:
            Path(folder).mkdir(exist_ok=True)
            sync_folder(self._folder)
            handle = _create(temporary)
        try:
            try:
                _write_all(handle, packed)
                os.fsync(handle)
            finally:
                os.close(handle)
            os.rename(temporary, path)  # noqa: PTH104 - strings on the path of every turn
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        sync_folder(folder)


def _create(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _refreshed(path: str) -> bool:
    # Like git: a new time stamp keeps the old object from the next prune. An empty file is what
    # a power cut leaves of an object that nobody synced; it is written again.
    try:
        if os.stat(path).st_size == 0:  # noqa: PTH116
            return False
        os.utime(path)
    except OSError:
        return False
    return True


def sync_folder(folder: str) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(root: Path) -> None:
    """Make every file and folder below `root` durable, `root` included."""
    for folder, _, files in os.walk(root):
        for name in files:
            handle = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(folder)


class PackIndexes:
    """
    Tells whether a pack holds an object, without a git process.

    The folder is listed again whenever its time stamp changes.

    Args:
        folder: the `objects/pack` folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()  # large objects are written in threads
        self._stamp = -1
        self._maps: dict[Path, mmap.mmap] = {}

    def holds(self, oid: str) -> bool:
        """Return whether a pack holds the object; its pack is then kept from the next prune."""
        with self._lock:
            return self._holds(bytes.fromhex(oid))

    def _holds(self, wanted: bytes) -> bool:
        self._refresh()
        for path, view in self._maps.items():
            if _index_holds(view, wanted):
                try:
                    os.utime(path.with_suffix(".pack"))
                except OSError:
                    continue
                return True
        return False

    def close(self) -> None:
        """Release the mapped files."""
        for view in self._maps.values():
            view.close()
        self._maps.clear()
        self._stamp = -1

    def _refresh(self) -> None:
        try:
            stamp = self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            stamp = -1
        if stamp == self._stamp:
            return
        self.close()
        for path in self._folder.glob("*.idx"):
            try:
                with path.open("rb") as file:
                    view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError):
                continue  # gone or empty: the object is then simply written once more
            self._maps[path] = view
        self._stamp = stamp


def _index_holds(view: mmap.mmap, wanted: bytes) -> bool:
    if view[:8] != b"\xfftOc\0\0\0\2":
        return False
    first = wanted[0]
    low = _fanout(view, first - 1) if first else 0
    high = _fanout(view, first)

    def name(at: int) -> bytes:
        start = 8 + 4 * 256 + 20 * at
        return view[start : start + 20]

    at = bisect_left(range(high), wanted, low, high, key=name)
    return at < high and name(at) == wanted


def _fanout(view: mmap.mmap, first: int) -> int:
    return int(struct.unpack_from(">I", view, 8 + 4 * first)[0])
