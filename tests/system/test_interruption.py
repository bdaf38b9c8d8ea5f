"""`run` left with Ctrl-C and taken up again with `watch`; what it brought up ends with it."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import journal_checks
from tests.local_deployment import LocalDeployment, git, until
from tests.model_scripts import play, script, writes_file

SMALL = {"README.md": "A small thing.\n"}


@pytest.fixture(scope="module")
async def bare() -> AsyncIterator[LocalDeployment]:
    """A home where nothing runs: every command brings up what it needs."""
    plays = [
        play(name, writes_file("a", "a.txt", "a\n", delay_ms=700), writes_file("b", "b.txt", "b\n"))
        for name in ("interrupt", "detach")
    ]
    async with LocalDeployment(script(*plays), services=False) as deployment:
        yield deployment


async def test_ctrl_c_detaches_and_watch_continues_to_the_end(
    bare: LocalDeployment, tmp_path: Path
) -> None:
    """Ctrl-C ends `run` with code 3 and all processes; `watch` ends with 0 and repeats nothing."""
    folder, log = bare.repository("interrupted", SMALL), tmp_path / "run.log"
    words = ("run", "--repo", str(folder), "--branch", "whole", "--check", "true", "interrupt me")
    run = bare.open_starter(*words, log=log)
    await until(lambda: any(entry.role == "coder" for entry in bare.journal()))
    os.kill(run.pid, signal.SIGINT)
    assert await run.wait() == 3
    told = log.read_text()
    request = told.split("started ")[1].split()[0]
    short = request.removeprefix("request/")
    assert f"watch {short}" in told
    assert "Traceback" not in told
    await until(lambda: bare.processes() == {}, seconds=30)

    watched = await bare.starter("watch", short)
    assert watched.returncode == 0, watched
    assert git(folder, "diff", "--name-only", "main..whole").split() == ["a.txt", "b.txt"]
    assert journal_checks.repeated(bare.journal(request)) == []
    await until(lambda: bare.processes() == {}, seconds=30)
    assert bare.left_behind() == []


async def test_a_detached_request_is_listed_and_continues_with_watch(bare: LocalDeployment) -> None:
    """`run --detach` returns at once with code 3; `list` and `status` show it, `watch` ends it."""
    folder = bare.repository("detached", SMALL)
    words = ("run", "--repo", str(folder), "--branch", "whole", "--detach", "detach me")
    started = await bare.starter(*words)
    assert started.returncode == 3, started
    short = started.stderr.split("started request/")[1].split()[0]
    await until(lambda: bare.processes() == {}, seconds=30)
    listed = await bare.starter("list")
    assert short in listed.stdout
    status = await bare.starter("status", short)
    assert status.returncode == 0, status
    assert (await bare.starter("watch", short)).returncode == 0
    assert git(folder, "diff", "--name-only", "main..whole").split() == ["a.txt", "b.txt"]
    await until(lambda: bare.processes() == {}, seconds=30)
