"""MergeQueueWorkflow on a real server: it lands exactly what passed, and tells every sender."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import ActivityEnvironment, TimeSkipper

from activities.merge_queue import MergeQueueClient
from contracts.checks import RunChecks
from contracts.failures import FailureKind
from contracts.merge_queue import (
    EnqueuePatch,
    Eviction,
    MergeQueueStart,
    MergeQueueStatus,
    MergeVerdict,
    QueuedPatch,
)
from contracts.review import Patch
from domain import ids
from infra.store.open_stores import OpenStores
from tests.fakes import BASE, failing, oid
from tests.local_deployment import git
from tests.workflows.world import LONGEST, WorkflowEnv, until
from workflows.merge_queue import MergeQueueWorkflow

pytestmark = pytest.mark.system


class Line:
    """A merge queue in a world, one listener as everybody's sender."""

    def __init__(self, world: WorkflowEnv, queue: WorkflowHandle[Any, Any], sender: Any) -> None:
        self.world = world
        self.queue = queue
        self._sender = sender

    async def put(self, *names: str, member: str = "key") -> None:
        """Queue patches by name, in order."""
        for name in names:
            await self.queue.signal(MergeQueueWorkflow.enqueue, self.patch(name, member=member))

    def patch(self, name: str, *, member: str = "key") -> QueuedPatch:
        """A patch by its name, which is its queue id."""
        commit = oid("patch", name)
        return QueuedPatch(
            id=name,
            task=name,
            repository=self.world.repository.model_copy(update={"request_key": member}),
            patch=Patch(
                task=name,
                round=0,
                base=BASE,
                commit=commit,
                tree=oid("tree", name),
                patch_id=name,
                files=1,
                added_lines=1,
                deleted_lines=0,
                paths=("a.py",),
                diff=oid("diff", name),
            ),
            reply_to=self._sender.id,
            acceptance=(f"test {name}",),
            checks=("make test",),
        )

    async def verdicts(self, count: int) -> dict[str, MergeVerdict]:
        """The answers by patch, once so many have come, in the order in which they came."""

        async def enough() -> list[MergeVerdict] | None:
            told = [MergeVerdict.model_validate(v) for v in await self._sender.query("verdicts")]
            return told if len(told) >= count else None

        told = await until(enough)
        assert len(told) == count
        return {verdict.id: verdict for verdict in told}

    async def end(self) -> MergeQueueStatus:
        """The queue's last standing, after everybody has left."""
        await self.queue.signal(MergeQueueWorkflow.leave, "key")
        return MergeQueueStatus.model_validate(await self.queue.result())


@asynccontextmanager
async def at_work(client: Client, *, lanes: int = 2) -> AsyncIterator[Line]:
    """A queue at work that holds its first chain until `line.world.patches.gate` is opened."""
    world = WorkflowEnv(client, {})
    world.patches.gate = asyncio.Event()
    async with world.at_work():
        sender = await world.listener()
        start = MergeQueueStart(repository=world.repository, lanes=lanes)
        queue = await client.start_workflow(
            MergeQueueWorkflow.run,
            start,
            id=world.id,
            task_queue=world.name,
            execution_timeout=LONGEST,
            start_signal="enqueue",
            start_signal_args=[Line(world, None, sender).patch("first")],  # type: ignore[arg-type]
        )
        await until(lambda: world.patches.chains)
        yield Line(world, queue, sender)


def opened(line: Line) -> None:
    """Let chains be built."""
    assert line.world.patches.gate is not None
    line.world.patches.gate.set()


async def test_order(client: Client) -> None:
    """Patches land in the order in which they came, several at once, and each sender is told."""
    async with at_work(client) as line:
        await line.put("second", "third")
        opened(line)
        told = await line.verdicts(3)
        status = await line.end()

    landed = [name for landing in line.world.patches.landings for name in landing]
    assert landed == ["first", "second", "third"]
    assert list(told) == landed
    assert all(verdict.landed for verdict in told.values())
    assert (status.landed, status.evicted, status.waiting) == (3, 0, ())


async def test_same_again(client: Client) -> None:
    """A patch that is queued again, before or after it landed, lands once and is answered once."""
    async with at_work(client) as line:
        await line.put("first")
        opened(line)
        await line.verdicts(1)
        await line.put("first", "second")
        await line.verdicts(2)
        await line.end()

    assert [name for landing in line.world.patches.landings for name in landing] == [
        "first",
        "second",
    ]


