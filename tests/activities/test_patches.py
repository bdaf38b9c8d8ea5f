"""Patches and the merge queue's chain, made in the store: what they say, and what lands."""

import asyncio
import time
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from contracts.delivery import DeliverBranch
from contracts.merge_queue import (
    BuildChain,
    Chain,
    Eviction,
    LandChain,
    Landed,
    MergeVerdict,
    RebasedPatch,
    RebasePatch,
)
from contracts.planning import Claim, TaskSpec, WriteScope
from contracts.review import Patch
from domain import ids
from infra.store import trees
from tests.infra.bench import ActivityEnv, Agent, Job
from tests.local_deployment import commit, git

BEGAN, OPENED = ids.began_ref("one"), ids.opened_ref("one")
AUTHOR = ids.author_ref("one")
EVICTED = MergeVerdict(id="one/mine/0", eviction=Eviction.CONFLICT, reason="conflicts")


async def rebased(job: Job, patch: Patch, verdict: MergeVerdict = EVICTED) -> RebasedPatch:
    """Put a patch on top of what has landed."""
    request = RebasePatch(repository=job.opened.repository, patch=patch, verdict=verdict)
    return await ActivityEnvironment().run(job.env.patches.rebase_patch, request)


async def chained(job: Job, *patches: Patch) -> Chain:
    """Stack patches on the target's tip."""
    request = BuildChain(
        repository=job.opened.repository,
        patches=tuple((patch.task, patch.commit) for patch in patches),
    )
    return await ActivityEnvironment().run(job.env.patches.build_chain, request)


async def landed(job: Job, tip: str, candidate: str, *titles: str) -> str | None:
    """Land a candidate and return the target's new commit."""
    request = LandChain(
        repository=job.opened.repository, tip=tip, candidate=candidate, titles=titles or ("a",)
    )
    done: Landed = await ActivityEnvironment().run(job.env.patches.land_chain, request)
    return done.commit


async def target(job: Job) -> str | None:
    """Return where the target is."""
    return await job.store.resolve(ids.target_ref(job.opened.repository.target))


async def files(job: Job, commit: str) -> dict[str, str]:
    """Return a commit's files."""
    return {
        path: (await job.store.get_blob(f"{commit}:{path}")).decode()
        for path in await trees.paths(job.store, commit)
    }


async def test_a_patch_is_one_commit_on_its_base(job: Job) -> None:
    """However many checkpoints there were, it is one commit, pinned, and says what it changes."""
    first = await job.changed({"a.txt": "one\n2\nthree\n", "new.txt": "x\ny\n"})
    second = await job.changed({"b.txt": None}, on=first)

    patch = await job.patch(second, task="mend", number=2, writes=("a.txt", "docs/"))

    commit = await job.store.get_commit(patch.commit)
    assert (commit.parents, commit.tree) == ((job.base,), patch.tree)
    assert commit.message == "Do mend\n\nOrchestCode-Task: mend\n"
    assert patch.tree == (await job.store.get_commit(second)).tree
    assert (patch.files, patch.added_lines, patch.deleted_lines) == (3, 3, 2)
    assert patch.paths == ("a.txt", "b.txt", "new.txt")
    assert patch.outside == ("b.txt", "new.txt")
    assert [risk.split(":")[0] for risk in patch.risks] == [
        "changes paths that the task did not declare"
    ]
    assert "3 files changed, 3 insertions(+), 2 deletions(-)" in patch.diffstat
    diff = (await job.store.get_blob(patch.diff)).decode()
    assert "-two\n+2\n" in diff
    assert await job.store.resolve(ids.patch_ref("one", "mend", 2)) == patch.commit


async def test_a_repeated_patch_is_the_same_patch(job: Job) -> None:
    """The same checkpoint gives the same commit, at any hour."""
    checkpoint = await job.changed({"a.txt": "x\n"})

    assert await job.patch(checkpoint) == await job.patch(checkpoint)


@pytest.fixture
def in_2015(env: ActivityEnv, monkeypatch: pytest.MonkeyPatch) -> str:
    """The last commit of the person's repository, made in 2015."""
    (env.person / "old.txt").write_text("old\n")
    with monkeypatch.context() as then:
        for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
            then.setenv(name, "2015-06-01T12:00:00Z")
        return commit(env.person, "Long ago")


