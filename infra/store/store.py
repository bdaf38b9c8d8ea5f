"""
The store: the bare, content-addressed git repository that remembers the bytes.

A plain clone with a configuration of our own. Only references under `refs/oc/` live in it. The
person's repository is read from and given one branch; it is never shared with, borrowed from or
configured. What is in a tree, a conversation or a review is not known here.
"""

import asyncio
import contextlib
import os
import re
from collections import OrderedDict
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from infra.git.command import (
    IDENTITY_EMAIL,
    IDENTITY_NAME,
    GitCommand,
    GitError,
    GitResult,
    bounded,
)
from infra.locks import locked
from infra.store.cache import RecentObjects
from infra.store.create import make, outside, place_of, verify
from infra.store.git_processes import ChildDiedError, GitObject, ObjectReader
from infra.store.objects import (
    TREE_MODE,
    Commit,
    LooseObjects,
    MalformedObjectError,
    ObjectKind,
    TreeEntry,
    decode_commit,
    decode_tree,
    encode_commit,
    encode_tree,
    is_oid,
    object_id,
    sync_folder,
)
from infra.store.refs import References, check_ref
from infra.store.types import (
    ANY,
    COMPLAINT,
    AnyValue,
    BranchTaken,
    Conflicted,
    Merged,
    ObjectMissing,
    PathChange,
    RefConflict,
    RefUpdate,
    StoreError,
    parse_changes,
    parse_merge,
    path_parts,
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

LARGE_BYTES: Final = 1 << 20
"""Objects above this size are written in a thread, smaller ones at once."""

SLOW_SECONDS: Final = 0.003
"""
When writing an object took longer, the next one is written in a thread, so that a busy disk does
not hold up the event loop and objects put side by side share one journal commit.
"""

WRITERS: Final = 16
"""Objects of a batch that wait for the disk at the same time."""

CACHED_TREES: Final = 512
"""Decoded trees kept in memory."""

_ANY_OID = "allowAnySHA1InWant=true"
_UPLOAD = f"--upload-pack=git -c uploadpack.{_ANY_OID} upload-pack"

# Of the person's repository only the branch and its objects may change: no hook, no clean-up,
# no checkout, no server files.
_RECEIVE = (
    "--receive-pack=git -c core.hooksPath=/dev/null -c core.fsmonitor= -c receive.autogc=false "
    "-c gc.auto=0 -c maintenance.auto=false -c receive.denyCurrentBranch=refuse "
    "-c receive.updateServerInfo=false receive-pack"
)

_GONE = re.compile(
    r"missing|bad object|bad tree object|could not read|unable to read|corrupt|is empty"
    r"|unable to parse|not a valid object|failed to (?:traverse|parse|read)",
    re.IGNORECASE,
)


ME: Final = f"{IDENTITY_NAME} <{IDENTITY_EMAIL}>"
"""The system's identity, as git writes it."""

Entry = tuple[str, str]
"""Mode and object id, as in TreeEntry."""

Content = tuple[ObjectKind, bytes]
"""Kind and bytes of an object."""


class Batch:
    """
    Objects that name each other, collected first and then written side by side.

    Their ids are known at once, so blobs, their tree and its commit need not wait for each
    other: on a busy disk they share its waits. No id may leave before `write` returned.
    """

    def __init__(self, put: Callable[[Mapping[str, Content]], Awaitable[None]]) -> None:
        self._put = put
        self._waiting: dict[str, Content] = {}

    def blob(self, data: bytes) -> str:
        """Add bytes; return their object id."""
        return self._add("blob", data)

    def tree(self, entries: Iterable[TreeEntry]) -> str:
        """Add a tree; see `Store.put_tree`."""
        return self._add("tree", _tree_data(entries))

    def commit(
        self, tree: str, parents: Sequence[str], message: str, *, when: int, author: str = ME
    ) -> str:
        """Add a commit; see `Store.put_commit`."""
        return self._add("commit", _commit_data(tree, parents, message, when=when, author=author))

    async def write(self) -> None:
        """Write everything added; durable when it returns, and safe to repeat."""
        await self._put(self._waiting)
        self._waiting = {}

    def _add(self, kind: ObjectKind, data: bytes) -> str:
        oid = object_id(kind, data)
        self._waiting[oid] = (kind, data)
        return oid


class Store:
    """
    One store; open it with `open` or `clone`, close it, or use `async with`.

    Safe for many tasks of one event loop and for other processes using the same folder.

    Attributes:
        path: the bare repository.
        git: the git door with GIT_DIR set to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.git = GitCommand(self.path)
        self._objects = LooseObjects(self.path / "objects")
        self._reader = ObjectReader(self.git)
        self._refs = References(self.path, self.git)
        self._recent = RecentObjects()
        self._threads = ThreadPoolExecutor(WRITERS, thread_name_prefix="store")
        self._trees: OrderedDict[str, tuple[TreeEntry, ...]] = OrderedDict()

    # ---- life

    @classmethod
    async def clone(cls, source: Path, path: Path) -> Self:
        """
        Make the store of a repository, or open it when it was made before.

        Safe to repeat, also at the same time from several processes: the copy is made beside
        `path`, synced, and renamed there when complete.

        Args:
            source: the person's repository, bare or not; only read.
            path: where the store shall be.

        Raises:
            StoreError: no repository there, one with SHA-256 ids, or git failed.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        async with locked(path.parent / f".{path.name}.lock"):
            if not (path / "objects").is_dir():
                await make(source, path)
        return await cls.open(path)

    @classmethod
    async def open(cls, path: Path) -> Self:
        """
        Open a store, its configuration verified.

        Raises:
            StoreError: there is no store, or its configuration is not ours.
        """
        if not (path / "objects").is_dir():
            raise StoreError(f"there is no store at {path}")
        await verify(path)
        return cls(path)

    async def close(self) -> None:
        """End the long-lived git children and release files."""
        await self._reader.close()
        await self._refs.close()
        self._threads.shutdown()
        self._objects.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # ---- writing objects: durable when the call returns, safe to repeat; several objects
    # are best put side by side, with a batch

    async def put_blob(self, data: bytes) -> str:
        """Store bytes; return their object id."""
        return await self._put("blob", data)

    async def put_tree(self, entries: Iterable[TreeEntry]) -> str:
        """
        Store a tree, its entries in any order; return its id.

        Raises:
            StoreError: an impossible name, mode or id, or a name that stands twice.
        """
        return await self._put("tree", _tree_data(entries))

    async def put_commit(
        self,
        tree: str,
        parents: Sequence[str],
        message: str,
        *,
        when: int,
        author: str = ME,
    ) -> str:
        """
        Store a commit; return its id, which is the same for the same arguments.

        Args:
            tree: id of the recorded tree.
            parents: ids, in order.
            message: the whole message.
            when: author and commit time, seconds since the epoch.
            author: "Name <mail>"; the committer is always the system.
        """
        data = _commit_data(tree, parents, message, when=when, author=author)
        return await self._put("commit", data)

    def batch(self) -> "Batch":
        """Return an empty batch: objects that name each other, made durable together."""
        return Batch(self._put_all)

    async def _put(self, kind: ObjectKind, data: bytes) -> str:
        with _unwritten():
            if len(data) > LARGE_BYTES or self._objects.pace_seconds > SLOW_SECONDS:
                oid = await asyncio.to_thread(self._objects.put, kind, data)
            else:
                oid = self._objects.put(kind, data)
        self._recent.keep(GitObject(oid, kind, data))
        return oid

    async def _put_all(self, contents: Mapping[str, Content]) -> None:
        # Each in a thread: most of the time is waiting for the disk, which answers several
        # waits at once.
        with _unwritten():
            loop = asyncio.get_running_loop()
            puts = (
                loop.run_in_executor(self._threads, self._objects.put, *content)
                for content in contents.values()
            )
            await asyncio.gather(*puts)
        for oid, (kind, data) in contents.items():
            self._recent.keep(GitObject(oid, kind, data))

    # ---- reading objects

    async def get(self, name: str) -> GitObject:
        """
        Return an object by id, reference, or `<tree-ish>:<path>`.

        Raises:
            ObjectMissing: there is none of that name.
        """
        found = self._recent.get(name)
        if found is not None:
            return found
        try:
            found = await self._reader.contents(name)
        except ValueError:
            found = await self._get_by_walk(name)
        except ChildDiedError as died:
            raise StoreError(f"reading {name!r}: {died.stderr}") from died
        if found is None:
            raise ObjectMissing(name)
        self._recent.keep(found)
        return found

    async def _get_by_walk(self, name: str) -> GitObject | None:
        # A name with a newline cannot be sent in one line; only a path can hold one.
        tree, _, path = name.partition(":")
        entry = await self.entry_at(tree, path) if tree and path else None
        return None if entry is None else await self.get(entry.oid)

    async def get_blob(self, name: str) -> bytes:
        """
        Return a blob's bytes.

        Raises:
            ObjectMissing: there is none of that name.
            StoreError: it is no blob.
        """
        found = await self.get(name)
        if found.kind != "blob":
            raise StoreError(f"{name} is a {found.kind}, not a blob")
        return found.data

    async def get_tree(self, name: str) -> tuple[TreeEntry, ...]:
        """
        Return the entries of a tree, or of the tree of a commit or tag, in git's order.

        Raises:
            ObjectMissing: there is none of that name.
            StoreError: it is a blob.
        """
        if name in self._trees:
            self._trees.move_to_end(name)
            return self._trees[name]
        found = await self._peeled(name, "tree")
        entries = decode_tree(found.data)
        self._trees[found.oid] = entries
        if len(self._trees) > CACHED_TREES:
            self._trees.popitem(last=False)
        return entries

    async def get_commit(self, name: str) -> Commit:
        """
        Return a commit, or the one a tag names.

        Raises:
            ObjectMissing: there is none of that name.
            StoreError: it is no commit.
        """
        found = await self._peeled(name, "commit")
        return decode_commit(found.oid, found.data)

    async def require_commit(self, oid: str) -> None:
        """
        Check that a commit is in the store.

        Args:
            oid: full id of the commit.

        Raises:
            ObjectMissing: it is not there, or is no commit.
        """
        if await self.resolve(f"{oid}^{{commit}}") != oid:
            raise ObjectMissing(oid)

    async def _peeled(self, name: str, kind: Literal["tree", "commit"]) -> GitObject:
        found = await self.get(name)
        if found.kind == kind:
            return found
        if found.kind == "tag" or (found.kind == "commit" and kind == "tree"):
            return await self.get(f"{found.oid}^{{{kind}}}")
        raise StoreError(f"{name} is a {found.kind}, not a {kind}")

    async def resolve(self, name: str) -> str | None:
        """Return the id a name stands for, as in `get`; None = nothing of that name is there."""
        try:
            return await self._reader.identify(name)
        except ValueError:
            found = await self._get_by_walk(name)
            return None if found is None else found.oid
        except ChildDiedError as died:
            raise StoreError(f"resolving {name!r}: {died.stderr}") from died

    # ---- references

    def ref(self, name: str) -> str | None:
        """
        Return the id a reference holds; None = it does not exist. Read from its file at once.

        Args:
            name: full name below `refs/oc/`, as given to `update_refs`.
        """
        return self._refs.read(name)

    async def update_refs(self, *updates: RefUpdate) -> None:
        """
        Move references, all or none, each compared with its expected value; durable on return.

        Raises:
            RefConflict: one is elsewhere; nothing was moved.
            StoreError: a name outside `refs/oc/`, a name twice, or one that is a folder already.
        """
        if not updates:
            return
        await self._refs.update(*updates)

    async def advance(
        self, ref: str, new: str | None, old: str | Literal[AnyValue.ANY] | None
    ) -> None:
        """
        Move one reference; one that is at `new` already is a success, so it is safe to repeat.

        Raises:
            RefConflict: it is neither at `old` nor at `new`.
        """
        await self.advance_all(RefUpdate(ref, new, old))

    async def advance_all(self, *updates: RefUpdate) -> None:
        """
        Move references, each from `old` or already at `new`; safe to repeat after any crash.

        Raises:
            RefConflict: one is neither at `old` nor at `new`; nothing was moved.
        """
        pending = list(updates)
        while pending:
            try:
                await self.update_refs(*pending)
            except RefConflict as conflict:
                done = [u for u in pending if u.ref == conflict.ref and u.new == conflict.actual]
                if not done:
                    raise
                pending = [update for update in pending if update not in done]
            else:
                return

    async def refs(self, prefix: str) -> dict[str, str]:
        """
        Return the references below a folder, or the one of that exact name: name to id.

        Always name the narrowest folder: listing everything grows with the store's age.
        """
        form = "--format=%(refname) %(objectname)"
        found = await self._run("for-each-ref", form, "--", prefix, reads=True)
        lines = os.fsdecode(found.out).splitlines()
        return {name: oid for name, _, oid in (line.partition(" ") for line in lines)}

    @contextlib.asynccontextmanager
    async def references_held(self) -> AsyncIterator[None]:
        """
        Keep every other writer away from the references, for `gc` and `pack-refs`.

        The store's own reference methods would wait for themselves inside.
        """
        async with self._refs.held():
            yield

    # ---- trees by path

    async def entry_at(self, tree: str, path: str) -> TreeEntry | None:
        """Return what stands at a path below a tree or commit; None = nothing."""
        entry: TreeEntry | None = None
        at = tree
        for name in path_parts(path):
            if entry is not None and not entry.is_tree:
                return None
            entries = await self.get_tree(at)
            entry = next((row for row in entries if row.name == name), None)
            if entry is None:
                return None
            at = entry.oid
        return entry

    async def with_path(self, tree: str, path: str, entry: Entry | None) -> str:
        """
        Return the tree that has `entry` at `path`, everything else as before.

        Only the trees along the path are written. Missing folders are made, emptied ones
        vanish; a file in the way of a folder, or a folder in the way of a file, is replaced.

        Args:
            tree: id of a tree or commit.
            path: components separated by "/".
            entry: mode and id; None = nothing shall be there.
        """
        return await self.with_paths(tree, {path: entry})

    async def with_paths(
        self, tree: str, entries: Mapping[str, Entry | None], *, batch: Batch | None = None
    ) -> str:
        """
        Return the tree with many paths changed at once; see `with_path`.

        With a batch, the trees are added to it and not written yet.
        """
        wanted = {path_parts(path): entry for path, entry in entries.items()}
        names = set(wanted)
        for parts in wanted:
            if any(parts[:depth] in names for depth in range(1, len(parts))):
                raise StoreError(f"{'/'.join(parts)} lies inside another changed path")
        waiting = self.batch() if batch is None else batch
        edited = waiting.tree(await self._edited(await self.get_tree(tree), wanted, waiting))
        if batch is None:
            await waiting.write()
        return edited

    async def _edited(
        self,
        rows: tuple[TreeEntry, ...],
        wanted: Mapping[tuple[str, ...], Entry | None],
        batch: Batch,
    ) -> tuple[TreeEntry, ...]:
        table = {row.name: row for row in rows}
        below: dict[str, dict[tuple[str, ...], Entry | None]] = {}
        for (name, *rest), entry in wanted.items():
            if rest:
                below.setdefault(name, {})[tuple(rest)] = entry
            elif entry is None:
                table.pop(name, None)
            else:
                table[name] = TreeEntry(entry[0], name, entry[1])
        for name, inner in below.items():
            await self._edit_folder(table, name, inner, batch=batch)
        return tuple(table.values())

    async def _edit_folder(
        self,
        table: dict[str, TreeEntry],
        name: str,
        inner: Mapping[tuple[str, ...], Entry | None],
        *,
        batch: Batch,
    ) -> None:
        there = table.get(name)
        if not any(inner.values()) and (there is None or not there.is_tree):
            return  # nothing to remove there, and what is in the way stays
        rows = await self.get_tree(there.oid) if there is not None and there.is_tree else ()
        edited = await self._edited(rows, inner, batch)
        if edited:
            table[name] = TreeEntry(TREE_MODE, name, batch.tree(edited))
        else:
            table.pop(name, None)

    async def paths(self, tree: str) -> list[str]:
        """Return every file path below a tree or commit, in git's order."""
        listing = await self._run(
            "ls-tree", "-r", "-z", "--name-only", "--full-tree", await self._oid(tree), reads=True
        )
        return [os.fsdecode(name) for name in listing.out.split(b"\0") if name]

    # ---- differences

    async def changes(self, before: str, after: str) -> list[PathChange]:
        """Return what differs between two trees or commits, sorted by path as git does."""
        found = await self._diff(
            "-z", "--raw", "--numstat", "--no-renames", between=(before, after)
        )
        return parse_changes(found.out)

    async def diffstat(self, before: str, after: str) -> str:
        """Return git's diffstat of two trees or commits: at most 50 files and the sum."""
        found = await self._diff("--stat=100,80,50", between=(before, after))
        return found.out.decode("utf-8", "replace").rstrip("\n")

    async def patch_text(self, before: str, after: str, limit_bytes: int) -> tuple[str, bool]:
        """
        Return a unified diff of two trees or commits, renames found, and whether it was cut.

        A cut diff ends with a whole line and is at most `limit_bytes` long. Bytes that are not
        UTF-8 are replaced, so it is for reading, not for applying.
        """
        found = await self._diff(
            "-p", "--find-renames", between=(before, after), max_bytes=limit_bytes
        )
        data = found.out
        if found.truncated:
            data = data[: data.rfind(b"\n") + 1]
        return data.decode("utf-8", "replace"), found.truncated

    async def patch_id(self, before: str, after: str) -> str | None:
        """
        Return an id of the change itself, equal where the same change was made elsewhere.

        Line numbers and white space do not count. None = no difference.
        """
        patch = await self._diff("-p", "--full-index", "--no-renames", between=(before, after))
        found = await self._run("patch-id", "--stable", stdin=patch.out)
        return found.text.split(" ")[0] or None

    async def _diff(
        self, *options: str, between: tuple[str, str], max_bytes: int | None = None
    ) -> GitResult:
        before, after = await self._oid(between[0]), await self._oid(between[1])
        return await self._run(
            "diff-tree", "-r", "--no-ext-diff", "--no-textconv", *options, before, after,
            reads=True, max_bytes=max_bytes,
        )  # fmt: skip

    # ---- completeness and merging

    async def verify_complete(self, commit: str, *, excluding: str | None = None) -> None:
        """
        Check that everything a commit reaches is in the store.

        Args:
            commit: the commit.
            excluding: a commit known to be complete; what it reaches is not walked again.

        Raises:
            ObjectMissing: something is missing or unreadable; `detail` says what.
        """
        limits = [] if excluding is None else [f"^{await self._oid(excluding)}"]
        start = await self._oid(commit)
        try:
            found = await self.git("rev-list", "--objects", "--quiet", start, *limits, reads=True)
        except GitError as failed:
            if failed.code > 0 and _GONE.search(failed.stderr):
                raise ObjectMissing(commit, failed.stderr) from failed
            raise StoreError(str(failed)) from failed
        if COMPLAINT.search(found.err):
            raise ObjectMissing(commit, bounded(found.err.strip(), 500))

    async def merge(self, ours: str, theirs: str) -> Merged | Conflicted:
        """
        Merge two commits without a work tree; no commit is made.

        The exit code alone is no verdict: git also says "clean" with an empty tree, or
        "conflict", when a tree object is missing. The caller verifies both sides first.

        Raises:
            ObjectMissing: one side is not in the store.
            StoreError: anything that is neither a clean merge nor a conflict; never evict for it.
        """
        sides = [await self.resolve(side) or "" for side in (ours, theirs)]
        if "" in sides:
            raise ObjectMissing((ours, theirs)[sides.index("")])
        found = await self._run("merge-tree", "--write-tree", "-z", "--messages", *sides, ok=(0, 1))
        verdict = parse_merge(found)
        if verdict is None:
            said = bounded(found.err.strip(), 500) or f"exit {found.code} without a tree"
            raise StoreError(f"merging {theirs} into {ours}: {said}")
        if isinstance(verdict, Merged):
            # git syncs the objects it makes, not their names; the root tree is the last one.
            with contextlib.suppress(FileNotFoundError):
                sync_folder(f"{self.path}/objects/{verdict.tree[:2]}")
        return verdict

    async def contains(self, commit: str, older: str) -> bool:
        """
        Say whether a commit is another one, or has it among its ancestors.

        Raises:
            ObjectMissing: one of them is not in the store.
        """
        both = [await self._oid(older), await self._oid(commit)]
        return (await self._run("merge-base", "--is-ancestor", *both, ok=(0, 1))).code == 0

    # ---- the person's repository

    async def fetch(self, source: Path, what: str, into_ref: str) -> str:
        """
        Bring a branch or commit of another repository in, whole, and pin it.

        Safe to repeat. Nothing is written in `source` and none of its hooks runs.

        Args:
            source: a repository, bare or not.
            what: a branch name, "HEAD", or a full commit id.
            into_ref: reference below `refs/oc/`, moved wherever it was.

        Returns:
            The commit id it has now.

        Raises:
            ObjectMissing: there is no such branch or commit.
            StoreError: no repository, or git failed.
        """
        place = place_of(source)
        oid = what if is_oid(what) else await self._remote_branch(place, what)
        if oid is None:
            raise ObjectMissing(what, f"no such branch in {place}")
        options = (
            "--quiet", "--no-write-fetch-head", "--no-tags", "--no-auto-maintenance",
            "--no-recurse-submodules", "--no-show-forced-updates", "--update-shallow", _UPLOAD,
        )  # fmt: skip
        try:
            await self.git("fetch", *options, "--", place, oid)
        except GitError as failed:
            if "not our ref" in failed.stderr or "unadvertised object" in failed.stderr:
                raise ObjectMissing(what, f"no such commit in {place}") from failed
            raise outside(failed, place) from failed
        await self.advance(into_ref, oid, ANY)
        return oid

    async def push(
        self, target: Path, oid: str, branch: str, *, pass_fds: tuple[int, ...] = ()
    ) -> None:
        """
        Give another repository a new branch; nothing else in it changes and no hook runs.

        Safe to repeat: a branch that is at `oid` already is a success.

        Args:
            target: a repository, bare or not.
            oid: full id of a commit in the store.
            branch: short name; must not exist yet.
            pass_fds: open files that git shares, so that it keeps a lock of ours when we die.

        Raises:
            BranchTaken: the branch exists with another commit.
            StoreError: it is checked out there, no repository, a wrong name, or git failed.
        """
        check_ref(f"refs/heads/{branch}")
        if branch.startswith("-") or not is_oid(oid):
            raise StoreError(f"cannot push {oid!r} as the branch {branch!r}")
        place = place_of(target)
        if await self._already(place, oid, branch):
            return
        full = f"refs/heads/{branch}"
        options = ("--quiet", "--no-verify", "--no-follow-tags", "--recurse-submodules=no")
        lease = f"--force-with-lease={full}:"
        try:
            words = ("push", *options, _RECEIVE, lease, "--", place, f"{oid}:{full}")
            await self.git(*words, pass_fds=pass_fds)
        except GitError as failed:
            if await self._already(place, oid, branch):
                return
            raise _refused(failed, place, branch) from failed

    async def pushed(self, target: Path, oid: str, branch: str) -> bool:
        """
        Return whether another repository has a branch at a commit, as after a push.

        Raises:
            StoreError: no repository there, or git failed.
        """
        return await self._remote_branch(place_of(target), branch) == oid

    async def _already(self, place: str, oid: str, branch: str) -> bool:
        there = await self._remote_branch(place, branch)
        if there not in {None, oid}:
            raise BranchTaken(branch, str(there))
        return there == oid

    async def _remote_branch(self, place: str, branch: str) -> str | None:
        full = branch if branch == "HEAD" else f"refs/heads/{branch}"
        try:
            found = await self.git("ls-remote", _UPLOAD, "--", place, full, reads=True)
        except GitError as failed:
            raise outside(failed, place) from failed
        rows = (line.split("\t") for line in os.fsdecode(found.out).splitlines())
        return next((row[0] for row in rows if row[1:] == [full]), None)

    # ---- helpers

    async def _oid(self, name: str) -> str:
        # Commands get full ids only, so that no name can be read as an option or as a path.
        if is_oid(name):
            return name
        found = await self.resolve(name)
        if found is None:
            raise ObjectMissing(name)
        return found

    async def _run(
        self,
        *args: str,
        stdin: bytes | None = None,
        ok: tuple[int, ...] = (0,),
        reads: bool = False,
        max_bytes: int | None = None,
    ) -> GitResult:
        try:
            return await self.git(*args, stdin=stdin, ok=ok, reads=reads, max_bytes=max_bytes)
        except GitError as failed:
            if failed.code > 0 and re.search(r"bad object|not a tree object", failed.stderr):
                raise ObjectMissing(args[-1], failed.stderr) from failed
            raise StoreError(str(failed)) from failed


@contextlib.contextmanager
def _unwritten() -> Iterator[None]:
    try:
        yield
    except OSError as failed:
        raise StoreError(f"an object could not be written: {failed}") from failed


def _tree_data(entries: Iterable[TreeEntry]) -> bytes:
    try:
        return encode_tree(entries)
    except MalformedObjectError as wrong:
        raise StoreError(str(wrong)) from wrong


def _commit_data(
    tree: str, parents: Sequence[str], message: str, *, when: int, author: str
) -> bytes:
    name, _, mail = author.replace("\n", " ").partition("<")
    signed = f"{name.strip()} <{mail.replace('<', '').replace('>', '').strip()}>"
    try:
        return encode_commit(tree, parents, message, when=when, author=signed, committer=ME)
    except MalformedObjectError as wrong:
        raise StoreError(str(wrong)) from wrong


def _refused(failed: GitError, place: str, branch: str) -> StoreError:
    if "checked out" in failed.stderr or "current branch" in failed.stderr:
        return StoreError(f"the branch {branch} is checked out in {place}; choose another name")
    return outside(failed, place)
