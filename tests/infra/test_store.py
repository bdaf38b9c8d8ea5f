"""The store: durable objects, compare-and-swap references, merges that are never guessed, and a
user's repository in which only one branch changes.
"""

import asyncio
import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.store import (
    ANY,
    BranchTaken,
    ObjectMissing,
    RefConflict,
    RefUpdate,
    Store,
    StoreError,
    TreeEntry,
    diffs,
    merges,
    refs,
    transport,
    trees,
)
from infra.store.diffs import PathChange
from infra.store.git_processes import GitProcess
from infra.store.merges import Conflicted, Merged
from infra.store.object_format import EMPTY_TREE

CLEAN = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.org",
    "GIT_AUTHOR_DATE": "@1000000000 +0000",
    "GIT_COMMITTER_DATE": "@1000000000 +0000",
}
HOOKS = (
    "pre-receive", "update", "post-receive", "post-update", "reference-transaction", "pre-push",
    "post-checkout", "push-to-checkout", "proc-receive", "post-index-change", "pre-auto-gc",
)  # fmt: skip


def git(folder: Path, *args: str, data: bytes = b"", env: dict[str, str] | None = None) -> str:
    """Run the real git as the person would; return stdout without the final newline."""
    done = subprocess.run(
        ["git", *args], cwd=folder, env=CLEAN | (env or {}), input=data, capture_output=True,
        check=False,
    )  # fmt: skip

    assert done.returncode == 0, (args, done.stderr)
    return os.fsdecode(done.stdout).removesuffix("\n")


def commit_files(folder: Path, files: dict[str, str], message: str = "change") -> str:
    """Write files into a checkout and commit them; return the commit."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def snapshot(folder: Path) -> dict[str, str]:
    """Return every file below a folder with its mode and a hash of its content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path.relative_to(folder))] = f"{path.stat().st_mode:o} {digest}"
    return found


def names_in(folder: Path) -> list[str]:
    """Return the sorted names in a folder."""
    return sorted(entry.name for entry in folder.iterdir())


def loose_path(store: Store, oid: str) -> Path:
    """Return where the loose file of an object is."""
    return store.path / "objects" / oid[:2] / oid[2:]


def path_of(handle: int) -> str:
    """Return the path of an open file."""
    return str(Path(f"/proc/self/fd/{handle}").readlink())


async def put_tree(store: Store, entries: Iterable[TreeEntry]) -> str:
    """Store one tree; return its id."""
    batch = store.batch()
    oid = batch.tree(entries)
    await batch.write()
    return oid


async def with_path(store: Store, tree: str, path: str, entry: tuple[str, str] | None) -> str:
    """Return the tree with one path changed."""
    return await trees.with_paths(store, tree, {path: entry})


def pid_of(process: GitProcess) -> int:
    """Return the process id of a running git child."""
    assert process._process is not None
    return process._process.pid


def forget(store: Store, oid: str) -> None:
    """Delete a loose object, as a broken disk would."""
    loose_path(store, oid).unlink()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory where there is one: that files are synced is tested, not how fast."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK)
    with tempfile.TemporaryDirectory(dir=memory if usable else None) as folder:
        yield Path(folder)


@pytest.fixture
def person(tmp_path: Path) -> Path:
    """A person's repository with one commit on main."""
    folder = tmp_path / "person"
    folder.mkdir()
    git(folder, "init", "--quiet", "-b", "main")
    commit_files(
        folder, {"a.txt": "one\ntwo\nthree\n", "src/deep/b.txt": "b\n", "src/c.txt": "c\n"}
    )
    return folder


@pytest.fixture
async def store(person: Path, tmp_path: Path) -> AsyncIterator[Store]:
    """The store of the person's repository."""
    async with await Store.clone(person, tmp_path / "stores" / "s.git") as opened:
        await transport.fetch(opened, person, "main", "refs/oc/run/base")
        yield opened


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Store]:
    """One store for all examples of the property tests; at the end git checks every object."""
    root = tmp_path_factory.mktemp("shared")
    git(root, "init", "--quiet", "--bare", "source.git")
    async with await Store.clone(root / "source.git", root / "s.git") as opened:
        yield opened
        git(opened.path, "fsck", "--strict", "--no-dangling")


PROPERTY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _ordinary(name: str) -> bool:
    # Names that look like git's own are a matter of the checkout's file system.
    return not {"/", "\0"} & set(name) and name not in {".", ".."} and "git" not in name.lower()


NAMES = st.binary(min_size=1, max_size=8).map(os.fsdecode).filter(_ordinary)


# ---- objects


@PROPERTY
@given(data=st.binary(max_size=3_000))
async def test_a_blob_has_the_id_and_the_bytes_git_gives_it(shared: Store, data: bytes) -> None:
    """What is put is what real git would have written, and comes back unchanged."""
    oid = await shared.put_blob(data)

    assert oid == git(shared.path, "hash-object", "--stdin", data=data)
    assert await shared.get_blob(oid) == data


@PROPERTY
@given(
    names=st.sets(NAMES, max_size=8).map(sorted),
    modes=st.lists(
        st.sampled_from(["100644", "100755", "120000", "40000", "160000"]), min_size=8, max_size=8
    ),
    turned=st.randoms(use_true_random=False),
)
async def test_a_tree_has_the_id_git_gives_it(
    shared: Store, names: list[str], modes: list[str], turned: random.Random
) -> None:
    """Entries in any order, of any kind and with any name make the tree of `git mktree`."""
    blob, empty = await shared.put_blob(b"content"), await put_tree(shared, [])
    objects = {"40000": empty, "160000": "5" * 40}
    entries = [
        TreeEntry(mode, name, objects.get(mode, blob))
        for name, mode in zip(names, modes, strict=False)
    ]
    turned.shuffle(entries)
    kinds = {"40000": "tree", "160000": "commit"}
    rows = [f"{e.mode:0>6} {kinds.get(e.mode, 'blob')} {e.oid}\t{e.name}\0" for e in entries]
    oid = await put_tree(shared, entries)

    assert oid == git(shared.path, "mktree", "-z", data=os.fsencode("".join(rows)))
    assert set(await shared.get_tree(oid)) == set(entries)


