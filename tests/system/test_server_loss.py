"""The Temporal server is killed again and again, and once away for a minute: nothing is lost."""

import asyncio
import random
from pathlib import Path

from rehearsal import journal
from tests.local_deployment import LocalDeployment, git, until
from tests.model_scripts import Task, create, done, play, script, turn

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
    """
    SIGKILL at 20 random moments, the last time away for a minute: the worker and `watch` reconnect
    by themselves and show it, no finished model call is repeated, and the tree is complete.
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
        assert journal.repeated(deployment.journal()) == []
        assert journal.failures(deployment.journal()) == []
        assert deployment.left_behind() == []
