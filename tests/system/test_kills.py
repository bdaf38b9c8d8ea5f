"""
SIGKILL amid the demo's request: it finishes with the same tree and no finished model call is made
twice.

A reply that reached a process in the very moment of its death is lost with it: nobody can have
kept it. Everything older counts.
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
from tests.local_deployment import CHECK, Handle, LocalDeployment, git, until
from tests.model_scripts import Json, demo, script
from tests.system.conftest import CompletedRun

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
    """A stage whose processes are killed."""
    plays = [_longer(demo(f"demo-{victim}")) for victim in ("worker", "server", "orderly")]
    async with LocalDeployment(script(*plays)) as stage:
        yield stage


async def _met(stage: LocalDeployment, workflow_id: str, activity: str) -> None:
    """Wait until an activity of a workflow is in the middle of its work."""
    client = await stage.client()

    async def started() -> bool:
        try:
            seen = await client.get_workflow_handle(workflow_id).describe()
        except RPCError:
            return False
        pending = seen.raw_description.pending_activities
        return any(one.activity_type.name == activity and one.state == _STARTED for one in pending)

    await until(started)
    await asyncio.sleep(0.5)


async def _reviewed(stage: LocalDeployment, request: str) -> None:
    """Wait for a moment after the first review: between two activities, as likely as not."""
    await until(lambda: any(one.role == "reviewer" for one in stage.journal(request)))
    await asyncio.sleep(0.5)


async def _disturbed(
    stage: LocalDeployment, name: str, again: Callable[[], Coroutine[Any, Any, None]]
) -> tuple[RequestStatus, list[float]]:
    """
    Carry the demo's request out with a kill amid a model call, a command and the queue's checks,
    and one somewhere between.

    Returns:
        The request's last word, and when the kills were.
    """
    repository = stage.repository(name)
    handle = await stage.start_request(name, repository, checks=[f"sleep 1.5; {CHECK}"])
    kills = []

    async def kill() -> None:
        kills.append(time.time())
        await again()

    await _met(stage, f"{handle.id}/planner-1", "call_model")
    await kill()
    await _met(stage, f"{handle.id}/task/mend-total/coder-1", "run_command")
    await kill()
    await _reviewed(stage, handle.id)
    await kill()
    await _met(stage, await _queue(stage, handle), "run_checks")
    await kill()
    return await stage.delivered(handle, seconds=180), kills


async def _queue(stage: LocalDeployment, handle: Handle) -> str:
    return str((await stage.status(handle)).merge_queue)


def _made_twice(entries: Sequence[Entry], kills: Sequence[float]) -> list[Entry]:
    """Return the finished model calls that were made again, those of a dying moment left out."""
    return [each for each in journal.repeated(entries) if not _died(each, entries, kills)]


def _died(again: Entry, entries: Sequence[Entry], kills: Sequence[float]) -> bool:
    first = next(each for each in entries if each.finished and each.digest == again.digest)
    # The last bytes may leave the service just after the kill, for a socket that nobody reads.
    return any(first.time_received <= kill < first.time_done + DYING_SECONDS for kill in kills)


async def test_a_worker_killed_amid_a_call_a_command_and_a_check_loses_nothing(
    own: LocalDeployment, performance: CompletedRun
) -> None:
    """Killed four times and started again, the request delivers the tree of an undisturbed run."""

    async def again() -> None:
        await own.kill_worker()
        await own.start_worker()

    status, kills = await _disturbed(own, "demo-worker", again)
    tree = git(own.folder / "demo-worker", "rev-parse", f"{status.branch}^{{tree}}")
    assert tree == performance.tree
    entries = own.journal(status.id)
    assert any(not entry.finished for entry in entries), "no model call was hit"
    assert journal.failures(entries) == []
    assert _made_twice(entries, kills) == []
    assert own.left_behind() == []


async def test_a_server_killed_amid_a_call_a_command_and_a_check_loses_nothing(
    own: LocalDeployment, performance: CompletedRun
) -> None:
    """
    Killed four times and started on the same database, the server goes on where it was.

    The first time it is away until the model call has ended and its heartbeat is overdue: the
    reply, which nobody could be told of, is not asked for again.
    """
    away = iter((5.0, 0.0, 0.0, 0.0))

    async def again() -> None:
        await own.kill_server()
        await asyncio.sleep(next(away))
        await own.start_server()

    status, kills = await _disturbed(own, "demo-server", again)
    tree = git(own.folder / "demo-server", "rev-parse", f"{status.branch}^{{tree}}")
    assert tree == performance.tree
    entries = own.journal(status.id)
    assert journal.failures(entries) == []
    assert _made_twice(entries, kills) == []
    assert own.left_behind() == []


async def test_a_worker_that_is_asked_to_end_waits_for_the_reply_that_is_being_paid_for(
    own: LocalDeployment,
) -> None:
    """
    SIGTERM amid a model call: the reply is kept before the worker ends, and nothing is asked twice.
    """
    handle = await own.start_request("demo-orderly", own.repository("orderly"))
    await _met(own, f"{handle.id}/planner-1", "call_model")
    assert await own.stop_worker() == 0
    (asked,) = own.journal(handle.id)
    assert asked.finished
    await own.start_worker()
    await own.delivered(handle, seconds=120)

    assert journal.repeated(own.journal(handle.id)) == []
