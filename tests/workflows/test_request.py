"""
RequestWorkflow on a real server, with its children and its merge queue: from words to a branch.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.testing import TimeSkipper

from contracts.approvals import ApprovalKind, Choice, Decide, Receipt
from contracts.failures import FailureKind
from contracts.planning import PlanDraft, TaskSpec
from contracts.request import RequestStatus
from contracts.review import ReviewFinish, Verdict
from contracts.task import TaskState
from contracts.tools import CoderFinish
from contracts.visibility import RunState
from tests.fakes import BASE, ScriptedReply, acts, failing, finishes, queue_id, says
from tests.workflows.world import WorkflowEnv, until
from workflows.request import RequestWorkflow
from workflows.visibility import PENDING, STATE

pytestmark = pytest.mark.system

CHECK = "make test"
CODER = [acts(("edit", "a")), finishes(CoderFinish(summary="done"))]
REVIEWER = [finishes(ReviewFinish(verdict=Verdict.APPROVE, summary="right"))]
CUT = [says("no", "refusal")]


def task(name: str, *after: str) -> TaskSpec:
    """A task of the plan that writes a file of its own name."""
    return TaskSpec(
        id=name,
        title=f"Do {name}",
        goal=f"{name} is done",
        depends_on=after,
        writes=(name,),
        acceptance=(f"test {name}",),
    )


def plan(*tasks: TaskSpec, cost_microusd: int = 1_000) -> ScriptedReply:
    """A planner that hands in a plan."""
    return finishes(PlanDraft(summary="a plan", tasks=tasks), cost_microusd=cost_microusd)


def scripts(planner: Iterable[ScriptedReply], *names: str) -> dict[str, Iterable[ScriptedReply]]:
    """A planner's words, and for each name a coder and a reviewer that do their work."""
    work: dict[str, Iterable[ScriptedReply]] = {"planner/planner": planner}
    for name in names:
        work |= {f"coder/{name}": CODER, f"reviewer/{name}": REVIEWER}
    return work


def asked(**changes: object) -> dict[str, object]:
    """A request as a person types it."""
    return {"repository": "/repository", "request": "Do it.", "checks": [CHECK], **changes}


@asynccontextmanager
async def at_work(
    client: Client, script: Mapping[str, Iterable[ScriptedReply]]
) -> AsyncIterator[WorkflowEnv]:
    """A world at work; whatever its requests leased is free at the end."""
    world = WorkflowEnv(client, script)
    async with world.at_work():
        yield world
        assert world.worktrees.open == {}


async def status(handle: WorkflowHandle[Any, Any]) -> RequestStatus:
    """A request's status by query."""
    return await handle.query(RequestWorkflow.status)


async def waits(handle: WorkflowHandle[Any, Any], approval: str) -> RequestStatus:
    """A request's status once it waits for an answer."""

    async def asks() -> RequestStatus | None:
        found = await status(handle)
        return found if approval in [each.id for each in found.approvals] else None

    found: RequestStatus = await until(asks)
    return found


async def failed(handle: WorkflowHandle[Any, Any]) -> tuple[ApplicationError, RequestStatus]:
    """The error and the last status of a request that fails."""
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    assert isinstance(caught.value.cause, ApplicationError)
    last = RequestStatus.model_validate(caught.value.cause.details[0])
    assert last.state is RunState.FAILED
    shown = await attributes(handle)
    assert shown == (RunState.FAILED, 0)
    return caught.value.cause, last


async def attributes(handle: WorkflowHandle[Any, Any]) -> tuple[str | None, int | None]:
    """What a list of runs shows of one."""
    found = (await handle.describe()).typed_search_attributes
    return found.get(STATE), found.get(PENDING)


async def test_delivers(client: Client) -> None:
    """A request of three tasks, one after another, lands all of them and delivers one branch."""
    planner = [acts(("view", ".")), plan(task("a"), task("b"), task("c", "a"))]
    async with at_work(client, scripts(planner, "a", "b", "c")) as world:
        handle = await world.start(RequestWorkflow, asked())
        done = await handle.result()
        queue = client.get_workflow_handle(queue_id(world.repository))
        await queue.result()
        shown = await attributes(handle)

    assert (done.state, done.commit) == (RunState.DONE, world.patches.tip)
    assert [row.state for row in done.tasks] == [TaskState.DONE] * 3
    assert world.repositories.delivered[0].commit == world.patches.tip
    assert len(world.repositories.closed) == 1
    assert world.checks.runs[-1].commands == ("test a", "test b", "test c", CHECK)
    assert done.cost_usd == pytest.approx((2 + 3 * 3) * 0.001)
    landed = [name.split("/")[1] for each in world.patches.landings for name in each]
    assert landed.index("a") < landed.index("c")
    assert shown == (RunState.DONE, 0)


