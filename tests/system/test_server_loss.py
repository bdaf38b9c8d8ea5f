"""The Temporal server is killed, stays away or comes back on another port: nothing is lost."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rehearsal import journal
from runtime.records import ServerRecord
from runtime.services.child_process import log_tail
from tests import journal_checks
from tests.local_deployment import LocalDeployment, git, until
from tests.model_scripts import Task, create, done, play, script, turn, writes_file

pytestmark = pytest.mark.minutes

KILLS = 20
AWAY_SECONDS = 60
TURNS = 24
PLAYS = [
    play(
        "serverless",
        *(
            Task(
                id=f"writes-{name}",
                coder=(
                    *(
                        turn(create(f"{name}/{number}.txt", f"{number}\n"), delay_ms=400)
                        for number in range(TURNS)
                    ),
                    done(),
                ),
                writes=(f"{name}/",),
                acceptance=(f"test -f {name}/{TURNS - 1}.txt",),
            )
            for name in ("one", "two")
        ),
    ),
]


async def test_a_server_killed_twenty_times_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL at 20 random moments, the last time away for a minute: the worker and `watch`
    reconnect by themselves and show it, no finished model call is repeated, and the tree is
    complete.
    """
    dice = random.Random(20)
    async with LocalDeployment(script(*PLAYS)) as deployment:
        folder = deployment.repository("serverless", {"README.md": "A thing.\n"})
        handle = await deployment.start_request("serverless", folder, branch="whole")
        log = tmp_path / "watch.log"
        watch = deployment.open_starter("watch", handle.id, log=log)
        await until(lambda: any(entry.role == "coder" for entry in deployment.journal()))
        for number in range(KILLS):
            await asyncio.sleep(dice.uniform(0.1, 0.6))
            await deployment.kill_server()
            await asyncio.sleep(AWAY_SECONDS if number == KILLS - 1 else 0)
            await deployment.start_server()
        await deployment.delivered(handle, seconds=120)
        code = await watch.wait()

        assert code == 0
        assert "server" in log.read_text("utf-8")
        assert len(git(folder, "ls-tree", "-r", "--name-only", "whole").splitlines()) == 49
        assert journal_checks.repeated(deployment.journal()) == []
        assert journal.failures(deployment.journal()) == []
        assert deployment.left_behind() == []


async def test_run_follows_a_server_that_comes_back_on_another_port(tmp_path: Path) -> None:
    """Another program listens on the port of the killed server: the supervisor starts it on another
    one, and `run` sees the request to its end.
    """
    moving = play("moving", writes_file("a", "a.txt", "a\n", delay_ms=3_000))
    async with (
        LocalDeployment(script(moving), services=False) as deployment,
        contextlib.AsyncExitStack() as stack,
    ):
        repository = deployment.repository("moving", {"README.md": "A thing.\n"})
        words = ("--repo", str(repository), "--branch", "whole", "--check", "true", "moving")
        log = tmp_path / "run.log"
        run = deployment.open_starter("run", *words, log=log)
        await until(lambda: any(entry.role == "coder" for entry in deployment.journal()))
        server = ServerRecord.running(deployment.settings)
        assert server
        os.kill(server.pid, signal.SIGKILL)
        await stack.enter_async_context(_taken(server.port))

        code = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(90):
                code = await run.wait()

        assert code == 0, log_tail(log, lines=40)
        assert git(repository, "show", "whole:a.txt") == "a"
        assert journal_checks.repeated(deployment.journal()) == []


@contextlib.asynccontextmanager
async def _taken(port: int) -> AsyncIterator[None]:
    """Listen on a port as soon as it is free, and close every connection at once."""
    listeners: list[asyncio.Server] = []

    async def listens() -> bool:
        with contextlib.suppress(OSError):
            listeners.append(await asyncio.start_server(_close, "127.0.0.1", port))
        return bool(listeners)

    await until(listens)
    async with listeners[0]:
        yield


def _close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()
