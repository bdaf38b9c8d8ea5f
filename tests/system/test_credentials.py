"""A worker without a usable model key loses no work: what is open waits for a key, and goes on."""

import pytest

from rehearsal import journal
from tests import journal_checks
from tests.local_deployment import Handle, LocalDeployment, git, until
from tests.model_scripts import Task, command, create, done, play, script, turn

pytestmark = pytest.mark.minutes

KEY = ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")
REFUSED = {"kind": "status", "code": 401, "type": "authentication_error"}
PLAYS = [
    play(
        "keyless",
        Task(
            id="made",
            writes=("made.txt",),
            coder=(
                turn(command("sleep 3.021")),
                turn(create("made.txt", "made\n"), fault=[REFUSED]),
                done(),
            ),
        ),
    )
]


async def _waits(deployment: LocalDeployment, handle: Handle, words: str) -> None:
    async def waits() -> bool:
        status = await deployment.status(handle)
        return status.state == "WAITING_INFRA" and words in status.reason

    await until(waits)


async def test_a_request_waits_for_a_key_over_restarts_and_goes_on_with_one() -> None:
    """Workers without a key, and a service that refuses it, make the request wait and say what to
    set; a worker that starts with a key goes on at once, and no finished call is made again.
    """
    async with LocalDeployment(script(*PLAYS)) as deployment:
        folder = deployment.repository("keyless", {"README.md": "A small thing.\n"})
        handle = await deployment.start_request("keyless", folder, branch="made")
        await until(lambda: any("sleep 3.021" in line for line in deployment.processes().values()))
        for _ in range(2):
            await deployment.kill_worker()
            await deployment.start_worker(without=KEY)
            await _waits(deployment, handle, "no model key: set ANTHROPIC_API_KEY")
        assert deployment.journal()[-1].status == 200
        await deployment.kill_worker()
        await deployment.start_worker()
        await _waits(deployment, handle, "the model key is not accepted")
        await deployment.stop_worker()
        await deployment.start_worker()
        status = await deployment.delivered(handle, seconds=60)

        assert git(folder, "show", f"{status.branch}:made.txt") == "made"
        assert journal_checks.repeated(deployment.journal()) == []
        assert [entry.status for entry in deployment.journal() if entry.fault] == [401]
        assert journal.failures(deployment.journal()) == []