@pytest.mark.parametrize("name", ["", ".", "..", ".git", ".GIT", "a/b", "a\0b"])
async def test_a_name_no_file_can_have_is_refused(store: Store, name: str) -> None:
    """A tree never gets a name that a checkout could not write, or should not."""
    blob = await store.put_blob(b"x")
    with pytest.raises(StoreError):
        await put_tree(store, [TreeEntry("100644", name, blob)])


async def test_a_name_occurs_once_in_a_tree(store: Store) -> None:
    """The same name twice is refused, also as a file and a folder."""
    blob, tree = await store.put_blob(b"x"), await put_tree(store, [])
    with pytest.raises(StoreError, match="twice"):
        await put_tree(store, [TreeEntry("100644", "a", blob), TreeEntry("40000", "a", tree)])


async def test_a_commit_is_what_git_would_have_made(store: Store) -> None:
    """The same arguments give the same id, which is the id of `git commit-tree`."""
    base = await store.get_commit("refs/oc/run/base")
    oid = await store.put_commit(base.tree, [base.oid], "say ü\n", when=1234)
    again = await store.put_commit(base.tree, [base.oid], "say ü\n", when=1234)
    identity = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (
            ("NAME", "OrchestCode"),
            ("EMAIL", "orchestcode@localhost"),
            ("DATE", "@1234 +0000"),
        )
    }
    real = git(store.path, "commit-tree", base.tree, "-p", base.oid, "-m", "say ü", env=identity)
    read = await store.get_commit(oid)

    assert oid == again == real
    assert (read.tree, read.parents, read.message) == (base.tree, (base.oid,), "say ü\n")
    assert read.author_seconds == 1234


async def test_objects_are_found_by_id_reference_and_path(store: Store, person: Path) -> None:
    """All names git understands work; a missing one is an error that names it."""
    head = git(person, "rev-parse", "HEAD")

    assert await store.resolve("refs/oc/run/base") == head
    assert (await store.get(head)).kind == "commit"
    assert await store.get_blob(f"{head}:src/deep/b.txt") == b"b\n"
    assert [e.name for e in await store.get_tree(head)] == ["a.txt", "src"]
    assert await store.resolve("refs/oc/run/nothing") is None
    with pytest.raises(ObjectMissing, match=r"src/none\.txt"):
        await store.get_blob(f"{head}:src/none.txt")
    with pytest.raises(ObjectMissing):
        await store.get("0" * 40)
    with pytest.raises(StoreError, match="not a blob"):
        await store.get_blob(head)


@pytest.mark.parametrize("name", ["two words", "new\nline", "x\udce9", "-x", " ", "tab\t", "a:b"])
async def test_unusual_paths_are_read_by_name(store: Store, name: str) -> None:
    """Spaces, newlines, foreign bytes and leading dashes are names like any other."""
    tree = await with_path(store, EMPTY_TREE, f"d/{name}", ("100644", await store.put_blob(b"x")))

    assert await store.get_blob(f"{tree}:d/{name}") == b"x"
    assert await trees.paths(store, tree) == [f"d/{name}"]


async def test_large_objects_are_stored_like_small_ones(store: Store) -> None:
    """A blob above the thread limit comes back whole while others are read."""
    data = os.urandom(5_000_000)
    oid = await store.put_blob(data)
    large, small = await asyncio.gather(
        store.get_blob(oid), store.get_blob("refs/oc/run/base:a.txt")
    )

    assert (large, small) == (data, b"one\ntwo\nthree\n")


async def test_an_object_is_synced_before_its_id_is_returned(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is synced before it gets its name, then the folder that holds the name."""
    steps: list[str] = []
    real_sync, real_rename = os.fsync, os.rename

    def sync(handle: int) -> None:
        steps.append("sync " + path_of(handle))
        real_sync(handle)

    def rename(old: str, new: str) -> None:
        steps.append(f"rename {new}")
        real_rename(old, new)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "rename", rename)
    oid = await store.put_blob(b"precious")
    file = loose_path(store, oid)
    steps = [step for step in steps if step != f"sync {store.path}/objects"]  # made the folder

    assert [step.partition("tmp_obj_")[0] for step in steps] == [
        f"sync {file.parent}/",
        f"rename {file}",
        f"sync {file.parent}",
    ]


async def test_a_moved_reference_is_synced_with_every_new_folder(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference in folders that did not exist is durable down from the store's root."""
    synced: set[str] = set()
    real_sync = os.fsync

    def sync(handle: int) -> None:
        synced.add(path_of(handle))
        real_sync(handle)

    base = await store.resolve("refs/oc/run/base")
    monkeypatch.setattr(os, "fsync", sync)
    await store.update_refs(RefUpdate("refs/oc/new/task/t", base, None))

    wanted = ("", "/refs", "/refs/oc", "/refs/oc/new", "/refs/oc/new/task")
    assert synced == {f"{store.path}{folder}" for folder in wanted}


async def test_an_object_that_exists_is_not_written_again(store: Store) -> None:
    """A loose object is not rewritten; what a power cut emptied is."""
    loose = await store.put_blob(b"once")
    first = loose_path(store, loose).stat().st_ino
    await store.put_blob(b"once")
    emptied = await store.put_blob(b"emptied")
    loose_path(store, emptied).chmod(0o644)
    loose_path(store, emptied).write_bytes(b"")
    await store.put_blob(b"emptied")

    assert loose_path(store, loose).stat().st_ino == first
    assert git(store.path, "cat-file", "blob", emptied) == "emptied"


# ---- trees by path


STEPS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["a", "b", "a.b", "é"]), min_size=1, max_size=3).map("/".join),
        st.sampled_from([None, "100644", "100755", "120000"]),
    ),
    min_size=1,
    max_size=6,
)