async def test_delivered_commits_are_dated_by_when_the_request_began(
    env: ActivityEnv, in_2015: str
) -> None:
    """Patches, merges and landings on a base of 2015 are dated now: no tool takes the branch for
    old.
    """
    before = int(time.time())
    job = await env.open()
    after = time.time()
    patches = [
        await job.patch(await job.changed({f"{name}.txt": "x\n"}), task=name) for name in "abc"
    ]
    chain = await chained(job, *patches)
    tip = await landed(job, chain.tip, chain.links[-1].commit or "") or ""
    order = DeliverBranch(
        repository=job.opened.repository,
        path=job.opened.path,
        branch=job.opened.branch,
        commit=tip,
        base=job.base,
    )
    await ActivityEnvironment().run(env.repositories.deliver_branch, order)

    log = git(env.person, "log", "--format=%at %ct", f"{in_2015}..{job.opened.branch}")
    dates = [tuple(map(int, line.split())) for line in log.splitlines()]
    assert job.base == in_2015
    assert len(dates) == 6
    assert all(author == committer for author, committer in dates)
    assert before <= min(dates)[0] <= after
    assert max(dates)[0] <= min(dates)[0] + len(dates)


async def test_a_patch_is_the_same_when_its_request_is_opened_again_later(
    env: ActivityEnv, in_2015: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of the first opening counts, also of one that was cut short before it was noted
    whole.
    """
    job = await env.open()
    checkpoint = await job.changed({"a.txt": "x\n"})
    first = await job.patch(checkpoint)
    later = time.time() + 3_600
    monkeypatch.setattr(time, "time", lambda: later)

    again = await env.open()
    assert await again.patch(checkpoint) == first
    await job.store.advance(OPENED, None, job.store.ref(OPENED))
    once_more = await env.open()
    assert await once_more.patch(checkpoint) == first


async def test_patches_of_a_request_without_a_noted_time_are_dated_from_their_base(
    env: ActivityEnv, in_2015: str
) -> None:
    """A request that older code opened makes the commits that it made then, also once
    opened again.
    """
    job = await env.open()
    await job.store.advance(BEGAN, None, job.store.ref(BEGAN))

    again = await env.open()
    patch = await again.patch(await again.changed({"a.txt": "x\n"}))

    base = await job.store.get_commit(in_2015)
    assert (await job.store.get_commit(patch.commit)).author_seconds == base.author_seconds + 1


async def test_delivered_commits_have_the_repository_s_own_user_as_author(
    env: ActivityEnv,
) -> None:
    """Patches, merges and landings; the system is their committer."""
    git(env.person, "config", "user.name", "Ada Lovelace")
    git(env.person, "config", "user.email", "ada@example.org")
    job = await env.open()
    patches = [
        await job.patch(await job.changed({f"{name}.txt": "x\n"}), task=name) for name in "abc"
    ]
    chain = await chained(job, *patches)
    tip = await landed(job, chain.tip, chain.links[-1].commit or "", "a", "b", "c") or ""

    log = git(job.store.path, "log", "--format=%an <%ae>, %cn", f"{job.base}..{tip}")
    assert log.splitlines() == ["Ada Lovelace <ada@example.org>, OrchestCode"] * 6


async def test_a_setting_names_the_author_of_delivered_commits(env: ActivityEnv) -> None:
    """It counts for every repository, and for a request as it was when that was opened."""
    env.repositories._author = "The Bot <bot@example.org>"
    job = await env.open()
    checkpoint = await job.changed({"a.txt": "x\n"})
    first = await job.patch(checkpoint)
    env.repositories._author = None
    again = await (await env.open()).patch(checkpoint)

    assert git(job.store.path, "log", "-1", "--format=%an <%ae>", first.commit).strip() == (
        "The Bot <bot@example.org>"
    )
    assert again == first


async def test_a_request_that_older_code_opened_keeps_its_author_and_merge_messages(
    job: Job,
) -> None:
    """What is made again of its steps is the same to the byte."""
    await job.store.advance(AUTHOR, None, job.store.ref(AUTHOR))
    first = await job.patch(await job.changed({"a.txt": "x\n"}), task="a")
    second = await job.patch(await job.changed({"b.txt": "y\n"}), task="b")
    chain = await chained(job, first, second)

    merge = await job.store.get_commit(chain.links[1].commit or "")
    assert merge.message == "Merge: Do b"
    log = git(job.store.path, "log", "-1", "--format=%an", first.commit)
    assert log.strip() == "OrchestCode"


async def test_a_patch_is_later_than_its_base(
    env: ActivityEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the worker's clock is behind the base's date, the patch is dated from the base."""
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0)
    job = await env.open()

    patch = await job.patch(await job.changed({"a.txt": "x\n"}))

    base, made = [await job.store.get_commit(each) for each in (job.base, patch.commit)]
    assert made.author_seconds == base.author_seconds + 1


