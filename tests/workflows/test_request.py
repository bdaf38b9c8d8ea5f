"""RequestWorkflow on a real server, with its children and its merge queue."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowHistory,
    WorkflowUpdateFailedError,
)
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.service import RPCError
from temporalio.testing import TimeSkipper

from contracts.approvals import ApprovalKind, Choice, Decide, Receipt
from contracts.delivery import DeliverBranch
from contracts.endings import RequestEnding, TaskEnding
from contracts.failures import FailureKind
from contracts.planning import PlanDraft, TaskSpec
from contracts.request import RequestStatus
from contracts.review import ReviewFinish, Verdict
from contracts.task import TaskState
from contracts.tools import CoderFinish
from contracts.visibility import RunState
from domain.approvals import refusals
from domain.text import NO_TEXT
from runtime.services.waking import wake_waiting
from tests.fakes.calls import failing
from tests.fakes.model import ScriptedReply, acts, finishes, says
from tests.fakes.store import BASE
from tests.workflows.workflow_env import WorkflowEnv, until
from workflows.request import RequestWorkflow
from workflows.visibility import PENDING, STATE

pytestmark = pytest.mark.system

CHECK = "make test"
DONE = finishes(CoderFinish(summary="done"))
REVIEWER = [finishes(ReviewFinish(verdict=Verdict.APPROVE, summary="right"))]
CUT = [says("no", "refusal")]


def raw(data: str | bytes) -> RawValue:
    """Return an input as it stands, as the web UI and the `temporal` CLI send it."""
    encoded = data.encode() if isinstance(data, str) else data
    return RawValue(Payload(metadata={"encoding": b"json/plain"}, data=encoded))


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


def coder(name: str, *, waits: asyncio.Event | None = None) -> list[ScriptedReply]:
    """A coder that edits the file of its task and finishes; `waits` holds up its edit."""
    return [acts(("edit", name), waits=waits), DONE]


def dear_coder(name: str) -> list[ScriptedReply]:
    """A coder whose edit uses up most of a small budget."""
    edit, done = coder(name)
    return [dataclasses.replace(edit, cost_microusd=70_000), done]


DEAR_REVIEWER = [dataclasses.replace(each, cost_microusd=20_000) for each in REVIEWER]


def plan(*tasks: TaskSpec, cost_microusd: int = 1_000) -> ScriptedReply:
    """The planner's reply with a plan."""
    return finishes(PlanDraft(summary="a plan", tasks=tasks), cost_microusd=cost_microusd)


def scripts(planner: Iterable[ScriptedReply], *names: str) -> dict[str, Iterable[ScriptedReply]]:
    """The replies of a planner, and of a coder and a reviewer for each name."""
    work: dict[str, Iterable[ScriptedReply]] = {"planner/planner": planner}
    for name in names:
        work |= {f"coder/{name}": coder(name), f"reviewer/{name}": REVIEWER}
    return work


def asked(**changes: object) -> dict[str, object]:
    """A request as a person types it."""
    return {"repository": "/repository", "request": "Do it.", "checks": [CHECK], **changes}


@contextlib.asynccontextmanager
async def at_work(
    client: Client, script: Mapping[str, Iterable[ScriptedReply]]
) -> AsyncIterator[WorkflowEnv]:
    """An environment at work; what its requests leased is free at the end."""
    env = WorkflowEnv(client, script)
    async with env.at_work():
        yield env
        assert env.store.leases == {}


async def status(handle: WorkflowHandle[Any, Any]) -> RequestStatus:
    """A request's status by query."""
    return await handle.query(RequestWorkflow.status)


async def waits(
    handle: WorkflowHandle[Any, Any], approval: str, *, seconds: float = 15.0
) -> RequestStatus:
    """A request's status once it waits for an answer."""

    async def asks() -> RequestStatus | None:
        found = await status(handle)
        return found if approval in [each.id for each in found.approvals] else None

    found: RequestStatus = await until(asks, seconds=seconds)
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


