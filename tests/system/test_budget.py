"""At the limit of its budget a request pauses and asks: what is shown equals what was paid."""

import json
from collections.abc import AsyncIterator

import pytest

from contracts.approvals import ApprovalKind
from contracts.endings import TaskEnding
from contracts.request import RequestStatus
from contracts.task import TaskState
from contracts.visibility import RunState
from tests import journal_checks
from tests.local_deployment import Handle, LocalDeployment, git, until
from tests.model_scripts import Task, create, done, play, script, turn, writes_file

pytestmark = pytest.mark.minutes

BUDGET = 0.31
"""Dollars that pay for a plan, a first task and one dear turn of a second."""
DEAR = Task(
    id="second",
    writes=("second.txt",),
    depends_on=("first",),
    coder=(turn(create("second.txt", "2\n"), usage={"output_tokens": 26_500}), done()),
)
FIRST = writes_file("first", "first.txt", "1\n")
PLAYS = [
    *(play(name, FIRST, DEAR) for name in ("raised", "rejected", "finished")),
    play("estimated", FIRST),
]
SMALL = {"README.md": "A small thing.\n"}


@pytest.fixture(scope="module")
async def own() -> AsyncIterator[LocalDeployment]:
    """A deployment whose worker these tests may kill."""
    async with LocalDeployment(script(*PLAYS)) as deployment:
        yield deployment


async def _paused(deployment: LocalDeployment, name: str, **options: object) -> Handle:
    """Start a request and wait until it asks for money."""
    folder = deployment.folder / "small"
    if not folder.exists():
        deployment.repository("small", SMALL)
    handle = await deployment.start_request(name, folder, budget_usd=BUDGET, **options)
    status = await deployment.waiting(handle)
    assert status.state is RunState.WAITING_BUDGET
    assert [each.kind for each in status.approvals] == [ApprovalKind.BUDGET]
    return handle


async def _says(deployment: LocalDeployment, *words: str) -> str:
    ended = await deployment.starter(*words)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def _paid(deployment: LocalDeployment, handle: Handle) -> float:
    assert journal_checks.repeated(deployment.journal(handle.id)) == []
    return journal_checks.cost_usd(deployment.journal(handle.id))


async def _shown(deployment: LocalDeployment, handle: Handle) -> dict[str, object]:
    shown: dict[str, object] = json.loads(await _says(deployment, "status", handle.id, "--json"))
    return shown


async def test_a_paused_request_survives_its_worker_and_goes_on_with_more_money(
    own: LocalDeployment,
) -> None:
    """A worker killed during the pause changes nothing; `budget` has it go on, no turn is made
    twice, and every sum is the service's own. The next plan here is estimated by it.
    """
    handle = await _paused(own, "raised")
    calls = len(own.journal(handle.id))
    told = await _says(own, "status", handle.id)
    assert "raise the budget from $0.31 to $" in told
    assert f"budget {handle.id.removeprefix('request/')} USD" in told
    await own.kill_worker()
    await own.start_worker()
    assert [each.id for each in (await own.status(handle)).approvals] == ["budget"]
    assert len(own.journal(handle.id)) == calls

    refused = await own.starter("budget", handle.id, "0.1")
    assert refused.returncode == 2
    assert "name at least $" in refused.stderr
    nonsense = await own.starter("budget", handle.id, "lots")
    assert (nonsense.returncode, "not an amount of dollars" in nonsense.stderr) == (2, True)
    assert "The budget is $3.00: " in await _says(own, "budget", handle.id, "3")
    status = await own.delivered(handle)

    assert (status.budget_usd, status.approvals) == (3.0, ())
    assert git(own.folder / "small", "diff", "--name-only", f"main..{status.branch}").split() == [
        "first.txt",
        "second.txt",
    ]
    paid = _paid(own, handle)
    assert 0 < paid < 3.0
    shown = await _shown(own, handle)
    assert shown["cost_usd"] == pytest.approx(paid, abs=1e-6)
    assert shown["estimate"] == {
        **dict.fromkeys(("low_usd", "high_usd", "past_usd"), 0.0),
        "tasks": 2,
        "past_tasks": 0,
        "model": status.model,
    }
    again = await own.start_request("estimated", own.folder / "small", approve=["plan"])
    planned = await own.waiting(again)
    assert planned.estimate is not None
    assert (planned.estimate.past_tasks, planned.estimate.tasks) == (2, 1)
    assert 0 < planned.estimate.low_microusd < planned.estimate.high_microusd
    words = "from 1 task; 2 tasks with"
    assert words in planned.approvals[0].detail
    assert words in await _says(own, "status", again.id)
    await again.cancel()
    ended = await own.starter("budget", handle.id, "5")
    assert (ended.returncode, "has ended (DONE)" in ended.stderr) == (2, True)


async def test_a_rejected_budget_delivers_what_landed_and_offers_what_is_green(
    own: LocalDeployment,
) -> None:
    """The request that is not given more money ends with the branch of its first task; the second,
    which passes its checks and could not be reviewed, is offered to the person.
    """
    handle = await _paused(own, "rejected")
    await _says(own, "reject", handle.id, "budget", "--reason", "enough")
    await until(lambda: _asks_for_review(own, handle))
    await _says(own, "reject", handle.id, "--reason", "not now")
    ending = await own.ending(handle)

    status = ending.status
    assert status is not None
    assert ending.state is RunState.FAILED
    assert [row.state for row in status.tasks] == [TaskState.DONE, TaskState.FAILED]
    assert status.commit is not None
    folder = own.folder / "small"
    assert git(folder, "diff", "--name-only", f"main..{status.branch}") == "first.txt"
    assert (await _shown(own, handle))["cost_usd"] == pytest.approx(_paid(own, handle), abs=1e-6)
    assert _paid(own, handle) <= BUDGET


async def _asks_for_review(deployment: LocalDeployment, handle: Handle) -> bool:
    approvals = (await deployment.status(handle)).approvals
    return [each.kind for each in approvals] == [ApprovalKind.REVIEW]


async def test_a_request_that_finishes_at_its_limit_asks_nobody(own: LocalDeployment) -> None:
    """With on_limit finish it delivers what landed, and keeps what could not be reviewed."""
    folder = own.folder / "small"
    if not folder.exists():
        own.repository("small", SMALL)
    handle = await own.start_request("finished", folder, budget_usd=BUDGET, on_limit="finish")
    ending = await own.ending(handle)

    status: RequestStatus | None = ending.status
    assert status is not None
    assert [row.ending for row in status.tasks] == [None, TaskEnding.CUT]
    assert "its patch passes its checks" in status.tasks[1].reason
    assert status.tasks[1].kept.startswith("git -C ")
    assert git(folder, "diff", "--name-only", f"main..{status.branch}") == "first.txt"
    assert status.cost_usd == pytest.approx(_paid(own, handle), abs=1e-6)