async def test_nothing_changed_is_an_empty_patch(job: Job) -> None:
    """It stands on the base itself and counts nothing; so does a change that was taken back."""
    there = await job.changed({"a.txt": "x\n"})
    back = await job.changed({"a.txt": "one\ntwo\nthree\n"}, on=there)

    patch = await job.patch(back)

    assert (patch.commit, patch.files, patch.patch_id, patch.paths) == (job.base, 0, "", ())


async def test_risks_and_markers_are_read_off_the_change(job: Job) -> None:
    """Deleted tests, sensitive paths and new conflict markers are named; old markers are not."""
    marked = "<<<<<<< landed by other\na\n=======\nb\n>>>>>>> yours\n"
    base = await job.changed({"tests/test_x.py": "x\n", "old.txt": marked})
    after = await job.changed(
        {
            "tests/test_x.py": None,
            ".github/workflows/ci.yml": "on: push\n",
            "src/auth.py": "x = 1\n",
            "merged.txt": f"top\n{marked}",
            "old.txt": f"{marked}more\n",
        },
        on=base,
    )

    patch = await job.patch(after, base=base)

    assert patch.markers == ("merged.txt",)
    assert [risk.split(":")[0] for risk in patch.risks] == [
        "runs in continuous integration once it is pushed",
        "touches authentication or secrets",
        "deletes tests",
    ]


async def test_what_a_patch_is_can_be_risky(job: Job, agent: Agent) -> None:
    """A link out of the repository, a large binary, names with a line end or broken bytes and
    turned text are each a risk of their own, as the agent's command left them.
    """
    await agent.run(
        "ln -s /etc/passwd link; ln -s ../../x out; ln -s a.txt inside;"
        "head -c 3000000 /dev/urandom > big.bin; printf 'x\\n' > $'new\\nline'; : > $'r\\xe9';"
        "printf 'if x: # \\u202e y\\n' > turned.py; cp big.bin copy.png"
    )

    patch = await job.patch(agent.at)

    assert patch.risks == (
        "adds a link that leads out of the repository: link -> /etc/passwd, out -> ../../x",
        (
            "adds a file of more than 1,000,000 bytes: big.bin (3,000,000 bytes), "
            "copy.png (3,000,000 bytes)"
        ),
        "adds a binary file, which no review can read: big.bin",
        r"has a file name that cannot be shown as it is: 'new\nline', 'r\xe9'",
        "adds text whose direction is turned, so that it reads otherwise than it runs: turned.py",
    )
    kept = await job.changed({"big.bin": None}, on=patch.commit)
    assert (await job.patch(kept, base=patch.commit, number=1)).risks == ()


SELF_RUNNING = (
    *(".husky/pre-commit", ".envrc", ".vscode/tasks.json", ".cargo/config.toml", ".mcp.json"),
    *(".gitattributes", "conftest.py"),
)


async def test_what_a_command_writes_is_judged_like_an_edit(job: Job, agent: Agent) -> None:
    """Each file that runs outside the sandbox is named with when it runs, though `run_command`
    wrote it, the task declares everything, and case, links and modes hide it.
    """
    folders = "mkdir -p .husky .vscode .cargo sub tools/hooks .GitHub/Workflows"
    files = " ".join(SELF_RUNNING)
    await agent.run(f"{folders}; for f in {files}; do echo x > $f; done; chmod +x {files}")
    await agent.run("ln -s ../tools/hooks sub/.githooks; echo x > tools/hooks/pre-push")
    await agent.run("echo x > .GitHub/Workflows/ci.yml; mv conftest.py sub/conftest.py")

    patch = await job.patch(agent.at, writes=("**",))

    assert patch.problem == ""
    assert patch.risks == (
        (
            "runs at git's hooks, such as a commit or a checkout: .husky/pre-commit, "
            "sub/.githooks, tools/hooks/pre-push (as sub/.githooks/pre-push)"
        ),
        "tells git which programs to run, and on which files: .gitattributes",
        "runs when somebody enters the folder with direnv: .envrc",
        "runs when the folder is opened in an editor: .vscode/tasks.json",
        "runs when an agent is started in the folder: .mcp.json",
        "runs in continuous integration once it is pushed: .GitHub/Workflows/ci.yml",
        "decides what a package manager or build tool fetches and runs: .cargo/config.toml",
        "is loaded whenever tests start, or an editor looks for them: sub/conftest.py",
    )


