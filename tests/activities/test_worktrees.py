"""The worktree activities, called as Temporal calls them, on a real pool."""

import asyncio
import errno
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.failures import translated
from activities.worktrees import PooledWorktrees
from contracts.failures import FailureKind
from contracts.store import RepositoryRef
from contracts.worktrees import LeaseWorktree, ReleaseWorktree, WorktreeLease
from domain import ids
from infra.cloud_lane import CloudLane
from infra.git.command import GitError
from infra.store import ObjectMissing, Store, StoreError, trees
from infra.store.object_format import EMPTY_TREE
from infra.worktrees.errors import Fenced, WorktreeBroken, WorktreeBusy
from infra.worktrees.pool import WorktreePool

REPOSITORY = RepositoryRef(
    key="demo", host_id="here", request_key="r1", target="main", environment="0" * 40
)


@dataclass(frozen=True)
class World:
    """The activities, their pool, and a commit."""

    worktrees: PooledWorktrees
    pool: WorktreePool
    base: str
    pool_folder: Path

    async def lease(self, holder: str, commit: str | None = None) -> WorktreeLease:
        """Lease as a workflow does."""
        request = LeaseWorktree(repository=REPOSITORY, owner=holder, purpose="work", commit=commit)
        return await ActivityEnvironment().run(self.worktrees.lease_worktree, request)

    async def release(self, lease: WorktreeLease, holder: str = "") -> None:
        """Release as a workflow does."""
        request = ReleaseWorktree(
            repository=REPOSITORY, lease=lease, owner=holder, purpose="work" if holder else ""
        )
        await ActivityEnvironment().run(self.worktrees.release_worktree, request)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A store with one commit on the target, and its pool."""
    async with await empty_store(tmp_path) as store:
        blob = await store.put_blob(b"hello\n")
        tree = await trees.with_paths(store, EMPTY_TREE, {"a.txt": ("100644", blob)})
        base = await store.put_commit(tree, (), "base", when=1_700_000_000)
        await store.advance("refs/oc/target/main", base, None)
        pool = WorktreePool(
            store, tmp_path / "pool", host_id="here", uid_base=None, wait_seconds=0.2
        )
        pool.open()

        async def pools(key: str) -> WorktreePool:
            assert key == "demo"
            return pool

        worktrees = PooledWorktrees(pools, cloud=CloudLane(60))
        yield World(worktrees, pool, base, tmp_path / "pool")


async def empty_store(folder: Path) -> Store:
    """Make a store of a repository without commits."""
    process = await asyncio.create_subprocess_exec("git", "init", "-q", str(folder / "person"))
    assert await process.wait() == 0
    return await Store.clone(folder / "person", folder / "demo.git")


async def test_a_lease_names_a_worktree_that_holds_the_commit(world: World) -> None:
    """The lease names the worktree, its host and its commit, and the files are there."""
    lease = await world.lease("task/a", world.base)

    assert (lease.worktree, lease.epoch, lease.host_id) == ("w1", 1, "here")
    assert lease.commit == world.base
    async with world.pool.open_worktree(lease.worktree, lease.epoch, lease.commit) as place:
        assert (place.path / "a.txt").read_bytes() == b"hello\n"


async def test_a_repeated_lease_is_the_same_lease(world: World) -> None:
    """A retried activity leases nothing twice, even when the target has moved meanwhile; what was
    leased and is over begins at the same commit again.
    """
    first = await world.lease("task/a")
    store = world.pool.store
    tree = (await store.get_commit(world.base)).tree
    moved = await store.put_commit(tree, (world.base,), "moved", when=1_700_000_001)
    await store.advance("refs/oc/target/main", moved, world.base)

    assert await world.lease("task/a") == first
    assert (await world.lease("task/b")).commit == moved
    await world.release(first, "task/a")
    assert (await world.lease("task/a")).commit == first.commit


async def test_a_released_worktree_goes_to_the_next_holder(world: World) -> None:
    """A release repeated after the next lease leaves that lease alone."""
    first = await world.lease("task/a", world.base)
    await world.release(first)
    second = await world.lease("task/b", world.base)
    await world.release(first)

    assert (second.worktree, second.epoch) == (first.worktree, 2)
    assert [ids.owner_of(record.holder or "") for record in world.pool.leases()] == ["task/b"]


async def test_deleted_worktrees_are_leased_anew_and_freed_together(world: World) -> None:
    """Whoever deletes the worktrees' folder takes nothing: the lease is over, the next one is
    whole.
    """
    first = await world.lease("task/a", world.base)
    shutil.rmtree(world.pool_folder)
    with pytest.raises(Fenced):
        async with world.pool.open_worktree(first.worktree, first.epoch, world.base):
            pass

    second = await world.lease("task/a", world.base)
    assert second.worktree != first.worktree
    async with world.pool.open_worktree(second.worktree, second.epoch, world.base) as place:
        assert (place.path / "a.txt").read_bytes() == b"hello\n"
    await world.release(first, "task/a")
    assert world.pool.leases() == []


async def test_a_missing_commit_is_a_retryable_store_failure(world: World) -> None:
    """The commit may yet be brought here, so the attempt fails and is repeated."""
    with pytest.raises(ApplicationError) as caught:
        await world.lease("task/a", "1" * 40)

    assert (caught.value.type, caught.value.non_retryable) == (FailureKind.STORE, False)


async def test_a_worktree_in_use_is_busy(world: World) -> None:
    """A release waits for the call that still runs, then fails and is repeated."""
    lease = await world.lease("task/a", world.base)

    async with world.pool.open_worktree(lease.worktree, lease.epoch, world.base):
        with pytest.raises(ApplicationError) as caught:
            await world.release(lease)

    assert (caught.value.type, caught.value.non_retryable) == (FailureKind.BUSY, False)


async def test_a_lease_of_another_host_is_not_released_here(world: World) -> None:
    """The same name and epoch on this host belong to somebody else."""
    lease = await world.lease("task/a", world.base)
    foreign = lease.model_copy(update={"host_id": "elsewhere"})

    with pytest.raises(ApplicationError) as caught:
        await world.release(foreign)

    assert caught.value.type == FailureKind.BUSY
    assert [ids.owner_of(record.holder or "") for record in world.pool.leases()] == ["task/a"]


def chained(cause: OSError) -> StoreError:
    """Return a store's error as its writers raise it."""
    error = StoreError("an object could not be written")
    error.__cause__ = cause
    return error


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("error", "kind", "final"),
    [
        pytest.param(Fenced("over"), FailureKind.FENCED, True, id="fenced"),
        pytest.param(WorktreeBusy("in use"), FailureKind.BUSY, False, id="busy"),
        pytest.param(WorktreeBroken("gone"), FailureKind.STORE, False, id="broken"),
        pytest.param(ObjectMissing("x"), FailureKind.STORE, False, id="missing"),
        pytest.param(FULL, FailureKind.DISK, True, id="os-full"),
        pytest.param(OSError(errno.EIO, "I/O error"), FailureKind.STORE, False, id="os-other"),
        pytest.param(chained(FULL), FailureKind.DISK, True, id="store-full"),
        pytest.param(StoreError("no"), FailureKind.STORE, False, id="store"),
        pytest.param(
            GitError(["add"], 128, "error: unable to write loose object file: Success"),
            FailureKind.DISK, True, id="git-full",
        ),
        pytest.param(
            GitError(["checkout"], 128, "fatal: index file corrupt"),
            FailureKind.STORE, False, id="git",
        ),
    ],
)  # fmt: skip
def test_every_failure_has_its_kind(error: Exception, kind: FailureKind, *, final: bool) -> None:
    """A full disk, a fence and a busy worktree are told apart by the type that is recorded."""
    failure = translated(error, "working on a worktree")

    assert (failure.type, failure.non_retryable) == (kind.value, final)
