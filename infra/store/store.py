"""The store: the bare, content-addressed git repository that holds all bytes of the work.

A plain clone with a configuration of our own. Only references under `refs/oc/` are in it. What a
tree, a conversation or a review contains is not known here.
"""

import asyncio
import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal, Self

from typing_extensions import override

from infra.locks import locked
from infra.store.batch import Batch, Content
from infra.store.create import create_store, verify_config
from infra.store.errors import RefConflict, StoreError
from infra.store.loose_objects import LooseObjects
from infra.store.object_format import GitObject, ObjectKind, encode_commit
from infra.store.reader import ObjectReader
from infra.store.refs import AnyValue, References, RefUpdate, read_ref

LARGE_BYTES: Final = 1 << 20
"""Objects above this size are written in a thread, smaller ones at once."""

SLOW_SECONDS: Final = 0.003
"""When writing an object took longer, the next one is written in a thread, so that a busy disk does
not hold up the event loop and objects put side by side share one journal commit.
"""

WRITERS: Final = 16
"""Objects of a batch that wait for the disk at the same time."""


class Store(ObjectReader):
    """One store; open it with `open` or `clone`, close it, or use `async with`.

    Safe for many tasks of one event loop and for other processes using the same folder.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._objects = LooseObjects(self.path / "objects")
        self._refs = References(self.path, self.git)
        self._threads = ThreadPoolExecutor(WRITERS, thread_name_prefix="store")

    # ---- life

    @classmethod
    async def clone(cls, source: Path, path: Path, base: str | None = None) -> Self:
        """Create the store of a repository, or open it when it exists.

        A new one holds what the commit `base` reaches, unpinned; None = nothing. Safe to repeat,
        also at the same time from several processes: it is made beside `path`, synced, and renamed
        there when complete. The source is only read.

        Raises:
            StoreError: no repository there, one with SHA-256 ids, or git failed.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        async with locked(path.parent / f".{path.name}.lock"):
            if not (path / "objects").is_dir():
                await create_store(source, path, base)
        return await cls.open(path)

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open a store, its configuration verified.

        Raises:
            StoreError: there is no store, or its configuration is not ours.
        """
        if not (path / "objects").is_dir():
            raise StoreError(f"there is no store at {path}")
        await verify_config(path)
        return cls(path)

    @override
    async def close(self) -> None:
        """End the long-lived git children."""
        await super().close()
        await self._refs.close()
        self._threads.shutdown()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    # ---- writing objects: durable when the call returns, safe to repeat; several objects
    # are best put side by side, with a batch

    async def put_blob(self, data: bytes) -> str:
        """Store bytes; return their object id."""
        return await self._put("blob", data)

    async def put_commit(
        self,
        tree: str,
        parents: Sequence[str],
        message: str,
        *,
        when: int,
        author: str | None = None,
    ) -> str:
        """Store a commit; return its id, the same for the same arguments; see `encode_commit`."""
        data = encode_commit(tree, parents, message, when=when, author=author)
        return await self._put("commit", data)

    def batch(self) -> Batch:
        """Return an empty batch: objects that name each other, made durable together."""
        return Batch(self._put_all)

    async def _put(self, kind: ObjectKind, data: bytes) -> str:
        with _write_errors():
            if len(data) > LARGE_BYTES or self._objects.pace_seconds > SLOW_SECONDS:
                oid = await asyncio.to_thread(self._objects.put, kind, data)
            else:
                oid = self._objects.put(kind, data)
        self._recent.keep(GitObject(oid, kind, data))
        return oid

    async def _put_all(self, contents: Mapping[str, Content]) -> None:
        # Each in a thread: most of the time is waiting for the disk, which answers several
        # waits at once.
        with _write_errors():
            loop = asyncio.get_running_loop()
            puts = (
                loop.run_in_executor(self._threads, self._objects.put, *content)
                for content in contents.values()
            )
            await asyncio.gather(*puts)
        for oid, (kind, data) in contents.items():
            self._recent.keep(GitObject(oid, kind, data))

    # ---- references

    def ref(self, name: str) -> str | None:
        """Return the id a reference holds, read from its file at once; None = it does not exist."""
        return read_ref(self.path, name)

    async def refs(self, prefix: str) -> dict[str, str]:
        """Return the references below a folder, or the one of that exact name: name to id.

        Always name the narrowest folder: listing everything grows with the store's age.
        """
        if not any((self.path / place).exists() for place in (prefix, "packed-refs")):
            return {}
        form = "--format=%(refname) %(objectname)"
        found = await self.run("for-each-ref", form, "--", prefix, reads=True)
        lines = os.fsdecode(found.out).splitlines()
        return {name: oid for name, _, oid in (line.partition(" ") for line in lines)}

    async def update_refs(self, *updates: RefUpdate) -> None:
        """Move references, all or none, each compared with its expected value; durable on return.

        Raises:
            RefConflict: one is elsewhere; nothing was moved.
            StoreError: a name outside `refs/oc/`, a name twice, or one that is a folder already.
        """
        if updates:
            await self._refs.update(*updates)

    async def advance(
        self, ref: str, new: str | None, old: str | Literal[AnyValue.ANY] | None
    ) -> None:
        """Move one reference; one that is at `new` already is a success, so it is safe to repeat.

        Raises:
            RefConflict: it is neither at `old` nor at `new`.
        """
        try:
            await self._refs.update(RefUpdate(ref, new, old))
        except RefConflict as conflict:
            if conflict.actual != new:
                raise


@contextlib.contextmanager
def _write_errors() -> Iterator[None]:
    try:
        yield
    except OSError as failed:
        raise StoreError(f"an object could not be written: {failed}") from failed