@pytest.mark.parametrize(
    ("payload", "says_what"),
    [
        ("do it", "must be a JSON object"),
        ({"repository": "/r"}, "request: Field required"),
        (asked(colour="red"), "colour: Extra inputs"),
        (asked(approve=["everything"]), "approve.0"),
    ],
    ids=["no object", "a key missing", "an unknown key", "a bad value"],
)
async def test_bad_input(client: Client, payload: object, says_what: str) -> None:
    """A request whose input is not usable is refused in one sentence before anything is touched."""
    async with at_work(client, {}) as world:
        error, last = await failed(await world.start(RequestWorkflow, payload))

    assert error.type == FailureKind.REFUSED
    assert says_what in error.message
    assert last.reason == error.message
    assert world.repositories.closed == []


async def test_refused_repository(client: Client) -> None:
    """A repository that cannot be used ends the request with the door's sentence."""
    async with at_work(client, {}) as world:
        world.repositories.refusal = "/repository is not a git repository."
        error, _ = await failed(await world.start(RequestWorkflow, asked()))

    assert (error.type, error.message) == (
        FailureKind.REFUSED,
        "/repository is not a git repository.",
    )


async def test_repair(client: Client) -> None:
    """A plan that is not valid goes back to the planner once, with what is wrong."""
    planner = [plan(task("a", "b"), task("b", "a")), plan(task("a"))]
    async with at_work(client, scripts(planner, "a")) as world:
        done = await (await world.start(RequestWorkflow, asked())).result()

    assert done.state is RunState.DONE
    assert "circle" in (world.model.told("planner/planner")[1] or "")
    assert len([each for each in world.model.opened if each.role == "planner"]) == 1


@pytest.mark.parametrize(
    "planner",
    [CUT, [plan(task("a", "nobody"))] * 2],
    ids=["a planner that was cut", "two plans that are not valid"],
)
async def test_fallback(client: Client, planner: list[ScriptedReply]) -> None:
    """Without a valid plan the whole request becomes one task, and the status says why."""
    async with at_work(client, scripts(planner, "task-1")) as world:
        world.patches.shape = lambda _made: {"paths": ("a.py",)}
        done = await (await world.start(RequestWorkflow, asked())).result()

    assert [row.id for row in done.tasks] == ["task-1"]
    assert done.summary.startswith("One task for the whole request: ")
    assert done.state is RunState.DONE


async def test_no_fallback(client: Client) -> None:
    """Without a plan and without checks nothing could be tested: refused, and shown as failed."""
    async with at_work(client, scripts(CUT)) as world:
        error, last = await failed(await world.start(RequestWorkflow, asked(checks=[])))

    assert error.type == FailureKind.REFUSED
    assert "--check" in last.reason
    assert len(world.repositories.closed) == 1


async def test_failing_planner(client: Client) -> None:
    """A planner whose model fails for good ends the request with that failure's kind."""
    planner = [ScriptedReply(fails=failing(FailureKind.CREDENTIALS, "the key is wrong"))]
    async with at_work(client, scripts(planner)) as world:
        error, last = await failed(await world.start(RequestWorkflow, asked()))

    assert error.type == FailureKind.CREDENTIALS
    assert "the key is wrong" in last.reason


async def test_failed_task(client: Client) -> None:
    """A failed task fails only itself: dependents are blocked with the reason, the rest lands."""
    script = scripts([plan(task("a"), task("b", "a"), task("c"), task("d", "b"))], "c")
    async with at_work(client, script | {"coder/a": CUT}) as world:
        error, last = await failed(await world.start(RequestWorkflow, asked()))

    states = {row.id: (row.state, row.reason) for row in last.tasks}
    assert states["a"] == (TaskState.FAILED, "the agent was cut (refusal): no")
    assert states["b"] == (TaskState.BLOCKED, "waits for 'a', which failed")
    assert states["d"][0] is TaskState.BLOCKED
    assert states["c"][0] is TaskState.DONE
    assert error.type == "Incomplete"
    assert last.reason.startswith("1 of 4 tasks done")
    assert world.repositories.delivered[0].commit == world.patches.tip
    assert last.commit == world.patches.tip


