"""What stops git for ever, or outlives its worker: met nowhere, and ended with its parent."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from infra import repository_look
from infra.git.command import GitCommand
from tests.activities.test_repository import refused
from tests.infra.bench import ActivityEnv, Agent, person
from tests.local_deployment import ROOT, git

STOPS_GIT = {
    "ignore": "mkfifo .gitignore",
    "ignore below": "mkdir -p a/b; mkfifo a/b/.gitignore; echo x > a/b/c",
    "attributes": "mkfifo .gitattributes; echo x > new.dat",
    "modules": "mkfifo .gitmodules; echo x > new.dat",
    "head": "git init -q n; rm n/.git/HEAD; mkfifo n/.git/HEAD",
    "reference": "git init -q n; mkfifo n/.git/refs/heads/$(git -C n branch --show-current)",
    "packed references": "git init -q n; mkfifo n/.git/packed-refs",
    "shared folder": "git init -q n; mkfifo n/.git/commondir",
    "file of a repository": "mkdir n m; mkfifo m/HEAD; mkdir m/objects m/refs; "
    "echo 'gitdir: ../m' > n/.git",
    "blank at the end": "mkdir n; git init -q m; mkdir 'm/.git '; mkfifo 'm/.git /HEAD'; "
    "mkdir 'm/.git /objects' 'm/.git /refs'; echo 'gitdir: ../m/.git ' > n/.git",
    "link": "git init -q n; rm n/.git/HEAD; mkfifo p; ln -s ../../p n/.git/HEAD",
    "linked folder": "git init -q n; rm -r n/.git/refs; mkdir -p r/heads; "
    "ln -s ../../r n/.git/refs; mkfifo r/heads/master r/heads/main",
    "device": "git init -q n; rm n/.git/HEAD; ln -s /dev/zero n/.git/HEAD",
    "linked repository": "git init -q m; mkfifo m/p; mkdir n; mkdir -p x/objects x/refs; "
    "mkfifo x/HEAD; ln -s ../x n/.git",
    "in the private directory": "G=$(git rev-parse --absolute-git-dir); mkdir -p $G/m/objects "
    "$G/m/refs n; mkfifo $G/m/HEAD; echo gitdir: $G/m > n/.git",
    "shared elsewhere": "G=$(git rev-parse --absolute-git-dir); mkdir -p $G/m/objects $G/m/refs n; "
    "echo ref: refs/heads/x > $G/m/HEAD; echo gitdir: $G/m > n/.git; "
    "S=$(awk '$5 == \"/tmp\" {print $4}' /proc/self/mountinfo); mkfifo /tmp/packed-refs; "
    "mkdir -p /tmp/refs /tmp/objects; echo $S > $G/m/commondir",
    "closed folder": "mkdir c; mkfifo c/.gitignore; echo x > c/x; chmod 0 c",
}
"""Commands of an agent, by what they leave."""


@pytest.mark.parametrize(
    "left",
    [
        # Root enters a closed folder, another user does not.
        pytest.param(name, marks=pytest.mark.every_user) if name == "closed folder" else name
        for name in STOPS_GIT
    ],
)
async def test_nothing_that_a_command_leaves_stops_git(agent: Agent, left: str) -> None:
    """The checkpoint after it, and the reset of the worktree, end; other work is recorded."""
    async with asyncio.timeout(20):
        said = await agent.run(f"{STOPS_GIT[left]}; echo own > own.txt")
        assert (await agent.files())["own.txt"] == b"own\n", said.text
        assert (await agent.search("own")).text.startswith("own.txt:1:own")
        pool = await agent.job.pool()
        await pool.release(agent.lease.worktree, agent.lease.epoch)
        again = await agent.job.agent("b")
        assert again.lease.worktree == agent.lease.worktree
        assert sorted(each.name for each in again.path.iterdir()) == [".git", "a.txt", "b.txt"]


async def test_what_stops_git_is_undone_after_an_interrupted_command(agent: Agent) -> None:
    """Nothing was recorded of it; the next call restores the files first."""
    pool = await agent.job.pool()
    async with pool.open_worktree(agent.lease.worktree, agent.lease.epoch, agent.at) as worktree:
        worktree.begin("call-cut")
        os.mkfifo(worktree.path / ".gitignore")
    async with asyncio.timeout(20):
        assert (await agent.run("ls -A")).text.splitlines()[:3] == [".git", "a.txt", "b.txt"]


async def test_what_was_removed_is_told(agent: Agent) -> None:
    """The agent reads which of its files are no part of its work."""
    told = await agent.run("mkfifo .gitignore; echo own > own.txt")
    assert "[not part of the checkpoint, as git takes no such files: .gitignore]" in told.text


async def test_what_lies_deeper_than_a_path_keeps_nothing_from_going_on(agent: Agent) -> None:
    """In the worktree and in the private git directory: what git cannot reach does not stop it."""
    script = (
        "import os, sys\nos.chdir(sys.argv[1])\n"
        "for _ in range(1_100): os.mkdir('dddd'); os.chdir('dddd')\n"
        "os.mkfifo('.gitignore'); os.mkdir('.git'); os.mkfifo('.git/HEAD'); open('x.lock', 'w')"
    )
    private = '"$(git rev-parse --absolute-git-dir)"'
    for place in (".", private):
        await agent.run(f'python3 -I -S -c "{script}" {place}; echo own > own.txt')
    assert (await agent.files())["own.txt"] == b"own\n"
    pool = await agent.job.pool()
    name, epoch = agent.lease.worktree, agent.lease.epoch
    async with pool.open_worktree(name, epoch, agent.at) as worktree:
        worktree.begin("lost")
    assert "exit code 0" in (await agent.run("git status --short")).text
    assert await pool.release(name, epoch)
    assert "exit code 0" in (await (await agent.job.agent("b")).run("git fsck")).text


async def test_a_whole_repository_in_the_worktree_is_left_alone(agent: Agent) -> None:
    """A nested repository, a worktree of it and one of its own repository work on."""
    await agent.run(
        "git init -q n && cd n && git commit -q --allow-empty -m x && git worktree add -q ../w "
        "&& cd .. && git worktree add -q v"
    )
    said = await agent.run(
        "for f in n w v; do git -C $f rev-parse HEAD || exit; done; ls w v/a.txt"
    )
    assert said.outcome == "done", said.text


PARENT = """
import asyncio, sys
from pathlib import Path
from infra.git.command import GitCommand
async def main():
    git = GitCommand(Path(sys.argv[1]))
    await git("-c", f"alias.hang=!echo $PPID > {sys.argv[2]}; cat {sys.argv[3]}", "hang")