async def test_what_is_run(client: Client) -> None:
    """A prefix runs what its patches promise, what has landed promised, and the green checks."""
    async with at_work(client, lanes=1) as line:
        opened(line)
        await line.verdicts(1)
        await line.put("second")
        await line.verdicts(2)
        await line.end()

    runs = [run.commands for run in line.world.checks.runs]
    assert runs == [
        ("make test",),
        ("test first", "make test"),
        ("make test",),
        ("test second", "test first", "make test"),
    ]


async def test_red_before(client: Client) -> None:
    """A check that is red without any patch is held against none."""
    async with at_work(client) as line:
        line.world.checks.passes = lambda _run, command: command != "make test"
        opened(line)
        told = await line.verdicts(1)
        await line.end()

    assert told["first"].landed
    assert ("test first",) in [run.commands for run in line.world.checks.runs]


async def test_red(client: Client) -> None:
    """The patch that breaks the checks is found and sent back with the log; the others land."""
    async with at_work(client) as line:
        holds = line.world.patches.holds
        line.world.checks.passes = lambda run, _command: "bad" not in holds(run.commit)
        await line.put("bad", "third")
        opened(line)
        told = await line.verdicts(3)
        status = await line.end()

    assert told["bad"].eviction is Eviction.RED
    assert told["bad"].log is not None
    assert told["first"].landed
    assert told["third"].landed
    assert (status.landed, status.evicted) == (2, 1)
    assert all("bad" not in landing for landing in line.world.patches.landings)


async def test_flake(client: Client) -> None:
    """A red run is made once more before it is believed: a flake costs a run, no patch."""

    def passes(run: RunChecks, command: str) -> bool:
        return command != "test first" or run.fresh == 1

    async with at_work(client) as line:
        line.world.checks.passes = passes
        opened(line)
        told = await line.verdicts(1)
        await line.end()

    assert told["first"].landed
    assert [run.fresh for run in line.world.checks.runs] == [0, 0, 1]


async def test_conflict_with_landed(client: Client) -> None:
    """A patch that conflicts with what has landed goes back at once, untested."""
    async with at_work(client) as line:
        line.world.patches.clashes.add(frozenset({"first", "second"}))
        opened(line)
        await line.verdicts(1)
        await line.put("second")
        told = await line.verdicts(2)
        await line.end()

    assert told["second"].eviction is Eviction.CONFLICT
    assert told["second"].conflicts == ("a.py",)
    assert all("test second" not in run.commands for run in line.world.checks.runs)


async def test_conflict_with_neighbour(client: Client) -> None:
    """A patch that conflicts with one before it waits behind the others; then the tip decides."""
    async with at_work(client) as line:
        line.world.patches.clashes.add(frozenset({"second", "third"}))
        await line.put("second", "third", "fourth")
        opened(line)
        told = await line.verdicts(4)
        await line.end()

    assert list(told) == ["first", "second", "fourth", "third"]
    assert told["third"].eviction is Eviction.CONFLICT


async def test_moved_tip(client: Client) -> None:
    """When somebody else moved the target, nothing lands untested: the round is made anew."""
    async with at_work(client) as line:
        line.world.patches.intruders = 2
        opened(line)
        told = await line.verdicts(1)
        status = await line.end()

    assert told["first"].landed == line.world.patches.tip
    assert status.rounds == 3
    tested = [run.commit for run in line.world.checks.runs if len(run.commands) == 2]
    assert len(set(tested)) == 3


async def test_broken_checks(client: Client) -> None:
    """Where the checks cannot be run everything goes back as untested, and the queue goes on."""
    async with at_work(client) as line:
        line.world.checks.broken = failing(FailureKind.SANDBOX, "the sandbox does not hold")
        await line.put("second")
        opened(line)
        told = await line.verdicts(2)
        line.world.checks.broken = None
        await line.put("third")
        told |= await line.verdicts(3)
        await line.end()

    assert told["first"].eviction is told["second"].eviction is Eviction.UNTESTED
    assert told["first"].reason == "the sandbox does not hold"
    assert told["third"].landed


async def test_withdrawn_while_built(client: Client) -> None:
    """A patch withdrawn while the chain is built neither lands nor stops the others."""
    async with at_work(client) as line:
        await line.put("second")
        await line.queue.signal(MergeQueueWorkflow.withdraw, "first")
        opened(line)
        told = await line.verdicts(1)
        await line.end()

    assert list(told) == ["second"]
    assert line.world.patches.landings == [("second",)]


async def test_withdrawn_while_tested(client: Client) -> None:
    """A patch withdrawn while it is tested does not land, whatever the test says."""
    async with at_work(client) as line:
        gate = line.world.checks.gate = asyncio.Event()
        await line.put("second")
        opened(line)
        await until(lambda: line.world.checks.runs)
        await line.queue.signal(MergeQueueWorkflow.withdraw, "first")
        gate.set()
        await line.verdicts(1)
        await line.end()

    assert line.world.patches.landings == [("second",)]


