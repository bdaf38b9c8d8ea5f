"""The sandbox as its users rely on it: what gets out, what still works, and that it ends.

Everything here runs in real sandboxes; where none can be made the tests fail, they never skip.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from domain.command_limits import CommandLimits
from infra.sandbox import PAYLOAD_UID, Mounts, Sandbox, SandboxCommand, SandboxUnavailable

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
IS_ROOT = os.geteuid() == 0
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
INTERPRETER = Path(sys.prefix, "bin", "python")


@dataclass(frozen=True, kw_only=True)
class SandboxFolders:
    """A worktree with everything around it, in a folder only its owner may enter."""

    base: Path
    """The folder, outside every folder that is hidden anyway."""
    data: Path
    """The product's data folder: hidden, but for what is mounted."""
    mounts: Mounts


@pytest.fixture(scope="session")
async def sandbox() -> AsyncIterator[Sandbox]:
    """One probed sandbox for all tests."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as scratch:
        made = Sandbox()
        await made.probe(Path(scratch))
        yield made


@pytest.fixture(scope="session")
def seed() -> Iterator[Path]:
    """One commit in a bare store, and an empty bare repository."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        store = Path(folder, "store")
        Path(folder, "worktree").mkdir()
        Path(folder, "worktree/a.txt").write_text("a\n")
        git("init", "-q", "--bare", str(store))
        git("init", "-q", "--bare", f"{folder}/private")
        in_store = ("--git-dir", str(store), "--work-tree", f"{folder}/worktree")
        git(*in_store, "add", "a.txt")
        git(*in_store, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "a")
        git(*in_store, "update-ref", "refs/heads/work", "HEAD")
        yield Path(folder)


@pytest.fixture
def folders(seed: Path) -> Iterator[SandboxFolders]:
    """A fresh worktree of a real repository."""
    base = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="sandbox-test-"))
    try:
        yield create_folders(base, seed)
    finally:
        shutil.rmtree(base)


PRIVATE_CONFIG = """
[core]
    repositoryformatversion = 0
    bare = false
    worktree = {worktree}
[user]
    name = Agent
    email = agent@example.org
"""


def create_folders(base: Path, seed: Path) -> SandboxFolders:
    """Make store, worktree and private git directory as the product does."""
    data = base / "data"
    store, worktree, private = data / "store", data / "worktree", data / "private"
    shutil.copytree(seed, data)
    (data / "secret").write_text("secret")
    (private / "objects/info/alternates").write_text(f"{store / 'objects'}\n")
    (private / "config").write_text(PRIVATE_CONFIG.format(worktree=worktree))
    (private / "HEAD").write_text("ref: refs/heads/work\n")
    shutil.copy(store / "refs/heads/work", private / "refs/heads/work")
    shutil.copy(store / "index", private / "index")
    for gitfile in (data / "gitfile", worktree / ".git"):
        gitfile.write_text(f"gitdir: {private}\n")
    mounts = Mounts(
        worktree=worktree,
        store=store,
        private_git=private,
        gitfile=data / "gitfile",
        hide=(data,),
    )
    return SandboxFolders(base=base, data=data, mounts=mounts)