async def test_a_request_of_three_tasks_delivers_one_branch(client: Client) -> None:
    """A request of three tasks, one after another, lands all of them and delivers one branch."""
    planner = [acts(("view", ".")), plan(task("a"), task("b"), task("c", "a"))]
    async with at_work(client, scripts(planner, "a", "b", "c")) as env:
        handle = await env.start(RequestWorkflow, asked())
        done = await handle.result()
        queue = client.get_workflow_handle(env.calls.of("enqueue_patch")[0].queue_id)
        await queue.result()
        shown = await attributes(handle)

    assert (done.state, done.commit) == (RunState.DONE, env.tip)
    assert [row.state for row in done.tasks] == [TaskState.DONE] * 3
    assert env.calls.of("deliver_branch")[0].commit == env.tip
    assert len(env.calls.of("close_request")) == 1
    assert env.calls.of("run_checks")[-1].commands == ("test a", "test b", "test c", CHECK)
    assert done.cost_usd == pytest.approx((2 + 3 * 3) * 0.001)
    landed = [name.split("/")[1] for each in env.landed for name in each]
    assert landed.index("a") < landed.index("c")
    assert shown == (RunState.DONE, 0)


@pytest.mark.parametrize(
    ("payload", "says_what"),
    [
        ("do it", "must be a JSON object"),
        ({"repository": "/r"}, "request: Field required"),
        (asked(colour="red"), "colour: Extra inputs"),
        (asked(approve=["everything"]), "approve.0"),
        (raw('{"repository": "/x", "request": "a \\ud800"}'), f"request {NO_TEXT}"),
        (raw('{"repository": "/x", "request": "a", "checks": ["\\udfff"]}'), "checks holds"),
        (raw('{"repository": "/x", "request": "a", "branch": "\\udfff"}'), "branch holds"),
        (raw('{"repository": "/x", "request": "a", "\\ud800": 1}'), "\ufffd holds"),
        (raw(b'{"repository": "/x", "request": "a \xff"}'), f"request {NO_TEXT}"),
        (raw("mend it"), "JSON object"),
    ],
    ids=[
        *("no object", "a key missing", "an unknown key", "a bad value", "half a pair"),
        *("half a pair in a check", "in a branch", "in a key", "bytes", "no JSON"),
    ],
)
async def test_unusable_input_is_refused_before_anything_is_touched(
    client: Client, payload: object, says_what: str
) -> None:
    """A request whose input is not usable is refused in one sentence before anything is touched."""
    async with at_work(client, {}) as env:
        error, last = await failed(await env.start(RequestWorkflow, payload))

    assert error.type == FailureKind.REFUSED
    assert says_what in error.message
    assert last.reason == error.message
    assert env.calls.of("close_request") == []


async def test_an_unusable_repository_ends_the_request_with_the_reason(client: Client) -> None:
    """A repository that cannot be used ends the request with the refusal's sentence."""
    async with at_work(client, {}) as env:
        refusal = failing(FailureKind.REFUSED, "/repository is not a git repository.")
        env.calls.fail("open_repository", refusal)
        error, _ = await failed(await env.start(RequestWorkflow, asked()))

    assert (error.type, error.message) == (
        FailureKind.REFUSED,
        "/repository is not a git repository.",
    )


async def test_an_invalid_plan_goes_back_to_the_planner_once(client: Client) -> None:
    """A plan that is not valid goes back to the planner once, with what is wrong."""
    planner = [plan(task("a", "b"), task("b", "a")), plan(task("a"))]
    async with at_work(client, scripts(planner, "a")) as env:
        done = await (await env.start(RequestWorkflow, asked())).result()

    assert done.state is RunState.DONE
    assert "circle" in (env.messages("planner/planner")[1] or "")
    assert len([each for each in env.model.opened.values() if each.role == "planner"]) == 1


