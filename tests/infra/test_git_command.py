"""Running git: a clean environment, no foreign program, whole process groups ended."""

import asyncio
import os
import signal
import stat
import time
from pathlib import Path

import pytest

from infra.git import command, process_group
from infra.git.command import GitCommand, GitError, GitMissingError, GitTimeoutError


@pytest.fixture
async def git(tmp_path: Path) -> GitCommand:
    """Git in a fresh bare repository."""
    command = GitCommand(tmp_path / "repository.git")
    await command("init", "--quiet", "--bare", "--template=", str(command.git_dir))
    return command


def _program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _number_in(path: Path) -> int | None:
    text = path.read_text().strip() if path.exists() else ""
    return int(text) if text else None


async def _appears(path: Path) -> int:
    async with asyncio.timeout(10):
        while True:
            await asyncio.sleep(0.01)
            number = _number_in(path)
            if number is not None:
                return number


async def test_output_comes_back_as_bytes_and_input_goes_in(git: GitCommand) -> None:
    """What git prints is returned exactly, and stdin reaches it."""
    stored = await git("hash-object", "-w", "--stdin", stdin=b"a\0b\xff\n")
    read = await git("cat-file", "blob", stored.text, reads=True)

    assert read.out == b"a\0b\xff\n"
    assert (read.code, read.err, read.truncated) == (0, "", False)


async def test_an_unexpected_exit_code_is_an_error_with_gits_message(
    git: GitCommand,
) -> None:
    """The error carries the command, the code and git's message."""
    with pytest.raises(GitError) as caught:
        await git("cat-file", "blob", "0" * 40)

    assert caught.value.code == 128
    assert caught.value.args_tail == f"cat-file blob {'0' * 40}"
    assert "fatal" in caught.value.stderr


async def test_a_flood_of_messages_is_bounded(git: GitCommand, tmp_path: Path) -> None:
    """An error never carries more than 2,000 characters of stderr."""
    noisy = _program(tmp_path / "noisy", "yes 'a long complaint' | head -c 300000 >&2; exit 3")
    with pytest.raises(GitError) as caught:
        await git("-c", f"alias.shout=!{noisy}", "shout")

    assert caught.value.code == 3
    assert len(caught.value.stderr) <= 2_000


async def test_accepted_exit_codes_are_answers(git: GitCommand) -> None:
    """A code the caller named is returned instead of raised."""
    assert (await git("rev-parse", "--verify", "--quiet", "nothing", ok=(0, 1))).code == 1