def index_step(store: Store, index: Path, path: str, mode: str | None, blob: str) -> str:
    """Do with git's index what `with_path` does with trees; return the tree."""
    env = {"GIT_INDEX_FILE": str(index), "GIT_DIR": str(store.path)}
    if mode is None:
        listed = git(store.path, "ls-files", "-z", env=env).split("\0")
        for name in listed:
            if name == path or name.startswith(f"{path}/"):
                row = os.fsencode(f"0 {'0' * 40}\t{name}\0")
                git(store.path, "update-index", "-z", "--index-info", data=row, env=env)
    else:
        info = f"{mode},{blob},{path}"
        git(store.path, "update-index", "--add", "--replace", "--cacheinfo", info, env=env)
    return git(store.path, "write-tree", env=env)


@settings(PROPERTY, max_examples=20)
@given(steps=STEPS)
async def test_changing_a_path_equals_the_index(
    shared: Store, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str | None]]
) -> None:
    """Any sequence of sets and removals gives the tree of update-index and write-tree."""
    blob = await shared.put_blob(b"content")
    index = tmp_path_factory.mktemp("index") / "index"
    tree = await put_tree(shared, [])
    for path, mode in steps:
        before = tree
        tree = await with_path(shared, before, path, None if mode is None else (mode, blob))
        entry = await shared.entry_at(tree, path)

        assert tree == index_step(shared, index, path, mode, blob)
        assert (None if entry is None else entry.mode) == mode


async def test_many_paths_change_at_once(store: Store) -> None:
    """Several paths in one call give the tree of the same calls one by one."""
    blob = ("100644", await store.put_blob(b"x"))
    at_once = await trees.with_paths(
        store, "refs/oc/run/base", {"src/deep/b.txt": None, "src/new": blob, "top": blob}
    )
    one = await with_path(store, "refs/oc/run/base", "src/deep/b.txt", None)
    one = await with_path(store, await with_path(store, one, "src/new", blob), "top", blob)

    assert at_once == one
    assert await trees.paths(store, one) == ["a.txt", "src/c.txt", "src/new", "top"]
    with pytest.raises(StoreError, match="inside another"):
        await trees.with_paths(store, one, {"src": blob, "src/x": blob})


async def test_only_the_trees_along_the_path_are_written(store: Store) -> None:
    """Two levels down, three trees are new and nothing else."""
    blob = await store.put_blob(b"x")
    before = set(store.path.glob("objects/??/*"))
    await with_path(store, "refs/oc/run/base", "src/deep/new", ("100644", blob))

    assert len(set(store.path.glob("objects/??/*")) - before) == 3


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "../a", "a/./b", "a\0"])
async def test_a_path_that_leaves_the_tree_is_refused(store: Store, path: str) -> None:
    """Absolute, climbing and empty components never reach a tree."""
    with pytest.raises(StoreError):
        await with_path(store, "refs/oc/run/base", path, None)


# ---- references


async def some_commits(store: Store, count: int) -> list[str]:
    """Return different commits on the base's tree."""
    tree = (await store.get_commit("refs/oc/run/base")).tree
    return [await store.put_commit(tree, [], f"number {n}", when=n) for n in range(count)]


async def test_of_sixteen_racing_updates_one_wins(store: Store) -> None:
    """Two openings of one store, sixteen tasks: one moves the reference, the others fail."""
    old, *news = await some_commits(store, 17)
    await store.advance("refs/oc/target/main", old, None)
    async with await Store.open(store.path) as second:
        outcomes = await asyncio.gather(
            *(
                (store, second)[n % 2].update_refs(RefUpdate("refs/oc/target/main", new, old))
                for n, new in enumerate(news)
            ),
            return_exceptions=True,
        )
    winner = await store.resolve("refs/oc/target/main")
    won = [new for new, outcome in zip(news, outcomes, strict=True) if outcome is None]
    lost = [outcome for outcome in outcomes if isinstance(outcome, RefConflict)]

    assert won == [winner]
    assert len(lost) == 15
    said = f"refs/oc/target/main is at {winner}, expected {old}"
    assert {(str(c), c.expected, c.actual) for c in lost} == {(said, old, winner)}


ADDER = """
import asyncio, sys
from pathlib import Path
from tests.infra.test_store import add_commits
asyncio.run(add_commits(Path(sys.argv[1]), 15))
"""


async def add_commits(path: Path, count: int) -> None:
    """Append commits to one reference, each on top of the last one."""
    async with await Store.open(path) as store:
        added = 0
        while added < count:
            tip = await store.resolve("refs/oc/x/log")
            new = await store.put_commit(
                EMPTY_TREE, [tip] if tip else [], f"{os.getpid()} {added}", when=added
            )
            with contextlib.suppress(RefConflict):
                await store.update_refs(RefUpdate("refs/oc/x/log", new, tip))
                added += 1


async def test_two_processes_lose_no_update(store: Store) -> None:
    """Two processes append to one reference at the same time, and every commit is in it."""
    await put_tree(store, [])
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", ADDER, str(store.path))
    await add_commits(store.path, 15)

    assert await other.wait() == 0
    assert git(store.path, "rev-list", "--count", "refs/oc/x/log") == "30"


