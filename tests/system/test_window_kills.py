"""A worker killed while an agent hands over, and again in the fresh window, loses and repeats
nothing.
"""

from collections.abc import AsyncIterator

import pytest

from contracts.agent import AgentStatus
from rehearsal import journal
from tests import journal_checks
from tests.local_deployment import LocalDeployment, git, until
from tests.model_scripts import Json, create, done, script, turn, view
from tests.system.test_windows import FULL, casts, hands_over

pytestmark = pytest.mark.minutes

SLOW: Json = {"delay_ms": 2_500}
WINDOWS = (
    (
        turn(create("a.txt", "one\n")),
        turn(view("a.txt")),
        turn(view("a.txt"), usage=FULL),
        {**hands_over(decisions="Blue."), **SLOW},
    ),
    (turn(create("c.txt", "three\n"), **SLOW), done("Two files.")),
)


@pytest.fixture(scope="module")
async def own() -> AsyncIterator[LocalDeployment]:
    """A deployment whose worker is killed."""
    async with LocalDeployment(script(casts("killed", *WINDOWS))) as deployment:
        yield deployment


async def test_a_worker_killed_while_it_hands_over_repeats_nothing(own: LocalDeployment) -> None:
    """Neither note nor window is paid for or opened twice, and the work of both is delivered."""
    repository = own.repository("killed", {"README.md": "A small thing.\n"})
    handle = await own.start_request("killed", repository)
    client = await own.client()
    agent = client.get_workflow_handle(f"{handle.id}/task/long/coder-1")

    async def doing() -> AgentStatus | None:
        try:
            status: AgentStatus = await agent.query("status", result_type=AgentStatus)
        except Exception:  # noqa: BLE001 - it has not begun, or its worker is away
            return None
        return status

    async def hands_over_now() -> bool:
        status = await doing()
        return status is not None and status.doing.endswith("hands over")

    async def in_fresh_window() -> bool:
        status = await doing()
        return status is not None and status.window == 1 and status.doing.startswith("turn 1")

    for condition in (hands_over_now, in_fresh_window):
        await until(condition)
        await own.kill_worker()
        await own.start_worker()
    status = await own.delivered(handle, seconds=180)

    names = git(repository, "ls-tree", "--name-only", str(status.branch)).split()
    assert {"a.txt", "c.txt"} <= set(names)
    entries = own.journal(status.id)
    assert journal.failures(entries) == []
    assert journal_checks.repeated(entries) == []
    shown = (await own.starter("log", status.id, "long")).stdout
    assert shown.count("goes on in window") == 1
    assert status.cost_usd == pytest.approx(journal_checks.cost_usd(entries), abs=1e-6)