async def test_budget(client: Client) -> None:
    """What the money does not reach is not started, and says so; what was done is delivered."""
    async with at_work(client, scripts([plan(task("a"), task("b"), task("c"))], "a", "b")) as world:
        error, last = await failed(await world.start(RequestWorkflow, asked(budget_usd=0.12)))

    rows = {row.id: row for row in last.tasks}
    assert error.type == "Incomplete"
    assert [row.state for row in last.tasks[:2]] == [TaskState.DONE] * 2
    assert (rows["c"].state, rows["c"].workflow_id) == (TaskState.FAILED, None)
    assert rows["c"].reason == "the budget of $0.12 is used up or reserved"
    assert last.commit == world.patches.tip
    assert last.cost_usd <= last.budget_usd


async def test_red_at_the_end(client: Client) -> None:
    """Nothing is delivered whose merged tree is red; the reason names command and commit."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as world:
        world.checks.passes = lambda _run, command: command != CHECK
        error, last = await failed(await world.start(RequestWorkflow, asked()))

    assert error.type == "ChecksFailed"
    assert CHECK in last.reason
    assert world.patches.tip in last.reason
    assert world.repositories.delivered == []
    assert len(world.repositories.closed) == 1


async def test_nothing_to_deliver(client: Client) -> None:
    """A request that only reads ends well without a branch."""
    reads = task("a").model_copy(update={"writes": ()})
    script = {"planner/planner": [plan(reads)], "coder/a": CODER[1:]}
    async with at_work(client, script) as world:
        done = await (await world.start(RequestWorkflow, asked())).result()

    assert (done.state, done.commit) == (RunState.DONE, None)
    assert world.repositories.delivered == []
    assert world.patches.tip == BASE


async def test_plan_approved(client: Client) -> None:
    """A plan waits, visibly, for its approval by signal; then the work begins."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as world:
        handle = await world.start(RequestWorkflow, asked(approve=["plan"]))
        waiting = await waits(handle, "plan")
        shown = await attributes(handle)
        await handle.signal("approve")
        done = await handle.result()

    assert waiting.state is RunState.WAITING_APPROVAL
    assert waiting.reason.startswith("waits for a person: a plan of 1 task")
    assert waiting.approvals[0].kind is ApprovalKind.PLAN
    assert shown == (RunState.WAITING_APPROVAL, 1)
    assert done.state is RunState.DONE


async def test_plan_rejected(client: Client) -> None:
    """A rejected plan ends the request with the person's words, by an update with its receipt."""
    async with at_work(client, scripts([plan(task("a"))])) as world:
        handle = await world.start(RequestWorkflow, asked(approve=["plan"]))
        await waits(handle, "plan")
        receipt: Receipt = await handle.execute_update(
            "decide",
            Decide(choice=Choice.REJECT, reason="too small", by="Ann"),
            result_type=Receipt,
        )
        error, last = await failed(handle)

    assert receipt.message == "'plan' is rejected by Ann."
    assert error.type == "Rejected"
    assert last.reason == "the plan was rejected by Ann: too small"
    assert world.queues.queued == []


async def test_plan_sent_back(client: Client) -> None:
    """A plan that is sent back is made anew with the person's words, and asked about again."""
    planner = [plan(task("a")), plan(task("b"))]
    async with at_work(client, scripts(planner, "b")) as world:
        handle = await world.start(RequestWorkflow, asked(approve=["plan"]))
        first = await waits(handle, "plan")
        await handle.signal("revise", {"approval": "plan", "reason": "call it b"})

        async def second() -> bool:
            found = (await status(handle)).approvals
            return bool(found) and found[0].digest != first.approvals[0].digest

        await until(second)
        await handle.signal("approve", "plan")
        done = await handle.result()

    assert [row.id for row in done.tasks] == ["b"]
    assert "call it b" in (world.model.told("planner/planner")[1] or "")