async def test_creation_deletion_and_any(store: Store) -> None:
    """The old value None means absent, a new value None deletes, ANY does not compare."""
    one, two = await some_commits(store, 2)
    await store.update_refs(RefUpdate("refs/oc/x/a", one, None))
    with pytest.raises(RefConflict) as taken:
        await store.update_refs(RefUpdate("refs/oc/x/a", two, None))
    with pytest.raises(RefConflict) as absent:
        await store.update_refs(RefUpdate("refs/oc/x/b", two, one))
    await store.update_refs(RefUpdate("refs/oc/x/a", two, ANY), RefUpdate("refs/oc/x/c", one, ANY))
    git(store.path, "pack-refs", "--all")
    with pytest.raises(RefConflict) as packed:
        await store.update_refs(RefUpdate("refs/oc/x/a", None, one))
    await store.update_refs(RefUpdate("refs/oc/x/a", None, two))

    assert (taken.value.expected, taken.value.actual) == (None, one)
    assert (absent.value.expected, absent.value.actual) == (one, None)
    assert packed.value.actual == two
    assert await store.refs("refs/oc/x") == {"refs/oc/x/c": one}


async def test_one_stale_update_moves_nothing(store: Store) -> None:
    """A transaction is all or nothing, and the store works on after a refusal."""
    one, two = await some_commits(store, 2)
    await store.update_refs(
        RefUpdate("refs/oc/x/a", one, None), RefUpdate("refs/oc/x/b", one, None)
    )
    with pytest.raises(RefConflict, match="refs/oc/x/b"):
        await store.update_refs(
            RefUpdate("refs/oc/x/a", two, one), RefUpdate("refs/oc/x/b", two, two)
        )

    assert await store.refs("refs/oc/x") == {"refs/oc/x/a": one, "refs/oc/x/b": one}
    await store.update_refs(RefUpdate("refs/oc/x/a", two, one))
    assert await store.resolve("refs/oc/x/a") == two


async def test_repeating_an_advance_is_a_success(store: Store) -> None:
    """After a lost acknowledgement the same call succeeds; one from elsewhere is refused."""
    one, two, three = await some_commits(store, 3)
    await store.advance("refs/oc/x/a", one, None)
    await store.advance("refs/oc/x/a", one, None)
    await store.update_refs(RefUpdate("refs/oc/x/a", two, one))
    await store.advance("refs/oc/x/a", two, one)
    with pytest.raises(RefConflict):
        await store.advance("refs/oc/x/a", three, one)

    assert await store.refs("refs/oc/x") == {"refs/oc/x/a": two}
    await store.advance("refs/oc/x/a", None, two)
    await store.advance("refs/oc/x/a", None, two)
    assert await store.refs("refs/oc/x") == {}


@pytest.mark.parametrize(
    "ref",
    ["refs/heads/main", "refs/oc/a..b", "refs/oc/.a", "refs/oc/a.lock", "refs/oc/a b", "refs/oc/",
     "refs/oc/a\nb", "refs/oc/a~1", "HEAD", "refs/oc/a/", "refs/oc/@{x"],
)  # fmt: skip
async def test_a_reference_outside_our_names_is_refused(store: Store, ref: str) -> None:
    """Only well-formed names below refs/oc/ reach git."""
    (one,) = await some_commits(store, 1)
    with pytest.raises(StoreError):
        await store.update_refs(RefUpdate(ref, one, ANY))


async def test_a_reference_cannot_be_inside_another(store: Store) -> None:
    """A leaf in the way of a folder is an error of naming, not a conflict."""
    (one,) = await some_commits(store, 1)
    await store.advance("refs/oc/x/leaf", one, None)
    with pytest.raises(StoreError, match="leaf"):
        await store.advance("refs/oc/x/leaf/inside", one, None)


async def test_killed_children_are_replaced(store: Store) -> None:
    """After kill -9 of the reader and of the reference writer the next calls simply work."""
    one, two = await some_commits(store, 2)
    await store.advance("refs/oc/x/a", one, None)
    for process in (store._cat_file, store._refs._writer):
        os.kill(pid_of(process), signal.SIGKILL)
    await store.advance("refs/oc/x/a", two, one)

    assert await store.resolve("refs/oc/x/a") == two
    assert (await store.get_commit(one)).message == "number 0"


async def test_a_child_killed_in_the_middle_of_moving_references_is_survived(store: Store) -> None:
    """Whenever the kill comes, the transaction ends whole, exactly once."""
    commits = await some_commits(store, 16)
    old: str | None = None
    for n, new in enumerate(commits):
        moves = (RefUpdate("refs/oc/x/a", new, old), RefUpdate("refs/oc/x/b", new, old))
        call = asyncio.create_task(store.update_refs(*moves))
        await asyncio.sleep(n * 0.000_2)
        if store._refs._writer._process is not None and n % 3:
            with contextlib.suppress(ProcessLookupError):  # killed in the last round already
                os.kill(pid_of(store._refs._writer), signal.SIGKILL)
        await call
        old = new

        assert await store.refs("refs/oc/x") == {"refs/oc/x/a": new, "refs/oc/x/b": new}