asyncio.run(main())
"""


async def test_git_dies_with_its_parent(tmp_path: Path) -> None:
    """A worker that is killed leaves no git behind that holds a lock for ever."""
    repository, pid, pipe = tmp_path / "r.git", tmp_path / "pid", tmp_path / "pipe"
    await GitCommand(repository)("init", "--quiet", "--bare", str(repository))
    os.mkfifo(pipe)
    words = (sys.executable, "-c", PARENT, str(repository), str(pid), str(pipe))
    parent = await asyncio.create_subprocess_exec(*words, cwd=ROOT)
    async with asyncio.timeout(20):
        while not (pid.exists() and pid.read_text().strip()):
            await asyncio.sleep(0.02)
        child = int(pid.read_text())
        assert b"git" in Path(f"/proc/{child}/cmdline").read_bytes()
        parent.send_signal(signal.SIGKILL)
        await parent.wait()
        while Path(f"/proc/{child}").exists() and "Z" not in _state(child):
            await asyncio.sleep(0.02)
    handle = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)  # ends what git had started
    os.close(handle)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


def included(place: Path) -> None:
    """Let the configuration include a FIFO."""
    os.mkfifo(place / "pipe")
    git(place, "config", "--add", "include.path", str(place / "pipe"))


def configuration(place: Path) -> None:
    """Make the configuration a FIFO."""
    (place / ".git" / "config").unlink()
    os.mkfifo(place / ".git" / "config")


def reference(place: Path) -> None:
    """Make a branch a FIFO."""
    os.mkfifo(place / ".git" / "refs" / "heads" / "pipe")


def head(place: Path) -> None:
    """Make HEAD a FIFO."""
    (place / ".git" / "HEAD").unlink()
    os.mkfifo(place / ".git" / "HEAD")


async def test_a_repository_that_cannot_be_read_keeps_no_other_waiting(
    env: ActivityEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused in time, another one opens meanwhile, and no process stays."""
    monkeypatch.setattr(repository_look, "LOOK_SECONDS", 3.0)
    stuck = []
    for make in (included, configuration, reference, head):
        place = person(env.folder / f"stuck-{make.__name__}")
        make(place)
        name = f"request/{make.__name__}"
        stuck.append(asyncio.create_task(env.open(place, request=name, branch="stuck")))
    await asyncio.sleep(1)

    job = await env.open()

    assert job.opened.base_name == "main"
    for task in stuck:
        assert re.search(
            "cannot be read within 3 s|is not a git repository|/pipe in it is no file",
            await refused(task),
        )
    assert not [line for line in _command_lines() if str(env.folder / "stuck") in line]


def _command_lines() -> list[str]:
    lines = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(each.read_text())
        except OSError:
            continue
    return lines
