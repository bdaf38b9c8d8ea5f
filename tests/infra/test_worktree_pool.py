"""Pooled worktrees, on real stores, with real git and real processes."""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.store import ObjectMissing, Store, diffs, transport, trees
from infra.worktrees.errors import Fenced, WorktreeBroken, WorktreeBusy
from infra.worktrees.files import remove, unlock
from infra.worktrees.handle import WorktreeHandle
from infra.worktrees.pool import WorktreePool
from infra.worktrees.records import WorktreeRecord

ROOT = Path(__file__).parents[2]
CLEAN = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}
ODD_NAME = b"\xe9\xff x.bin"


def git(folder: Path, *args: str) -> str:
    """Run git as a person would, in their own repository."""
    identity = ("-c", "user.name=Person", "-c", "user.email=person@localhost")
    done = subprocess.run(
        ["git", *identity, *args], cwd=folder, env=CLEAN, check=True, capture_output=True
    )
    return os.fsdecode(done.stdout).removesuffix("\n")


@dataclass(frozen=True)
class PoolEnv:
    """A store made of a small repository with everything that is hard to restore."""

    store: Store
    base: str
    folder: Path

    def pool(self, *, wait_seconds: float = 10, uid_base: int | None = None) -> WorktreePool:
        """Return a pool as a worker process would make it."""
        return WorktreePool(
            self.store,
            self.folder / "pool",
            host_id="here",
            uid_base=uid_base,
            wait_seconds=wait_seconds,
        )

    def path(self, lease: WorktreeRecord) -> Path:
        """Return the working directory of a leased worktree."""
        return self.folder / "pool" / lease.name


def write_base(repository: Path) -> None:
    """Fill a repository with the files that a checkpoint has to keep byte for byte."""
    (repository / ".gitattributes").write_text("*.txt text eol=lf\n*.dat filter=evil\n")
    (repository / ".gitignore").write_text("*.log\nbuild/\n")
    (repository / "crlf.txt").write_bytes(b"one\r\ntwo\r\n")
    (repository / "plain.py").write_text("print('hello')\n")
    (repository / "run.sh").write_text("#!/bin/sh\n")
    (repository / "run.sh").chmod(0o755)
    (repository / "link").symlink_to("plain.py")
    (repository / "src" / "deep").mkdir(parents=True)
    (repository / "src" / "deep" / "a file.txt").write_bytes(b"x\r\n")
    (repository / "src" / "größe ✓.md").write_text("ünï\n")
    Path(os.fsdecode(os.fsencode(repository) + b"/" + ODD_NAME)).write_bytes(b"\0\xff\n")