async def test_a_changed_mode_alone_is_a_change(job: Job, agent: Agent) -> None:
    """A hook that stood there becomes a program: a person looks."""
    await agent.run("mkdir .githooks; echo x > .githooks/pre-commit")
    base = (await job.patch(agent.at)).commit
    await agent.run("chmod +x .githooks/pre-commit")

    patch = await job.patch(agent.at, base=base, number=1, writes=("**",))

    assert patch.risks == (
        "runs at git's hooks, such as a commit or a checkout: .githooks/pre-commit",
    )


async def test_a_person_is_asked_of_an_undeclared_path_only_where_it_overlaps(job: Job) -> None:
    """A README, a changelog and a test are no risk; another task's file is, and alone goes back."""
    spec = TaskSpec(id="a", title="A", goal="G", writes=("core.py",))
    scope = WriteScope(writes=spec.writes, claims=(Claim(task="cli", writes=("cli.py",)),))
    facts: dict[str, Any] = {
        "writes": spec.writes,
        "spec": spec,
        "summary": "did it",
        "scope": scope,
    }
    own = {"core.py": "x\n", "README.md": "x\n", "CHANGELOG.md": "x\n", "tests/test_core.py": "x\n"}

    free = await job.patch(await job.changed(own), number=1, **facts)
    overlaps = await job.patch(await job.changed({**own, "cli.py": "x\n"}), number=2, **facts)
    alone = await job.patch(await job.changed({"cli.py": "x\n"}), number=3, **facts)

    assert (free.problem, free.risks) == ("", ())
    assert free.outside == ("CHANGELOG.md", "README.md", "tests/test_core.py")
    assert overlaps.problem == ""
    assert overlaps.risks == (
        "changes paths that the task did not declare: cli.py (task 'cli' writes it too)",
    )
    assert "Undo it and do the task itself" in alone.problem


async def test_markers_are_found_behind_many_files(job: Job) -> None:
    """A large patch hides no marker behind its first two hundred paths."""
    many = {f"f{number:03}.txt": "x\n" for number in range(260)}
    after = await job.changed(
        {**many, "z.txt": f"<<<<<<< {'0' * 40}\n=======\n>>>>>>> {'1' * 40}\n"}
    )

    patch = await job.patch(after)

    assert patch.markers == ("z.txt",)
    assert (patch.files, len(patch.paths)) == (261, 200)


async def test_binary_links_and_modes_count_as_changes(job: Job) -> None:
    """A binary file counts no lines; a mode alone is a change; names keep their letters."""
    first = await job.changed({"b.bin": b"\0\1\2", "straße.txt": "x\n"})
    second = await job.changed({"a.txt": "one\ntwo\nthree\n"}, on=first, mode="100755")

    patch = await job.patch(second)

    assert (patch.files, patch.added_lines, patch.deleted_lines) == (3, 1, 0)
    assert patch.paths == ("a.txt", "b.bin", "straße.txt")


async def test_a_first_patch_is_its_own_candidate_and_lands_as_it_is(job: Job) -> None:
    """On an unmoved tip nothing is merged: the commit that was tested is the target's next one."""
    patch = await job.patch(await job.changed({"a.txt": "x\n"}))

    chain = await chained(job, patch)
    commit = await landed(job, chain.tip, chain.links[0].commit or "")

    assert (chain.tip, chain.links[0].commit) == (job.base, patch.commit)
    assert commit == patch.commit == await target(job)