@pytest.mark.parametrize(
    "planner",
    [
        CUT,
        [plan(task("a", "nobody"))] * 2,
        [ScriptedReply(fails=failing(FailureKind.MODEL_REQUEST, "the service rejects it"))],
    ],
    ids=["a planner that was cut", "two plans that are not valid", "a rejected request"],
)
async def test_without_a_valid_plan_the_request_becomes_one_task(
    client: Client, planner: list[ScriptedReply]
) -> None:
    """Without a valid plan the whole request becomes one task, and the status shows why."""
    async with at_work(client, scripts(planner, "task-1")) as env:
        done = await (await env.start(RequestWorkflow, asked())).result()

    assert [row.id for row in done.tasks] == ["task-1"]
    assert done.summary.startswith("One task for the whole request: ")
    assert done.state is RunState.DONE


async def test_without_plan_and_checks_a_person_decides_on_the_one_task(client: Client) -> None:
    """Without a plan and without checks no command tests the result: the turns that are paid for
    are not lost, a person decides on the patch.
    """
    async with at_work(client, scripts(CUT, "task-1")) as env:
        handle = await env.start(RequestWorkflow, asked(checks=[]))
        waiting = await waits(handle, "review/task-1/0")
        await handle.signal("approve", "review/task-1/0")
        done = await handle.result()

    assert "a person decides on its patch" in waiting.summary
    assert (done.state, done.commit) == (RunState.DONE, env.tip)


async def test_a_lasting_model_failure_of_the_planner_ends_the_request(client: Client) -> None:
    """A planner whose model fails for good ends the request with that failure's kind."""
    planner = [ScriptedReply(fails=failing(FailureKind.CREDENTIALS, "it is rejected", waits=False))]
    async with at_work(client, scripts(planner)) as env:
        error, last = await failed(await env.start(RequestWorkflow, asked()))

    assert error.type == FailureKind.CREDENTIALS
    assert "it is rejected" in last.reason


async def test_a_long_wait_of_the_model_is_shown_with_its_end(client: Client) -> None:
    """A service that asks to wait two hours makes the request wait visibly, with the time."""
    asks = failing(FailureKind.OVERLOADED, "Overloaded", pause_seconds=7_200)
    async with at_work(client, scripts([ScriptedReply(fails=asks)])) as env:
        handle = await env.start(RequestWorkflow, asked())

        async def waiting() -> RequestStatus | None:
            status: RequestStatus = await handle.query(RequestWorkflow.status)
            return status if status.state is RunState.WAITING_MODEL else None

        seen = await until(waiting)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert re.fullmatch(r"Overloaded; waits until .*\d\d:\d\d:\d\d UTC", seen.reason)


async def test_what_waits_for_its_host_goes_on_when_a_worker_starts(client: Client) -> None:
    """A call that no key pays for waits, shown as WAITING_INFRA, until it is woken by a worker."""
    broken = failing(FailureKind.CREDENTIALS, "no model key", pause_seconds=7_200)
    async with at_work(client, scripts([ScriptedReply(fails=broken), plan(task("a"))], "a")) as env:
        handle = await env.start(RequestWorkflow, asked())

        async def waiting() -> RequestStatus | None:
            status: RequestStatus = await handle.query(RequestWorkflow.status)
            return status if status.state is RunState.WAITING_INFRA else None

        seen = await until(waiting)
        done = asyncio.ensure_future(handle.result())
        while not done.done():
            await wake_waiting(client)  # the server lists what waits a moment later
            await asyncio.wait([done], timeout=0.1)

    assert seen.reason.startswith("no model key; ")
    assert (await done).state is RunState.DONE


