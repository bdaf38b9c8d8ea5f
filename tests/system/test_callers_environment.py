"""A worker started by a hook, a strict umask, a dead proxy; commands in a deleted folder."""

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.local_deployment import ROOT, LocalDeployment, commit, git
from tests.model_scripts import Task, command, done, play, script, turn

NOWHERE = "http://127.0.0.1:9"
TOUCHED = "hooked.txt"


def repository(folder: Path, *, holds: str) -> Path:
    """Make a repository with one file of its own."""
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / holds).write_text("content\n")
    commit(folder, f"Add {holds}")
    return folder


@pytest.fixture
async def hooked(tmp_path: Path) -> AsyncIterator[LocalDeployment]:
    """A deployment whose worker inherits umask 077, a dead proxy, another clone's variables."""
    other = repository(tmp_path / "other", holds="other.txt") / ".git"
    variables = {
        "GIT_DIR": str(other),
        "GIT_COMMON_DIR": str(other),
        "GIT_OBJECT_DIRECTORY": str(other / "objects"),
        "GIT_INDEX_FILE": str(other / "index"),
        "GIT_WORK_TREE": str(other.parent),
        # Nothing listens there, and nothing on this machine is asked through it.
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "grpc_proxy"), NOWHERE),
    }
    looks = Task(
        id="looks",
        writes=(TOUCHED,),
        coder=(turn(command(f"git status && git log -1 > {TOUCHED}")), done("Looked.")),
        acceptance=(f"git cat-file -e HEAD:{TOUCHED}",),
    )
    before = os.umask(0o077)
    try:
        async with LocalDeployment(script(play("hook", looks)), environ=variables) as made:
            yield made
    finally:
        os.umask(before)


async def test_a_worker_started_by_a_hook_delivers_the_right_repository(
    hooked: LocalDeployment, tmp_path: Path
) -> None:
    """Neither GIT_* variables, proxies nor umask of its caller change what a request comes to."""
    person = repository(tmp_path / "person", holds="mine.txt")

    status = await hooked.delivered(await hooked.start_request("hook", person))

    assert git(person, "rev-parse", f"{status.branch}^{{/Add mine}}") == status.base
    files = git(person, "ls-tree", "--name-only", str(status.branch)).splitlines()
    assert files == [TOUCHED, "mine.txt"]
    made = person / ".git" / "refs" / "heads" / str(status.branch)
    assert stat.S_IMODE(made.stat().st_mode) == 0o600, "what the person's own git would have made"


@pytest.mark.parametrize("words", [("list",), ("run", "Do it"), ("up", "--help")])
async def test_the_command_line_in_a_deleted_folder_says_so(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """A person whose folder was removed is told to change it, in one sentence."""
    gone = tmp_path / "gone"
    gone.mkdir()
    line = f'rmdir "$PWD" && exec {sys.executable} {ROOT / "starter.py"} "$@"'

    process = await asyncio.create_subprocess_exec(
        "bash", "-c", line, "bash", *words, cwd=gone, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    said = (await process.communicate())[1].decode()

    assert process.returncode == 2
    assert said == (
        "orchestcode: the folder that you are in does not exist any more; change to another.\n"
    )