async def test_a_chain_lands_exactly_the_tree_of_its_last_candidate(job: Job) -> None:
    """Two patches land as one merge over tip and candidate, with the candidate's very tree."""
    first = await job.patch(await job.changed({"a.txt": "x\n"}), task="a")
    second = await job.patch(await job.changed({"b.txt": "y\n"}), task="b")

    chain = await chained(job, first, second)
    candidate = chain.links[1].commit or ""
    commit = await landed(job, chain.tip, candidate, "Do a", "Do b") or ""

    made = await job.store.get_commit(commit)
    assert made.tree == (await job.store.get_commit(candidate)).tree
    assert made.parents == (job.base, candidate)
    assert made.message == "Land 2 tasks\n\n- Do a (a)\n- Do b (b)"
    assert await files(job, commit) == {"a.txt": "x\n", "b.txt": "y\n"}
    assert await job.store.resolve(ids.candidate_ref("one", candidate)) == candidate
    merge = await job.store.get_commit(candidate)
    assert merge.parents == (first.commit, second.commit)
    assert merge.message == (
        f"Merge: Do b\n\nJoins the patch of b ({second.commit[:12]}) with the landed work of a "
        f"({first.commit[:12]})."
    )


async def test_a_conflict_says_with_whom(job: Job) -> None:
    """A patch that conflicts with a neighbour is told apart from one that conflicts with the tip,
    and the chain goes on without it.
    """
    first = await job.patch(await job.changed({"a.txt": "one\nFIRST\nthree\n"}), task="first")
    rival = await job.patch(await job.changed({"a.txt": "one\nRIVAL\nthree\n"}), task="rival")
    third = await job.patch(await job.changed({"b.txt": "third\n"}), task="third")

    background_task = await chained(job, first, rival, third)
    await landed(job, background_task.tip, first.commit)
    behind = await chained(job, rival, third)

    assert [link.commit is None for link in background_task.links] == [False, True, False]
    assert (background_task.links[1].conflicts, background_task.links[1].with_tip) == (
        ("a.txt",),
        False,
    )
    assert await files(job, background_task.links[2].commit or "") == {
        "a.txt": "one\nFIRST\nthree\n",
        "b.txt": "third\n",
    }
    assert (behind.links[0].conflicts, behind.links[0].with_tip) == (("a.txt",), True)


async def test_a_chain_tries_the_order_with_the_fewest_conflicts(job: Job) -> None:
    """A patch that conflicts with two others is stacked behind them, unless it is to stay; a
    conflict names the tasks that landed the other side, and a candidate what landed meanwhile.
    """
    hub = await job.patch(await job.changed({"a.txt": "HUB\n", "b.txt": "HUB\n"}), task="hub")
    one = await job.patch(await job.changed({"a.txt": "one\nONE\nthree\n"}), task="one")
    two = await job.patch(await job.changed({"b.txt": "TWO\n"}), task="two")
    request = BuildChain(
        repository=job.opened.repository,
        patches=tuple((patch.task, patch.commit) for patch in (hub, one, two)),
        free_from=0,
    )
    build = job.env.patches.build_chain

    free = await ActivityEnvironment().run(build, request)
    held = await ActivityEnvironment().run(build, request.model_copy(update={"free_from": 1}))
    assert [(link.id, link.commit is None) for link in free.links] == [
        ("one", False),
        ("two", False),
        ("hub", True),
    ]
    assert [(link.id, link.commit is None) for link in held.links] == [
        ("hub", False),
        ("one", True),
        ("two", True),
    ]

    await landed(job, free.tip, one.commit)
    behind = await chained(job, two, hub)
    assert (behind.links[0].met, behind.links[1].met) == (("one",), ("one",))
    assert behind.links[1].with_tip


async def test_a_repeated_chain_is_the_same_chain(job: Job) -> None:
    """Candidates depend on nothing but their patches and the tip."""
    patches = [
        await job.patch(await job.changed({f"{name}.txt": "x\n"}), task=name) for name in "abc"
    ]

    assert await chained(job, *patches) == await chained(job, *patches)


async def test_what_has_landed_lands_again_without_a_trace(job: Job) -> None:
    """Patches that the target holds already, as after an old database was put back, move nothing; a
    new one comes on top of them. The same change from elsewhere is merged, not taken for landed.
    """
    first, second, third = [
        await job.patch(await job.changed({f"{name}.txt": "x\n"}), task=name) for name in "abc"
    ]
    twin = await job.patch(await job.changed({"a.txt": "x\n"}), task="twin")
    chain = await chained(job, first, second)
    tip = await landed(job, chain.tip, chain.links[-1].commit or "") or ""

    again = await chained(job, first, second)
    longer = await chained(job, second, third, first, twin)

    assert [link.commit for link in again.links] == [tip, tip]
    assert await landed(job, again.tip, tip) == tip == await target(job)
    one, two, three, four = [await job.store.get_commit(link.commit or "") for link in longer.links]
    assert one == await job.store.get_commit(tip)
    assert two.parents == (tip, third.commit)
    assert three == two
    assert four.tree == two.tree
    assert four.parents[1] == twin.commit