async def test_nothing_of_our_environment_reaches_git(
    git: GitCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only PATH is taken over; identity, locale and configuration are fixed."""
    monkeypatch.setenv("GIT_INDEX_FILE", "/somewhere/else")
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    seen = (await git("-c", "alias.show-env=!env", "show-env", reads=True)).text.splitlines()
    variables = dict(line.split("=", 1) for line in seen if "=" in line)

    assert "SECRET_TOKEN" not in variables
    assert "GIT_INDEX_FILE" not in variables
    assert variables["HOME"] == "/nonexistent"
    assert variables["LC_ALL"] == "C.UTF-8"
    assert variables["GIT_CONFIG_GLOBAL"] == "/dev/null"
    assert variables["GIT_CONFIG_NOSYSTEM"] == "1"
    assert variables["GIT_OPTIONAL_LOCKS"] == "0"
    assert variables["GIT_DIR"] == str(git.git_dir)
    assert variables["GIT_COMMITTER_NAME"] == "OrchestCode"
    assert variables["GIT_AUTHOR_EMAIL"] == "orchestcode@localhost"


async def test_a_private_index_is_passed(git: GitCommand, tmp_path: Path) -> None:
    """It replaces the repository's, and the identity of what is made is the system's."""
    blob = (await git("hash-object", "-w", "--stdin", stdin=b"x")).text
    index = tmp_path / "private.index"
    await git("update-index", "--add", "--cacheinfo", f"100644,{blob},a", index_file=index)
    tree = (await git("write-tree", index_file=index)).text
    commit = (await git("commit-tree", tree, "-m", "m")).text
    shown = (await git("log", "-1", "--format=%an <%ae>", commit)).text

    assert index.exists()
    assert not (git.git_dir / "index").exists()
    assert shown == "OrchestCode <orchestcode@localhost>"


async def test_hooks_and_fsmonitor_of_a_hostile_repository_do_not_run(tmp_path: Path) -> None:
    """Neither a planted hook nor a configured fsmonitor program is executed."""
    work, ran = tmp_path / "work", tmp_path / "ran"
    work.mkdir()
    git = GitCommand(work / ".git", work_tree=work)
    await git("init", "--quiet")
    for hook in ("pre-commit", "post-commit", "post-index-change", "reference-transaction"):
        _program(work / ".git" / "hooks" / hook, f"echo {hook} >> {ran}")
    planted = _program(tmp_path / "planted", f"echo fsmonitor >> {ran}")
    await git("config", "core.fsmonitor", str(planted))
    (work / "file").write_text("text\n")
    await git("add", "-A")
    await git("commit", "--quiet", "-m", "one")
    await git("status", "--porcelain")

    assert not ran.exists()


async def test_the_work_tree_is_explicit(tmp_path: Path) -> None:
    """Git works on the named files, from any folder and with any content."""
    work, outside = tmp_path / "work", tmp_path / "outside.git"
    (work / ".git").mkdir(parents=True)  # not a repository: discovery would fail on it
    (work / "file").write_text("text\n")
    git = GitCommand(outside, work_tree=work)
    await GitCommand(outside)("init", "--quiet", "--bare", str(outside))
    await git("add", "file")

    assert (await git("ls-files")).text == "file"


async def test_file_names_that_are_not_utf8_survive(git: GitCommand) -> None:
    """A surrogate escape in an argument reaches git as its byte."""
    blob = (await git("hash-object", "-w", "--stdin", stdin=b"x")).text
    listing = b"100644 blob " + blob.encode() + b"\tx\xe9\0"
    tree = (await git("mktree", "-z", stdin=listing)).text

    assert (await git("cat-file", "blob", f"{tree}:x\udce9")).out == b"x"


async def test_output_above_the_limit_ends_the_command(git: GitCommand) -> None:
    """The first bytes are kept, the rest of an endless output is not waited for."""
    endless = await git("-c", "alias.flood=!yes", "flood", max_bytes=100_001)
    short = await git("-c", "alias.say=!echo hello", "say", max_bytes=100)

    assert endless.truncated
    assert endless.out == (b"y\n" * 50_001)[:100_001]
    assert (short.out, short.truncated, short.code) == (b"hello\n", False, 0)


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """KILL follows TERM soon."""
    monkeypatch.setattr(process_group, "GRACE_SECONDS", 0.3)


async def test_time_running_out_ends_the_whole_process_group(
    git: GitCommand, tmp_path: Path, short_grace: None
) -> None:
    """Also a grandchild that ignores TERM has ended when the error is raised."""
    pid_file = tmp_path / "pid"
    stubborn = _program(
        tmp_path / "stubborn", f"trap '' TERM; echo $$ > {pid_file}; while :; do sleep 0.05; done"
    )
    with pytest.raises(GitTimeoutError):
        await git("-c", f"alias.hang=!{stubborn}", "hang", timeout_seconds=0.5)

    assert not _alive(await _appears(pid_file))


async def test_cancelling_the_caller_ends_the_whole_process_group(
    git: GitCommand, tmp_path: Path
) -> None:
    """TERM reaches the grandchild, which can still tidy up before it goes."""
    pid_file, tidied = tmp_path / "pid", tmp_path / "tidied"
    polite = _program(
        tmp_path / "polite",
        f"trap 'touch {tidied}; exit 0' TERM; echo $$ > {pid_file}; while :; do sleep 0.05; done",
    )
    call = asyncio.create_task(git("-c", f"alias.hang=!{polite}", "hang"))
    pid = await _appears(pid_file)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert not _alive(pid)
    assert tidied.exists()


async def test_a_process_that_left_the_group_keeps_no_call_waiting(
    git: GitCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold the pipes for ever: they are closed, and the call ends."""
    monkeypatch.setattr(process_group, "GRACE_SECONDS", 0.2)
    pid_file = tmp_path / "pid"
    stays = _program(tmp_path / "stays", f"setsid sleep 60 & echo $! > {pid_file}; wait")
    call = asyncio.create_task(git("-c", f"alias.hang=!{stays}", "hang"))
    pid = await _appears(pid_file)
    call.cancel()
    await asyncio.wait({call}, timeout=5)

    ended = call.cancelled()
    os.kill(pid, signal.SIGKILL)
    assert ended


@pytest.mark.parametrize("steps", range(1, 9))
async def test_a_child_is_ended_when_its_start_is_cancelled(tmp_path: Path, steps: int) -> None:
    """At each step of the loop while it starts, with what it has started itself."""
    script = f"sleep 60 & echo $! > {tmp_path / 'pid'}; wait"
    pipe = asyncio.subprocess.PIPE
    starting = asyncio.create_task(
        process_group.start("/bin/sh", "-c", script, stdin=pipe, stdout=pipe, stderr=pipe)
    )
    for _ in range(steps):
        await asyncio.sleep(0)
        time.sleep(0.02)  # the child goes on, the loop does not
    if not starting.done():
        starting.cancel()
    await asyncio.wait({starting}, timeout=5)

    assert starting.done()
    if not starting.cancelled():
        await process_group.end_group(starting.result())
    if (tmp_path / "pid").exists():
        assert not _alive(int((tmp_path / "pid").read_text()))


async def test_git_runs_in_a_process_group_of_its_own(git: GitCommand) -> None:
    """A signal to our own group does not reach git, so only we decide when it ends."""
    process = await git.spawn("cat-file", "--batch")
    group = os.getpgid(process.pid)
    await process_group.end_group(process)

    assert group == process.pid != os.getpgid(0)
    assert process.returncode in {0, -signal.SIGTERM}


def test_a_missing_git_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without git on PATH the error names git, instead of a bare file-not-found."""
    monkeypatch.setenv("PATH", str(tmp_path))
    command.git_binary.cache_clear()
    try:
        with pytest.raises(GitMissingError, match="install git"):
            GitCommand(tmp_path)
    finally:
        command.git_binary.cache_clear()
