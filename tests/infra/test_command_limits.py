"""What a command may use up: it is ended at each limit, is told which, and harms nobody else.

Real sandboxes and real worktrees; where none can be made the tests fail, they never skip.
"""

import asyncio
import json
import resource
from dataclasses import dataclass
from pathlib import Path

import pytest

from domain.checkpoints import CheckpointLimits
from domain.command_limits import MB, CommandLimits
from infra.commands import CommandRunner
from infra.sandbox import argv
from infra.worktrees import users
from tests.infra.bench import ActivityEnv, Agent, Job, ToolReply, person
from tests.infra.test_sandbox import SandboxFolders, driven, folders, seed
from tests.local_deployment import bytes_below

__all__ = ["folders", "seed"]

FORK_BOMB = "b() { setsid bash -c 'sleep 60' & b & b & wait; }; b"
HONEST = "for each in {1..30}; do /bin/true; done; python3 -I -S -c 'print(6 * 7)'"
WELL = "42\n[exit code 0]"


@dataclass(frozen=True)
class FourAgents:
    """One agent that goes too far, three that work."""

    greedy: Agent
    others: tuple[Agent, ...]

    async def at_once(self, line: str) -> tuple[ToolReply, list[ToolReply], float]:
        """Run a line beside honest ones; return what each got, and how long the honest took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        task = asyncio.create_task(self.greedy.run(line, timeout_seconds=60))
        replies: list[ToolReply] = []
        for _ in range(2):
            replies += await asyncio.gather(*(each.run(HONEST) for each in self.others))
        took = loop.time() - began
        return await task, replies, took


@pytest.fixture
async def four(env: ActivityEnv, job: Job) -> FourAgents:
    """Four agents on one worker with small limits, one of them on another repository."""
    sandbox = env.tools._commands._sandbox
    limits = CommandLimits(memory_bytes=400 * MB, processes=200, disk_bytes=300 * MB)
    env.tools._commands = CommandRunner(sandbox, hide=(env.home,), limits=limits)
    other = await env.open(person(env.folder / "other"), request="request/two")
    agents = [await job.agent("a"), await job.agent("b"), await job.agent("c")]
    return FourAgents(await other.agent("a"), tuple(agents))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        pytest.param(
            FORK_BOMB,
            "ended because it had 200 processes and threads at once, which is the limit: start "
            "fewer, such as fewer workers (a person can allow more: ORCHESTCODE_COMMAND_PROCESSES)",
            id="a fork bomb",
            marks=pytest.mark.every_user,
        ),
        pytest.param(
            "python3 -I -S -c 'x = bytearray(900 << 20); import time; time.sleep(60)'",
            "ended because it used more than 400 MB of memory, files in /dev/shm counted: run less "
            "at once, fewer workers or tests (a person can allow more: "
            "ORCHESTCODE_COMMAND_MEMORY_MB)",
            id="memory",
            marks=pytest.mark.every_user,
        ),
        pytest.param(
            "python3 -I -S -c 'import os, time; fs = [os.memfd_create(str(n)) for n in range(9)]; "
            "[os.write(f, bytes(99 << 20)) for f in fs]; time.sleep(60)'",
            "ended because it used more than 400 MB of memory",
            id="files in memory without a name",
            marks=pytest.mark.security_long,
        ),
        pytest.param(
            "for i in {1..100}; do head -c 10000000 /dev/zero > /tmp/$i; done; sleep 60",
            "ended because the files of the worktree, /tmp and HOME grew beyond 300 MB, or it "
            "filled half of what was free; all it wrote was undone and /tmp and HOME were emptied: "
            "write less (a person can allow more: ORCHESTCODE_COMMAND_DISK_MB)",
            id="many files",
        ),
        pytest.param(
            "for i in {1..8}; do exec {fd}>gone; rm gone; head -c 100000000 /dev/zero >&$fd; done; "
            "sleep 60",
            "ended because the files of the worktree, /tmp and HOME grew beyond 300 MB",
            id="files without a name",
            marks=pytest.mark.security_long,
        ),
        pytest.param(
            "yes",
            "ended because it printed more than 10 MB: write the output to",
            id="output",
            marks=pytest.mark.security_long,
        ),
    ],
)
async def test_a_command_at_its_limit_is_told_and_harms_no_other_agent(
    four: FourAgents, line: str, sentence: str
) -> None:
    """The result names the limit, its value and what to do; three others work on meanwhile."""
    reply, others, took = await four.at_once(line)

    assert f"[{sentence}" in reply.text
    assert [each.text for each in others] == [WELL] * 6
    assert took < 120
    assert (await four.greedy.run(HONEST)).text.endswith(WELL)


async def test_a_check_at_its_limit_says_so_to_agent_and_person(env: ActivityEnv, job: Job) -> None:
    """The result of a check carries the sentence, which every report of it shows."""
    sandbox = env.checks._runner._sandbox
    env.checks._runner = CommandRunner(
        sandbox, hide=(env.home,), limits=CommandLimits(processes=100)
    )
    report = await job.check(job.base, FORK_BOMB)

    assert not report.passed
    assert "it had 100 processes and threads at once" in report.results[0].limit


@pytest.mark.ordinary_user
def test_a_fork_bomb_of_a_worker_that_is_not_root_harms_no_other(folders: SandboxFolders) -> None:
    """Its user namespace is counted by itself, so another command of the same user can fork."""
    honest = "sleep 1; " + HONEST
    answer = json.loads(driven(folders, [FORK_BOMB, honest, honest, honest], together=True))

    assert answer[0][0] == "processes"
    assert answer[1:] == [[0, "42\n"]] * 3


@pytest.mark.every_user
def test_commands_are_what_the_kernel_ends_first(folders: SandboxFolders) -> None:
    """Every process of a sandbox is the first victim, the worker is not."""
    answer = json.loads(driven(folders, ["cat /proc/*/oom_score_adj | sort -u"]))

    assert answer[0] == [0, "1000\n"]
    assert Path("/proc/self/oom_score_adj").read_text() != "1000\n"


@pytest.mark.every_user
def test_a_command_stays_the_first_victim(folders: SandboxFolders) -> None:
    """What it takes back is set again while it runs."""
    line = "echo 0 > /proc/self/oom_score_adj; sleep 2; cat /proc/self/oom_score_adj"
    answer = json.loads(driven(folders, [line]))

    assert answer[0] == [0, "1000\n"]


@pytest.mark.every_user
def test_nothing_in_memory_can_be_filled_but_shared_memory(folders: SandboxFolders) -> None:
    """Covers and /dev belong to the command's user and are closed; /dev/shm has a size."""
    places = "/home /root /run /dev /dev/pts"
    lines = [
        f'for each in {places}; do mkdir "$each/x" 2>/dev/null && echo "$each"; done; true',
        "df -B1 --output=size /dev/shm | tail -1",
    ]
    answer = json.loads(driven(folders, lines))

    assert answer[0] == [0, ""]
    assert int(answer[1][1]) <= CommandLimits().memory_bytes + 4_096


