"""Packing and pruning a store: nothing that is needed goes, whoever works on it or is killed."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.store import ANY, RefUpdate, Store, TreeEntry, packing
from infra.store.create import _lay_out

ROOT = Path(__file__).resolve().parents[2]
PACKER = """
import asyncio, sys
from pathlib import Path
from infra.store import Store, packing
async def main():
    async with await Store.open(Path(sys.argv[1])) as store:
        while True:
            await packing.pack(store, least=1)
asyncio.run(main())
"""
HOUR = 3_600


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store."""
    folder = tmp_path / "a.git"
    _lay_out(folder)
    async with await Store.open(folder) as opened:
        yield opened


async def _commit(store: Store, text: str, parents: tuple[str, ...] = ()) -> str:
    batch = store.batch()
    blob = batch.blob(text.encode())
    tree = batch.tree([TreeEntry("100644", "file", blob)])
    commit = batch.commit(tree, parents, f"{text}\n", when=1)
    await batch.write()
    return commit


def _age(store: Store, seconds: float) -> None:
    """Have every object of the store look as old as this."""
    then = time.time() - seconds
    for folder, _, names in os.walk(store.path / "objects"):
        for name in names:
            os.utime(f"{folder}/{name}", (then, then))


def _healthy(store: Store) -> bool:
    ran = subprocess.run(
        ["git", "-C", str(store.path), "fsck", "--connectivity-only", "--no-dangling"],
        capture_output=True,
        check=False,
    )
    return ran.returncode == 0


async def test_packing_takes_less_disk_and_loses_nothing(store: Store) -> None:
    """What references reach goes into a pack; what only a history names stays as it is."""
    head: tuple[str, ...] = ()
    for number in range(60):
        head = (await _commit(store, f"turn {number}", head),)
    await store.update_refs(RefUpdate("refs/oc/conv/a", head[0], ANY))
    unnamed = await store.put_blob(b"known to a history alone")

    assert await packing.pack(store, least=1_000) == 0
    assert await packing.pack(store, least=1) > 100 * 4_096
    assert packing.loose_objects(store.path) == 1
    assert await store.get_blob(unnamed) == b"known to a history alone"
    async with await Store.open(store.path) as fresh:
        assert (await fresh.get_blob(f"{head[0]}~59:file")) == b"turn 0"
    assert _healthy(store)


async def test_a_killed_packer_beside_a_writer_and_a_reader_loses_nothing(store: Store) -> None:
    """Killed with its git children at twelve moments, while turns are written and read on."""
    written: list[str] = []
    stop = asyncio.Event()

    async def write() -> None:
        head: tuple[str, ...] = ()
        while not stop.is_set():
            head = (await _commit(store, f"turn {len(written)}", head),)
            await store.update_refs(RefUpdate("refs/oc/conv/a", head[0], ANY))
            written.append(head[0])
            async with await Store.open(store.path) as fresh:
                await fresh.get_commit(random.choice(written))

    writer = asyncio.create_task(write())
    for number in range(12):
        packer = subprocess.Popen(
            [sys.executable, "-c", PACKER, str(store.path)], cwd=ROOT, start_new_session=True
        )
        await asyncio.sleep(0.4 + 0.11 * number)
        assert packer.poll() is None
        os.killpg(packer.pid, signal.SIGKILL)
        packer.wait()
        assert not writer.done()
    stop.set()
    await writer

    assert list((store.path / "objects" / "pack").glob("*.pack"))
    async with await Store.open(store.path) as fresh:
        for number, commit in enumerate(written):
            assert await fresh.get_blob(f"{commit}:file") == f"turn {number}".encode()
        await packing.pack(fresh, least=1)
    assert _healthy(store)


async def test_pruning_removes_what_nothing_reaches_and_keeps_the_last_hour(store: Store) -> None:
    """Also out of packs; what idle worktrees hold and what was written just now stays."""
    kept, gone, idle = [await _commit(store, text) for text in ("kept", "gone", "idle")]
    await store.update_refs(RefUpdate("refs/oc/a", kept, ANY), RefUpdate("refs/oc/b", gone, ANY))
    await packing.pack(store, least=1)
    await store.update_refs(RefUpdate("refs/oc/b", None, ANY))
    _age(store, 2 * HOUR)
    recent = await _commit(store, "recent")

    async with packing.pruning(store.path):
        await packing.prune(store, {"w1": idle})

    async with await Store.open(store.path) as fresh:
        assert await fresh.resolve(gone) is None
        assert {await fresh.resolve(each) for each in (kept, idle, recent)} == {kept, idle, recent}
        assert await fresh.refs(packing.WORKTREES.rstrip("/")) == {}
    assert _healthy(store)


async def test_objects_are_written_though_packing_removes_their_empty_folders(
    store: Store,
) -> None:
    """As `git prune-packed` does, at any moment between the making of a folder and its file."""
    stop = threading.Event()

    def remove() -> None:
        while not stop.is_set():
            for folder in (store.path / "objects").glob("[0-9a-f][0-9a-f]"):
                with contextlib.suppress(OSError):
                    folder.rmdir()

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        oids = [await store.put_blob(f"text {number}".encode()) for number in range(400)]
    finally:
        stop.set()
        remover.join()

    assert {await store.resolve(oid) for oid in oids} == set(oids)