@pytest.mark.parametrize(
    ("signal", "delivered"), [("approve", 1), ("reject", 0)], ids=["approved", "rejected"]
)
async def test_delivery(client: Client, signal: str, delivered: int) -> None:
    """The branch is pushed only after its approval, where the request asks for it."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as world:
        handle = await world.start(RequestWorkflow, asked(approve=["delivery"]))
        waiting = await waits(handle, "delivery")
        assert world.repositories.delivered == []
        await handle.signal(signal, {"approval": "delivery", "reason": "so be it", "by": "Ann"})
        if delivered:
            await handle.result()
        else:
            error, _ = await failed(handle)
            assert error.type == "Rejected"

    assert len(world.repositories.delivered) == delivered
    assert waiting.approvals[0].digest == world.patches.tip


async def test_deadline(client: Client) -> None:
    """What nobody answers in time is denied; a day passes here in a moment."""
    skipper = TimeSkipper(client)
    async with at_work(client, scripts([plan(task("a"))])) as world:
        with skipper.with_time_skipping_disabled():
            handle = await world.start(
                RequestWorkflow, asked(approve=["plan"]), client=skipper.client
            )
        await waits(handle, "plan")
        await skipper.fast_forward(handle, dt.timedelta(hours=25))
        error, last = await failed(handle)

    assert error.type == "Rejected"
    assert "rejected by the deadline" in last.reason


async def test_review_asked_on_the_desk(client: Client) -> None:
    """A task's patch waits on the request's desk, and the answer reaches the task."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as world:
        handle = await world.start(RequestWorkflow, asked(approve=["review"]))
        waiting = await waits(handle, "review/a/0")
        await handle.signal("approve", "review/a/0")
        done = await handle.result()

    assert waiting.state is RunState.WAITING_REVIEW
    assert done.state is RunState.DONE


async def test_answers_not_taken(client: Client) -> None:
    """A bad, a late, an unknown and a duplicate message are kept and shown, none is dropped."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as world:
        handle = await world.start(RequestWorkflow, asked(approve=["plan"]))
        await waits(handle, "plan")
        await handle.signal("approve", {"approval": "delivery"})
        await handle.signal("agree", "plan")
        await handle.signal("note", {"text": "x", "task": "nobody"})
        await handle.signal("approve", {"approval": "plan", "digest": "f" * 64})
        await handle.signal("approve", "plan")
        await handle.signal("reject", "plan")
        done: RequestStatus = await handle.result()

    problems = [record.problem for record in done.refused_answers]
    assert done.state is RunState.DONE
    assert len(problems) == 5
    assert "Nothing called 'delivery' waits" in problems[0]
    assert problems[1].startswith("there is no signal 'agree'")
    assert "no task 'nobody'" in problems[2]
    assert "has changed since" in problems[3]
    assert "already approved" in problems[4]


async def test_update_refused(client: Client) -> None:
    """An update that cannot be taken is refused with the reason, and never reaches history."""
    async with at_work(client, scripts([plan(task("a"))])) as world:
        handle = await world.start(RequestWorkflow, asked(approve=["plan"]))
        await waits(handle, "plan")
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await handle.execute_update(
                "decide", Decide(choice=Choice.APPROVE, approval="delivery")
            )
        history = await handle.fetch_history()
        await handle.signal("reject")
        await failed(handle)

    assert "Nothing called 'delivery' waits" in str(caught.value.cause)
    assert not any(
        event.HasField("workflow_execution_update_accepted_event_attributes")
        for event in history.events
    )


async def test_note(client: Client) -> None:
    """A note reaches the tasks at work, and those that start later in their opening."""
    speaks = asyncio.Event()
    script = scripts([plan(task("a"), task("b", "a"))], "a", "b")
    script["coder/a"] = [acts(("edit", "a"), waits=speaks), CODER[1]]
    async with at_work(client, script) as world:
        handle = await world.start(RequestWorkflow, asked())
        await until(
            lambda: (
                "coder/a"
                in str([c.agent for c in world.model.calls]).replace(
                    "role=coder; task=a;", "coder/a"
                )
            )
        )
        await handle.signal("note", "mind the tests")
        await until(lambda: _told(client, world.id))
        speaks.set()
        await handle.result()

    assert "mind the tests" in str(world.model.told("coder/a"))
    opened = [each.facts for each in world.model.opened if each.agent_id.endswith("/b/coder-1")]
    assert "mind the tests" in str(opened)


async def _told(client: Client, request: str) -> bool:
    agent = client.get_workflow_handle(f"{request}/task/a/coder-1")
    history = await agent.fetch_history()
    return any(
        event.workflow_execution_signaled_event_attributes.signal_name == "add_note"
        for event in history.events
    )


async def test_cancel(client: Client) -> None:
    """A cancelled request ends its tasks, gives everything back and is shown as cancelled."""
    script = scripts([plan(task("a"), task("b"))], "a")
    script["coder/b"] = [acts(("edit", "b"), waits=asyncio.Event())]
    async with at_work(client, script) as world:
        handle = await world.start(RequestWorkflow, asked())
        await until(lambda: world.patches.landings)
        await until(lambda: "task=b" in str([call.agent for call in world.model.calls]))
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
        child = client.get_workflow_handle(f"{world.id}/task/b")
        ended = (await child.describe()).status
        await client.get_workflow_handle(queue_id(world.repository)).result()
        shown = await attributes(handle)

    assert isinstance(caught.value.cause, CancelledError)
    assert ended is WorkflowExecutionStatus.CANCELED
    assert world.repositories.delivered == []
    assert len(world.repositories.closed) == 1
    assert shown == (RunState.CANCELLED, 0)


async def test_cancelled_too_late(client: Client) -> None:
    """Cancelled while its branch is being delivered, a request ends delivered: nobody is misled."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as world:
        world.repositories.gate = asyncio.Event()
        handle = await world.start(RequestWorkflow, asked())
        await until(lambda: world.repositories.delivered)
        await handle.cancel()
        await asyncio.sleep(1)
        world.repositories.gate.set()
        done: RequestStatus = await handle.result()
        shown = await attributes(handle)

    assert done.state is RunState.DONE
    assert done.branch == world.repositories.delivered[0].branch
    assert shown == (RunState.DONE, 0)
    assert len(world.repositories.closed) == 1