async def test_a_failed_task_blocks_only_its_dependents(client: Client) -> None:
    """A failed task fails only itself: dependents are blocked with the reason, the rest lands."""
    script = scripts([plan(task("a"), task("b", "a"), task("c"), task("d", "b"))], "c")
    async with at_work(client, script | {"coder/a": CUT}) as env:
        error, last = await failed(await env.start(RequestWorkflow, asked()))

    states = {row.id: (row.state, row.reason) for row in last.tasks}
    cut = "the agent was cut: no (refusal); it had changed nothing"
    assert states["a"] == (TaskState.FAILED, cut)
    assert states["b"] == (TaskState.BLOCKED, f"waits for 'a', which failed: {cut}")
    assert states["d"][0] is TaskState.BLOCKED
    assert states["c"][0] is TaskState.DONE
    assert error.type == "Incomplete"
    assert last.reason == f"a failed: {cut}; 1 of 4 tasks done; not started for that: b, d"
    assert last.ending is RequestEnding.INCOMPLETE
    assert {row.id: row.ending for row in last.tasks}["a"] is TaskEnding.CUT
    assert {row.id: row.ending for row in last.tasks}["b"] is TaskEnding.BLOCKED
    assert env.calls.of("deliver_branch")[0].commit == env.tip
    assert last.commit == env.tip


async def test_a_failed_task_blocks_none_that_only_writes_the_same(client: Client) -> None:
    """Honest plans land as much as narrow ones: of three tasks that write one package the first
    fails, and the others still start, one after another, and land.
    """
    tasks = [task(name).model_copy(update={"writes": ("package/",)}) for name in "abc"]
    script = scripts([plan(*tasks)])
    for name in "bc":
        script |= {f"coder/{name}": coder(f"package/{name}"), f"reviewer/{name}": REVIEWER}
    async with at_work(client, script | {"coder/a": CUT}) as env:
        _, last = await failed(await env.start(RequestWorkflow, asked()))

    assert [row.state for row in last.tasks] == [TaskState.FAILED, TaskState.DONE, TaskState.DONE]
    assert [edge.order_only for edge in last.edges_added] == [True, True]
    assert env.written(env.tip) == {"package/b", "package/c"}


async def test_a_task_beyond_the_budget_is_not_started(client: Client) -> None:
    """A task beyond the budget is not started and shows why; finished work is delivered."""
    dear = {"coder/a": dear_coder("a"), "reviewer/a": DEAR_REVIEWER}
    async with at_work(client, scripts([plan(task("a"), task("b", "a"))]) | dear) as env:
        start = asked(budget_usd=0.14, on_limit="finish")
        error, last = await failed(await env.start(RequestWorkflow, start))

    rows = {row.id: row for row in last.tasks}
    assert error.type == "Incomplete"
    assert rows["a"].state is TaskState.DONE
    assert (rows["b"].state, rows["b"].workflow_id) == (TaskState.FAILED, None)
    assert rows["b"].ending is TaskEnding.NO_MONEY
    assert rows["b"].reason == (
        "the budget of $0.14 is used up or reserved; "
        "the request finishes at the limit of its budget (on_limit: finish)"
    )
    assert last.commit == env.tip
    assert last.cost_usd <= last.budget_usd
    assert last.approvals == ()


async def test_every_task_beyond_the_budget_says_so(client: Client) -> None:
    """Also those for which no slot was free when the first was refused: none stays pending."""
    dear = dataclasses.replace(plan(*(task(name) for name in "abcd")), cost_microusd=80_000)
    async with at_work(client, scripts([dear])) as env:
        start = asked(budget_usd=0.12, max_parallel=1, on_limit="finish")
        _, last = await failed(await env.start(RequestWorkflow, start))

    assert {row.state for row in last.tasks} == {TaskState.FAILED}
    reason = "the budget of $0.12 is used up or reserved"
    assert all(row.reason.startswith(reason) for row in last.tasks)


async def test_a_merged_tree_that_fails_its_checks_is_not_delivered(client: Client) -> None:
    """Nothing is delivered whose merged tree is red; the reason begins with the command, and what
    landed can be taken over.
    """
    async with at_work(client, scripts([plan(task("a"))], "a")) as env:
        env.checks.passes = lambda _run, command: command != CHECK
        error, last = await failed(await env.start(RequestWorkflow, asked()))

    assert error.type == "ChecksFailed"
    assert last.reason.startswith(f"`{CHECK}` fails (exit code 1) on the merged tree")
    assert last.ending is RequestEnding.CHECKS_FAILED
    assert env.calls.of("deliver_branch") == []
    assert len(env.calls.of("close_request")) == 1


