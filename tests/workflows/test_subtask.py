"""SubtaskWorkflow on a real server: from agent to landed patch, and every way back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import CancelledError

from contracts.agent import Note
from contracts.approvals import Choice, Decision
from contracts.failures import FailureKind
from contracts.merge_queue import Eviction, MergeVerdict, QueuedPatch
from contracts.planning import TaskSpec
from contracts.review import Finding, ReviewFinish, Verdict
from contracts.subtask import SubtaskReport, SubtaskStart
from contracts.task import TaskState
from contracts.tools import CoderFinish
from tests.fakes import ScriptedReply, acts, failing, finishes, oid, says
from tests.workflows.world import WorkflowEnv, until
from workflows.subtask import SubtaskWorkflow

pytestmark = pytest.mark.system

CHECK = "make test"
EDIT = acts(("edit", "a.py"))
DONE = finishes(CoderFinish(summary="done"))
GOOD = finishes(ReviewFinish(verdict=Verdict.APPROVE, summary="right"))
CUT = says("no", "refusal")
BAD = finishes(
    ReviewFinish(
        verdict=Verdict.REVISE,
        summary="a hole",
        findings=(Finding(priority=1, title="negative numbers", path="a.py"),),
    )
)
TASK = TaskSpec(id="x", title="Do x", goal="x is done", writes=("a.py",), acceptance=(CHECK,))


def landed(queued: QueuedPatch) -> MergeVerdict:
    """The queue's yes."""
    return MergeVerdict(id=queued.id, landed="d" * 40)


def evicted(eviction: Eviction) -> Callable[[QueuedPatch], MergeVerdict]:
    """One of the queue's refusals."""
    return lambda queued: MergeVerdict(
        id=queued.id, eviction=eviction, reason="no", conflicts=("a.py",), log="e" * 40
    )


@asynccontextmanager
async def at_work(
    client: Client,
    *,
    coder: Iterable[ScriptedReply],
    reviewer: Iterable[ScriptedReply] = (),
    verdicts: Sequence[Callable[[QueuedPatch], MergeVerdict]] = (),
    **changes: object,
) -> AsyncIterator[tuple[WorkflowEnv, Callable[[], Any]]]:
    """A world at work, and the function that starts a subtask in it."""
    world = WorkflowEnv(client, {"coder/x": coder, "reviewer/x": reviewer}, verdicts=verdicts)
    start = SubtaskStart(
        request_id=f"{world.id}/listener",
        request="Do x.",
        repository=world.repository,
        task=TASK,
        queue_id=f"{world.id}/queue",
    ).model_copy(update=changes)
    async with world.at_work():
        yield world, lambda: world.start(SubtaskWorkflow, start)


async def played(client: Client, **given: Any) -> tuple[WorkflowEnv, SubtaskReport]:
    """A subtask's world and report, once it has ended by itself and freed its worktrees."""
    async with at_work(client, **given) as (world, start):
        handle: WorkflowHandle[Any, SubtaskReport] = await start()
        report = await handle.result()
        assert world.worktrees.open == {}
        return world, report


async def test_lands(client: Client) -> None:
    """A task whose patch passes checks and review lands, with all that it used in its report."""
    world, report = await played(client, coder=[EDIT, DONE], reviewer=[GOOD], verdicts=[landed])

    assert (report.state, report.landed, report.rounds) == (TaskState.DONE, "d" * 40, 0)
    assert (report.turns, report.cost_microusd, report.agent) == (3, 3_000, None)
    assert report.lane.startswith("worktree: ")
    queued = world.queues.queued[0]
    assert (queued.acceptance, queued.reply_to) == ((CHECK,), world.id)
    assert [asked.commit for asked in world.worktrees.asked] == [None, queued.patch.commit]


async def test_reports(client: Client) -> None:
    """The request hears of every change, in order: running, review, queue, done."""
    async with at_work(client, coder=[EDIT, DONE], reviewer=[GOOD], verdicts=[landed]) as (
        world,
        start,
    ):
        listener = await world.listener()
        await (await start()).result()
        reports = [SubtaskReport.model_validate(each) for each in await listener.query("reports")]

    states = [report.state for report in reports]
    assert states[0] is TaskState.RUNNING
    assert states[-1] is TaskState.DONE
    assert states.index(TaskState.REVIEW) > 0
    assert {report.agent for report in reports} >= {
        f"{world.id}/coder-1",
        f"{world.id}/reviewer-1",
    }


