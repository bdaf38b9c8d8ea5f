"""Four agents at once, each at another limit, on a real deployment; and one in a small cgroup.

They take a minute and fill a machine, so they run by `make security`.
"""

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import journal_checks
from tests.local_deployment import LocalDeployment, git
from tests.model_scripts import Json, Task, command, create, done, play, script, turn

pytestmark = pytest.mark.security_long

SMALL = {"README.md": "A small thing.\n"}
GREEDY = {
    "processes": (
        "b() { setsid bash -c 'sleep 60' & b & b & wait; }; b",
        "it had 200 processes and threads at once",
    ),
    "memory": (
        "python3 -I -S -c 'x = bytearray(2 << 30); import time; time.sleep(60)'",
        "it used more than 500 MB of memory",
    ),
    "disk": (
        "for i in {1..100}; do head -c 20000000 /dev/zero > /tmp/$i; done; sleep 60",
        "grew beyond 500 MB",
    ),
    "output": ("yes", "it printed more than 10 MB"),
}
SHARED = (
    "python3 -I -S -c \"x = open('/dev/shm/x', 'wb'); [x.write(bytes(1 << 20)) for _ in "
    'range(3000)]"'
)
LIMIT_BYTES = 2 << 30


def _at_its_limit(name: str, line: str, sentence: str) -> Task:
    """Return a task whose agent goes too far once, is told so, and does its work."""
    results: Json = {"results": [{"is_error": True, "contains": [sentence]}]}
    return Task(
        id=name,
        coder=(
            turn(command(line)),
            turn(create(f"{name}.txt", f"{name}\n"), expect=results),
            done(),
        ),
        writes=(f"{name}.txt",),
    )


async def test_four_agents_at_four_limits_harm_nobody() -> None:
    """Each is told its limit and delivers; worker and server are the processes that they were."""
    tasks = [_at_its_limit(name, *greedy) for name, greedy in GREEDY.items()]
    environ = {
        "ORCHESTCODE_COMMAND_PROCESSES": "200",
        "ORCHESTCODE_COMMAND_MEMORY_MB": "500",
        "ORCHESTCODE_COMMAND_DISK_MB": "500",
    }
    async with LocalDeployment(script(play("greedy", *tasks)), environ=environ) as deployment:
        repository = deployment.repository("greedy", SMALL)
        handle = await deployment.start_request("greedy", repository, max_parallel=4)
        status = await deployment.delivered(handle, seconds=300)

        assert [task.rounds for task in status.tasks] == [0] * len(GREEDY)
        assert journal_checks.repeated(deployment.journal()) == []
        assert deployment.worker.alive
        assert deployment.left_behind() == []
        for name in GREEDY:
            assert git(repository, "show", f"{status.branch}:{name}.txt") == name


def _limited_group() -> Path:
    """Make a control group with 2 GiB; where the machine gives none, as many containers do not,
    the test is not possible: all other limits are held without control groups.
    """
    old = Path("/sys/fs/cgroup/memory")
    folder = old if old.is_dir() else Path("/sys/fs/cgroup")
    group = folder / f"orchestcode-test-{secrets.token_hex(4)}"
    limit = "memory.limit_in_bytes" if old.is_dir() else "memory.max"
    try:
        group.mkdir()
        with (group / limit).open("r+") as file:
            file.write(str(LIMIT_BYTES))
    except OSError as problem:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"not possible here: no control group limits memory ({problem})")
    return group


@contextlib.contextmanager
def small_cgroup() -> Iterator[Path]:
    """Give a control group with 2 GiB, which takes what is left in it along."""
    group = _limited_group()
    try:
        yield group
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["/bin/sh", "-c", f"sleep 1; rmdir {group}"], check=False)


@pytest.mark.needs_root
async def test_in_a_small_cgroup_commands_die_before_worker_and_server() -> None:
    """With a limit that is set too high the kernel decides: it ends the command, which is told."""
    sentence = "ended by the system because its host ran out of memory"
    memory = "python3 -I -S -c 'x = bytearray(3 << 30); import time; time.sleep(60)'"
    tasks = [
        _at_its_limit("memory", memory, sentence),
        _at_its_limit("shared", SHARED, sentence),
        Task(
            id="quiet",
            coder=(turn(command("sleep 3; echo quiet > quiet.txt")), done()),
            writes=("quiet.txt",),
        ),
    ]
    environ = {"ORCHESTCODE_COMMAND_MEMORY_MB": "20000"}
    async with LocalDeployment(script(play("small", *tasks)), environ=environ) as deployment:
        with small_cgroup() as group:
            own = (deployment.worker.pid, deployment.server.pid)
            for pid in own:
                (group / "cgroup.procs").write_text(str(pid))
            repository = deployment.repository("small", SMALL)
            handle = await deployment.start_request("small", repository, max_parallel=1)
            status = await deployment.delivered(handle, seconds=300)

            assert deployment.worker.alive
            assert (deployment.worker.pid, deployment.server.pid) == own
            assert journal_checks.repeated(deployment.journal()) == []
            for name in ("memory", "shared", "quiet"):
                assert git(repository, "show", f"{status.branch}:{name}.txt") == name
            # Before they end in order, so that nothing is left in the group.
            await deployment.stop_worker()
            await deployment.kill_server()