@pytest.fixture(scope="module")
async def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that no test changes."""
    folder = tmp_path_factory.mktemp("template")
    person = folder / "person"
    person.mkdir()
    git(person, "init", "-q", "-b", "main")
    write_base(person)
    git(person, "-c", "core.autocrlf=false", "add", "-A")
    git(person, "commit", "-q", "-m", "base")
    async with await Store.clone(person, folder / "store.git") as store:
        await transport.fetch(store, person, "main", "refs/oc/target/main")
    return folder / "store.git"


@pytest.fixture
async def world(template: Path, tmp_path: Path) -> AsyncIterator[PoolEnv]:
    """One store and its base commit."""
    shutil.copytree(template, tmp_path / "store.git")
    async with await Store.open(tmp_path / "store.git") as store:
        base = await store.resolve("refs/oc/target/main")
        assert base is not None
        yield PoolEnv(store, base, tmp_path)


@pytest.fixture
async def pool(world: PoolEnv) -> WorktreePool:
    """An open pool on that store."""
    made = world.pool()
    made.open()
    return made


def contents(folder: Path) -> dict[bytes, tuple[str, bytes]]:
    """Return every file but the top `.git`: path to kind with exec bit, and bytes or
    link target.
    """
    found: dict[bytes, tuple[str, bytes]] = {}
    root = os.fsencode(folder)
    for place, folders, files in os.walk(root):
        for name in (*files, *folders):
            path = place + b"/" + name
            relative = path[len(root) + 1 :]
            mode = os.lstat(path).st_mode
            if relative == b".git" or stat.S_ISDIR(mode):
                continue
            if stat.S_ISLNK(mode):
                found[relative] = ("link", os.readlink(path))  # noqa: PTH115
            elif stat.S_ISREG(mode):
                kind = "exec" if mode & 0o100 else "file"
                found[relative] = (kind, Path(os.fsdecode(path)).read_bytes())
            else:
                found[relative] = ("special", b"")
    return found


async def checkpoint(worktree: WorktreeHandle, parent: str, message: str = "work") -> str:
    """Scan and settle, as a tool call does; the scan must record everything."""
    scan = await worktree.scan(parent, message)
    assert scan.skipped == ()
    worktree.settle(scan.commit)
    return scan.commit


# ---- leases


async def test_sixteen_holders_lease_at_once_without_a_failure(
    world: PoolEnv, pool: WorktreePool
) -> None:
    """Sixteen concurrent first leases give sixteen worktrees, each complete."""
    leases = await asyncio.gather(*(pool.lease(f"task/{n}", world.base) for n in range(16)))

    assert len({world.path(lease) for lease in leases}) == 16
    first = contents(world.path(leases[0]))
    assert first[ODD_NAME] == ("file", b"\0\xff\n")
    assert all(contents(world.path(lease)) == first for lease in leases)


async def test_the_same_holder_gets_the_same_lease(world: PoolEnv, pool: WorktreePool) -> None:
    """Repeated and concurrent leases of one holder are one lease, with its first commit."""
    both = await asyncio.gather(pool.lease("task/a", world.base), pool.lease("task/a", world.base))
    other = await world.store.put_commit(
        (await world.store.get_commit(world.base)).tree, (world.base,), "other", when=1
    )

    again = await pool.lease("task/a", other)

    assert {both[0], both[1], again} == {both[0]}
    assert again.commit == world.base
    assert [record.holder for record in pool.leases()] == ["task/a"]


async def test_a_new_pool_object_knows_the_leases_on_disk(
    world: PoolEnv, pool: WorktreePool
) -> None:
    """A restarted worker finds the same names, holders and epochs."""
    lease = await pool.lease("task/a", world.base)
    restarted = world.pool()

    restarted.open()
    assert await restarted.lease("task/a", world.base) == lease
    assert [(r.name, r.epoch) for r in restarted.leases()] == [(lease.name, lease.epoch)]


async def test_a_released_worktree_is_reset_and_leased_again(
    world: PoolEnv, pool: WorktreePool
) -> None:
    """The next lease gets the same directory with a higher epoch and nothing of the
    last one in it.
    """
    lease = await pool.lease("task/a", world.base)
    pristine = contents(world.path(lease))
    leave_a_mess(world.path(lease))
    assert await pool.release(lease.name, lease.epoch)

    again = await pool.lease("task/b", world.base)

    assert (again.name, again.epoch) == (lease.name, lease.epoch + 1)
    assert contents(world.path(again)) == pristine
    assert not (world.path(again) / "src" / ".git").exists()


def leave_a_mess(folder: Path) -> None:
    """Do what an agent may do to its worktree."""
    (folder / "plain.py").unlink()
    (folder / "run.sh").chmod(0o644)
    (folder / "crlf.txt").write_bytes(b"one\ntwo\n")
    (folder / "link").unlink()
    (folder / "link").mkdir()
    git(folder / "link", "init", "-q")
    (folder / "link" / "inner").write_text("x")
    (folder / "new").mkdir()
    (folder / "new" / "note.txt").write_text("new\r\n")
    (folder / "build").mkdir()
    (folder / "build" / "out.log").write_text("ignored")
    git(folder / "src", "init", "-q")
    (folder / "pipes").mkdir()
    for name in ("pipe", "pipes/pipe", "src/deep/pipe"):
        os.mkfifo(folder / name)
    (folder / "src" / "deep").chmod(0o500)


async def test_an_unknown_commit_is_refused_before_anything_is_leased(
    pool: WorktreePool,
) -> None:
    """A lease of a commit that is not in the store takes no worktree."""
    with pytest.raises(ObjectMissing):
        await pool.lease("task/a", "1" * 40)

    assert pool.leases() == []


async def test_an_unreadable_record_takes_its_worktree_out_of_use(
    world: PoolEnv, pool: WorktreePool
) -> None:
    """A worktree whose epoch is unknown is never leased again."""
    lease = await pool.lease("task/a", world.base)
    (world.folder / "pool" / ".pool" / f"{lease.name}.json").write_text("{")

    other = await pool.lease("task/a", world.base)

    assert other.name != lease.name


# ---- fence


async def test_an_old_epoch_is_refused(world: PoolEnv, pool: WorktreePool) -> None:
    """After a release, and after the next lease, the old lease can neither open nor release."""
    old = await pool.lease("task/a", world.base)
    await pool.release(old.name, old.epoch)
    with pytest.raises(Fenced):
        await open_once(pool, old.name, old.epoch, world.base)
    new = await pool.lease("task/b", world.base)

    with pytest.raises(Fenced):
        await open_once(pool, old.name, old.epoch, world.base)
    assert not await pool.release(old.name, old.epoch)
    assert await open_once(pool, new.name, new.epoch, world.base) == world.path(new)


async def open_once(pool: WorktreePool, name: str, epoch: int, expected: str) -> Path:
    """Open, do nothing, and close."""
    async with pool.open_worktree(name, epoch, expected) as worktree:
        return worktree.path


@pytest.mark.parametrize("name", ["w99", "", "../w1", "w", "store.git"])
async def test_a_name_the_pool_never_gave_is_refused(
    world: PoolEnv, pool: WorktreePool, name: str
) -> None:
    """An unknown or impossible name is a lease that is over."""
    await pool.lease("task/a", world.base)

    with pytest.raises(Fenced):
        await open_once(pool, name, 1, world.base)
    assert not await pool.release(name, 1)


async def test_one_opening_waits_for_the_other(world: PoolEnv) -> None:
    """Two openings never overlap; the second gives up after its time."""
    pool = world.pool(wait_seconds=0.2)
    pool.open()
    lease = await pool.lease("task/a", world.base)

    async with pool.open_worktree(lease.name, lease.epoch, world.base):
        with pytest.raises(WorktreeBusy):
            await open_once(pool, lease.name, lease.epoch, world.base)
        with pytest.raises(WorktreeBusy):
            await pool.release(lease.name, lease.epoch)

    await open_once(pool, lease.name, lease.epoch, world.base)


OTHER_PROCESS = """
import asyncio, sys
from pathlib import Path
from infra.store import Store
from infra.worktrees.pool import WorktreePool