async def test_one_file_has_a_size(env: ActivityEnv, agent: Agent) -> None:
    """The kernel refuses what would make one file larger than all files may be."""
    sandbox = env.tools._commands._sandbox
    limits = CommandLimits(disk_bytes=10 * MB)
    env.tools._commands = CommandRunner(sandbox, hide=(env.home,), limits=limits)
    reply = await agent.run("truncate -s 30M big")

    assert reply.text.endswith("[blocked by sandbox: one file can have at most 10 MB]")


# --- whose processes are counted ---------------------------------------------------------------


def test_no_two_worktrees_of_a_host_share_a_user(tmp_path: Path) -> None:
    """Also those of two repositories, and again after a restart; another home begins elsewhere."""
    names = [f"{pool}/w{number}" for pool in ("one", "two") for number in range(1, 20)]
    given = [users.user_of(tmp_path, name, 65_600) for name in names]

    assert len(set(given)) == len(names)
    assert [users.user_of(tmp_path, name, 65_600) for name in names] == given
    assert 65_600 not in given


@pytest.mark.needs_root
def test_users_of_worktrees_are_nobodys(tmp_path: Path) -> None:
    """They lie between people, services and containers, and a ustar archive can hold them."""
    first = users.first_user(tmp_path)

    assert first is not None
    assert 65_535 < first < 100_000 or 60_000 <= first < 65_520