async def test_leave(client: Client) -> None:
    """A request that leaves takes its patches along; the queue ends with the last request."""
    async with at_work(client) as line:
        await line.put("other", member="other")
        await line.queue.signal(MergeQueueWorkflow.leave, "key")
        opened(line)
        await line.verdicts(1)
        await line.queue.signal(MergeQueueWorkflow.leave, "other")
        status = MergeQueueStatus.model_validate(await line.queue.result())

    assert (status.landed, status.evicted) == (1, 0)
    assert line.world.patches.landings == [("other",)]


async def test_status(client: Client) -> None:
    """The status tells what waits and what is tested."""
    async with at_work(client) as line:
        gate = line.world.checks.gate = asyncio.Event()
        await line.put("second")
        opened(line)
        await until(lambda: line.world.checks.runs)
        status = await line.queue.query(MergeQueueWorkflow.status)
        gate.set()
        await line.verdicts(2)
        await line.end()

    assert status.waiting[0] == "first"
    assert (status.testing[0], status.tip, status.landed) == ("first", BASE, 0)


async def test_nobody_listens(client: Client) -> None:
    """A sender that is gone needs no answer: the queue goes on."""
    async with at_work(client) as line:
        gone = line.patch("gone").model_copy(update={"reply_to": f"{line.world.id}/nobody"})
        await line.queue.signal(MergeQueueWorkflow.enqueue, gone)
        opened(line)
        await line.verdicts(1)
        await until(lambda: "gone" in str(line.world.patches.landings))
        status = await line.end()

    assert status.landed == 2


async def test_idle(client: Client) -> None:
    """An empty queue that nobody left properly ends by itself; its time is skipped here."""
    skipper = TimeSkipper(client)
    world = WorkflowEnv(client, {})
    async with world.at_work():
        sender = await world.listener()
        start = MergeQueueStart(repository=world.repository, members=("key",))
        handle = await world.start(MergeQueueWorkflow, start, client=skipper.client)
        status = MergeQueueStatus.model_validate(await handle.result())
        await sender.signal("stop")

    assert status.rounds == 0


async def test_real_start(client: Client) -> None:
    """Signal-with-start reaches the queue that runs, and starts one where none does."""
    async with at_work(client) as line:
        opened(line)
        await line.verdicts(1)
        world = line.world
        for name in ("second", "third"):
            await world.queues.enqueue_patch(
                EnqueuePatch(queue_id=world.id, queued=line.patch(name))
            )
        told = await line.verdicts(3)
        await line.end()

    assert all(verdict.landed for verdict in told.values())


async def test_late_message(client: Client, tmp_path: Path) -> None:
    """
    A patch whose sender has ended starts no queue: nobody would be there to end it. Nor does one
    that did not land in a time which a database has forgotten: it is told why at once.
    """
    git(tmp_path, "init", "-q", "person")
    async with at_work(client) as line:
        stores = OpenStores(tmp_path)
        world, queues = line.world, MergeQueueClient(client, stores)
        patch = line.patch("late")
        store = await stores.clone(tmp_path / "person", patch.repository.key)

        async def enqueue(name: str) -> WorkflowHandle[Any, Any]:
            queue = f"{world.id}/{name}"
            request = EnqueuePatch(queue_id=queue, queued=patch)
            assert await ActivityEnvironment().run(queues.enqueue_patch, request) is None
            return client.get_workflow_handle(queue)

        evicted = MergeVerdict(id=patch.id, eviction=Eviction.RED, reason="red")
        note = await store.put_blob(evicted.model_dump_json().encode())
        ref = ids.verdict_ref(patch.repository.request_key, patch.patch.task, patch.patch.round)
        await store.advance(ref, note, None)
        forgotten = EnqueuePatch(queue_id=f"{world.id}/forgotten", queued=patch)
        assert await ActivityEnvironment().run(queues.enqueue_patch, forgotten) == evicted
        with pytest.raises(RPCError, match="not found"):
            await client.get_workflow_handle(forgotten.queue_id).describe()
        await store.advance(ref, None, note)

        started = await enqueue("in-time")
        assert (await started.describe()).status is WorkflowExecutionStatus.RUNNING
        await started.terminate()
        await client.get_workflow_handle(patch.reply_to).terminate()
        late = await enqueue("late")
        with pytest.raises(RPCError, match="not found"):
            await late.describe()
        await stores.close()