async def main(store, root, name, epoch, expected):
    async with await Store.open(Path(store)) as opened:
        pool = WorktreePool(opened, Path(root), host_id="here", uid_base=None)
        pool.open()
        async with pool.open_worktree(name, int(epoch), expected) as worktree:
            worktree.begin("call-1")
            (worktree.path / "plain.py").write_text("half ")
            print("open", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            (worktree.path / "plain.py").write_text("done")
            scan = await worktree.scan(expected, "other process")
            worktree.settle(scan.commit)
            print(scan.commit, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def other_process(world: PoolEnv, *args: str) -> asyncio.subprocess.Process:
    """Start a second worker that opens the worktree, and wait until it has."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OTHER_PROCESS, str(world.store.path), str(world.folder / "pool"),
        *args, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"open\n"
    return process


async def test_a_second_process_has_to_wait_too(world: PoolEnv, pool: WorktreePool) -> None:
    """The lock holds between processes, and what the other one settled is what is found."""
    lease = await pool.lease("task/a", world.base)
    process = await other_process(world, lease.name, str(lease.epoch), world.base)
    impatient = world.pool(wait_seconds=0.2)
    with pytest.raises(WorktreeBusy):
        await open_once(impatient, lease.name, lease.epoch, world.base)

    out, _ = await process.communicate(b"\n")

    commit = out.decode().strip()
    async with pool.open_worktree(lease.name, lease.epoch, commit) as worktree:
        assert (worktree.path / "plain.py").read_text() == "done"
        assert (await worktree.scan(commit, "again")).commit == commit


async def test_a_stopped_process_does_not_keep_its_worktree(
    world: PoolEnv, pool: WorktreePool
) -> None:
    """SIGSTOP in the middle of a call: the next one that needs the worktree kills it."""
    lease = await pool.lease("task/a", world.base)
    process = await other_process(world, lease.name, str(lease.epoch), world.base)
    process.send_signal(signal.SIGSTOP)

    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        assert (await worktree.scan(world.base, "nothing")).commit == world.base
    assert await process.wait() == -signal.SIGKILL


async def test_a_killed_process_frees_the_worktree_and_its_half_work_is_undone(
    world: PoolEnv, pool: WorktreePool
) -> None:
    """SIGKILL in the middle of a call: the next opening finds the checkpoint, not half a file."""
    lease = await pool.lease("task/a", world.base)
    process = await other_process(world, lease.name, str(lease.epoch), world.base)
    process.send_signal(signal.SIGKILL)
    await process.communicate()

    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        assert (worktree.path / "plain.py").read_text() == "print('hello')\n"


# ---- restore


async def test_everything_is_restored_byte_for_byte(world: PoolEnv, pool: WorktreePool) -> None:
    """A checkpoint of odd files comes back as it was after a crash in the next call."""
    lease = await pool.lease("task/a", world.base)
    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        worktree.begin("call-1")
        (worktree.path / "crlf.txt").write_bytes(b"mixed\r\nends\n\r\n")
        (worktree.path / "plain.py").chmod(0o755)
        (worktree.path / "link").unlink()
        (worktree.path / "link").symlink_to("src/größe ✓.md")
        (worktree.path / "new dir").mkdir()
        (worktree.path / "new dir" / "x.dat").write_bytes(bytes(range(256)))
        (worktree.path / os.fsdecode(b"new dir/\xfe\xed")).write_text("odd")
        (worktree.path / "run.sh").unlink()
        saved = contents(worktree.path)
        commit = await checkpoint(worktree, world.base)

    async with pool.open_worktree(lease.name, lease.epoch, commit) as worktree:
        worktree.begin("call-2")
        leave_a_mess_again(worktree.path)

    async with pool.open_worktree(lease.name, lease.epoch, commit) as worktree:
        assert contents(worktree.path) == saved


def leave_a_mess_again(folder: Path) -> None:
    """Change everything that the checkpoint changed."""
    for file in ("crlf.txt", "link", "plain.py"):
        (folder / file).unlink()
    (folder / "new dir" / "x.dat").write_bytes(b"")
    (folder / "run.sh").mkdir()
    (folder / "left.log").write_text("ignored, and left over")


async def test_a_change_that_keeps_size_and_time_is_seen(
    world: PoolEnv, pool: WorktreePool
) -> None:
    """A scan notices other bytes of the same length even when the old time was put back."""
    lease = await pool.lease("task/a", world.base)
    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        file = worktree.path / "plain.py"
        before = file.stat()
        file.write_text("print('HELLO')\n")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

        scan = await worktree.scan(world.base, "work")

    assert await world.store.get_blob(f"{scan.commit}:plain.py") == b"print('HELLO')\n"


async def test_another_expected_commit_is_restored(world: PoolEnv, pool: WorktreePool) -> None:
    """A worktree that is at a later checkpoint is brought back to the one that is expected."""
    lease = await pool.lease("task/a", world.base)
    pristine = contents(world.path(lease))
    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        worktree.begin("call-1")
        (worktree.path / "plain.py").write_text("later")
        later = await checkpoint(worktree, world.base)

    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        assert contents(worktree.path) == pristine
    async with pool.open_worktree(lease.name, lease.epoch, later) as worktree:
        assert (worktree.path / "plain.py").read_text() == "later"


async def test_lock_files_of_a_killed_git_are_removed(world: PoolEnv, pool: WorktreePool) -> None:
    """SIGKILL of a git that holds the index leaves locks; restore, scan and lease go on."""
    lease = await pool.lease("task/a", world.base)
    admin = world.store.path / "worktrees" / lease.name
    left = await kill_git_while_it_locks(world.path(lease), admin)
    assert left.exists()
    for name in ("HEAD.lock", "ORIG_HEAD.lock"):
        (admin / name).touch()
    mark_in_flight(world, lease.name)
    private = world.folder / "pool" / ".pool"
    (private / f"{lease.name}.index.lock").touch()
    (private / f"{lease.name}.git" / "refs" / "heads" / "work.lock").touch()

    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        worktree.begin("call-1")
        (worktree.path / "plain.py").write_text("new")
        commit = await checkpoint(worktree, world.base)

    assert await world.store.get_blob(f"{commit}:plain.py") == b"new"
    assert list(private.rglob("*.lock")) == [private / f"{lease.name}.lock"]


async def kill_git_while_it_locks(path: Path, admin: Path) -> Path:
    """Kill a `git update-index` that has taken `index.lock` and waits for its input."""
    process = await asyncio.create_subprocess_exec(
        "git", "update-index", "--stdin", stdin=subprocess.PIPE, cwd=path,
        env={**CLEAN, "GIT_DIR": str(admin), "GIT_WORK_TREE": str(path)},
    )  # fmt: skip
    lock = admin / "index.lock"
    async with asyncio.timeout(60):
        while not lock.exists():
            await asyncio.sleep(0.005)
    process.kill()
    await process.communicate()
    return lock


def mark_in_flight(world: PoolEnv, name: str, **more: object) -> None:
    """Change a record as a crash would have left it."""
    file = world.folder / "pool" / ".pool" / f"{name}.json"
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {"in_flight": "call-0"} | more))


async def test_a_git_that_outlives_its_worker_keeps_the_worktree(world: PoolEnv) -> None:
    """A child of a killed worker may still write, so the worktree is not opened before it ended."""
    pool = world.pool(wait_seconds=0.2)
    pool.open()
    lease = await pool.lease("task/a", world.base)
    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        survivor = await worktree._reset._git.spawn("update-index", "--stdin")

    with pytest.raises(WorktreeBusy):
        await open_once(pool, lease.name, lease.epoch, world.base)
    await survivor.communicate(b"")
    await open_once(pool, lease.name, lease.epoch, world.base)


def delete_folder(world: PoolEnv, name: str) -> None:
    """Lose the working directory."""
    subprocess.run(["rm", "-rf", str(world.folder / "pool" / name)], check=True)


def delete_admin(world: PoolEnv, name: str) -> None:
    """Lose the administrative folder."""
    subprocess.run(["rm", "-rf", str(world.store.path / "worktrees" / name)], check=True)


def empty_commondir(world: PoolEnv, name: str) -> None:
    """Leave what a killed `worktree add` leaves."""
    (world.store.path / "worktrees" / name / "commondir").write_text("")
    (world.store.path / "worktrees" / name / "locked").write_text("initializing")


def spoil_index(world: PoolEnv, name: str) -> None:
    """Leave what a loss of power leaves."""
    (world.store.path / "worktrees" / name / "index").write_bytes(b"")
    (world.folder / "pool" / ".pool" / f"{name}.index").write_bytes(b"")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(delete_folder, id="folder"),
        pytest.param(delete_admin, id="admin"),
        pytest.param(empty_commondir, id="commondir"),
        pytest.param(spoil_index, id="index"),
    ],
)
async def test_a_broken_worktree_is_created_again(
    world: PoolEnv, pool: WorktreePool, damage: Callable[[PoolEnv, str], None]
) -> None:
    """After any loss the next opening has a complete worktree of the same name."""
    lease = await pool.lease("task/a", world.base)
    pristine = contents(world.path(lease))
    mark_in_flight(world, lease.name)
    damage(world, lease.name)

    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        assert contents(worktree.path) == pristine
        assert (await worktree.scan(world.base, "nothing")).commit == world.base
    assert list((world.store.path / "worktrees").iterdir()) == [
        world.store.path / "worktrees" / lease.name
    ]
    assert not list((world.folder / "pool" / ".pool").glob("*trash*"))


def believe(index: Path, file: Path) -> None:
    """Make an index take a file's present bytes for the ones that it recorded.

    The entry's times are set to the file's.
    """
    data = bytearray(index.read_bytes()[:-20])
    entry = data.index(b"\0\x08" + file.name.encode() + b"\0") - 60
    found = file.stat()
    times = (found.st_ctime_ns, found.st_mtime_ns)
    struct.pack_into(">4I", data, entry, *(part for ns in times for part in divmod(ns, 10**9)))
    index.write_bytes(data + hashlib.sha1(data).digest())


async def test_after_a_reboot_no_file_is_trusted(world: PoolEnv, pool: WorktreePool) -> None:
    """Bytes lost with the power are found although the size and the times are right."""
    lease = await pool.lease("task/a", world.base)
    file = world.path(lease) / "plain.py"
    file.write_text("\0" * file.stat().st_size)
    os.utime(file, (1, 1))  # git would not trust a time as late as the index's own
    believe(world.store.path / "worktrees" / lease.name / "index", file)
    believe(world.folder / "pool" / ".pool" / f"{lease.name}.index", file)
    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        assert (await worktree.scan(world.base, "fooled")).commit == world.base

    mark_in_flight(world, lease.name, in_flight=None, boot="another boot")

    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        assert (worktree.path / "plain.py").read_text() == "print('hello')\n"


def test_closed_folders_and_files_are_opened_again(tmp_path: Path) -> None:
    """What a command closed to its own user can be read and removed, links untouched."""
    inner = tmp_path / "top" / "closed" / "inner"
    inner.mkdir(parents=True)
    (inner / "secret.sh").write_text("x")
    (inner / "secret.sh").chmod(0o100)
    outside = tmp_path / "outside"
    outside.write_text("x")
    outside.chmod(0)
    (inner / "link").symlink_to(outside)
    for folder in (inner, inner.parent):
        folder.chmod(0)

    unlock(tmp_path / "top")

    assert stat.S_IMODE(inner.stat().st_mode) == stat.S_IMODE(inner.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((inner / "secret.sh").stat().st_mode) == 0o700
    assert stat.S_IMODE(outside.stat().st_mode) == 0
    remove(tmp_path / "top")
    assert not (tmp_path / "top").exists()


# ---- scan


async def test_a_scan_without_changes_is_the_parent(world: PoolEnv, pool: WorktreePool) -> None:
    """Nothing changed: no new commit; the same change twice: the same commit."""
    lease = await pool.lease("task/a", world.base)
    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        nothing = await worktree.scan(world.base, "work")
        (worktree.path / "a.txt").write_text("a")
        first = await worktree.scan(world.base, "work")
        second = await worktree.scan(world.base, "work")

    assert (nothing.commit, nothing.skipped) == (world.base, ())
    assert first == second
    base = await world.store.get_commit(world.base)
    recorded = await world.store.get_commit(first.commit)
    assert (recorded.parents, recorded.message.strip()) == ((world.base,), "work")
    assert recorded.author_seconds == base.author_seconds + 1


async def test_a_scan_is_right_after_checkpoints_made_without_one(
    world: PoolEnv, pool: WorktreePool
) -> None:
    """Edits recorded tree by tree, of ignored files too, survive the next command's scan."""
    lease = await pool.lease("task/a", world.base)
    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        worktree.begin("edit")
        (worktree.path / "kept.log").write_text("ignored, but made by an edit")
        (worktree.path / "plain.py").unlink()
        oid = await world.store.put_blob(b"ignored, but made by an edit")
        tree = await trees.with_paths(
            world.store, world.base, {"kept.log": ("100644", oid), "plain.py": None}
        )
        edited = await world.store.put_commit(tree, (world.base,), "edit", when=1)
        worktree.settle(edited)

    async with pool.open_worktree(lease.name, lease.epoch, edited) as worktree:
        (worktree.path / "other.log").write_text("ignored, made by a command")
        assert (await worktree.scan(edited, "command")).commit == edited
        (worktree.path / "kept.log").unlink()
        (worktree.path / "b.txt").write_text("b")
        scan = await worktree.scan(edited, "command")

    changes = await diffs.changes(world.store, edited, scan.commit)
    assert [(change.path, change.status) for change in changes] == [
        ("b.txt", "A"),
        ("kept.log", "D"),
    ]


def plant_repository(folder: Path, marker: Path) -> None:
    """Make a repository whose configuration runs a program as soon as git looks into it."""
    git(folder, "init", "-q")
    (folder / ".gitattributes").write_text("* filter=evil\n")
    (folder / "a.txt").write_text("a")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "inner")
    (folder / "a.txt").write_text("changed")
    git(folder, "config", "filter.evil.clean", f"touch {marker}; cat")
    git(folder, "config", "core.fsmonitor", f"touch {marker}")


async def test_a_nested_repository_is_left_out_and_its_programs_never_run(
    world: PoolEnv, pool: WorktreePool
) -> None:
    """It is reported, its files are in no checkpoint, and restore and lease run nothing of it."""
    marker = world.folder / "ran"
    lease = await pool.lease("task/a", world.base)
    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        worktree.begin("call-1")
        for name in ("sub", "glob[*]", "plain.py", "src/deep/sub"):
            if name == "plain.py":
                (worktree.path / name).unlink()
            (worktree.path / name).mkdir()
            plant_repository(worktree.path / name, marker)
        (worktree.path / "own.txt").write_text("own")

        scan = await worktree.scan(world.base, "work")
        again = await worktree.scan(scan.commit, "work")
        worktree.settle(scan.commit)

    assert scan.skipped == ("glob[*]/", "plain.py/", "src/deep/sub/", "sub/")
    assert again.commit == scan.commit
    changes = await diffs.changes(world.store, world.base, scan.commit)
    assert [(c.path, c.status) for c in changes] == [("own.txt", "A"), ("plain.py", "D")]
    mark_in_flight(world, lease.name)
    async with pool.open_worktree(lease.name, lease.epoch, scan.commit) as worktree:
        assert not (worktree.path / "sub").exists()
    await pool.release(lease.name, lease.epoch)
    await pool.lease("task/b", world.base)
    assert not marker.exists()


async def test_a_submodule_stays_a_link_and_its_programs_never_run(
    world: PoolEnv, pool: WorktreePool
) -> None:
    """A link of the base stays in every checkpoint; what is put in its folder is reported."""
    marker = world.folder / "ran"
    tree = await trees.with_paths(world.store, world.base, {"lib/mod": ("160000", "2" * 40)})
    linked = await world.store.put_commit(tree, (world.base,), "link", when=1)
    lease = await pool.lease("task/a", linked)
    async with pool.open_worktree(lease.name, lease.epoch, linked) as worktree:
        worktree.begin("call-1")
        assert (await worktree.scan(linked, "work")).skipped == ()
        plant_repository(worktree.path / "lib" / "mod", marker)

        scan = await worktree.scan(linked, "work")

        worktree.settle(scan.commit)
    assert (scan.commit, scan.skipped) == (linked, ("lib/mod/",))
    await pool.release(lease.name, lease.epoch)
    again = await pool.lease("task/b", linked)
    assert list((world.path(again) / "lib" / "mod").iterdir()) == []
    assert not marker.exists()


async def test_a_replaced_git_file_is_not_followed(world: PoolEnv, pool: WorktreePool) -> None:
    """A repository planted in the place of `.git` runs nothing and vanishes with the
    next restore.
    """
    marker = world.folder / "ran"
    lease = await pool.lease("task/a", world.base)
    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        worktree.begin("call-1")
        (worktree.path / ".git").unlink()
        git(worktree.path, "init", "-q")
        git(worktree.path, "config", "filter.evil.clean", f"touch {marker}; cat")
        git(worktree.path, "config", "core.fsmonitor", f"touch {marker}")
        (worktree.path / "x.dat").write_text("x")

        scan = await worktree.scan(world.base, "work")

    changes = await diffs.changes(world.store, world.base, scan.commit)
    assert [change.path for change in changes] == ["x.dat"]
    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        assert (worktree.path / ".git").read_text().startswith("gitdir: ")
    assert not marker.exists()


async def test_files_that_git_never_stores_are_reported(world: PoolEnv, pool: WorktreePool) -> None:
    """A pipe, a look-alike of `.git` and a linked `.gitmodules` do not stop a checkpoint."""
    lease = await pool.lease("task/a", world.base)
    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        (worktree.path / ".GIT").mkdir()
        (worktree.path / ".GIT" / "config").write_text("x")
        (worktree.path / ".gitmodules").symlink_to("plain.py")
        (worktree.path / "plain.py").unlink()
        os.mkfifo(worktree.path / "plain.py")
        os.mkfifo(worktree.path / "pipe")
        (worktree.path / "own.txt").write_text("own")

        scan = await worktree.scan(world.base, "work")

    assert scan.skipped == (".GIT/config", ".gitmodules", "plain.py")
    changes = await diffs.changes(world.store, world.base, scan.commit)
    assert [change.path for change in changes] == ["own.txt"]


async def test_an_empty_folder_in_the_place_of_the_worktree_is_no_checkpoint(
    world: PoolEnv, pool: WorktreePool
) -> None:
    """A worktree that looks empty because it is not there is refused, and released
    without rescue.
    """
    lease = await pool.lease("task/a", world.base)
    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        worktree.path.rename(worktree.path.with_name("elsewhere"))
        worktree.path.mkdir()

        with pytest.raises(WorktreeBroken):
            await worktree.scan(world.base, "work")

    assert await pool.release(lease.name, lease.epoch)
    assert await world.store.refs("refs/oc/rescue") == {}


async def test_deleting_every_file_is_an_honest_checkpoint(
    world: PoolEnv, pool: WorktreePool
) -> None:
    """A worktree emptied by its agent gives the empty tree, and comes back empty."""
    lease = await pool.lease("task/a", world.base)
    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        worktree.begin("call-1")
        for entry in worktree.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != ".git":
                entry.unlink()
        commit = await checkpoint(worktree, world.base)
    mark_in_flight(world, lease.name)

    async with pool.open_worktree(lease.name, lease.epoch, commit) as worktree:
        assert contents(worktree.path) == {}
        assert (await worktree.scan(commit, "nothing")).commit == commit


def stale_entries(world: PoolEnv, name: str) -> str:
    """Return the files that a scan would have to read: their times are not those of the index."""
    pool = world.folder / "pool"
    environment = {
        **CLEAN,
        "GIT_DIR": str(world.store.path / "worktrees" / name),
        "GIT_INDEX_FILE": str(pool / ".pool" / f"{name}.index"),
    }
    done = subprocess.run(
        ["git", "diff-files", "--name-only"], cwd=pool / name, env=environment, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize("uid_base", [None, 60_000])
async def test_a_scan_reads_no_unchanged_file(world: PoolEnv, uid_base: int | None) -> None:
    """From the lease on, the index knows every unchanged file of any owner."""
    if uid_base is not None and os.geteuid() != 0:
        uid_base = None
    pool = world.pool(uid_base=uid_base)
    pool.open()
    lease = await pool.lease("task/a", world.base)
    assert stale_entries(world, lease.name) == ""
    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        worktree.begin("call-1")
        (worktree.path / "plain.py").write_text("changed")
        (worktree.path / "many").mkdir()
        for number in range(50):
            (worktree.path / "many" / f"{number}.txt").write_text(str(number))
        scan = await worktree.scan(world.base, "many")
        assert stale_entries(world, lease.name) == ""
        os.utime(worktree.path / "run.sh", (1, 1))  # git compares whole seconds
        assert stale_entries(world, lease.name) == "run.sh\n"
        assert (await worktree.scan(scan.commit, "touched")).commit == scan.commit
    assert stale_entries(world, lease.name) == ""
    async with pool.open_worktree(lease.name, lease.epoch, scan.commit):
        assert stale_entries(world, lease.name) == ""


# ---- release and checks


async def test_a_release_rescues_what_is_not_checkpointed(
    world: PoolEnv, pool: WorktreePool
) -> None:
    """Untracked and changed files are pinned by name and epoch before the worktree is free."""
    lease = await pool.lease("task/a", world.base)
    (world.path(lease) / "untracked.txt").write_text("precious")
    (world.path(lease) / "plain.py").write_text("changed")

    assert await pool.release(lease.name, lease.epoch)

    ref = f"refs/oc/rescue/{lease.name}/{lease.epoch}"
    assert await world.store.get_blob(f"{ref}:untracked.txt") == b"precious"
    assert await world.store.get_blob(f"{ref}:plain.py") == b"changed"
    assert pool.leases() == []
    assert not await pool.release(lease.name, lease.epoch)


async def test_work_is_rescued_although_the_administrative_folder_is_lost(
    world: PoolEnv, pool: WorktreePool
) -> None:
    """The files alone are enough for a rescue; a deleted worktree has nothing to rescue."""
    lease = await pool.lease("task/a", world.base)
    other = await pool.lease("task/b", world.base)
    (world.path(lease) / "untracked.txt").write_text("precious")
    delete_admin(world, lease.name)
    delete_folder(world, other.name)

    assert await pool.release(lease.name, lease.epoch)
    assert await pool.release(other.name, other.epoch)

    refs = await world.store.refs("refs/oc/rescue")
    assert list(refs) == [f"refs/oc/rescue/{lease.name}/{lease.epoch}"]
    assert await world.store.get_blob(f"{refs.popitem()[1]}:untracked.txt") == b"precious"
    assert (await pool.lease("task/c", world.base)).name == lease.name


async def test_a_release_of_settled_work_pins_nothing(world: PoolEnv, pool: WorktreePool) -> None:
    """What the last checkpoint holds needs no rescue."""
    lease = await pool.lease("task/a", world.base)
    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        worktree.begin("call-1")
        (worktree.path / "new.txt").write_text("new")
        await checkpoint(worktree, world.base)

    assert await pool.release(lease.name, lease.epoch)
    assert await world.store.refs("refs/oc/rescue") == {}


async def test_a_rescue_cut_short_keeps_both_states(world: PoolEnv, pool: WorktreePool) -> None:
    """A rescue reference that exists with another commit is never moved."""
    lease = await pool.lease("task/a", world.base)
    ref = f"refs/oc/rescue/{lease.name}/{lease.epoch}"
    await world.store.advance(ref, world.base, None)
    (world.path(lease) / "late.txt").write_text("late")

    assert await pool.release(lease.name, lease.epoch)

    assert await world.store.resolve(ref) == world.base
    assert await world.store.get_blob(f"{ref}.2:late.txt") == b"late"


async def test_a_checkout_for_checks_is_clean_and_free_again(
    world: PoolEnv, pool: WorktreePool
) -> None:
    """Checks get a tree without leftovers of earlier ones, and give it back when they fail."""
    with contextlib.suppress(RuntimeError):
        async with pool.checkout(world.base) as worktree:
            pristine = contents(worktree.path)
            first = worktree.path
            (worktree.path / "build").mkdir()
            (worktree.path / "build" / "cache.log").write_text("ignored")
            assert pool.leases() == []
            raise RuntimeError

    async with pool.checkout(world.base) as worktree, pool.checkout(world.base) as other:
        assert worktree.path == first
        assert other.path != first
        assert contents(worktree.path) == contents(other.path) == pristine
    assert await world.store.refs("refs/oc/rescue") == {}


async def test_a_checkout_of_a_dead_process_is_free(world: PoolEnv, pool: WorktreePool) -> None:
    """Only the lock says that checks still run; a record alone keeps no lease out."""
    async with pool.checkout(world.base) as worktree:
        name = worktree.name
    mark_in_flight(world, name, holder="checks/of-a-dead-process", epoch=7)

    lease = await pool.lease("task/a", world.base)

    assert (lease.name, lease.epoch) == (name, 8)


# ---- the private git directory


async def test_git_in_the_sandbox_is_clean_and_reaches_nothing_of_the_store(
    world: PoolEnv, pool: WorktreePool
) -> None:
    """The private git directory shows a clean branch, takes commits, and the store is unchanged."""
    lease = await pool.lease("task/a", world.base)
    async with pool.open_worktree(lease.name, lease.epoch, world.base) as worktree:
        inside = {
            **CLEAN,
            "GIT_DIR": str(worktree.private_git),
            "GIT_WORK_TREE": str(worktree.path),
        }

        def private(*args: str) -> str:
            done = subprocess.run(
                ["git", *args], cwd=worktree.path, env=inside, check=True, capture_output=True
            )
            return done.stdout.decode().strip()

        refs = await world.store.refs("refs")
        assert private("status", "--porcelain", "--branch") == "## work"
        assert private("log", "--format=%s") == "base"
        (worktree.path / "new.txt").write_text("new")
        private("add", "-A")
        private("commit", "-q", "-m", "agent")
        assert private("log", "-1", "--format=%an") == "OrchestCode"
        assert worktree.gitfile.read_text() == f"gitdir: {worktree.private_git}\n"
        assert await world.store.refs("refs") == refs
        assert await world.store.resolve(private("rev-parse", "HEAD")) is None


@pytest.mark.needs_root
async def test_under_root_every_worktree_has_a_user_of_its_own(world: PoolEnv) -> None:
    """Files, private directory and gitfile belong to base + number, after lease and restore."""
    pool = world.pool(uid_base=60_000)
    pool.open()
    first = await pool.lease("task/a", world.base)
    second = await pool.lease("task/b", world.base)
    async with pool.open_worktree(first.name, first.epoch, world.base) as worktree:
        worktree.begin("call-1")
        (worktree.path / "plain.py").write_text("root's")
        (worktree.path / "new").mkdir()

    async with pool.open_worktree(first.name, first.epoch, world.base) as worktree:
        assert worktree.uid == 60_001
        assert owners(worktree.path) == owners(worktree.private_git) == {60_001}
        assert worktree.gitfile.stat().st_uid == 60_001
        assert (await worktree.scan(world.base, "nothing")).commit == world.base
    assert owners(world.path(second)) == {60_002}
    assert await pool.release(first.name, first.epoch)
    again = await pool.lease("task/c", world.base)
    assert (again.name, owners(world.path(again))) == (first.name, {60_001})


def owners(folder: Path) -> set[int]:
    """Return the users that own anything in a folder."""
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}