async def test_a_request_that_only_reads_ends_without_a_branch(client: Client) -> None:
    """A request that only reads ends well without a branch."""
    reads = task("a").model_copy(update={"writes": ()})
    script = {"planner/planner": [plan(reads)], "coder/a": [DONE]}
    async with at_work(client, script) as env:
        done = await (await env.start(RequestWorkflow, asked())).result()

    assert (done.state, done.commit) == (RunState.DONE, None)
    assert env.calls.of("deliver_branch") == []
    assert env.tip == BASE


async def test_a_plan_waits_for_its_approval_by_signal(client: Client) -> None:
    """A plan waits, visibly, for its approval by signal; then the work begins."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as env:
        handle = await env.start(RequestWorkflow, asked(approve=["plan"]))
        waiting = await waits(handle, "plan")
        shown = await attributes(handle)
        await handle.signal("approve")
        done = await handle.result()

    assert waiting.state is RunState.WAITING_APPROVAL
    assert waiting.reason.startswith("waits for a person: a plan of 1 task")
    assert waiting.approvals[0].kind is ApprovalKind.PLAN
    assert shown == (RunState.WAITING_APPROVAL, 1)
    assert done.state is RunState.DONE


async def test_a_rejected_plan_ends_the_request_with_the_reason(client: Client) -> None:
    """A rejected plan ends the request with the person's reason, by an update with its receipt."""
    async with at_work(client, scripts([plan(task("a"))])) as env:
        handle = await env.start(RequestWorkflow, asked(approve=["plan"]))
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
    assert env.calls.of("enqueue_patch") == []


async def test_a_revised_plan_is_made_and_asked_about_again(client: Client) -> None:
    """A revised plan is made with the person's reason, and asked about again."""
    planner = [plan(task("a")), plan(task("b"))]
    async with at_work(client, scripts(planner, "b")) as env:
        handle = await env.start(RequestWorkflow, asked(approve=["plan"]))
        first = await waits(handle, "plan")
        await handle.signal("revise", {"approval": "plan", "reason": "call it b"})

        async def second() -> bool:
            found = (await status(handle)).approvals
            return bool(found) and found[0].digest != first.approvals[0].digest

        await until(second)
        await handle.signal("approve", "plan")
        done = await handle.result()

    assert [row.id for row in done.tasks] == ["b"]
    assert "call it b" in (env.messages("planner/planner")[1] or "")


@pytest.mark.parametrize(
    ("signal", "delivered"), [("approve", 1), ("reject", 0)], ids=["approved", "rejected"]
)
async def test_a_delivery_waits_for_its_approval(
    client: Client, signal: str, delivered: int
) -> None:
    """The branch is pushed only after its approval, where the request asks for it."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as env:
        handle = await env.start(RequestWorkflow, asked(approve=["delivery"]))
        waiting = await waits(handle, "delivery")
        assert env.calls.of("deliver_branch") == []
        await handle.signal(signal, {"approval": "delivery", "reason": "so be it", "by": "Ann"})
        if delivered:
            await handle.result()
        else:
            error, _ = await failed(handle)
            assert error.type == "Rejected"

    assert len(env.calls.of("deliver_branch")) == delivered
    assert waiting.approvals[0].digest == env.tip


async def test_an_unanswered_question_is_denied_at_its_deadline(client: Client) -> None:
    """A question without an answer is denied at its deadline; the test skips a day."""
    skipper = TimeSkipper(client)
    async with at_work(client, scripts([plan(task("a"))])) as env:
        with skipper.with_time_skipping_disabled():
            handle = await env.start(
                RequestWorkflow, asked(approve=["plan"]), client=skipper.client
            )
        await waits(handle, "plan")
        await skipper.fast_forward(handle, dt.timedelta(hours=25))
        error, last = await failed(handle)

    assert error.type == "Rejected"
    assert "rejected by the deadline" in last.reason


async def test_a_review_waits_in_the_requests_inbox(client: Client) -> None:
    """A task's patch waits on the request's desk, and the answer reaches the task."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as env:
        handle = await env.start(RequestWorkflow, asked(approve=["review"]))
        waiting = await waits(handle, "review/a/0")
        await handle.signal("approve", "review/a/0")
        done = await handle.result()

    assert waiting.state is RunState.WAITING_REVIEW
    assert done.state is RunState.DONE


