"""The cloud lane: a sealed clone for one task, made for it and gone with it."""

import os

import pytest
from temporalio.exceptions import ApplicationError

from contracts.failures import FailureKind
from contracts.lanes import Lane
from contracts.worktrees import ReleaseWorktree
from domain.command_limits import CommandLimits, sealed
from infra.cloud_lane import CloudLane
from infra.commands import CommandRunner
from infra.worktrees import files
from infra.worktrees.layout import Layout
from tests.infra.bench import ActivityEnv, Agent, Job

MB = 1_000_000


@pytest.fixture
async def cloud(job: Job) -> Agent:
    """An agent in a clone of its own."""
    return await job.agent("sealed", lane=Lane.CLOUD)


def left(agent: Agent) -> list[str]:
    """Return what is on disk of an agent's lease, but for the number of its leases and its lock."""
    name, pool = agent.lease.worktree, agent.path.parent
    store = agent.job.store.path
    folders = (pool, pool / ".pool", store / "worktrees")
    found = (each for folder in folders if folder.is_dir() for each in folder.iterdir())
    mine = (each for each in found if each.name == name or each.name.startswith(f"{name}."))
    kept = (f"{name}.json", f"{name}.lock")
    return sorted(str(each) for each in mine if each.name not in kept)


async def release(agent: Agent) -> None:
    """Free the agent's worktree, as its workflow does."""
    request = ReleaseWorktree(repository=agent.job.opened.repository, lease=agent.lease)
    await agent.job.env.worktrees.release_worktree(request)


async def test_an_agent_works_in_a_clone_as_in_a_worktree(cloud: Agent) -> None:
    """It edits, runs commands and sees its history; what it makes are checkpoints of the store."""
    assert (cloud.lease.lane, bool(cloud.lease.reason)) == (Lane.CLOUD, True)
    await cloud.edit("create", "new.txt", file_text="new\n")
    ran = await cloud.run("git log --format=%s && git status --short && cat new.txt && pwd")

    assert ran.text.startswith("The beginning\n?? new.txt\nnew\n")
    assert (await cloud.files())["new.txt"] == b"new\n"


async def test_a_clone_has_objects_of_its_own(cloud: Agent, job: Job) -> None:
    """It borrows none of the store, whose place is empty for its commands; a worktree does."""
    plain = await job.agent("plain")
    borrows = "test -e $(git rev-parse --git-dir)/objects/info/alternates && echo borrows || echo"
    counts = "git count-objects -v | grep in-pack; git fsck 2>&1"

    assert "borrows" in (await plain.run(borrows)).text
    ran = await cloud.run(f"{borrows}; {counts}")
    assert "borrows" not in ran.text
    assert "in-pack: 0" not in ran.text
    assert "missing" not in ran.text
    store = f"ls -A {cloud.path.parent / '.pool' / f'{cloud.lease.worktree}.store'}; echo end"
    assert (await cloud.run(store)).text.startswith("end")


async def test_nothing_is_left_of_a_clone_once_it_is_freed(cloud: Agent) -> None:
    """Files, ignored ones among them, git directory, /tmp and indexes go; a repeat is harmless."""
    await cloud.run("echo x > /tmp/kept; mkdir -p deep/er; echo y > deep/er/file; chmod 0 deep")
    assert left(cloud)
    await release(cloud)

    assert left(cloud) == []
    await release(cloud)
    assert left(cloud) == []


async def test_what_was_not_checkpointed_is_pinned_before_a_clone_goes(cloud: Agent) -> None:
    """As of every lease, nothing is lost."""
    (cloud.path / "late.txt").write_text("late\n")
    await release(cloud)

    pinned = await cloud.job.store.refs("refs/oc/rescue")
    assert len(pinned) == 1
    tree = next(iter(pinned.values()))
    assert await cloud.job.store.get_blob(f"{tree}:late.txt") == b"late\n"


async def test_a_worktree_that_was_used_before_holds_nothing_of_it_in_a_clone(job: Job) -> None:
    """A clone is provisioned from nothing, and what follows it is whole again."""
    first = await job.agent("first")
    await first.run("echo secret > /tmp/s; git update-ref refs/heads/left HEAD; touch .git-left")
    await release(first)
    second = await job.agent("second", lane=Lane.CLOUD)
    assert second.lease.worktree == first.lease.worktree
    seen = await second.run("ls /tmp; git for-each-ref refs/heads/left; ls -A")
    assert "left" not in seen.text
    await release(second)
    third = await job.agent("third")

    assert third.lease.worktree == first.lease.worktree
    assert (await third.run("cat a.txt; git status --short")).text.startswith("one\ntwo\nthree\n[")