def git(*arguments: str) -> str:
    """Run git on the host, without any configuration."""
    environment = {
        "PATH": SYSTEM_PATH,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    run = subprocess.run(
        ["git", *arguments], check=True, capture_output=True, text=True, env=environment
    )
    return run.stdout.strip()


async def text_of(sandbox: Sandbox, folders: SandboxFolders, line: str) -> str:
    """Run a line that must succeed and return what it printed."""
    outcome = await sandbox.run(folders.mounts, SandboxCommand(line=line))
    assert outcome.exit_code == 0, outcome
    return outcome.output.decode()


def running(token: str) -> list[str]:
    """Find the processes with a token in their command line, on the whole machine."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if token.encode() in (folder / "cmdline").read_bytes():
                found.append(folder.name)
    return found


def sleep_token() -> str:
    """Make up a number of seconds no other process sleeps."""
    return f"{secrets.randbelow(10**6) + 10**6}.{secrets.randbelow(10**6):06d}"


# --- the answer of a command -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code", "number"),
    [
        pytest.param("true", 0, None, id="success"),
        pytest.param("exit 7", 7, None, id="its own code"),
        pytest.param("no-such-program", 127, None, id="not found"),
        pytest.param("kill -TERM $$", 143, 15, id="a signal"),
        pytest.param("kill -KILL $$", 137, 9, id="killed"),
        pytest.param("bwrap: nonsense; exit 1", 1, None, id="message like the launcher's"),
        pytest.param("echo x\0", 126, None, id="a NUL byte"),
        pytest.param("echo \ud800", 126, None, id="half a character"),
        pytest.param(f"echo {'x' * 140_000}", 126, None, id="too long"),
    ],
)
async def test_how_a_command_ended_comes_back(
    sandbox: Sandbox, folders: SandboxFolders, line: str, code: int, number: int | None
) -> None:
    """Success, failure, a signal and the impossible are all outcomes."""
    outcome = await sandbox.run(folders.mounts, SandboxCommand(line=line))

    assert (outcome.exit_code, outcome.signal) == (code, number)
    assert not outcome.timed_out
    assert outcome.exceeded is None


async def test_output_is_interleaved_bytes(sandbox: Sandbox, folders: SandboxFolders) -> None:
    """Both streams keep their order, and nothing is decoded."""
    line = r"printf a; printf b >&2; printf 'c\xff\xfe\x00' > /dev/stdout; printf d > /dev/stderr"
    outcome = await sandbox.run(folders.mounts, SandboxCommand(line=line))

    assert outcome.output == b"abc\xff\xfe\x00d"


async def test_the_working_folder_is_inside_the_worktree(
    sandbox: Sandbox, folders: SandboxFolders
) -> None:
    """A folder by its relative path; one that is missing is the command's failure, not ours."""
    (folders.mounts.worktree / "sub dir").mkdir()
    inside = await sandbox.run(folders.mounts, SandboxCommand(line="pwd", cwd="sub dir"))
    missing = await sandbox.run(folders.mounts, SandboxCommand(line="pwd", cwd="gone"))
    absurd = await sandbox.run(folders.mounts, SandboxCommand(line="pwd", cwd="a\0b"))

    assert inside.output.decode() == f"{folders.mounts.worktree}/sub dir\n"
    assert (missing.exit_code, absurd.exit_code) == (1, 126)
    assert b"No such file" in missing.output


async def test_the_environment_is_made_from_nothing(
    sandbox: Sandbox, folders: SandboxFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only our variables and the command's; the worker's are not even in /proc."""
    monkeypatch.setenv("SECRET_OF_THE_WORKER", "sesame")
    line = "env -0; cat /proc/1/environ || true"
    command = SandboxCommand(line=line, env={"LINES": "a b\nc", "line": "x"}, path=SYSTEM_PATH)
    outcome = await sandbox.run(folders.mounts, command)
    seen = dict(each.split("=", 1) for each in outcome.output.decode().split("\0") if "=" in each)

    assert b"sesame" not in outcome.output
    assert {name: seen.pop(name) for name in ("PWD", "OLDPWD", "SHLVL", "_")}
    assert seen == {
        "PATH": SYSTEM_PATH,
        "HOME": "/tmp/home",
        "USER": "sandbox",
        "LOGNAME": "sandbox",
        "LANG": "C.UTF-8",
        "GIT_CONFIG_SYSTEM": str(folders.mounts.private_git.resolve() / "gitconfig"),
        "LINES": "a b\nc",
        "line": "x",
    }


@pytest.mark.parametrize("name", ["A-B", "", "1A", "A=B", "x;y"])
def test_a_variable_needs_a_name(name: str) -> None:
    """What a shell could not export is refused before anything runs."""
    with pytest.raises(ValueError, match="environment"):
        SandboxCommand(line="true", env={name: "x"})


async def test_a_blocked_command_says_so(sandbox: Sandbox, folders: SandboxFolders) -> None:
    """A failure that the sandbox caused has a hint; a bug of the project has none."""
    blocked = await sandbox.run(folders.mounts, SandboxCommand(line="touch /usr/x"))
    network = await sandbox.run(folders.mounts, SandboxCommand(line="echo > /dev/tcp/192.0.2.1/80"))
    quoted = await sandbox.run(folders.mounts, SandboxCommand(line="echo Read-only file system"))

    assert blocked.hint == "blocked by sandbox: only the worktree and /tmp can be written"
    assert network.hint == "blocked by sandbox: there is no network"
    assert quoted.hint is None


async def test_limits_are_set(sandbox: Sandbox, folders: SandboxFolders) -> None:
    """Processes, open files, file size and CPU time are bounded, and cannot be raised."""
    line = 'for each in u n f t; do ulimit -H -"$each"; done; umask; ulimit -n 1000000 && echo up'
    outcome = await sandbox.run(folders.mounts, SandboxCommand(line=line, timeout_seconds=10))
    *limits, umask = outcome.output.decode().splitlines()[:5]

    assert all(0 < int(limit) <= 8 << 20 for limit in limits)
    assert umask == "0022"
    assert "up" not in outcome.output.decode().splitlines()


# --- containment -------------------------------------------------------------------------------


@contextlib.contextmanager
def hostile_facts(folders: SandboxFolders) -> Iterator[dict[str, str]]:
    """Set up everything outside that an escape would reach, and describe it."""
    name = f"\0escape-{secrets.token_hex(8)}"
    sleeper = sleep_token()
    # A process of the host with the user that the payload has.
    user: dict[str, Any] = {"user": PAYLOAD_UID, "group": PAYLOAD_UID} if IS_ROOT else {}
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as by_path,
        socket.socket(socket.AF_UNIX) as abstract,
        tempfile.TemporaryDirectory(dir="/var/tmp") as outside,
        subprocess.Popen(["sleep", sleeper], env={"WORD": sleeper}, **user) as host,
    ):
        Path(outside).chmod(0o777)
        by_path.bind(str(folders.data / "socket"))
        (folders.data / "socket").chmod(0o777)
        abstract.bind(name)
        by_path.listen()
        abstract.listen()
        try:
            yield {
                "store": str(folders.mounts.store),
                "outside": outside,
                "secret": str(folders.data / "secret"),
                "secret_word": sleeper,
                "host_pid": str(host.pid),
                "host_pid_name": sleeper,
                "port": str(tcp.getsockname()[1]),
                "unix_socket": str(folders.data / "socket"),
                "abstract_socket": name,
            }
        finally:
            host.kill()


def prepared_escape(folders: SandboxFolders, facts: dict[str, str]) -> str:
    """Put the escape script into the worktree and return the line that runs it."""
    (folders.mounts.worktree / "facts.json").write_text(json.dumps(facts))
    shutil.copy(HERE / "sandbox_escapes.py", folders.mounts.worktree / "escapes.py")
    return "python3 -I -S escapes.py facts.json"


def succeeded(output: str) -> list[str]:
    """List the attempts that went through."""
    attempts = json.loads(output.splitlines()[-1])
    assert len(attempts) > 45
    return [name for name, happened in attempts.items() if happened]


@pytest.mark.every_user
async def test_no_way_out(sandbox: Sandbox, folders: SandboxFolders) -> None:
    """Of all known escapes only the write into the worktree, which is none, goes through; root and
    an ordinary user get in by two different ways.
    """
    before = fingerprint(folders.mounts.store)
    with hostile_facts(folders) as facts:
        line = prepared_escape(folders, facts)
        command = SandboxCommand(line=line, path=os.environ["PATH"])
        outcome = await sandbox.run(folders.mounts, command)

    assert succeeded(outcome.output.decode()) == ["write the worktree"]
    assert fingerprint(folders.mounts.store) == before
    assert ("user namespace" in sandbox.reason) is not IS_ROOT


def driver_command(
    folders: SandboxFolders, lines: Sequence[str], *, together: bool = False
) -> list[str]:
    """Prepare a worker of its own in small."""
    (folders.base / "scratch").mkdir()
    paths = ("worktree", "store", "private_git", "gitfile")
    job = {
        "root": str(ROOT),
        "scratch": str(folders.base / "scratch"),
        "mounts": {name: str(getattr(folders.mounts, name)) for name in paths},
        "hide": str(folders.data),
        "lines": list(lines),
        "path": SYSTEM_PATH,
        "together": together,
    }
    (folders.base / "job.json").write_text(json.dumps(job))
    return [sys.executable, str(HERE / "sandbox_driver.py"), str(folders.base / "job.json")]


def driven(folders: SandboxFolders, lines: Sequence[str], *, together: bool = False) -> str:
    """Run lines in a worker of its own."""
    command = driver_command(folders, lines, together=together)
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env={})
    assert run.returncode == 0, run.stderr
    return run.stdout


def fingerprint(folder: Path) -> dict[str, tuple[int, str]]:
    """Describe every file of a folder: mode and content."""
    return {
        str(path.relative_to(folder)): (
            stat.S_IMODE(path.lstat().st_mode),
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


async def test_folders_are_hidden_and_shown_again_by_depth(
    sandbox: Sandbox, folders: SandboxFolders
) -> None:
    """The more special wins: a shown folder in a hidden one, a hidden one in a shown one."""
    for path in ("shown/inner/deep", "outer"):
        (folders.data / path).mkdir(parents=True)
    for path in ("shown/x", "shown/inner/x", "shown/inner/deep/x", "outer/x"):
        (folders.data / path).touch()
    mounts = replace(
        folders.mounts,
        hide=(folders.data, folders.data / "shown/inner"),
        read=(folders.data / "shown", folders.data / "shown/inner/deep"),
    )
    command = SandboxCommand(line=f"cd {folders.data} && find . -name x; touch shown/y")
    outcome = await sandbox.run(mounts, command)

    found, complaint = outcome.output.decode().split("touch:")
    assert sorted(found.split()) == ["./shown/inner/deep/x", "./shown/x"]
    assert "Read-only file system" in complaint


async def test_a_hidden_file_cannot_be_read(sandbox: Sandbox, folders: SandboxFolders) -> None:
    """A single file can be covered as well as a folder."""
    (folders.mounts.worktree / "token").write_text("sesame")
    mounts = replace(folders.mounts, hide=(folders.data, folders.mounts.worktree / "token"))
    outcome = await sandbox.run(mounts, SandboxCommand(line="cat token; cat a.txt"))

    assert b"sesame" not in outcome.output
    assert outcome.output.endswith(b"a\n")


async def test_the_kernels_switches_have_a_second_cover(
    sandbox: Sandbox, folders: SandboxFolders
) -> None:
    """Permissions already refuse the payload; the mount would refuse a root that got in."""
    line = "awk '$2 == \"/proc/sys\" {print $4}' /proc/self/mounts"

    assert (await text_of(sandbox, folders, line)).startswith("ro,")


@pytest.mark.every_user
async def test_nothing_private_is_shown_around_the_worktree(
    sandbox: Sandbox, folders: SandboxFolders
) -> None:
    """Homes, runtime folders and the data folder are empty but for what is mounted."""
    line = f"ls -A /root /home /run {folders.data}; ls -A /tmp"
    seen = await text_of(sandbox, folders, line)
    listed = {line for line in seen.split() if not line.endswith(":")}

    assert listed == {"private", "store", "worktree", "home"}


@pytest.mark.needs_root
async def test_files_written_by_the_worker_belong_to_the_payload(
    sandbox: Sandbox, folders: SandboxFolders
) -> None:
    """What root wrote can be changed inside; a link out of the worktree is not followed."""
    worktree = folders.mounts.worktree
    (folders.base / "foreign").write_text("x")
    (worktree / "new").mkdir()
    (worktree / "new/file").write_text("x")
    (worktree / "link").symlink_to(folders.base / "foreign")
    await text_of(sandbox, folders, "echo y > new/file && mkdir new/more && rm -r new")

    assert (folders.base / "foreign").stat().st_uid == 0
    assert (worktree / "link").lstat().st_uid == PAYLOAD_UID


def test_user_0_is_refused(folders: SandboxFolders) -> None:
    """A payload that is real root would not be contained."""
    with pytest.raises(ValueError, match="user 0"):
        replace(folders.mounts, uid=0)


async def test_a_worktree_without_git_file_is_refused(
    sandbox: Sandbox, folders: SandboxFolders
) -> None:
    """Bubblewrap would leave an empty file behind as a folders to mount on."""
    (folders.mounts.worktree / ".git").unlink()
    with pytest.raises(ValueError, match="must both be files"):
        await sandbox.run(folders.mounts, SandboxCommand(line="true"))

    assert not (folders.mounts.worktree / ".git").exists()


# --- honest programs ---------------------------------------------------------------------------


async def test_honest_programs_work(sandbox: Sandbox, folders: SandboxFolders) -> None:
    """Pools, servers, compilers, git and environments, with the tools of the worker's PATH."""
    shutil.copy(HERE / "sandbox_programs.py", folders.mounts.worktree / "programs.py")
    before = fingerprint(folders.mounts.store)
    command = SandboxCommand(line="python3 programs.py", path=os.environ["PATH"])
    outcome = await sandbox.run(folders.mounts, command)
    programs = json.loads(outcome.output.decode().splitlines()[-1])

    assert len(programs) >= 10
    assert {name: failure for name, failure in programs.items() if failure} == {}
    assert fingerprint(folders.mounts.store) == before


async def test_only_unix_servers_miss_denied_unix_sockets(
    folders: SandboxFolders,
) -> None:
    """Where the host's sockets can be reached the family is taken away, and little else breaks."""
    shutil.copy(HERE / "sandbox_programs.py", folders.mounts.worktree / "programs.py")
    with reachable_socket() as shown:
        strict = Sandbox()
        await strict.probe(folders.base, show=(shown,))
        command = SandboxCommand(line="python3 programs.py", path=os.environ["PATH"])
        outcome = await strict.run(folders.mounts, command)
    programs = json.loads(outcome.output.decode().splitlines()[-1])

    assert "unix sockets denied" in strict.reason
    assert [name for name, failure in programs.items() if failure] == ["multiprocessing manager"]


@contextlib.contextmanager
def reachable_socket() -> Iterator[Path]:
    """Listen where every user can connect; yield the folder, which is to be shown."""
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as folder,
        socket.socket(socket.AF_UNIX) as server,
    ):
        Path(folder).chmod(0o755)
        server.bind(f"{folder}/open")
        Path(folder, "open").chmod(0o777)
        server.listen()
        yield Path(folder)


async def test_a_project_is_tested_with_its_own_environment(
    sandbox: Sandbox, folders: SandboxFolders
) -> None:
    """The environment's pytest runs, also with an interpreter in a hidden folder."""
    (folders.mounts.worktree / "test_it.py").write_text("def test_it():\n    assert 1\n")
    command = SandboxCommand(
        line='pytest -q -p no:cacheprovider test_it.py && echo "$VIRTUAL_ENV"',
        path=f"{INTERPRETER.parent}:{SYSTEM_PATH}",
        virtual_env=Path(sys.prefix),
    )
    outcome = await sandbox.run(folders.mounts, command)

    assert outcome.exit_code == 0, outcome.output
    assert b"1 passed" in outcome.output
    assert outcome.output.endswith(f"{sys.prefix}\n".encode())


# --- ends --------------------------------------------------------------------------------------


@pytest.mark.every_user
async def test_a_command_past_its_time_is_ended_with_all_its_processes(
    sandbox: Sandbox, folders: SandboxFolders
) -> None:
    """Deaf, detached and daemonised processes too; the output until then is kept."""
    token = sleep_token()
    line = (
        f"setsid sleep {token} & (setsid -f sleep {token} >/dev/null 2>&1 </dev/null); "
        f"(trap '' TERM INT HUP; sleep {token}) & trap '' TERM; echo begun; sleep {token}"
    )
    outcome = await sandbox.run(folders.mounts, SandboxCommand(line=line, timeout_seconds=3))

    assert running(token) == []
    assert outcome.timed_out
    assert (outcome.exit_code, outcome.signal) == (None, 9)
    assert outcome.output == b"begun\n"
    assert 3 <= outcome.duration_seconds < 60


async def test_nothing_outlives_a_command_that_ended(
    sandbox: Sandbox, folders: SandboxFolders
) -> None:
    """Background processes do not delay the outcome and have ended when it comes."""
    token = sleep_token()
    line = f"setsid sleep {token} & (setsid -f sleep {token} &) ; echo done"
    outcome = await sandbox.run(folders.mounts, SandboxCommand(line=line))

    assert running(token) == []
    assert (outcome.exit_code, outcome.output) == (0, b"done\n")
    assert outcome.duration_seconds < 60


async def test_a_flood_of_output_is_cut_off(sandbox: Sandbox, folders: SandboxFolders) -> None:
    """The limit ends the command, and the output is whole up to it."""
    command = SandboxCommand(line="yes", output_limit_bytes=1_000_000)
    outcome = await sandbox.run(folders.mounts, command)

    assert outcome.exceeded == "output"
    assert (outcome.exit_code, outcome.signal) == (None, 9)
    assert outcome.output == b"y\n" * 500_000


GREEDY = "x = bytearray(300 << 20); import time; time.sleep(60)"


@pytest.mark.every_user
async def test_too_much_memory_ends_the_command(sandbox: Sandbox, folders: SandboxFolders) -> None:
    """All processes count together, those that detached as well."""
    line = f"for i in 1 2; do setsid python3 -I -S -c '{GREEDY}' & done; wait"
    command = SandboxCommand(
        line=line, limits=CommandLimits(memory_bytes=400 << 20), timeout_seconds=120
    )
    outcome = await sandbox.run(folders.mounts, command)

    assert outcome.exceeded == "memory"
    assert (outcome.exit_code, outcome.signal) == (None, 9)
    assert outcome.duration_seconds < 60


async def test_shared_memory_counts_once(sandbox: Sandbox, folders: SandboxFolders) -> None:
    """Forked workers share what they inherited, as test runners do."""
    script = (
        "import os, time\n"
        "x = bytearray(b'x') * (200 << 20)\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0: time.sleep(0.8); os._exit(0)\n"
        "for _ in range(3): os.wait()\n"
    )
    (folders.mounts.worktree / "fork.py").write_text(script)
    command = SandboxCommand(
        line="python3 -I -S fork.py", limits=CommandLimits(memory_bytes=400 << 20)
    )
    outcome = await sandbox.run(folders.mounts, command)

    assert outcome.exit_code == 0
    assert outcome.exceeded is None


async def test_much_output_comes_back_whole(sandbox: Sandbox, folders: SandboxFolders) -> None:
    """Nothing is lost at the end of a command that prints a lot and leaves."""
    command = SandboxCommand(line="head -c 3000000 /dev/zero", output_limit_bytes=3_000_000)
    outcome = await sandbox.run(folders.mounts, command)

    assert outcome.output == bytes(3_000_000)
    assert outcome.exceeded is None


async def test_cancelling_ends_the_command_before_it_returns(
    sandbox: Sandbox, folders: SandboxFolders
) -> None:
    """When the cancelled task is over, so is every process of it."""
    token = sleep_token()
    command = SandboxCommand(line=f"setsid sleep {token} & touch begun; sleep {token}")
    task = asyncio.create_task(sandbox.run(folders.mounts, command))
    async with asyncio.timeout(60):
        while not (folders.mounts.worktree / "begun").exists():
            await asyncio.sleep(0.01)
    assert running(token)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert running(token) == []


async def test_cancelling_at_any_moment_leaves_nothing(
    sandbox: Sandbox, folders: SandboxFolders
) -> None:
    """Also while the sandbox is still being made."""
    token = sleep_token()
    before = open_descriptors()
    for step in range(12):
        run = sandbox.run(folders.mounts, SandboxCommand(line=f"sleep {token}"))
        task = asyncio.create_task(run)
        await asyncio.sleep(step * 0.002)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert running(token) == []
    assert open_descriptors() == before


def open_descriptors() -> set[str]:
    """List this process's open file descriptors."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


async def test_the_loop_stays_free(sandbox: Sandbox, folders: SandboxFolders) -> None:
    """Other work goes on while a command floods us."""
    line = "for i in {1..40}; do head -c 100000 /dev/zero; sleep 0.01; done; exit 3"
    command = SandboxCommand(line=line)
    task = asyncio.create_task(sandbox.run(folders.mounts, command))
    ticks = 0
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1

    assert (await task).exit_code == 3
    assert ticks >= 10


@pytest.mark.every_user
def test_the_payload_dies_with_its_worker(folders: SandboxFolders) -> None:
    """A worker that is killed leaves no process behind."""
    token = sleep_token()
    line = f"setsid sleep {token} & touch begun; sleep {token}"
    worker = subprocess.Popen(driver_command(folders, [line]), env={})
    try:
        wait_until(lambda: (folders.mounts.worktree / "begun").exists() and bool(running(token)))
        assert len(running(token)) >= 2
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()

    wait_until(lambda: running(token) == [])


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait up to a minute for something to become true."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- fail closed -------------------------------------------------------------------------------


def wrapper(folders: SandboxFolders, body: str) -> Path:
    """Write a program to use as bubblewrap; `$REAL` is the real one."""
    real = Sandbox()._bwrap
    path = folders.base / "bwrap"
    path.write_text(f"#!/bin/bash\nREAL={real}\n{body}\n")
    path.chmod(0o755)
    return path


def without(option: str, arguments: int, first: str = "*") -> str:
    """Write the body of a wrapper that leaves an option out, where its first argument fits.

    `--perms` and `--size` before a `--tmpfs` go as well, they would change the next option's
    meaning, and what closes it to writing.
    """
    return f"""
args=()
while [ "$1" != -- ]; do
  before=0
  [[ "$1" == --perms && "$3" == --tmpfs ]] && before=2
  [[ "$1" == --perms && "$3" == --size && "$5" == --tmpfs ]] && before=4
  name=$((before + 1)) value=$((before + 2))
  if [[ "${{!name}}" == {option} && "${{!value}}" == {first} ]]
  then shift $((before + 1 + {arguments}))
  elif [[ {option} == --tmpfs && "$1" == --remount-ro && "$2" == {first} ]]
  then shift 2
  else args+=("$1"); shift
  fi
done
exec "$REAL" "${{args[@]}}" "$@"
"""


SHARED_NETWORK = 'exec "$REAL" "${@/#--unshare-all/--unshare-pid}"'

WRITABLE_HOST = """
args=("$@")
for i in "${!args[@]}"; do
  if [ "${args[i]}" = --ro-bind ] && [ "${args[i+1]}" = / ]; then args[i]=--bind; fi
done
exec "$REAL" "${args[@]}"
"""

KEPT_ENVIRONMENT = "export LEAKED=1\n" + without("--clearenv", 0)

NO_ISOLATION = 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"'


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        pytest.param(NO_ISOLATION, "does not hold|did not come back", id="isolates nothing"),
        pytest.param(
            WRITABLE_HOST, "mounted to be written|could be created", id="the host is writable"
        ),
        pytest.param(without("--seccomp", 1), "No system call filter", id="no filter"),
        pytest.param(KEPT_ENVIRONMENT, "environment leaked", id="keeps the environment"),
        pytest.param("exit 0", "did not come back|does not start", id="does nothing"),
        pytest.param(
            "echo 'bwrap: No permissions to create new namespace' >&2; exit 1",
            "does not start .*unprivileged_userns_clone",
            id="no namespaces",
        ),
        pytest.param(
            "echo 'bwrap: Unknown option --disable-userns' >&2; exit 1",
            "bubblewrap 0.8 or newer",
            id="too old",
        ),
        pytest.param(
            """echo '{"nonce": "", "leaks": [], "sockets": []}'""",
            "did not come back|does not start",
            id="a canned answer",
        ),
    ],
)
async def test_what_does_not_isolate_is_refused(
    folders: SandboxFolders, body: str, sentence: str
) -> None:
    """The canary notices a launcher that does not isolate, and every later command is refused."""
    folders.base.chmod(0o755)
    fake = Sandbox(wrapper(folders, body))
    with pytest.raises(SandboxUnavailable, match=sentence):
        await fake.probe(folders.base)
    with pytest.raises(SandboxUnavailable, match=sentence):
        await fake.run(folders.mounts, SandboxCommand(line="touch ran"))

    assert not fake.available
    assert not (folders.mounts.worktree / "ran").exists()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        pytest.param(
            without("--unshare-net", 0) if IS_ROOT else SHARED_NETWORK,
            "net namespace",
            id="network",
        ),
        pytest.param(without("--tmpfs", 1, "/var"), "could be read", id="a hidden folder"),
        pytest.param(without("--ro-bind", 2, "*/gitfile"), r"\.git could be", id="the git file"),
        pytest.param(without("--die-with-parent", 0), None, id="what only death shows"),
    ],
)
async def test_each_part_of_the_isolation_has_its_question(
    folders: SandboxFolders, body: str, sentence: str | None
) -> None:
    """One missing option is noticed; only dying with the worker cannot be asked for while alive."""
    folders.base.chmod(0o755)
    weakened = Sandbox(wrapper(folders, body))
    if sentence is None:
        await weakened.probe(folders.base)
        return
    with pytest.raises(SandboxUnavailable, match=f"does not hold .*{sentence}"):
        await weakened.probe(folders.base)


async def test_an_unprobed_sandbox_runs_nothing(folders: SandboxFolders) -> None:
    """Denied until proven."""
    fresh = Sandbox()
    with pytest.raises(SandboxUnavailable, match="not probed"):
        await fresh.run(folders.mounts, SandboxCommand(line="touch ran"))

    assert not (folders.mounts.worktree / "ran").exists()


async def test_a_missing_binary_is_named_with_its_remedy(folders: SandboxFolders) -> None:
    """The sentence says what to install."""
    missing = Sandbox(folders.base / "nowhere")
    with pytest.raises(SandboxUnavailable, match=r"install .*bubblewrap"):
        await missing.probe(folders.base)


async def test_a_failing_start_is_never_the_commands_failure(folders: SandboxFolders) -> None:
    """It raises, and the next command runs only after a new canary."""
    switch = folders.base / "broken"
    body = f"[ -e {switch} ] && {{ echo 'bwrap: No space left' >&2; exit 1; }}; exec $REAL \"$@\""
    flaky = Sandbox(wrapper(folders, body))
    await flaky.probe(folders.base)
    switch.touch()
    with pytest.raises(SandboxUnavailable, match=r"does not start .*No space left"):
        await flaky.run(folders.mounts, SandboxCommand(line="true"))
    with pytest.raises(SandboxUnavailable, match="does not start"):
        await flaky.run(folders.mounts, SandboxCommand(line="true"))
    switch.unlink()
    outcome = await flaky.run(folders.mounts, SandboxCommand(line="true"))

    assert outcome.exit_code == 0