async def test_answers_that_are_refused_are_kept_and_shown(client: Client) -> None:
    """A bad, a late, an unknown and a duplicate message are kept and shown, none is dropped."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as env:
        handle = await env.start(RequestWorkflow, asked(approve=["plan"]))
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


async def test_no_answer_or_note_is_dropped_unsaid_because_it_is_no_text(client: Client) -> None:
    """Lone surrogates, bytes that are not UTF-8 and what is no JSON are refused and shown; a
    reason keeps what can be read of it.
    """
    async with at_work(client, scripts([plan(task("a"))])) as env:
        handle = await env.start(RequestWorkflow, asked(approve=["plan"]))
        await waits(handle, "plan")
        await handle.signal("note", raw('"mind \\ud83d"'))
        await handle.signal("note", raw('{"text": "x", "task": "\\udc00"}'))
        await handle.signal("note", raw(b'"mind \xff"'))
        await handle.signal("approve", raw('{"approval": "\\ud800"}'))
        await handle.signal("approve", raw('{"\\ud800": "plan"}'))
        await handle.signal("approve", raw('{"approval": "plan", "digest": "\\ud800"}'))
        await handle.signal("approve", raw("{approval: plan}"))
        shown = await status(handle)
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("decide", raw('{"choice": "approve", "by": "\\ud800"}'))
        await handle.signal("reject", raw('{"approval": "plan", "reason": "no \\ud800 way"}'))
        error, _ = await failed(handle)

    assert len(shown.refused_answers) == 7
    assert [NO_TEXT in each.problem for each in shown.refused_answers[:3]] == [True] * 3
    assert "no \ufffd way" in error.message


async def test_an_update_that_is_refused_is_kept_and_shown(client: Client) -> None:
    """Of a question that there is not, stale, without a reason or late: its sender is told why, and
    so is whoever looks at the request; what is no answer at all never reaches history.
    """
    wrong = (
        (Decide(choice=Choice.APPROVE, approval="delivery"), "Nothing called 'delivery' waits"),
        (Decide(choice=Choice.APPROVE, approval="plan", digest="f" * 64), "has changed since"),
        (Decide(choice=Choice.REVISE, approval="plan"), "Say what to change"),
    )
    async with at_work(client, scripts([plan(task("a"))])) as env:
        handle = await env.start(RequestWorkflow, asked(approve=["plan", "delivery"]))
        await waits(handle, "plan")
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("decide", raw('{"choice": "maybe"}'))
        before = await handle.fetch_history()
        for answer, why in wrong:
            assert why in await update_refused(handle, answer)
        await handle.signal("reject", {"approval": "plan", "by": "Ada"})
        late = Decide(choice=Choice.APPROVE, approval="plan", by="Bob")
        with contextlib.suppress(WorkflowUpdateFailedError, RPCError):
            await handle.execute_update("decide", late)
        _, last = await failed(handle)

    assert not _updates(before)
    problems = [each.problem for each in last.refused_answers]
    assert all(why in problem for (_, why), problem in zip(wrong, problems, strict=False))
    assert json.loads(last.refused_answers[1].received)["digest"] == "f" * 64


async def test_updates_are_refused_without_being_kept_once_many_were(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that refused ones never use up what the server allows a run; a right one still counts."""
    monkeypatch.setattr(refusals, "MOST_OF_A_RUN", 2)
    async with at_work(client, scripts([plan(task("a"))])) as env:
        handle = await env.start(RequestWorkflow, asked(approve=["plan"]))
        await waits(handle, "plan")
        wrong = Decide(choice=Choice.APPROVE, approval="delivery")
        for _ in range(4):
            await update_refused(handle, wrong)
        shown, history = await status(handle), await handle.fetch_history()
        await handle.execute_update("decide", Decide(choice=Choice.REJECT, reason="no"))
        await failed(handle)

    assert len(shown.refused_answers) == 2
    assert _updates(history) == 2