async def test_a_call_of_an_ended_lease_does_nothing_in_what_follows(cloud: Agent) -> None:
    """A clone that was torn down is another lease when its place is used again."""
    late = await cloud.call("run_command", command="echo late > a.txt")
    await release(cloud)
    again = await cloud.job.agent("again", lane=Lane.CLOUD)
    assert again.lease.worktree == cloud.lease.worktree

    with pytest.raises(ApplicationError) as caught:
        await cloud.make(late)
    assert caught.value.type == FailureKind.FENCED
    assert (again.path / "a.txt").read_text() == "one\ntwo\nthree\n"


async def test_a_lost_clone_is_made_again_at_its_last_checkpoint(cloud: Agent) -> None:
    """As a worktree is: what was checkpointed is there."""
    await cloud.edit("create", "new.txt", file_text="new\n")
    files.remove(cloud.path)
    ran = await cloud.run("cat new.txt; git log --format=%s")

    assert ran.text.startswith("new\nThe beginning\n")


async def test_once_its_time_is_over_nothing_runs_in_a_clone(cloud: Agent, job: Job) -> None:
    """Each call is answered by that, and what there is was kept; a command ends with the time."""
    await cloud.edit("create", "new.txt", file_text="new\n")
    cloud.job.env.worktrees._cloud = CloudLane(3)
    short = await job.agent("short", lane=Lane.CLOUD)
    ran = await short.run("echo begun; sleep 60", timeout_seconds=100)
    assert "begun" in ran.text
    assert "timed out" in ran.text

    late = await short.run("echo late > late.txt")
    assert "time of this task's clone is over" in late.text
    assert "time of this task's clone is over" in (await short.view("a.txt")).text
    assert not (short.path / "late.txt").exists()
    assert (await cloud.run("cat new.txt")).text.startswith("new\n")


async def test_commands_of_a_clone_have_narrower_limits(env: ActivityEnv, job: Job) -> None:
    """Whatever a host allows, memory, processes and disk are bounded; a narrower host counts."""
    wide = CommandLimits(memory_bytes=64_000 * MB, processes=9_000, disk_bytes=90_000 * MB)
    narrow = CommandLimits(memory_bytes=300 * MB, processes=70, disk_bytes=10 * MB)
    assert sealed(wide) == CommandLimits(
        memory_bytes=2_000 * MB, processes=256, disk_bytes=4_000 * MB
    )
    assert sealed(narrow) == narrow
    runner = CommandRunner(env.runner._sandbox, hide=(env.home,), limits=wide)
    env.tools._commands = runner
    sizes = "df -B1 --output=size /dev/shm | tail -1"
    agent = await job.agent("narrow", lane=Lane.CLOUD)

    assert int((await agent.run(sizes)).text.split()[0]) <= 2_000 * MB + 4_096


@pytest.mark.needs_root
async def test_a_clone_runs_under_a_user_of_its_own(cloud: Agent, job: Job) -> None:
    """Neither the worker's nor that of another worktree."""
    plain = await job.agent("plain")
    mine, other = (os.lstat(each.path).st_uid for each in (cloud, plain))

    assert 0 not in {mine, other}
    assert mine != other


async def test_a_request_that_needs_the_lane_is_refused_where_there_is_none(
    env: ActivityEnv, job: Job
) -> None:
    """At its lease, with what to do; its opening says the same before anything is paid."""
    none = CloudLane.of_host(None, own_users=False)
    env.worktrees._cloud = none
    with pytest.raises(ApplicationError, match="have root start the worker") as caught:
        await job.lease("sealed", lane=Lane.CLOUD)
    assert caught.value.type == FailureKind.REFUSED
    assert caught.value.non_retryable

    env.repositories._cloud = none
    with pytest.raises(ApplicationError, match="have root start the worker"):
        await env.open(request="request/two", branch="two", lane=Lane.CLOUD)
    with pytest.raises(ApplicationError, match="a stranger's words"):
        await env.open(request="request/two", branch="two", untrusted=True)
    assert (await env.open(request="request/two", branch="two", lane=Lane.WORKTREE)).base


@pytest.mark.parametrize("steps", range(6))
async def test_a_killed_tear_down_is_finished_by_the_next(cloud: Agent, steps: int) -> None:
    """Whatever of it a killed worker has removed, freeing the lease once more leaves nothing, and
    the next lease is whole.
    """
    await cloud.run("mkdir sub; echo x > sub/file")
    layout = Layout(cloud.path.parent, cloud.job.store.path, cloud.lease.worktree)
    parts = (layout.path, layout.admin, layout.private_git, layout.gitfile, layout.sealed_store)
    for part in parts[:steps]:
        files.remove(part)
    await release(cloud)

    assert left(cloud) == []
    assert (await cloud.job.pool()).leases() == []
    assert await cloud.job.store.refs("refs/oc/rescue") == {}
    again = await cloud.job.agent("again")
    assert (await again.run("cat a.txt; git status --short")).text.startswith("one\ntwo\nthree\n[")