@pytest.mark.parametrize("name", ["refs/oc/x/a.lock", "packed-refs.lock"])
async def test_a_lock_left_by_a_killed_writer_is_removed(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A lock file without a living holder only delays the next move."""
    monkeypatch.setattr(refs, "REF_LOCK_SECONDS", 0.1)
    monkeypatch.setattr(refs, "PACKED_LOCK_SECONDS", 0.1)
    (one,) = await some_commits(store, 1)
    await store.advance("refs/oc/x/a", one, None)
    (store.path / name).touch()
    await store.advance("refs/oc/x/a", None, one)

    assert await store.refs("refs/oc/x") == {}
    assert not (store.path / name).exists()


async def test_writers_wait_while_references_are_locked(store: Store) -> None:
    """While one process holds the lock, the others wait; they go on when it is released."""
    (one,) = await some_commits(store, 1)
    async with await Store.open(store.path) as second:
        async with second._refs._writer.lock():
            move = asyncio.create_task(store.advance("refs/oc/x/a", one, None))
            await asyncio.sleep(0.05)
            seen = await second.resolve("refs/oc/x/a")
        await move

    assert seen is None
    assert await store.resolve("refs/oc/x/a") == one


async def test_a_cancelled_read_leaves_the_next_one_right(store: Store) -> None:
    """A reader cut in the middle of a large object never answers with its rest."""
    large = await store.put_blob(os.urandom(3_000_000))
    for pause in (0.0, 0.001, 0.004):
        call = asyncio.create_task(store.get_blob(large))
        await asyncio.sleep(pause)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

        assert await store.get_blob("refs/oc/run/base:a.txt") == b"one\ntwo\nthree\n"


# ---- creating and opening


async def test_a_fresh_store_is_bare_configured_and_holds_no_foreign_names(
    person: Path, store: Store
) -> None:
    """Only refs/oc is in it, no hook, no remote, no alternates; git agrees with the settings."""
    refs = git(store.path, "for-each-ref", "--format=%(refname)")

    assert refs == "refs/oc/run/base"
    assert git(store.path, "rev-parse", "--is-bare-repository") == "true"
    assert git(store.path, "config", "core.fsync") == "committed"
    assert git(store.path, "config", "gc.auto") == "0"
    assert git(store.path, "config", "--list", "--local").count("remote.") == 0
    assert not (store.path / "hooks").exists()
    assert not (store.path / "objects/info/alternates").exists()
    assert (store.path / "info/attributes").read_text().startswith("* -text -filter")
    assert git(store.path, "fsck", "--strict") == ""


async def test_a_worktree_of_the_store_is_not_bare(store: Store, tmp_path: Path) -> None:
    """The bare setting is the repository's own, so linked worktrees work."""
    git(store.path, "worktree", "add", "-q", "--detach", str(tmp_path / "w"), "refs/oc/run/base")

    assert git(tmp_path / "w", "rev-parse", "--is-bare-repository") == "false"
    assert git(tmp_path / "w", "status", "--porcelain") == ""
    async with await Store.open(store.path) as again:
        assert await again.resolve("refs/oc/run/base")


def leave_half_a_clone(path: Path) -> None:
    """Create what a killed clone leaves beside its store."""
    (path.parent / f".{path.name}.new-0123" / "objects").mkdir(parents=True)


async def test_cloning_many_times_at_once_makes_one_store(person: Path, tmp_path: Path) -> None:
    """Clones wait for each other, the incomplete copy of a killed one is removed, all can write."""
    path = tmp_path / "many" / "s.git"
    leave_half_a_clone(path)
    stores = await asyncio.gather(*(Store.clone(person, path) for _ in range(4)))
    oids = {await one.put_blob(b"x") for one in stores}
    for one in stores:
        await one.close()

    assert len(oids) == 1
    assert names_in(path.parent) == [".s.git.lock", "s.git"]


async def test_the_store_survives_what_the_person_does_to_the_original(
    person: Path, tmp_path: Path
) -> None:
    """Borrowed objects are copied in, so rewriting and cleaning up upstream loses nothing."""
    borrowing = tmp_path / "borrowing"
    git(tmp_path, "clone", "--quiet", "--shared", str(person), str(borrowing))
    async with await Store.clone(borrowing, tmp_path / "s.git") as store:
        base = await transport.fetch(store, borrowing, "main", "refs/oc/run/base")
        git(person, "checkout", "--quiet", "--orphan", "other")
        git(person, "rm", "-rfq", ".")
        commit_files(person, {"z": "z"})
        git(person, "branch", "-D", "main")
        git(person, "reflog", "expire", "--expire=now", "--all")
        git(person, "gc", "--prune=now", "--quiet")

        await merges.verify_complete(store, base)


@pytest.mark.parametrize(
    ("key", "value"),
    [("filter.x.clean", "touch /tmp/owned"), ("core.fsync", "none"), ("include.path", "/etc/x")],
)
async def test_a_store_with_another_configuration_is_refused(
    store: Store, key: str, value: str
) -> None:
    """Neither a planted program nor a lost sync setting goes unnoticed; the key is named."""
    git(store.path, "config", key, value)
    with pytest.raises(StoreError, match=key.split(".", maxsplit=1)[0]):
        await Store.open(store.path)


async def test_folders_without_a_repository_are_refused(tmp_path: Path) -> None:
    """A plain folder and a missing one give one clear sentence each."""
    (tmp_path / "plain").mkdir()
    with pytest.raises(StoreError, match="no git repository"):
        await Store.clone(tmp_path / "plain", tmp_path / "s.git")
    with pytest.raises(StoreError, match="no git repository"):
        await Store.clone(tmp_path / "missing", tmp_path / "s.git")
    with pytest.raises(StoreError, match="no store"):
        await Store.open(tmp_path / "plain")

    assert names_in(tmp_path) == [".s.git.lock", "plain"]


async def test_sha256_repositories_are_refused(tmp_path: Path) -> None:
    """The ids are fixed at SHA-1; another format is refused in one sentence."""
    git(tmp_path, "init", "--quiet", "--object-format=sha256", "person")
    commit_files(tmp_path / "person", {"a": "a"})
    with pytest.raises(StoreError, match="sha256"):
        await Store.clone(tmp_path / "person", tmp_path / "s.git")

    assert not (tmp_path / "s.git").exists()


# ---- differences


async def test_changes_have_a_status_and_line_counts(store: Store) -> None:
    """Added, modified, deleted and retyped paths with their line counts; binary has none."""
    text, binary = await store.put_blob(b"one\n2\nthree\nfour\n"), await store.put_blob(b"\0\1")
    after = await trees.with_paths(
        store,
        "refs/oc/run/base",
        {
            "a.txt": ("100644", text),
            "src/c.txt": None,
            "new\n:\udcff": ("100755", binary),
            "src/deep/b.txt": ("120000", text),
        },
    )

    before = {
        path: (await store.get(f"refs/oc/run/base:{path}")).oid
        for path in ("a.txt", "src/c.txt", "src/deep/b.txt")
    }
    none = "0" * 40
    assert await diffs.changes(store, "refs/oc/run/base", after) == [
        PathChange("a.txt", "M", "100644", before["a.txt"], text, 2, 1, "100644"),
        PathChange("new\n:\udcff", "A", "100755", none, binary, None, None, "000000"),
        PathChange("src/c.txt", "D", "000000", before["src/c.txt"], none, 0, 1, "100644"),
        PathChange("src/deep/b.txt", "T", "120000", before["src/deep/b.txt"], text, 4, 1, "100644"),
    ]
    assert "4 files changed" in await diffs.diffstat(store, "refs/oc/run/base", after)
    assert await diffs.changes(store, after, after) == []


async def test_a_long_patch_is_cut_at_a_line(store: Store) -> None:
    """The text is a unified diff; one above the limit says so and ends with a whole line."""
    lines = b"".join(b"line %d\n" % n for n in range(50_000))
    after = await with_path(
        store, "refs/oc/run/base", "long.txt", ("100644", await store.put_blob(lines))
    )
    whole, whole_cut = await diffs.patch_text(store, "refs/oc/run/base", after, 10_000_000)
    short, short_cut = await diffs.patch_text(store, "refs/oc/run/base", after, 1_005)

    assert whole.startswith("diff --git a/long.txt b/long.txt")
    assert "+line 49999\n" in whole
    assert (whole_cut, short_cut) == (False, True)
    assert whole.startswith(short)
    assert 990 < len(short.encode()) <= 1_005
    assert short.endswith("\n")


async def test_the_same_change_has_the_same_patch_id(store: Store) -> None:
    """Elsewhere in the file or on another base it is the same change; other bytes are not."""
    base = "refs/oc/run/base"

    async def with_text(tree: str, data: bytes) -> str:
        return await with_path(store, tree, "a.txt", ("100644", await store.put_blob(data)))

    head = b"".join(b"%d\n" % n for n in range(20))
    other = await with_text(base, head + b"one\ntwo\nthree\n")
    here = await diffs.patch_id(store, base, await with_text(base, b"one\nTWO\nthree\n"))
    binary = [
        await diffs.patch_id(store, base, await with_text(base, data)) for data in (b"\0a", b"\0b")
    ]
    there = await diffs.patch_id(store, other, await with_text(other, head + b"one\nTWO\nthree\n"))

    assert here is not None
    assert await diffs.patch_id(store, base, base) is None
    assert binary[0] != binary[1]
    assert there != binary[0]


# ---- completeness and merging


async def edited(store: Store, base: str, files: dict[str, bytes | None]) -> str:
    """Return a commit on `base` with some files changed."""
    entries = {
        path: None if data is None else ("100644", await store.put_blob(data))
        for path, data in files.items()
    }
    tree = await trees.with_paths(store, base, entries)
    return await store.put_commit(tree, [base], f"edit {sorted(files)}", when=5)


async def base_of(store: Store) -> str:
    """Return the id of the base commit."""
    return (await store.get_commit("refs/oc/run/base")).oid


async def test_a_clean_merge_gives_the_tree_with_both_changes(store: Store) -> None:
    """Changes to different lines and files come together."""
    base = await base_of(store)
    ours = await edited(store, base, {"a.txt": b"ONE\ntwo\nthree\n"})
    theirs = await edited(store, base, {"src/c.txt": b"C\n", "src/new": b"n\n"})
    merged = await merges.merge(store, ours, theirs)

    assert isinstance(merged, Merged)
    assert await store.get_blob(f"{merged.tree}:a.txt") == b"ONE\ntwo\nthree\n"
    assert await store.get_blob(f"{merged.tree}:src/c.txt") == b"C\n"
    assert await trees.paths(store, merged.tree) == [
        "a.txt",
        "src/c.txt",
        "src/deep/b.txt",
        "src/new",
    ]


async def test_a_conflict_names_its_paths(store: Store) -> None:
    """Both changed the same line, and one deleted what the other changed."""
    base = await base_of(store)
    ours = await edited(store, base, {"a.txt": b"1\ntwo\nthree\n", "src/c.txt": None})
    theirs = await edited(store, base, {"a.txt": b"eins\ntwo\nthree\n", "src/c.txt": b"cc\n"})
    verdict = await merges.merge(store, ours, theirs)

    assert isinstance(verdict, Conflicted)
    assert verdict.paths == ("a.txt", "src/c.txt")
    assert [(each.kind, each.paths, each.landed, each.patch) for each in verdict.conflicts] == [
        ("contents", ("a.txt",), True, True),
        ("modify/delete", ("src/c.txt",), False, True),
    ]


async def test_an_unknown_side_is_missing_not_conflicted(store: Store) -> None:
    """Git answers an unknown object with the exit code of a conflict."""
    with pytest.raises(ObjectMissing):
        await merges.merge(store, await base_of(store), "1" * 40)


async def test_unrelated_histories_are_no_conflict(store: Store) -> None:
    """Two roots cannot be merged; that is an error of the caller."""
    base = await base_of(store)
    tree = (await store.get_commit(base)).tree
    with pytest.raises(StoreError, match="unrelated"):
        await merges.merge(store, base, await store.put_commit(tree, [], "alone", when=1))


@pytest.mark.parametrize("touched", [False, True], ids=["other-side-untouched", "other-side-too"])
async def test_a_missing_tree_is_never_a_verdict(store: Store, *, touched: bool) -> None:
    """Git calls it clean with an empty tree, or invents a conflict; the store reports it broken."""
    base = await base_of(store)
    ours = base
    if touched:
        ours = await edited(store, base, {"a.txt": b"ours\n"})
    theirs = await edited(store, base, {"src/new": b"n\n"})
    forget(store, (await store.get_commit(theirs)).tree)
    await merges.verify_complete(store, ours)
    with pytest.raises(ObjectMissing):
        await merges.verify_complete(store, theirs, excluding=base)
    with pytest.raises(StoreError):
        await merges.merge(store, ours, theirs)


async def test_a_missing_blob_is_never_a_verdict(store: Store) -> None:
    """A blob that the merge has to open, and one that it need not, are both found missing."""
    base = await base_of(store)
    ours = await edited(store, base, {"a.txt": b"ONE\ntwo\nthree\n"})
    theirs = await edited(store, base, {"a.txt": b"one\ntwo\nTHREE\n"})
    forget(store, await store.resolve(f"{theirs}:a.txt") or "")
    with pytest.raises(StoreError):
        await merges.merge(store, ours, theirs)
    with pytest.raises(ObjectMissing):
        await merges.verify_complete(store, theirs, excluding=ours)


async def test_completeness_is_checked_only_beyond_what_is_excluded(store: Store) -> None:
    """What the excluded commit reaches is not checked again."""
    base = await base_of(store)
    child = await edited(store, base, {"x": b"x"})
    await merges.verify_complete(store, child)
    grandchild = await edited(store, child, {"y": b"y"})
    forget(store, await store.resolve(f"{child}:x") or "")
    with pytest.raises(ObjectMissing):
        await merges.verify_complete(store, grandchild)
    with pytest.raises(ObjectMissing):
        await merges.verify_complete(store, "2" * 40)

    await merges.verify_complete(store, grandchild, excluding=child)


# ---- the person's repository


@pytest.fixture
def hooked(person: Path, tmp_path: Path) -> Iterator[Path]:
    """The person's repository with every hook planted; none may have run at the end."""
    ran = tmp_path / "ran"
    for name in HOOKS:
        hook = person / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\necho {name} >> {ran}\n")
        hook.chmod(0o755)
    git(person, "config", "receive.denyCurrentBranch", "updateInstead")
    git(person, "config", "gc.auto", "1")
    yield person
    assert not ran.exists(), ran.read_text()


async def test_fetching_leaves_the_original_byte_for_byte(store: Store, hooked: Path) -> None:
    """A branch, HEAD and a bare commit id come in whole; nothing is written upstream."""
    second = commit_files(hooked, {"a.txt": "new\n"})
    git(hooked, "branch", "topic/x")
    third = commit_files(hooked, {"a.txt": "newer\n"})
    (hooked / ".git" / "FETCH_HEAD").unlink(missing_ok=True)
    (hooked.parent / "ran").unlink(missing_ok=True)
    before = snapshot(hooked)
    found = [
        await transport.fetch(store, hooked, what, f"refs/oc/run{n}/base")
        for n, what in enumerate(["topic/x", "HEAD", "main", second, third])
    ]
    await merges.verify_complete(store, third)

    assert found == [second, third, third, second, third]
    assert await store.resolve("refs/oc/run0/base") == second
    assert snapshot(hooked) == before
    assert not (store.path / "FETCH_HEAD").exists()


async def test_what_does_not_exist_cannot_be_fetched(store: Store, person: Path) -> None:
    """A missing branch or commit is missing; a missing repository is an error."""
    for what in ("nothing", "3" * 40, "--upload-pack=touch x"):
        with pytest.raises(ObjectMissing):
            await transport.fetch(store, person, what, "refs/oc/run/other")
    with pytest.raises(StoreError, match="no git repository"):
        await transport.fetch(store, person / "nowhere", "main", "refs/oc/run/other")

    assert await store.refs("refs/oc") == {"refs/oc/run/base": await base_of(store)}


async def test_a_fetch_waits_for_a_worktree_that_is_being_made(
    store: Store, person: Path, tmp_path: Path
) -> None:
    """Its HEAD names no object yet, on which git fails; once it does, the fetch succeeds."""
    base = git(store.path, "rev-parse", "refs/oc/run/base")
    git(store.path, "worktree", "add", "-q", "--detach", str(tmp_path / "w1"), base)
    head = store.path / "worktrees" / "w1" / "HEAD"
    head.write_text(f"{'0' * 40}\n")
    (person / "more.txt").write_text("more\n")
    git(person, "add", ".")
    git(person, "commit", "-q", "-m", "more")

    fetching = asyncio.create_task(transport.fetch(store, person, "main", "refs/oc/run/more"))
    await asyncio.sleep(0.3)
    assert not fetching.done()
    head.write_text(f"{base}\n")

    assert await fetching == git(person, "rev-parse", "main")


async def test_a_rewritten_branch_is_fetched_as_it_is_now(store: Store, person: Path) -> None:
    """The reference follows the branch even where history was rewritten."""
    git(person, "commit", "--quiet", "--amend", "-m", "rewritten")
    now = git(person, "rev-parse", "HEAD")

    assert await transport.fetch(store, person, "main", "refs/oc/run/base") == now
    assert await store.resolve("refs/oc/run/base") == now


async def test_pushing_adds_one_branch_and_changes_nothing_else(store: Store, hooked: Path) -> None:
    """Only the branch, its log and its objects are new upstream; no hook runs."""
    new = await edited(store, await base_of(store), {"delivered": b"d\n"})
    before = snapshot(hooked)
    await transport.push(store, hooked, new, "orchestcode/feature")
    await transport.push(store, hooked, new, "orchestcode/feature")
    after = snapshot(hooked)
    added = {name for name in after if name not in before}

    assert git(hooked, "rev-parse", "orchestcode/feature") == new
    assert {name: after.get(name) for name in before} == before
    assert {name for name in added if not name.startswith(".git/objects/")} == {
        ".git/refs/heads/orchestcode/feature",
        ".git/logs/refs/heads/orchestcode/feature",
    }
    assert git(hooked, "status", "--porcelain", env={"GIT_OPTIONAL_LOCKS": "0"}) == ""
    assert git(hooked, "fsck", "--strict") == ""


@pytest.mark.parametrize("kind", ["bare", "worktree"])
async def test_any_shape_of_repository_works(person: Path, tmp_path: Path, kind: str) -> None:
    """A bare repository and a linked worktree are cloned, fetched from and pushed to alike."""
    place = tmp_path / kind
    if kind == "bare":
        git(tmp_path, "clone", "--quiet", "--bare", str(person), str(place))
    else:
        git(person, "worktree", "add", "--quiet", "-b", "side", str(place))
    async with await Store.clone(place, tmp_path / "s.git") as store:
        base = await transport.fetch(store, place, "main", "refs/oc/run/base")
        await merges.verify_complete(store, base)
        await transport.push(store, place, base, "feature")

    assert git(place, "rev-parse", "feature") == base


async def test_a_branch_that_exists_is_never_overwritten(store: Store, person: Path) -> None:
    """The caller learns where it is, and it stays there."""
    there = git(person, "rev-parse", "HEAD")
    git(person, "branch", "feature")
    new = await edited(store, await base_of(store), {"x": b"x"})
    with pytest.raises(BranchTaken) as taken:
        await transport.push(store, person, new, "feature")

    assert (taken.value.branch, taken.value.at) == ("feature", there)
    assert git(person, "rev-parse", "feature") == there


async def test_a_checked_out_branch_is_refused(store: Store, hooked: Path) -> None:
    """Also one without a commit yet: its files would change while the person works on them."""
    git(hooked, "checkout", "--quiet", "--orphan", "unborn")
    (hooked.parent / "ran").unlink(missing_ok=True)
    new = await edited(store, await base_of(store), {"x": b"x"})
    with pytest.raises(StoreError, match="checked out"):
        await transport.push(store, hooked, new, "unborn")

    assert not (hooked / "x").exists()


@pytest.mark.parametrize("branch", ["-x", "a b", "a..b", "", "a.lock", "x~1"])
async def test_an_impossible_branch_name_is_refused(
    store: Store, person: Path, branch: str
) -> None:
    """The name is checked before git sees it."""
    with pytest.raises(StoreError):
        await transport.push(store, person, await base_of(store), branch)


async def test_racing_pushes_of_one_branch_give_it_to_one(store: Store, person: Path) -> None:
    """Of different commits one lands; the others learn that the branch is taken."""
    base = await base_of(store)
    news = [await edited(store, base, {"x": b"%d" % n}) for n in range(4)]
    outcomes = await asyncio.gather(
        *(transport.push(store, person, new, "feature") for new in news), return_exceptions=True
    )
    there = git(person, "rev-parse", "feature")

    assert [new for new, out in zip(news, outcomes, strict=True) if out is None] == [there]
    assert sum(isinstance(out, BranchTaken) for out in outcomes) == 3


# ---- pace


async def test_turns_are_written_and_clean(
    person: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Turns of blob, tree, commit and reference satisfy git; their pace on disk is printed."""
    spent: list[float] = []
    old: str | None = None
    async with await Store.clone(person, tmp_path_factory.mktemp("disk") / "s.git") as store:
        for n in range(30):
            start = time.perf_counter()
            batch = store.batch()
            tree = batch.tree([TreeEntry("100644", "turn", batch.blob(b"turn %d\n" % n * 100))])
            new = batch.commit(tree, [old] if old else [], "turn", when=n)
            await batch.write()
            await store.advance("refs/oc/conv/c", new, old)
            spent.append(time.perf_counter() - start)
            old = new
        folder = store.path
    spent.sort()
    print(f"turn: p50 {spent[15] * 1e3:.2f} ms, p95 {spent[28] * 1e3:.2f} ms")

    assert git(folder, "rev-list", "--count", "refs/oc/conv/c") == "30"
    assert git(folder, "fsck", "--strict", "--no-dangling") == ""


async def test_a_batch_makes_the_same_objects_as_single_calls(store: Store) -> None:
    """Ids are known before anything is written, and everything is there afterwards."""
    batch = store.batch()
    blob = batch.blob(b"together")
    tree = batch.tree([TreeEntry("100644", "f", blob)])
    commit = batch.commit(tree, [], "m", when=7)
    early = await store.resolve(commit)
    await batch.write()

    assert early is None
    assert await store.get_blob(f"{commit}:f") == b"together"
    assert await put_tree(store, [TreeEntry("100644", "f", blob)]) == tree
    assert await store.put_commit(tree, [], "m", when=7) == commit