@pytest.mark.parametrize("came_about", [True, False])
@pytest.mark.parametrize("cancelled", [True, False])
async def test_unheard_delivery(client: Client, *, came_about: bool, cancelled: bool) -> None:
    """A delivery without an answer is looked for and withdrawn: if it came about, it counts."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as world:
        world.repositories.unheard = came_about
        world.repositories.trouble = FailureKind.DISK if cancelled else FailureKind.BUG
        handle = await world.start(RequestWorkflow, asked())
        await until(lambda: world.repositories.delivered)
        if cancelled:
            await handle.cancel()
        done = await asyncio.gather(handle.result(), return_exceptions=True)
        shown, _ = await attributes(handle)

    missed = RunState.CANCELLED if cancelled else RunState.FAILED
    assert shown == (RunState.DONE if came_about else missed)
    assert [getattr(each, "state", None) for each in done] == [shown if came_about else None]
    assert world.repositories.withdrawn == world.repositories.delivered
    assert len(world.repositories.closed) == 1


async def test_cancel_at_any_moment(client: Client) -> None:
    """Wherever a cancellation meets a request it ends cancelled, shown so, with all given back."""
    count = 16
    world = WorkflowEnv(
        client,
        {
            "planner/planner": [plan(task("a"))] * count,
            "coder/a": CODER * count,
            "reviewer/a": REVIEWER * count,
        },
    )
    async with world.at_work():
        handles = []
        for moment in range(count):
            handle = await world.start(
                RequestWorkflow, asked(approve=["delivery"]), name=f"/{moment}"
            )
            await asyncio.sleep(moment * 0.02)
            await handle.cancel()
            handles.append(handle)
        ended = await asyncio.gather(*(each.result() for each in handles), return_exceptions=True)
        shown = [await attributes(each) for each in handles]
        await until(lambda: world.worktrees.open == {}, seconds=5)

    causes = [type(getattr(each, "cause", each)) for each in ended]
    assert causes == [CancelledError] * count
    assert shown == [(RunState.CANCELLED, 0)] * count
    assert world.repositories.delivered == []