async def update_refused(handle: WorkflowHandle[Any, Any], answer: Decide) -> str:
    """Send an answer that is refused, and return why."""
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await handle.execute_update("decide", answer)
    return str(caught.value.cause)


def _updates(history: WorkflowHistory) -> int:
    return sum(
        event.HasField("workflow_execution_update_accepted_event_attributes")
        for event in history.events
    )


async def test_a_note_reaches_running_and_later_tasks(client: Client) -> None:
    """A note reaches the tasks at work, and those that start later in their opening."""
    speaks = asyncio.Event()
    script = scripts([plan(task("a"), task("b", "a"))], "a", "b")
    script["coder/a"] = coder("a", waits=speaks)
    async with at_work(client, script) as env:
        handle = await env.start(RequestWorkflow, asked())
        await until(lambda: env.messages("coder/a"))
        await handle.signal("note", "mind the tests")
        await until(lambda: _told(client, f"{env.id}/task/a/coder-1"))
        speaks.set()
        await handle.result()

    assert "mind the tests" in str(env.messages("coder/a"))
    opened = [
        each.facts for each in env.model.opened.values() if each.agent_id.endswith("/b/coder-1")
    ]
    assert "mind the tests" in str(opened)


async def test_a_note_reaches_the_planner_whenever_it_comes(client: Client) -> None:
    """One before it begins stands in its opening, one while it works in its next turn, one while
    its plan is looked at in its next attempt; the task is told all of them.
    """
    speaks = asyncio.Event()
    thinks = dataclasses.replace(acts(("view", ".")), waits=speaks)
    async with at_work(client, scripts([thinks, plan(task("a")), plan(task("a"))], "a")) as env:
        env.surveys.lacks = lambda _: "there is no such tool"
        opens, looks = env.calls.hold("open_repository"), env.calls.hold("look_up_commands")
        handle = await env.start(RequestWorkflow, asked())
        await handle.signal("note", "before it begins")
        opens.set()
        await until(lambda: env.messages("planner/planner"))
        await handle.signal("note", "while it works")
        await until(lambda: _told(client, f"{env.id}/planner-1"))
        speaks.set()
        await until(lambda: env.calls.of("look_up_commands"))
        await handle.signal("note", "while its plan is looked at")
        looks.set()
        await handle.result()

    facts = {each.role: str(each.facts) for each in env.model.opened.values()}
    _, second, third = map(str, env.messages("planner/planner"))
    assert "before it begins" in facts["planner"]
    assert ("while it works" in second, "while its plan is looked at" in third) == (True, True)
    assert "before it begins" not in second + third
    for text in ("before it begins", "while it works", "while its plan is looked at"):
        assert text in facts["coder"]


async def _told(client: Client, agent: str) -> bool:
    history = await client.get_workflow_handle(agent).fetch_history()
    return any(
        event.workflow_execution_signaled_event_attributes.signal_name == "add_note"
        for event in history.events
    )


