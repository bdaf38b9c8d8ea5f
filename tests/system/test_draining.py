"""A worker asked to end while a reply comes: it waits for that, and what it cannot wait for is
asked for once more, counted, and nothing else.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rehearsal import journal
from tests import journal_checks
from tests.local_deployment import LocalDeployment, git, until
from tests.model_scripts import Task, command, create, done, play, script, turn

pytestmark = pytest.mark.minutes

SMALL = {"README.md": "A small thing.\n"}
SLOW = [{"kind": "slow", "ms": 500}]
"""A reply of ten events or more takes longer than the grace of other steps, 1 s."""


def _task() -> Task:
    return Task(
        id="one",
        writes=("one.txt", "two.txt"),
        acceptance=("test -f one.txt && test -f two.txt",),
        coder=(
            turn(create("one.txt", "one\n"), command("cat one.txt")),
            turn(create("two.txt", "two\n"), fault=SLOW, say="Now the second file. " * 20),
            done(),
        ),
    )


@asynccontextmanager
async def _deployment(name: str, *, reply_grace: int) -> AsyncIterator[LocalDeployment]:
    environ = {
        "ORCHESTCODE_GRACE_SECONDS": "1",
        "ORCHESTCODE_REPLY_GRACE_SECONDS": str(reply_grace),
    }
    async with LocalDeployment(script(play(name, _task())), environ=environ) as deployment:
        yield deployment


@pytest.mark.parametrize(("name", "reply_grace", "again"), [("kept", 15, 0), ("broken-off", 1, 1)])
async def test_a_reply_in_the_middle_of_which_the_worker_ends_is_kept_or_asked_for_once_more(
    name: str, reply_grace: int, again: int
) -> None:
    """SIGTERM ends the worker with 0; the next one goes on at that turn, whose cost is counted as
    often as it was asked for, and every other call is made once.
    """
    async with _deployment(name, reply_grace=reply_grace) as deployment:
        folder = deployment.repository(name, SMALL)
        handle = await deployment.start_request(name, folder)
        await deployment.reply_comes("second")
        assert await deployment.stop_worker() == 0

        def ended() -> list[bool]:
            found = deployment.journal(handle.id)
            return [each.finished for each in found if each.role == "coder"]

        # The service notes a reply that is broken off once it fails to send more of it.
        await until(lambda: len(ended()) == 2)
        assert ended() == [True, not again]
        await deployment.start_worker()
        status = await deployment.delivered(handle, seconds=120)

        names = git(folder, "ls-tree", "--name-only", str(status.branch)).split()
        assert names == ["README.md", "one.txt", "two.txt"]
        entries = deployment.journal(status.id)
        assert journal.failures(entries) == []
        coder = [each.turn for each in entries if each.role == "coder"]
        assert coder == [0, 1, *[1] * again, 2]
        assert journal_checks.repeated(entries) == []
        finished = journal_checks.cost_usd([each for each in entries if each.finished])
        spent = await deployment.starter("cost", name, "--json")
        counted = float(json.loads(spent.stdout)["cost_usd"])
        assert (counted > finished + 1e-6) is bool(again)
