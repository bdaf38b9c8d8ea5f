"""SIGKILL during the demo's request: it ends with the same tree and repeats no finished model call.

A reply that reaches a process at the moment of its death is lost with it; everything older counts.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

import pytest
from temporalio.service import RPCError

from contracts.request import RequestStatus
from rehearsal import journal
from rehearsal.journal import Entry
from tests import journal_checks
from tests.local_deployment import CHECK, Handle, LocalDeployment, git, until
from tests.model_scripts import Json, demo, script
from tests.system.conftest import CompletedRun

pytestmark = pytest.mark.minutes

PLAYS = [demo("demo-whole")]
DYING_SECONDS = 0.25
_STARTED = 2  # PENDING_ACTIVITY_STATE_STARTED


def _longer(play: Sequence[Json]) -> list[Json]:
    """Return the demo's casts with a model call and a command that are long enough to be met."""
    planner = next(cast for cast in play if cast["match"]["role"] == "planner")
    planner["turns"][0]["delay_ms"] = 2_500
    coder = next(cast for cast in play if cast["match"].get("task") == "mend-total")
    tests = next(call for call in coder["turns"][0]["call"] if call["tool"] == "run_command")
    tests["input"]["command"] = f"sleep 2; {tests['input']['command']}"
    return [*play]


@pytest.fixture(scope="module")
async def own() -> AsyncIterator[LocalDeployment]:
    """A deployment whose processes are killed."""
    plays = [_longer(demo(f"demo-{victim}")) for victim in ("worker", "server", "orderly")]
    async with LocalDeployment(script(*plays)) as deployment:
        yield deployment


async def _met(deployment: LocalDeployment, workflow_id: str, activity: str) -> None:
    """Wait until an activity of a workflow is in the middle of its work."""
    client = await deployment.client()

    async def started() -> bool:
        try:
            seen = await client.get_workflow_handle(workflow_id).describe()
        except RPCError:
            return False
        pending = seen.raw_description.pending_activities
        return any(one.activity_type.name == activity and one.state == _STARTED for one in pending)

    await until(started)
    await asyncio.sleep(0.5)


async def _reviewed(deployment: LocalDeployment, request: str) -> None:
    """Wait for a moment after the first review: between two activities, as likely as not."""
    await until(lambda: any(one.role == "reviewer" for one in deployment.journal(request)))
    await asyncio.sleep(0.5)


async def _disturbed(
    deployment: LocalDeployment, name: str, again: Callable[[], Coroutine[Any, Any, None]]
) -> tuple[RequestStatus, list[float]]:
    """Run the demo's request with kills during a model call, a command, the queue's checks and once
    in between.

    Returns:
        The request's last status, and when the kills were.
    """
    repository = deployment.repository(name)
    handle = await deployment.start_request(name, repository, checks=[f"sleep 1.5; {CHECK}"])
    kills = []

    async def kill() -> None:
        kills.append(time.time())
        await again()

    await _met(deployment, f"{handle.id}/planner-1", "call_model")
    await kill()
    await _met(deployment, f"{handle.id}/task/mend-total/coder-1", "run_command")
    await kill()
    await _reviewed(deployment, handle.id)
    await kill()
    await _met(deployment, await _queue(deployment, handle), "run_checks")
    await kill()
    return await deployment.delivered(handle, seconds=180), kills


async def _queue(deployment: LocalDeployment, handle: Handle) -> str:
    return str((await deployment.status(handle)).merge_queue)


def _made_twice(entries: Sequence[Entry], kills: Sequence[float]) -> list[Entry]:
    """Return the finished model calls that were made again, those of a dying moment left out."""
    return [each for each in journal_checks.repeated(entries) if not _died(each, entries, kills)]


def _died(again: Entry, entries: Sequence[Entry], kills: Sequence[float]) -> bool:
    first = next(each for each in entries if each.finished and each.digest == again.digest)
    # The last bytes may leave the service just after the kill, for a closed socket.
    return any(first.time_received <= kill < first.time_done + DYING_SECONDS for kill in kills)


async def test_a_worker_killed_during_a_call_a_command_and_a_check_loses_nothing(
    own: LocalDeployment, completed_run: CompletedRun
) -> None:
    """Killed four times and started again, the request delivers the tree of an undisturbed run."""

    async def again() -> None:
        await own.kill_worker()
        await own.start_worker()

    status, kills = await _disturbed(own, "demo-worker", again)
    tree = git(own.folder / "demo-worker", "rev-parse", f"{status.branch}^{{tree}}")
    assert tree == completed_run.tree
    entries = own.journal(status.id)
    assert any(not entry.finished for entry in entries), "no model call was hit"
    assert status.cost_usd == pytest.approx(journal_checks.cost_usd(entries), abs=1e-6)
    assert journal.failures(entries) == []
    assert _made_twice(entries, kills) == []
    assert own.left_behind() == []


async def test_a_server_killed_during_a_call_a_command_and_a_check_loses_nothing(
    own: LocalDeployment, completed_run: CompletedRun
) -> None:
    """Killed four times and started on the same database, the server continues where it was.

    The first time it is away until the model call has ended and its heartbeat is overdue: the
    reply, whose report was lost, is not requested again.
    """
    away = iter((5.0, 0.0, 0.0, 0.0))

    async def again() -> None:
        await own.kill_server()
        await asyncio.sleep(next(away))
        await own.start_server()

    status, kills = await _disturbed(own, "demo-server", again)
    tree = git(own.folder / "demo-server", "rev-parse", f"{status.branch}^{{tree}}")
    assert tree == completed_run.tree
    entries = own.journal(status.id)
    assert journal.failures(entries) == []
    assert _made_twice(entries, kills) == []
    assert own.left_behind() == []


async def test_a_worker_asked_to_stop_waits_for_the_reply_in_flight(
    own: LocalDeployment,
) -> None:
    """SIGTERM during a model call: the reply is kept before the worker ends, nothing repeated."""
    handle = await own.start_request("demo-orderly", own.repository("orderly"))
    await _met(own, f"{handle.id}/planner-1", "call_model")
    assert await own.stop_worker() == 0
    (asked,) = own.journal(handle.id)
    assert asked.finished
    await own.start_worker()
    await own.delivered(handle, seconds=120)

    assert journal_checks.repeated(own.journal(handle.id)) == []
