"""What a command of an agent can read of the repository: what its base reaches, and its own work.

Secrets are planted wherever else a repository or a store keeps something; a command looks for them
in every way that git has, and reads the files of the object folders itself.
"""

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from domain import ids
from infra.store import ANY, RefUpdate, Store
from infra.store.pack_folders import FOLDER
from infra.worktrees.records import WorktreeRecords
from tests.infra.bench import ActivityEnv, Agent, Job, person
from tests.local_deployment import commit, git

SEARCH = r"""
git cat-file --batch-all-objects --batch --unordered | grep -a -o 'secret-[a-z-]*'
git fsck --lost-found --unreachable 2>/dev/null | cut -d' ' -f3 | while read -r oid; do
  git cat-file -p "$oid" | grep -a -o 'secret-[a-z-]*'; done
git log --all -p | grep -a -o 'secret-[a-z-]*'
git log --reflog -p 2>/dev/null | grep -a -o 'secret-[a-z-]*'
git stash list -p | grep -a -o 'secret-[a-z-]*'
OBJECTS=$(cat "$(git rev-parse --absolute-git-dir)/objects/info/alternates")
for folder in "$OBJECTS" "$OBJECTS"/../.. "$OBJECTS"/../../.. "$OBJECTS"/../../../objects; do
  ls -RA "$folder" 2>/dev/null | grep -v ':$' | grep -E 'refs|conv|rescue|checkpoint|^config|HEAD'
  for index in "$folder"/pack/*.idx; do
    [ -e "$index" ] && git show-index < "$index" | cut -d' ' -f2 | while read -r oid; do
      git cat-file -p "$oid" 2>/dev/null | grep -a -o 'secret-[a-z-]*'; done
  done
done
find / -xdev \( -name '*.pack' -o -name 'packed-refs' \) -path '*orchestcode*' 2>/dev/null \
  | grep -v -E "$(git rev-parse --absolute-git-dir)|oc-visible" | sed 's/^/found /'
for oid in KNOWN; do git cat-file -p $oid 2>/dev/null && echo "read $oid"; done
true
"""
"""What is run in the sandbox; what it finds it prints."""


def plant_in_repository(place: Path) -> dict[str, str]:
    """Put a secret wherever a person's repository keeps what no commit of the base has."""
    oids: dict[str, str] = {}

    def write(name: str) -> None:
        (place / "s.txt").write_text(f"secret-{name}\n")
        oids[name] = git(place, "hash-object", "s.txt").strip()

    write("staged")
    git(place, "add", "s.txt")
    git(place, "rm", "-q", "--cached", "-f", "s.txt")
    write("stash")
    git(place, "add", "s.txt")
    git(place, "stash", "push", "-q")
    git(place, "checkout", "-q", "-b", "other")
    write("branch")
    commit(place, "another branch")
    git(place, "tag", "-a", "other-tag", "-m", "secret-tag")
    oids["tag"] = git(place, "rev-parse", "other-tag").strip()
    write("reflog")
    commit(place, "left behind")
    git(place, "reset", "-q", "--hard", "HEAD~1")
    git(place, "checkout", "-q", "main")
    write("unreachable")
    git(place, "hash-object", "-w", "s.txt")
    (place / "s.txt").unlink()
    git(place, "update-ref", "refs/notes/x", oids["branch"])
    return oids


async def plant_in_store(store: Store, job: Job) -> dict[str, str]:
    """Put a secret wherever the store keeps what belongs to others."""
    refs = {
        "request": ids.checkpoint_ref("other", "a", "1"),
        "conversation": ids.conversation_ref("somebody-else"),
        "task": ids.checkpoint_ref("one", "another-task", "1"),
        "journal": ids.call_ref("other", "a", "1"),
        "rescue": "refs/oc/rescue/w9/1",
    }
    oids: dict[str, str] = {}
    for name, ref in refs.items():
        batch = store.batch()
        oids[name] = batch.blob(f"secret-{name}\n".encode())
        before = (await store.get_commit(job.base)).tree
        made = batch.commit(before, (job.base,), f"secret-{name}-message", when=1_800_000_000)
        await batch.write()
        held = oids[name] if name == "journal" else made
        await store.update_refs(RefUpdate(ref, held, None))
        oids[f"{name}-commit"] = made
        tree = await put_tree(store, oids[name])
        await store.update_refs(RefUpdate(f"{ref}-tree", tree, None))
    return oids