@pytest.mark.parametrize(
    ("user", "kernel", "limit"),
    [
        pytest.param("root", (6, 1), 528, id="root counts a user a worktree"),
        pytest.param("another", (6, 1), 528, id="a namespace is counted by itself"),
        pytest.param("another", (5, 10), 4_112, id="an old kernel counts the user's others"),
    ],
)
def test_the_kernels_limit_follows_whom_it_counts(
    monkeypatch: pytest.MonkeyPatch, user: str, kernel: tuple[int, int], limit: int
) -> None:
    """RLIMIT_NPROC is what one command may have and a few more, wherever it counts one command."""
    monkeypatch.setattr(argv, "is_root", lambda: user == "root")
    monkeypatch.setattr(argv, "_kernel", lambda: kernel)
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (100_000, 100_000))

    assert argv.process_limit(512) == limit


# --- what a checkpoint takes -------------------------------------------------------------------


async def test_a_large_file_does_not_stay_in_the_store(agent: Agent) -> None:
    """It is left out of the checkpoint, the agent is told so, and the rest is recorded."""
    before = store_bytes(agent)
    reply = await agent.run("head -c 60000000 /dev/urandom > big.bin; echo two > b.txt")

    assert (
        "[not part of the checkpoint, nor of the patch: big.bin (60 MB). One file may have 50 MB, "
        "the new and changed files of a checkpoint together 250 MB and 50,000 in number: make less"
    ) in reply.text
    assert (await agent.files())["b.txt"] == b"two\n"
    assert "big.bin" not in await agent.files()
    assert store_bytes(agent) - before < MB
    again = await agent.run("ls")
    assert "big.bin" in again.text
    assert reply.result.left_out == again.result.left_out == "too large: big.bin (60 MB)"
    assert (await agent.edit("create", "c.txt", file_text="c\n")).result.left_out is None
    assert (await agent.run("rm big.bin")).result.left_out == ""


async def test_a_file_that_grows_too_large_stays_as_it_was(agent: Agent) -> None:
    """A file of the base keeps its content in the checkpoint; smaller again, it is recorded."""
    reply = await agent.run("head -c 60000000 /dev/zero > a.txt")

    assert "nor of the patch: a.txt (60 MB)" in reply.text
    assert (await agent.files())["a.txt"] == b"one\ntwo\nthree\n"
    await agent.run("echo small > a.txt")
    assert (await agent.files())["a.txt"] == b"small\n"


async def test_a_checkpoint_has_a_size(env: ActivityEnv) -> None:
    """Of files that are too much together the largest are left out."""
    limits = CheckpointLimits(file_bytes=5 * MB, all_bytes=6 * MB)
    env.pools._limits = limits
    agent = await (await env.open()).agent()
    line = "for n in 2 3 4; do head -c ${n}000000 /dev/urandom > $n.bin; done"
    reply = await agent.run(line)

    assert "nor of the patch: 4.bin (4 MB). One file may have 5 MB" in reply.text
    assert sorted(await agent.files()) == ["2.bin", "3.bin", "a.txt", "b.txt"]


async def test_paths_too_deep_for_git_are_told_and_stop_nothing(agent: Agent) -> None:
    """A tree of 1,100 folders is left out and said; the worktree goes on and is freed."""
    script = "import os\nfor _ in range(1100): os.mkdir('dddd'); os.chdir('dddd')\nopen('x', 'w')"
    deep = f'python3 -I -S -c "{script}"'
    reply = await agent.run(f"echo two > b.txt; {deep}; cd /tmp; {deep}")

    assert "a path longer than 4,000 bytes cannot be recorded, use shorter ones]" in reply.text
    assert len(reply.text) < 1_000
    assert (await agent.files())["b.txt"] == b"two\n"
    assert "exit code 0" in (await agent.run("ls")).text
    assert "b.txt" in (await agent.view(".")).text
    assert "b.txt" in (await agent.search("two")).text
    pool = await agent.job.pool()
    name, epoch = agent.lease.worktree, agent.lease.epoch
    async with pool.open_worktree(name, epoch, agent.job.base) as worktree:
        worktree.begin("lost")
    async with pool.open_worktree(name, epoch, agent.job.base) as worktree:
        assert sorted(each.name for each in worktree.path.iterdir()) == [".git", "a.txt", "b.txt"]
    assert await pool.release(name, epoch)
    assert not [each.name for each in pool._root.glob(".pool/*.trash-*")]
    again = await agent.job.agent("b")
    assert "exit code 0" in (await again.run("ls")).text


def store_bytes(agent: Agent) -> int:
    """Return what the store takes on disk."""
    return bytes_below(agent.job.store.path)
