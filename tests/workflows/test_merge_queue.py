"""MergeQueueWorkflow on a real server: it lands exactly what passed, and answers every sender."""

import itertools
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
from tests.fakes.calls import failing
from tests.fakes.store import BASE
from tests.local_deployment import git
from tests.workflows.workflow_env import LONGEST, WorkflowEnv, until
from workflows.merge_queue import MergeQueueWorkflow

pytestmark = pytest.mark.system


class RunningQueue:
    """A merge queue at work; one listener is the sender of every patch."""

    def __init__(self, env: WorkflowEnv, sender: WorkflowHandle[Any, Any]) -> None:
        self.env = env
        self.queue = env.client.get_workflow_handle(env.id)
        self._sender = sender
        self._opened = env.calls.hold("build_chain")

    def open(self) -> None:
        """Let chains be built."""
        self._opened.set()

    async def put(self, *names: str, member: str = "key", path: str = "") -> None:
        """Queue patches by name, in order."""
        for name in names:
            patch = self.patch(name, member=member, path=path)
            await self.queue.signal(MergeQueueWorkflow.enqueue, patch)

    def patch(self, name: str, *, member: str = "key", path: str = "") -> QueuedPatch:
        """A patch of one file; its name is its queue id, and the file's unless there is a path."""
        store = self.env.store
        commit = store.commit({**store.tree(BASE), path or name: name}, BASE, note=name)
        return QueuedPatch(
            id=name,
            task=name,
            repository=self.env.repository.model_copy(update={"request_key": member}),
            patch=Patch(
                task=name,
                round=0,
                base=BASE,
                commit=commit,
                tree=store.commits[commit].tree,
                patch_id=name,
                files=1,
                added_lines=1,
                deleted_lines=0,
                paths=(path or name,),
                diff=store.blob(f"diff of {name}"),
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
        """Leave the queue, and return its last status."""
        await self.queue.signal(MergeQueueWorkflow.leave, "key")
        return MergeQueueStatus.model_validate(await self.queue.result())


@asynccontextmanager
async def at_work(client: Client, *, lanes: int = 2) -> AsyncIterator[RunningQueue]:
    """A queue at work that has one patch and builds no chain before it is opened."""
    env = WorkflowEnv(client, {})
    async with env.at_work():
        line = RunningQueue(env, await env.listener())
        start = MergeQueueStart(repository=env.repository, lanes=lanes)
        await client.start_workflow(
            MergeQueueWorkflow.run,
            start,
            id=env.id,
            task_queue=env.name,
            execution_timeout=LONGEST,
            start_signal="enqueue",
            start_signal_args=[line.patch("first")],
        )
        await until(lambda: env.calls.of("build_chain"))
        yield line


async def test_patches_land_in_order_and_each_sender_gets_a_verdict(client: Client) -> None:
    """Patches land in the order of their arrival, several at once, and each sender is answered."""
    async with at_work(client) as line:
        await line.put("second", "third")
        line.open()
        told = await line.verdicts(3)
        status = await line.end()

    landed = [name for landing in line.env.landed for name in landing]
    assert landed == ["first", "second", "third"]
    assert list(told) == landed
    assert all(verdict.landed for verdict in told.values())
    assert (status.landed, status.evicted, status.waiting) == (3, 0, ())


async def test_a_patch_that_is_queued_twice_lands_and_is_answered_once(client: Client) -> None:
    """A patch that is queued again, before or after it landed, lands once and is answered once."""
    async with at_work(client) as line:
        await line.put("first")
        line.open()
        await line.verdicts(1)
        await line.put("first", "second")
        await line.verdicts(2)
        await line.end()

    assert [name for landing in line.env.landed for name in landing] == [
        "first",
        "second",
    ]


async def test_a_prefix_runs_acceptance_of_all_its_patches_and_the_green_checks(
    client: Client,
) -> None:
    """A prefix runs what its patches promise, what has landed promised, and the green checks."""
    async with at_work(client, lanes=1) as line:
        line.open()
        await line.verdicts(1)
        await line.put("second")
        await line.verdicts(2)
        await line.end()

    runs = [run.commands for run in line.env.calls.of("run_checks")]
    assert runs == [
        ("make test",),
        ("test first", "make test"),
        ("make test",),
        ("test second", "test first", "make test"),
    ]


async def test_a_check_that_already_fails_without_patches_evicts_none(client: Client) -> None:
    """A check that is red without any patch is held against none."""
    async with at_work(client) as line:
        line.env.checks.passes = lambda _run, command: command != "make test"
        line.open()
        told = await line.verdicts(1)
        await line.end()

    assert told["first"].landed
    assert ("test first",) in [run.commands for run in line.env.calls.of("run_checks")]


async def test_a_patch_that_makes_more_of_a_red_check_fail_is_evicted(client: Client) -> None:
    """What is red without any patch is compared, test by test, with what is red with one."""
    async with at_work(client) as line:
        store = line.env.store
        line.env.checks.passes = lambda _run, command: command != "make test"
        line.env.checks.failing = lambda run, _command: (
            ("old", "new") if "bad" in store.tree(run.commit) else ("old",)
        )
        await line.put("bad")
        line.open()
        told = await line.verdicts(2)
        await line.end()

    assert told["first"].landed
    assert (told["bad"].eviction, told["bad"].test) == (Eviction.RED, "new")
    assert told["bad"].reason.startswith("`make test` fails in 1 test more than before")


async def test_a_red_check_that_a_person_dropped_for_a_patch_is_not_run_on_it(
    client: Client,
) -> None:
    """A patch that does not name the check may add to its failures; the next is compared anew."""
    async with at_work(client) as line:
        store = line.env.store
        line.env.checks.passes = lambda _run, command: command != "make test"
        line.env.checks.failing = lambda run, _command: (
            ("old", "new") if "freed" in store.tree(run.commit) else ("old",)
        )
        freed = line.patch("freed").model_copy(update={"checks": ()})
        await line.queue.signal(MergeQueueWorkflow.enqueue, freed)
        line.open()
        told = await line.verdicts(2)
        await line.put("third")
        told = await line.verdicts(3)
        await line.end()

    assert all(verdict.landed for verdict in told.values())


async def test_the_patch_that_breaks_the_checks_is_evicted_and_the_others_land(
    client: Client,
) -> None:
    """The patch that breaks the checks is found and sent back with the log; the others land."""
    async with at_work(client) as line:
        store = line.env.store
        line.env.checks.passes = lambda run, _command: "bad" not in store.tree(run.commit)
        await line.put("bad", "third")
        line.open()
        told = await line.verdicts(3)
        status = await line.end()

    assert told["bad"].eviction is Eviction.RED
    assert told["bad"].log is not None
    assert told["first"].landed
    assert told["third"].landed
    assert (status.landed, status.evicted) == (2, 1)
    assert all("bad" not in landing for landing in line.env.landed)


async def test_a_failed_prefix_is_rerun_once_to_rule_out_a_flake(client: Client) -> None:
    """A red run is made once more before it is believed: a flake costs a run, no patch."""

    def passes(run: RunChecks, command: str) -> bool:
        return command != "test first" or run.fresh == 1

    async with at_work(client) as line:
        line.env.checks.passes = passes
        line.open()
        told = await line.verdicts(1)
        await line.end()

    assert told["first"].landed
    assert [run.fresh for run in line.env.calls.of("run_checks")] == [0, 0, 1]


async def test_a_patch_that_conflicts_with_the_tip_is_evicted_untested(client: Client) -> None:
    """A patch that conflicts with what has landed goes back at once, untested."""
    async with at_work(client) as line:
        line.open()
        await line.verdicts(1)
        await line.put("second", path="first")
        told = await line.verdicts(2)
        await line.end()

    assert told["second"].eviction is Eviction.CONFLICT
    assert told["second"].conflicts == ("first",)
    assert all("test second" not in run.commands for run in line.env.calls.of("run_checks"))


async def test_a_patch_that_conflicts_with_a_neighbour_waits_behind_it(client: Client) -> None:
    """A patch that conflicts with one before it waits behind the others; then the tip decides."""
    async with at_work(client) as line:
        await line.put("second")
        await line.put("third", path="second")
        await line.put("fourth")
        line.open()
        told = await line.verdicts(4)
        await line.end()

    assert list(told) == ["first", "second", "fourth", "third"]
    assert told["third"].eviction is Eviction.CONFLICT


async def test_the_order_with_the_fewest_conflicts_is_tried(client: Client) -> None:
    """One patch that conflicts with two others goes back, although it came before them."""
    async with at_work(client) as line:
        hub = line.patch("hub", path="second")
        tree = {**line.env.store.tree(BASE), "second": "hub", "third": "hub"}
        commit = line.env.store.commit(tree, BASE, note="hub")
        both = hub.patch.model_copy(update={"commit": commit})
        await line.queue.signal(MergeQueueWorkflow.enqueue, hub.model_copy(update={"patch": both}))
        await line.put("second", "third")
        line.open()
        told = await line.verdicts(4)
        await line.end()

    assert [name for name, verdict in told.items() if verdict.landed] == [
        "first",
        "second",
        "third",
    ]
    assert told["hub"].reason == (
        "conflicts with what tasks 'first', 'second', 'third' landed, in second, third"
    )


async def test_a_red_patch_is_told_the_command_and_whose_promise_broke(client: Client) -> None:
    """A patch that breaks what a landed task promised is told the command and that task."""
    async with at_work(client) as line:
        store = line.env.store
        line.env.checks.passes = lambda run, command: (
            command != "test first" or "bad" not in store.tree(run.commit)
        )
        line.open()
        await line.verdicts(1)
        await line.put("bad")
        told = await line.verdicts(2)
        await line.end()

    bad = told["bad"]
    assert (bad.command, bad.promised_by, bad.met) == ("test first", "first", ("first",))
    assert bad.reason.startswith("`test first` fails (exit code 1) together with what task 'first'")
    assert [promise.task for promise in bad.promised] == ["first"]


async def test_a_target_moved_by_another_process_restarts_the_round(client: Client) -> None:
    """When another process moved the target, nothing lands untested: the round starts again."""
    async with at_work(client) as line:
        names = iter(("one", "two"))

        async def move(_: object) -> None:
            """Land something else twice, each time just before the queue does."""
            for name in itertools.islice(names, 1):
                line.env.store.move("target", name, "by another process")

        line.env.calls.before["land_chain"] = move
        line.open()
        told = await line.verdicts(1)
        status = await line.end()

    assert told["first"].landed == line.env.tip
    assert status.rounds == 3
    tested = [run.commit for run in line.env.calls.of("run_checks") if len(run.commands) == 2]
    assert len(set(tested)) == 3


async def test_checks_that_cannot_run_evict_all_as_untested(client: Client) -> None:
    """When the checks cannot run, every patch is evicted as untested, and the queue continues."""
    async with at_work(client) as line:
        line.env.calls.fail("run_checks", failing(FailureKind.SANDBOX, "the sandbox does not hold"))
        await line.put("second")
        line.open()
        told = await line.verdicts(2)
        del line.env.calls.before["run_checks"]
        await line.put("third")
        told |= await line.verdicts(3)
        await line.end()

    assert told["first"].eviction is told["second"].eviction is Eviction.UNTESTED
    assert told["first"].reason == "the sandbox does not hold"
    assert told["third"].landed


async def test_a_patch_withdrawn_while_the_chain_is_built_does_not_land(client: Client) -> None:
    """A patch withdrawn while the chain is built neither lands nor stops the others."""
    async with at_work(client) as line:
        await line.put("second")
        await line.queue.signal(MergeQueueWorkflow.withdraw, "first")
        line.open()
        told = await line.verdicts(1)
        await line.end()

    assert list(told) == ["second"]
    assert line.env.landed == [("second",)]


async def test_a_patch_withdrawn_while_it_is_tested_does_not_land(client: Client) -> None:
    """A patch withdrawn while it is tested does not land, even if it passes."""
    async with at_work(client) as line:
        gate = line.env.calls.hold("run_checks")
        await line.put("second")
        line.open()
        await until(lambda: line.env.calls.of("run_checks"))
        await line.queue.signal(MergeQueueWorkflow.withdraw, "first")
        gate.set()
        await line.verdicts(1)
        await line.end()

    assert line.env.landed == [("second",)]


async def test_a_request_that_leaves_takes_its_patches_and_the_last_ends_the_queue(
    client: Client,
) -> None:
    """A request that leaves takes its patches along; the queue ends with the last request."""
    async with at_work(client) as line:
        await line.put("other", member="other")
        await line.queue.signal(MergeQueueWorkflow.leave, "key")
        line.open()
        await line.verdicts(1)
        await line.queue.signal(MergeQueueWorkflow.leave, "other")
        status = MergeQueueStatus.model_validate(await line.queue.result())

    assert (status.landed, status.evicted) == (1, 0)
    assert line.env.landed == [("other",)]


async def test_the_status_shows_what_waits_and_what_is_tested(client: Client) -> None:
    """The status shows what waits and what is tested."""
    async with at_work(client) as line:
        gate = line.env.calls.hold("run_checks")
        await line.put("second")
        line.open()
        await until(lambda: line.env.calls.of("run_checks"))
        status = await line.queue.query(MergeQueueWorkflow.status)
        gate.set()
        await line.verdicts(2)
        await line.end()

    assert status.waiting[0] == "first"
    assert (status.testing[0], status.tip, status.landed) == ("first", BASE, 0)


async def test_the_queue_continues_when_a_sender_has_ended(client: Client) -> None:
    """A sender that has ended needs no answer: the queue continues."""
    async with at_work(client) as line:
        gone = line.patch("gone").model_copy(update={"reply_to": f"{line.env.id}/nobody"})
        await line.queue.signal(MergeQueueWorkflow.enqueue, gone)
        line.open()
        await line.verdicts(1)
        await until(lambda: "gone" in str(line.env.landed))
        status = await line.end()

    assert status.landed == 2


async def test_an_idle_queue_ends_by_itself(client: Client) -> None:
    """An empty queue that no request left ends by itself; the test skips its time."""
    skipper = TimeSkipper(client)
    env = WorkflowEnv(client, {})
    async with env.at_work():
        sender = await env.listener()
        start = MergeQueueStart(repository=env.repository, members=("key",))
        handle = await env.start(MergeQueueWorkflow, start, client=skipper.client)
        status = MergeQueueStatus.model_validate(await handle.result())
        await sender.signal("stop")

    assert status.rounds == 0


async def test_signal_with_start_reaches_a_running_queue_or_starts_one(client: Client) -> None:
    """Signal-with-start reaches the queue that runs, and starts one where none does."""
    async with at_work(client) as line:
        line.open()
        await line.verdicts(1)
        env = line.env
        for name in ("second", "third"):
            await env.merge_queue.enqueue_patch(
                EnqueuePatch(queue_id=env.id, queued=line.patch(name))
            )
        told = await line.verdicts(3)
        await line.end()

    assert all(verdict.landed for verdict in told.values())


async def test_a_patch_of_an_ended_sender_starts_no_queue(client: Client, tmp_path: Path) -> None:
    """A patch whose sender has ended starts no queue, and neither does one that was evicted in a
    time that the database has lost: its sender gets the verdict at once.
    """
    git(tmp_path, "init", "-q", "person")
    async with at_work(client) as line:
        stores = OpenStores(tmp_path)
        env, queues = line.env, MergeQueueClient(client, stores)
        patch = line.patch("late")
        store = await stores.clone(tmp_path / "person", patch.repository.key)

        async def enqueue(name: str) -> WorkflowHandle[Any, Any]:
            queue = f"{env.id}/{name}"
            request = EnqueuePatch(queue_id=queue, queued=patch)
            assert await ActivityEnvironment().run(queues.enqueue_patch, request) is None
            return client.get_workflow_handle(queue)

        evicted = MergeVerdict(id=patch.id, eviction=Eviction.RED, reason="red")
        note = await store.put_blob(evicted.model_dump_json().encode())
        ref = ids.verdict_ref(patch.repository.request_key, patch.patch.task, patch.patch.round)
        await store.advance(ref, note, None)
        forgotten = EnqueuePatch(queue_id=f"{env.id}/forgotten", queued=patch)
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