async def put_tree(store: Store, blob: str) -> str:
    """Write a tree with one file."""
    found = await store.run("mktree", stdin=f"100644 blob {blob}\ts.txt\n".encode())
    return found.text


async def sees(agent: Agent, oids: Iterable[str] = ()) -> str:
    """Return what a command finds that looks everywhere."""
    found = await agent.run(SEARCH.replace("KNOWN", " ".join(oids) or "none"))
    return found.text


@pytest.fixture
def planted(env: ActivityEnv) -> Mapping[str, str]:
    """Secrets in the person's repository."""
    return plant_in_repository(env.person)


@pytest.mark.every_user
async def test_a_command_sees_what_its_base_reaches_and_nothing_else(
    env: ActivityEnv, planted: Mapping[str, str]
) -> None:
    """No secret of the repository or the store is found, by name, by id, or in the files."""
    job = await env.open()
    other = await env.open(request="request/two", branch="two", base="other")
    hidden = {**planted, **(await plant_in_store(job.store, job))}
    agent = await job.agent()

    assert await sees(agent, hidden.values()) == "[exit code 0]"

    told = await agent.run("git log --format=%s && git fsck --strict && git show HEAD:a.txt")
    assert (told.outcome, told.text.splitlines()[:1]) == ("done", ["The beginning"]), told.text
    theirs = await sees(await other.agent("b"), (planted["branch"],))
    assert "secret-branch" in theirs  # the search finds what there is
    assert "secret-stash" not in theirs


async def test_the_store_has_nothing_that_no_base_reaches(
    env: ActivityEnv, planted: Mapping[str, str]
) -> None:
    """Only committed work that a request starts from is fetched."""
    job = await env.open()

    for name, oid in planted.items():
        assert await job.store.resolve(oid) is None, name


async def test_a_command_sees_its_own_work_and_what_has_landed(env: ActivityEnv) -> None:
    """Commits that it made, a checkpoint at which it begins anew, and the target's tip."""
    job = await env.open()
    agent = await job.agent()
    await agent.run("echo own > own.txt; git add -A; git commit -q -m mine")
    told = await agent.run("git show HEAD:own.txt && git log --format=%s | head -1 && git fsck")
    assert "own\nmine\n" in told.text

    landed = await job.changed({"landed.txt": "landed\n"})
    later = await job.agent("b", landed)
    told = await later.run("git show HEAD:landed.txt && git diff --stat main && git fsck --full")
    assert told.text.startswith("landed\n"), told.text
    assert "landed.txt | 1 +" in told.text
    again = await job.agent("c", agent.at)
    assert (await again.run("git show HEAD:own.txt")).text.startswith("own\n")
    assert "own\n" not in (await later.run(f"git show {agent.at}:own.txt")).text


@pytest.mark.every_user
async def test_a_check_sees_no_more(env: ActivityEnv, planted: Mapping[str, str]) -> None:
    """The system's own runs of commands are contained as those of agents are."""
    job = await env.open()
    hidden = await plant_in_store(job.store, job)
    look = "! git cat-file --batch-all-objects --batch | grep -a secret-"
    report = await job.check(job.base, look, f"! git cat-file -p {hidden['task']}")
    assert [result.passed for result in report.results] == [True, True]


async def test_a_lease_from_before_the_update_sees_no_more(
    env: ActivityEnv, planted: Mapping[str, str]
) -> None:
    """A request that was opened by older code goes on, and its worktree is closed as well."""
    job = await env.open()
    hidden = await plant_in_store(job.store, job)
    agent = await job.agent()
    await agent.run("echo own > own.txt")
    pool = await job.pool()
    private = agent.path.parent / ".pool" / f"{agent.lease.worktree}.git"
    (private / "objects" / "info" / "alternates").write_text(f"{job.store.path / 'objects'}\n")
    _make_old(pool._records, agent.lease.worktree, job.base)
    await job.store.update_refs(RefUpdate(ids.view_ref("one"), None, ANY))

    assert await sees(agent, hidden.values()) == "[exit code 0]"
    assert (await agent.run("cat own.txt; git rev-parse main")).text.startswith(f"own\n{job.base}")
    assert await job.agent("b")