async def test_a_cancelled_request_ends_its_tasks_and_releases_everything(client: Client) -> None:
    """A cancelled request ends its tasks, gives everything back and is shown as cancelled."""
    script = scripts([plan(task("a"), task("b"))], "a")
    script["coder/b"] = coder("b", waits=asyncio.Event())
    async with at_work(client, script) as env:
        handle = await env.start(RequestWorkflow, asked())
        await until(lambda: env.landed)
        await until(lambda: env.messages("coder/b"))
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
        child = client.get_workflow_handle(f"{env.id}/task/b")
        ended = (await child.describe()).status
        await client.get_workflow_handle(env.calls.of("enqueue_patch")[0].queue_id).result()
        shown = await attributes(handle)

    assert isinstance(caught.value.cause, CancelledError)
    assert ended is WorkflowExecutionStatus.CANCELED
    assert env.calls.of("deliver_branch") == []
    assert len(env.calls.of("close_request")) == 1
    assert shown == (RunState.CANCELLED, 0)


async def test_a_request_cancelled_during_its_delivery_ends_delivered(client: Client) -> None:
    """A request that is cancelled while its branch is being delivered ends as delivered."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as env:
        gate = asyncio.Event()

        async def push(_: object) -> None:
            """Reach its end when it has begun, even when it is cancelled."""
            opened = asyncio.create_task(gate.wait())
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(opened)
            await opened

        env.calls.before["deliver_branch"] = push
        handle = await env.start(RequestWorkflow, asked())
        await until(lambda: env.calls.of("deliver_branch"))
        await handle.cancel()
        await asyncio.sleep(1)
        gate.set()
        done: RequestStatus = await handle.result()
        shown = await attributes(handle)

    assert done.state is RunState.DONE
    assert done.branch == env.calls.of("deliver_branch")[0].branch
    assert shown == (RunState.DONE, 0)
    assert len(env.calls.of("close_request")) == 1


@pytest.mark.parametrize("came_about", [True, False])
@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_delivery_without_an_answer_is_looked_up_and_withdrawn(
    client: Client, *, came_about: bool, cancelled: bool
) -> None:
    """A delivery without an answer is looked for and withdrawn: if it came about, it counts."""
    async with at_work(client, scripts([plan(task("a"))], "a")) as env:

        async def push(request: DeliverBranch) -> None:
            """Fail, with or without an effect."""
            if came_about:
                env.store.branches[request.branch] = request.commit
            raise failing(FailureKind.DISK if cancelled else FailureKind.FENCED, "no answer")

        env.calls.before["deliver_branch"] = push
        handle = await env.start(RequestWorkflow, asked())
        await until(lambda: env.calls.of("deliver_branch"))
        if cancelled:
            await handle.cancel()
        done = await asyncio.gather(handle.result(), return_exceptions=True)
        shown, _ = await attributes(handle)

    missed = RunState.CANCELLED if cancelled else RunState.FAILED
    assert shown == (RunState.DONE if came_about else missed)
    assert [getattr(each, "state", None) for each in done] == [shown if came_about else None]
    assert env.calls.of("withdraw_delivery") == env.calls.of("deliver_branch")[:1]
    assert len(env.calls.of("close_request")) == 1


async def test_a_request_cancelled_at_any_moment_ends_cancelled_and_releases_everything(
    client: Client,
) -> None:
    """A request cancelled at any moment ends cancelled, shows it, and releases everything."""
    count = 16
    env = WorkflowEnv(
        client,
        {
            "planner/planner": [plan(task("a"))] * count,
            "coder/a": coder("a") * count,
            "reviewer/a": REVIEWER * count,
        },
    )
    async with env.at_work():
        handles = []
        for moment in range(count):
            handle = await env.start(
                RequestWorkflow, asked(approve=["delivery"]), name=f"/{moment}"
            )
            await asyncio.sleep(moment * 0.02)
            await handle.cancel()
            handles.append(handle)
        ended = await asyncio.gather(*(each.result() for each in handles), return_exceptions=True)
        shown = [await attributes(each) for each in handles]
        await until(lambda: env.store.leases == {}, seconds=5)

    causes = [type(getattr(each, "cause", each)) for each in ended]
    assert causes == [CancelledError] * count
    assert shown == [(RunState.CANCELLED, 0)] * count
    assert env.calls.of("deliver_branch") == []