async def test_landing_is_a_compare_and_swap(job: Job) -> None:
    """Of two landings on one tip the second gets nothing; the winner may be asked again."""
    first = await job.patch(await job.changed({"a.txt": "x\n"}), task="a")
    second = await job.patch(await job.changed({"b.txt": "y\n"}), task="b")

    outcomes = list(
        await asyncio.gather(
            landed(job, job.base, first.commit), landed(job, job.base, second.commit)
        )
    )
    winner = await target(job)
    again = [
        await landed(job, job.base, first.commit),
        await landed(job, job.base, second.commit),
    ]

    assert sorted(outcomes, key=str) == sorted([None, winner], key=str)
    assert again == outcomes
    assert await target(job) == winner


async def test_a_repeated_landing_of_a_merge_moves_nothing(job: Job) -> None:
    """The merge commit is made the same again, so a lost acknowledgement is free."""
    patches = [
        await job.patch(await job.changed({f"{name}.txt": "x\n"}), task=name) for name in "ab"
    ]
    chain = await chained(job, *patches)
    candidate = chain.links[-1].commit or ""

    first = await landed(job, chain.tip, candidate, "a", "b")

    assert await landed(job, chain.tip, candidate, "a", "b") == first == await target(job)


async def test_a_rebase_keeps_both_changes(job: Job) -> None:
    """Without a conflict the checkpoint stands on the tip and has the patch's change on top; asked
    again it is the same, wherever the tip is now, and why it did not land is kept.
    """
    other = await job.patch(await job.changed({"b.txt": "other\n"}), task="other")
    await landed(job, job.base, other.commit)
    mine = await job.patch(await job.changed({"a.txt": "mine\n"}), task="mine")

    result = await rebased(job, mine)

    assert (result.tip, result.conflicts) == (other.commit, ())
    assert (await job.store.get_commit(result.checkpoint)).parents == (result.tip,)
    assert await files(job, result.checkpoint) == {"a.txt": "mine\n", "b.txt": "other\n"}
    patch = await job.patch(result.checkpoint, base=result.tip, number=1)
    assert patch.paths == ("a.txt",)
    assert patch.patch_id == mine.patch_id
    ref = ids.verdict_ref("one", mine.task, mine.round)
    assert MergeVerdict.model_validate_json(await job.store.get_blob(ref)) == EVICTED
    more = await job.patch(await job.changed({"c.txt": "x\n"}, on=result.tip), base=result.tip)
    await landed(job, result.tip, more.commit)
    assert await rebased(job, mine) == result
    other_words = EVICTED.model_copy(update={"eviction": Eviction.RED})
    assert await rebased(job, mine, other_words) == result.model_copy(update={"verdict": EVICTED})


async def test_a_rebase_with_a_conflict_shows_both_sides(job: Job) -> None:
    """The checkpoint holds the markers, the conflict is named, and it cannot be
    handed in as it is.
    """
    other = await job.patch(await job.changed({"a.txt": "one\nTHEIRS\nthree\n"}), task="other")
    await landed(job, job.base, other.commit)
    mine = await job.patch(await job.changed({"a.txt": "one\nMINE\nthree\n"}), task="mine")

    result = await rebased(job, mine)

    assert result.conflicts == ("a.txt",)
    text = (await files(job, result.checkpoint))["a.txt"]
    assert "<<<<<<< " in text
    assert "THEIRS" in text
    assert "MINE" in text
    patch = await job.patch(result.checkpoint, base=result.tip, number=1)
    assert patch.markers == ("a.txt",)


async def test_a_rebase_of_what_has_landed_is_the_tip(job: Job) -> None:
    """A patch that is in already leaves nothing to do."""
    patch = await job.patch(await job.changed({"a.txt": "x\n"}))
    await landed(job, job.base, patch.commit)

    result = await rebased(job, patch)

    assert result.checkpoint == result.tip == patch.commit