def _make_old(records: WorktreeRecords, name: str, base: str) -> None:
    """Take from a record what older code did not write."""
    record = records.read(name)
    assert record is not None
    records.write(type(record)(**{**vars(record), "view": "", "heads": {"main": base}}))


async def test_a_lost_view_is_made_again(env: ActivityEnv) -> None:
    """It holds nothing that is not in the store, whole at every moment, and shares its packs."""
    job = await env.open()
    agent = await job.agent()
    folder = job.store.path / FOLDER
    for each in folder.iterdir():
        subprocess.run(["rm", "-r", str(each)], check=True)
    (folder / ".new-left").mkdir()

    assert (await agent.run("git fsck --full && git show HEAD:a.txt")).outcome == "done"
    assert [each.name for each in folder.iterdir() if each.name.startswith(".new-")] == []


async def test_views_share_what_they_have_in_common(env: ActivityEnv) -> None:
    """A request on a later commit adds a pack of what is new; the rest are links."""
    first = await env.open()
    (env.person / "new.txt").write_text("new\n")
    commit(env.person, "second")
    second = await env.open(request="request/two", branch="two")

    folder = first.store.path / FOLDER
    views = {job: folder / str(first.store.ref(ids.view_ref(job))) for job in ("one", "two")}
    packs = {
        job: {pack.stat().st_ino for pack in view.rglob("*.pack")} for job, view in views.items()
    }
    assert len(packs["one"]) == 1
    assert packs["one"] < packs["two"]
    stored = {pack.stat().st_ino for pack in (first.store.path / "objects" / "pack").glob("*.pack")}
    assert packs["one"] <= stored  # the first view costs nothing
    told = await (await second.agent("b")).run("git log --format=%s && git fsck --full")
    assert told.text.startswith("second\nThe beginning\n")


async def test_a_command_of_a_shallow_repository_can_read_its_history(env: ActivityEnv) -> None:
    """Commands know there where the history ends."""
    (env.person / "new.txt").write_text("new\n")
    commit(env.person, "second")
    git(env.folder, "clone", "-q", "--depth=1", f"file://{env.person}", str(env.folder / "shallow"))
    job = await env.open(env.folder / "shallow")

    told = await (await job.agent()).run("git log --format=%s && git fsck --full")

    assert (told.text.splitlines()[0], told.outcome) == ("second", "done"), told.text


@pytest.mark.parametrize("kind", ["borrowing", "linked", "packed"])
async def test_every_kind_of_repository_is_seen_whole(env: ActivityEnv, kind: str) -> None:
    """Whatever the person's repository looks like, commands see the base's whole history."""
    place = env.folder / kind
    if kind == "borrowing":
        git(env.folder, "clone", "-q", "--shared", str(env.person), str(place))
    elif kind == "linked":
        git(env.person, "worktree", "add", "-q", str(place), "-b", "other")
    else:
        git(person(place), "gc", "-q")
    job = await env.open(place)
    told = await (await job.agent()).run("git log --format=%s && git fsck --full --strict")
    assert (told.text.splitlines()[0], told.outcome) == ("The beginning", "done"), told.text


@pytest.mark.parametrize("kind", ["linked", "borrowing", "separate"])
async def test_the_repository_itself_cannot_be_read(env: ActivityEnv, kind: str) -> None:
    """Wherever its git directory, another worktree or what it borrows from lies."""
    source, place = env.person, env.folder / kind
    source.joinpath("uncommitted.txt").write_text("secret-uncommitted\n")
    if kind == "linked":
        git(source, "worktree", "add", "-q", str(place), "-b", "side")
    elif kind == "borrowing":
        git(env.folder, "clone", "-q", "--shared", str(source), str(place))
    else:
        place = source
        git(source, "init", "-q", f"--separate-git-dir={env.folder / 'apart.git'}")
    plant_in_repository(source)
    git_dir = Path(git(source, "rev-parse", "--absolute-git-dir").strip())
    job = await env.open(place)

    told = await (await job.agent()).run(
        f"git --git-dir={git_dir} cat-file --batch-all-objects --batch | grep -a secret-; "
        f"ls {git_dir}/objects {source}/uncommitted.txt 2>/dev/null; cat a.txt"
    )

    assert "secret-" not in told.text
    assert "one\ntwo\nthree\n" in told.text
    assert kind == "borrowing" or "uncommitted" not in told.text
