"""An agent's /tmp and HOME: kept between its commands, outside of its patch, and its own."""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.infra.bench import Agent, Job

LOST = "[/tmp and HOME were emptied since your last command"


def scratch(agent: Agent) -> Path:
    """Return the folder on disk."""
    return agent.path.parent / ".pool" / f"{agent.path.name}.scratch"


async def test_files_in_tmp_and_home_stay_between_commands(agent: Agent) -> None:
    """What a command leaves there the next one finds, and no checkpoint holds it."""
    before = agent.at
    await agent.run("echo one > /tmp/a; mkdir ~/.cache; echo two > ~/.cache/b; echo $HOME")
    found = await agent.run("cat /tmp/a ~/.cache/b")

    assert found.text == "one\ntwo\n[exit code 0]"
    assert agent.at == before
    assert (await agent.view("/tmp/a")).text == "     1\tone"
    assert (await agent.view("/tmp")).text == "/tmp/a\n/tmp/home/\n/tmp/home/.cache/"


async def test_the_scratch_folder_is_the_agents_alone_and_ends_with_its_task(job: Job) -> None:
    """Another agent has its own; the next one to lease the worktree finds nothing."""
    first, second = await job.agent("a"), await job.agent("b")
    await first.run("echo secret > /tmp/a")

    other = await second.run(f"ls -A /tmp ~; cat {scratch(first)}/a")
    mode = scratch(first).stat().st_mode
    pool = await job.pool()
    await pool.release(first.lease.worktree, first.lease.epoch)
    gone = not scratch(first).exists()
    later = await job.agent("c")

    assert "secret" not in other.text
    assert mode & 0o077 == 0
    assert gone
    assert later.path == first.path
    assert (await later.run("ls -A /tmp /tmp/home")).text == (
        "/tmp:\nhome\n\n/tmp/home:\n[exit code 0]"
    )


async def test_what_an_interrupted_call_left_in_tmp_is_gone_and_said(agent: Agent) -> None:
    """A call is done whole or not at all: half of it in /tmp is emptied, and the agent is told so
    once.
    """
    await agent.run("echo done > /tmp/a")
    pool = await agent.job.pool()
    lease = agent.lease
    async with pool.open_worktree(lease.worktree, lease.epoch, agent.at) as place:
        place.begin("call-lost")
        (scratch(agent) / "half").write_text("half")

    looked = await agent.view("/tmp/a")
    first = await agent.run("ls /tmp")
    second = await agent.run("ls /tmp")

    assert looked.text.startswith("Error: File not found: /tmp/a. /tmp and HOME were emptied")
    assert first.text.startswith(f"home\n{LOST}")
    assert second.text == "home\n[exit code 0]"


async def test_a_finished_call_keeps_tmp_over_the_death_of_the_worker(job: Job) -> None:
    """A worker that opens the worktree anew finds what the finished commands of the dead one left;
    a deleted folder is made again, and the agent is told.
    """
    agent = await job.agent()
    await agent.run("echo kept > /tmp/a")
    job.env.pools._pools.clear()
    kept = await agent.run("cat /tmp/a")
    shutil.rmtree(scratch(agent))
    lost = await agent.run("ls /tmp")

    assert kept.text == "kept\n[exit code 0]"
    assert LOST in lost.text


async def test_a_command_that_filled_the_disk_leaves_nothing_in_tmp(agent: Agent) -> None:
    """Its own result says that /tmp was emptied, so the next one does not say it again."""
    await agent.run("echo one > /tmp/a")
    pool = await agent.job.pool()
    lease = agent.lease
    async with pool.open_worktree(lease.worktree, lease.epoch, agent.at) as place:
        await place.undo(agent.at)
        name = place.record.scratch
        place.settle(agent.at)

    assert name
    assert LOST in (await agent.run("ls /tmp")).text


@pytest.mark.every_user
async def test_an_agent_cannot_lead_the_sandbox_out_of_its_tmp(agent: Agent) -> None:
    """A link or a file in the place of HOME or /tmp closed to its owner harms nobody: the next
    command runs as ever.
    """
    await agent.run("rm -rf /tmp/home; ln -s ../../../../etc /tmp/home; chmod 000 /tmp")
    after = await agent.run("ls -ld /tmp/home | cut -c1; touch ~/x && echo written")

    assert after.text == "d\nwritten\n[exit code 0]"
    assert not Path("/etc/x").exists()
    await agent.run("rm -rf /tmp/home; echo file > /tmp/home")
    assert "written" in (await agent.run("touch ~/x && echo written")).text


async def test_a_view_leaves_tmp_through_no_link(agent: Agent) -> None:
    """Paths of /tmp are confined to it as those of the worktree are to that."""
    await agent.run("ln -s /etc/passwd /tmp/link; ln -s / /tmp/root")

    for path in ("/tmp/link", "/tmp/root/etc/passwd", "/tmp/../etc/passwd"):
        looked = await agent.view(path)
        assert looked.outcome == "failed"
        assert "root:" not in looked.text
    assert (await agent.view("/etc/passwd")).outcome == "failed"


async def test_a_cut_output_is_kept_whole_in_a_file(agent: Agent) -> None:
    """The cut names the file; it can be viewed, searched, and read by commands."""
    told = await agent.run("seq 1 20000")
    named = re.search(r"the whole output in (/tmp/output-\w+\.txt)", told.text)

    assert named
    middle = await agent.view(named[1], view_range=[10_000, 10_000])
    assert middle.text == " 10000\t10000"
    assert (await agent.run(f"wc -l < {named[1]}")).text == "20000\n[exit code 0]"
    assert sorted(await agent.files()) == ["a.txt", "b.txt"]
    if os.geteuid() == 0:
        assert (scratch(agent) / named[1].rpartition("/")[2]).stat().st_uid != 0


async def test_checks_have_a_tmp_of_their_own(job: Job, agent: Agent) -> None:
    """The commands of one check share /tmp, as an agent's do; it holds nothing of before."""
    await agent.run("echo secret > /tmp/a")

    report = await job.check(job.base, "test ! -e /tmp/a; echo x > /tmp/b", "cat /tmp/b")
    later = await job.check(job.base, "test ! -e /tmp/b")

    assert (report.passed, later.passed) == (True, True)