async def test_red_acceptance(client: Client) -> None:
    """A red acceptance command sends the agent back, in its conversation, with the output."""
    async with at_work(
        client, coder=[EDIT, DONE, EDIT, DONE], reviewer=[GOOD], verdicts=[landed]
    ) as (world, start):
        world.checks.passes = lambda _run, _command: len(world.checks.runs) > 1
        report = await (await start()).result()

    assert (report.state, report.rounds) == (TaskState.DONE, 1)
    again = world.model.calls[2]
    assert again.message is not None
    assert CHECK in again.message
    assert again.documents == (("checks", oid("log", world.checks.runs[0].commit, CHECK)),)
    assert len(world.model.opened) == 2


async def test_stays_red(client: Client) -> None:
    """A task whose commands stay red is given up after three rounds and says which command."""
    async with at_work(client, coder=[EDIT, DONE] * 3) as (world, start):
        world.checks.passes = lambda _run, _command: False
        report = await (await start()).result()

    assert report.state is TaskState.FAILED
    assert "given up after 3 rounds" in report.reason
    assert CHECK in report.reason
    assert world.worktrees.open == {}


async def test_revised(client: Client) -> None:
    """A blocking finding sends the agent back with it; the next reviewer is a fresh one."""
    world, report = await played(
        client, coder=[EDIT, DONE, EDIT, DONE], reviewer=[BAD, GOOD], verdicts=[landed]
    )

    assert (report.state, report.rounds) == (TaskState.DONE, 1)
    assert "negative numbers" in (world.model.told("coder/x")[2] or "")
    agents = [opened.agent_id.removeprefix(world.id) for opened in world.model.opened]
    assert agents == ["/coder-1", "/reviewer-1", "/reviewer-2"]


@pytest.mark.parametrize(
    ("choice", "state", "reason"),
    [
        (Choice.APPROVE, TaskState.DONE, ""),
        (Choice.REJECT, TaskState.FAILED, "rejected by Ann: not like this"),
        (Choice.REVISE, TaskState.DONE, ""),
    ],
    ids=["approved", "rejected", "sent back"],
)
async def test_person(client: Client, choice: Choice, state: TaskState, reason: str) -> None:
    """A patch whose reviewer was cut waits for a person, and what they say happens."""
    async with at_work(
        client, coder=[EDIT, DONE, EDIT, DONE], reviewer=[CUT, GOOD], verdicts=[landed]
    ) as (world, start):
        listener = await world.listener()
        handle = await start()
        (asked,) = await until(lambda: listener.query("asked"))
        waiting = await handle.query(SubtaskWorkflow.status)
        decision = Decision(
            approval=asked["id"],
            choice=choice,
            reason="not like this",
            by="Ann",
            digest=asked["digest"],
        )
        await handle.signal(SubtaskWorkflow.decided, decision)
        report = await handle.result()

    assert waiting.state is TaskState.REVIEW
    assert "waits for a person" in waiting.reason
    assert (report.state, report.reason) == (state, reason)
    assert ("not like this" in str(world.model.told("coder/x"))) is (choice is Choice.REVISE)
    assert world.worktrees.open == {}


async def test_human_review(client: Client) -> None:
    """Where the request asks for it, a person decides although the reviewer approves."""
    async with at_work(
        client, coder=[EDIT, DONE], reviewer=[GOOD], verdicts=[landed], human_review=True
    ) as (world, start):
        listener = await world.listener()
        handle = await start()
        (asked,) = await until(lambda: listener.query("asked"))
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()

    assert asked["kind"] == "review"
    assert world.queues.queued == []
    assert world.worktrees.open == {}


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ([EDIT, CUT], "the agent was cut (refusal): no"),
        (
            [ScriptedReply(fails=failing(FailureKind.CREDENTIALS, "the key is wrong"))],
            "the agent was cut (failure): the key is wrong",
        ),
    ],
    ids=["cut", "failing"],
)
async def test_cut_agent(client: Client, script: list[ScriptedReply], reason: str) -> None:
    """A task whose agent was cut fails with the reason."""
    _, report = await played(client, coder=script)

    assert (report.state, report.reason) == (TaskState.FAILED, reason)


