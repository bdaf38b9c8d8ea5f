"""Locks between processes: a stopped holder is killed, a working one is waited for."""

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infra.locks import holder, take_lock
from infra.store import Store, StoreError, git_processes
from infra.store.object_format import EMPTY_TREE

ROOT = Path(__file__).parents[2]

HOLDER = """
import fcntl, os, sys
handle = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(handle, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.readline()
"""

REFS_LOCK_HOLDER = """
import asyncio, sys
from pathlib import Path
from infra.store import Store, StoreError

async def main(path):
    async with await Store.open(Path(path)) as store:
        await store.advance("refs/oc/x/other", await store.resolve("refs/oc/base"), None)
        async with store._refs._writer.lock():
            print("locked", flush=True)
            await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main(sys.argv[1]))
"""


@asynccontextmanager
async def held_by_process(code: str, path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a process that holds the lock; kill it afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(path),
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"locked\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store with one commit."""
    source = await asyncio.create_subprocess_exec(
        "git", "init", "--quiet", "--bare", str(tmp_path / "source.git")
    )
    await source.wait()
    async with await Store.clone(tmp_path / "source.git", tmp_path / "s.git") as opened:
        commit = await opened.put_commit(EMPTY_TREE, [], "base", when=1)
        await opened.advance("refs/oc/base", commit, None)
        yield opened


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file."""
    return tmp_path / "lock"


async def take(lock: Path) -> None:
    """Take the lock and release it."""
    handle = os.open(lock, os.O_RDWR)
    try:
        async with asyncio.timeout(30):
            await take_lock(handle)
    finally:
        os.close(handle)


async def test_a_stopped_holder_is_ended(lock: Path) -> None:
    """A process that was stopped for good is killed, so its lock is free."""
    async with held_by_process(HOLDER, lock) as process:
        process.send_signal(signal.SIGSTOP)
        await take(lock)
        assert await process.wait() == -signal.SIGKILL


async def test_a_working_holder_is_waited_for(lock: Path) -> None:
    """A process that runs keeps its lock for as long as it wants."""
    async with held_by_process(HOLDER, lock) as process:
        waiting = asyncio.create_task(take(lock))
        await asyncio.sleep(2.5)
        assert not waiting.done()
        assert process.returncode is None

        await process.communicate(b"\n")
        await waiting
        assert process.returncode == 0


async def test_a_short_stop_costs_nothing(lock: Path) -> None:
    """A process that is stopped and soon goes on lives: it must be found stopped twice."""
    async with held_by_process(HOLDER, lock) as process:
        waiting = asyncio.create_task(take(lock))
        await asyncio.sleep(0.6)
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.3)
        process.send_signal(signal.SIGCONT)
        await asyncio.sleep(1.5)
        assert not waiting.done()

        await process.communicate(b"\n")
        await waiting
        assert process.returncode == 0


async def test_a_stopped_process_that_only_waits_is_left_alone(lock: Path) -> None:
    """A process that has the file open without its lock is not killed."""
    async with held_by_process(HOLDER, lock) as process:
        other = os.open(lock, os.O_RDWR)
        bystander = await asyncio.create_subprocess_exec("sleep", "60", pass_fds=[other])
        bystander.send_signal(signal.SIGSTOP)
        waiting = asyncio.create_task(take(lock))
        await asyncio.sleep(2)
        assert bystander.returncode is None

        await process.communicate(b"\n")
        await waiting
        os.close(other)
        bystander.kill()
        await bystander.wait()


async def test_the_holder_is_named(lock: Path) -> None:
    """The error can name the process that holds a lock."""
    async with held_by_process(HOLDER, lock) as process:
        assert holder(lock) == f"process {process.pid}"
    handle = os.open(lock, os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert holder(lock) == f"process {os.getpid()}"
    os.close(handle)
    assert holder(lock) == "a process that cannot be seen from here"


async def test_a_worker_stopped_while_it_moves_references_blocks_no_other(store: Store) -> None:
    """Its git child shares the lock; it goes with its parent."""
    commit = await store.resolve("refs/oc/base")
    async with held_by_process(REFS_LOCK_HOLDER, store.path) as process:
        process.send_signal(signal.SIGSTOP)
        async with asyncio.timeout(30):
            await store.advance("refs/oc/x/a", commit, None)
        assert await process.wait() == -signal.SIGKILL

    assert set(await store.refs("refs/oc/x")) == {"refs/oc/x/other", "refs/oc/x/a"}


async def test_a_worker_that_keeps_the_references_is_named(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A running process is not killed for a lock: waiting ends with an error that names it."""
    monkeypatch.setattr(git_processes, "LOCK_SECONDS", 1.2)
    commit = await store.resolve("refs/oc/base")
    async with held_by_process(REFS_LOCK_HOLDER, store.path) as other:
        with pytest.raises(StoreError, match=f"process {other.pid} has kept .*: end it"):
            await store.advance("refs/oc/x/a", commit, None)
        assert other.returncode is None
        await other.communicate(b"\n")

    await store.advance("refs/oc/x/a", commit, None)