async def test_unusable_patch(client: Client) -> None:
    """A patch that changes only what the task may not is sent back before anything is run."""
    async with at_work(
        client, coder=[EDIT, DONE, EDIT, DONE], reviewer=[GOOD], verdicts=[landed]
    ) as (world, start):
        world.patches.shape = lambda made: {} if made.round else {"paths": ("b.py",)}
        report = await (await start()).result()

    assert report.rounds == 1
    assert "outside" in (world.model.told("coder/x")[2] or "")
    assert len(world.checks.runs) == 1


async def test_conflict(client: Client) -> None:
    """A patch evicted for a conflict is rebased; the agent resolves it and it is queued anew."""
    world, report = await played(
        client,
        coder=[EDIT, DONE, EDIT, DONE],
        reviewer=[GOOD, GOOD],
        verdicts=[evicted(Eviction.CONFLICT), landed],
    )

    assert (report.state, report.rounds) == (TaskState.DONE, 1)
    first, second = world.queues.queued
    assert first.id != second.id
    rebased = oid(world.patches.tip, first.patch.commit)
    assert second.patch.commit == oid("patch", "x", 1, oid(rebased, _last_call(world)))
    assert "conflict markers in: a.py" in (world.model.told("coder/x")[2] or "")


def _last_call(world: WorkflowEnv) -> str:
    call_id = getattr(world.tools.calls[-1], "call_id", "")
    assert call_id
    return str(call_id)


async def test_always_evicted(client: Client) -> None:
    """A patch that the queue never takes is given up after two ways back."""
    world, report = await played(
        client,
        coder=[EDIT, DONE] * 3,
        reviewer=[GOOD] * 3,
        verdicts=[evicted(Eviction.RED)] * 3,
    )

    assert report.state is TaskState.FAILED
    assert "merge queue" in report.reason
    assert len(world.queues.queued) == 3


async def test_untested(client: Client) -> None:
    """A patch that could not be tested fails its task at once: the agent cannot help."""
    _, report = await played(
        client, coder=[EDIT, DONE], reviewer=[GOOD], verdicts=[evicted(Eviction.UNTESTED)]
    )

    assert (report.state, report.rounds) == (TaskState.FAILED, 0)
    assert report.reason == "not landed, could not be tested: no"


async def test_reading_task(client: Client) -> None:
    """A task that only reads is done when its commands pass: nothing to review, nothing to land."""
    task = TASK.model_copy(update={"writes": ()})
    world, report = await played(client, coder=[DONE], task=task)

    assert (report.state, report.reason) == (TaskState.DONE, "done")
    assert world.queues.queued == []


async def test_cancel_in_queue(client: Client) -> None:
    """A task cancelled in the merge queue takes its patch out and frees its worktree."""
    async with at_work(client, coder=[EDIT, DONE], reviewer=[GOOD]) as (world, start):
        queue = await world.listener("/queue")
        handle = await start()
        await until(lambda: world.queues.queued)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
        withdrawn = await until(lambda: queue.query("withdrawn"))

    assert isinstance(caught.value.cause, CancelledError)
    assert withdrawn == [world.queues.queued[0].id]
    assert world.worktrees.open == {}


async def test_note(client: Client) -> None:
    """A note reaches the agent at work, and stands in the opening of one that starts later."""
    speaks = asyncio.Event()
    script = [acts(("edit", "a.py"), waits=speaks), DONE]
    async with at_work(
        client, coder=script, reviewer=[GOOD], verdicts=[landed], notes=("use tabs",)
    ) as (world, start):
        handle = await start()
        await until(lambda: world.model.calls)
        await handle.signal(SubtaskWorkflow.add_note, Note(text="mind the tests"))
        agent = client.get_workflow_handle(f"{world.id}/coder-1")
        await until(lambda: _heard(agent, "add_note"))
        speaks.set()
        await handle.result()

    assert "mind the tests" in (world.model.told("coder/x")[1] or "")
    assert ("Notes from the person who made the request", "use tabs") in (
        world.model.opened[0].facts
    )


async def _heard(handle: WorkflowHandle[Any, Any], signal: str) -> bool:
    history = await handle.fetch_history()
    return any(
        event.workflow_execution_signaled_event_attributes.signal_name == signal
        for event in history.events
    )
