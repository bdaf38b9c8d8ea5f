"""SubtaskWorkflow on a real server: from agent to landed patch, and every way back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import CancelledError

from contracts.agent import AgentLimits, AgentStart, Note
from contracts.approvals import Choice, Decision
from contracts.baseline import Baseline
from contracts.checks import FailedBefore
from contracts.endings import TaskEnding
from contracts.failures import FailureKind
from contracts.limits import RequestLimits
from contracts.merge_queue import Eviction, MergeVerdict, QueuedPatch
from contracts.planning import Claim, Promise, TaskSpec
from contracts.review import Finding, FindingAnswer, FindingState, ReviewFinish, Verdict
from contracts.subtask import SubtaskReport, SubtaskStart
from contracts.task import TaskState
from contracts.tools import CoderFinish
from domain import limits
from tests.fakes.calls import failing
from tests.fakes.model import ScriptedReply, ScriptedUse, acts, finishes, says
from tests.fakes.store import BASE
from tests.workflows.workflow_env import WorkflowEnv, until
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
SETTLED = ReviewFinish(
    verdict=Verdict.APPROVE,
    summary="right",
    earlier=(FindingAnswer(finding="F1", state=FindingState.RESOLVED, reason="line 3"),),
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
    """An environment at work, and the function that starts a subtask in it."""
    env = WorkflowEnv(client, {"coder/x": coder, "reviewer/x": reviewer}, verdicts=verdicts)
    start = SubtaskStart(
        request_id=f"{env.id}/listener",
        request="Do x.",
        repository=env.repository,
        task=TASK,
        queue_id=f"{env.id}/queue",
    ).model_copy(update=changes)
    async with env.at_work():
        yield env, lambda: env.start(SubtaskWorkflow, start)


async def played(client: Client, **given: Any) -> tuple[WorkflowEnv, SubtaskReport]:
    """A subtask's environment and report, once it has ended by itself and freed its worktrees."""
    async with at_work(client, **given) as (env, start):
        handle: WorkflowHandle[Any, SubtaskReport] = await start()
        report = await handle.result()
        assert env.store.leases == {}
        return env, report


async def test_a_task_lands_after_checks_and_review(client: Client) -> None:
    """A task whose patch passes checks and review lands, with all that it used in its report."""
    env, report = await played(client, coder=[EDIT, DONE], reviewer=[GOOD], verdicts=[landed])

    assert (report.state, report.landed, report.rounds) == (TaskState.DONE, "d" * 40, 0)
    assert (report.turns, report.cost_microusd, report.agent) == (3, 3_000, None)
    assert report.lane.startswith("worktree: ")
    queued = env.calls.of("enqueue_patch")[0].queued
    assert (queued.acceptance, queued.reply_to) == ((CHECK,), env.id)
    assert [asked.commit for asked in env.calls.of("lease_worktree")] == [None, queued.patch.commit]


async def test_a_request_sees_every_change_of_a_task_in_order(client: Client) -> None:
    """The request receives every change, in order: running, review, queue, done."""
    async with at_work(client, coder=[EDIT, DONE], reviewer=[GOOD], verdicts=[landed]) as (
        env,
        start,
    ):
        listener = await env.listener()
        await (await start()).result()
        reports = [SubtaskReport.model_validate(each) for each in await listener.query("reports")]

    states = [report.state for report in reports]
    assert states[0] is TaskState.RUNNING
    assert states[-1] is TaskState.DONE
    assert states.index(TaskState.REVIEW) > 0
    assert {report.agent for report in reports} >= {
        f"{env.id}/coder-1",
        f"{env.id}/reviewer-1",
    }


async def test_a_failed_acceptance_command_sends_the_agent_back_with_the_output(
    client: Client,
) -> None:
    """A red acceptance command sends the agent back, in its conversation, with the output."""
    async with at_work(
        client, coder=[EDIT, DONE, EDIT, DONE], reviewer=[GOOD], verdicts=[landed]
    ) as (env, start):
        env.checks.passes = lambda _run, _command: len(env.calls.of("run_checks")) > 1
        report = await (await start()).result()

    assert (report.state, report.rounds) == (TaskState.DONE, 1)
    again = env.model_calls[2]
    assert again.message is not None
    assert CHECK in again.message
    ((label, log),) = again.documents
    tree = env.store.commits[env.calls.of("run_checks")[0].commit].tree
    assert (label, env.store.blobs[log]) == ("checks", f"log of {tree}")
    assert len(env.model.opened) == 2


async def test_a_later_task_is_held_to_what_the_landed_ones_promised(client: Client) -> None:
    """The commands of the landed work that a task stands on run with its own acceptance, before
    it is queued, and the agent is told whose promise it broke.
    """
    promised = (Promise(task="first", commands=("test first", CHECK)),)
    async with at_work(
        client, coder=[EDIT, DONE, EDIT, DONE], reviewer=[GOOD], verdicts=[landed],
        promised=promised,
    ) as (env, start):  # fmt: skip
        env.checks.passes = lambda _run, command: (
            command != "test first" or len(env.calls.of("run_checks")) > 1
        )
        report = await (await start()).result()

    assert (report.state, report.rounds) == (TaskState.DONE, 1)
    assert env.calls.of("run_checks")[0].commands == (CHECK, "test first")
    told = env.messages("coder/x")[2] or ""
    assert "Task 'first', which has landed, promised that it passes" in told


async def test_an_unusable_patch_uses_up_no_round(client: Client) -> None:
    """A finish without any change goes back, and the rounds for checks and review are all left."""
    env, report = await played(
        client,
        coder=[DONE, EDIT, DONE],
        reviewer=[GOOD],
        verdicts=[landed],
        request_limits=limits.REQUEST,
    )

    assert (report.state, report.rounds, report.rounds_left) == (TaskState.DONE, 1, 2)
    told = env.messages("coder/x")[1] or ""
    assert told.endswith("Rounds left after this one, for checks and review: 2.")


async def test_the_rounds_left_are_told_and_reported(client: Client) -> None:
    """The agent is told with each send-back, the request with each report."""
    async with at_work(client, coder=[EDIT, DONE] * 3, request_limits=limits.REQUEST) as (
        env,
        start,
    ):
        listener = await env.listener()
        env.checks.passes = lambda _run, _command: False
        await (await start()).result()
        reports = [SubtaskReport.model_validate(each) for each in await listener.query("reports")]

    told = [message for message in env.messages("coder/x") if message]
    assert ["checks and review: 1." in told[0], "This is the last round" in told[1]] == [True] * 2
    assert sorted({(each.rounds, each.rounds_left) for each in reports}) == [(0, 2), (1, 1), (2, 0)]


async def test_a_task_that_stays_red_fails_after_three_rounds(client: Client) -> None:
    """A task whose commands stay red fails after three rounds and names the command."""
    async with at_work(client, coder=[EDIT, DONE] * 3) as (env, start):
        env.checks.passes = lambda _run, _command: False
        report = await (await start()).result()

    assert report.state is TaskState.FAILED
    assert report.reason == (f"`{CHECK}` fails (exit code 1); given up after 3 rounds (checks)")
    assert report.ending is TaskEnding.GIVEN_UP
    assert env.store.leases == {}


async def test_a_blocking_finding_sends_the_agent_back_and_a_fresh_reviewer_looks(
    client: Client,
) -> None:
    """A blocking finding sends the agent back with it; the next reviewer is a fresh one."""
    env, report = await played(
        client, coder=[EDIT, DONE, EDIT, DONE], reviewer=[BAD, GOOD], verdicts=[landed]
    )

    assert (report.state, report.rounds) == (TaskState.DONE, 1)
    assert "negative numbers" in (env.messages("coder/x")[2] or "")
    opened = list(env.model.opened.values())
    agents = [each.agent_id.removeprefix(env.id) for each in opened]
    assert agents == ["/coder-1", "/reviewer-1", "/reviewer-2"]
    assert "negative numbers" in dict(opened[2].facts)["Why it was sent back before"]


@pytest.mark.parametrize(
    ("choice", "state", "reason"),
    [
        (Choice.APPROVE, TaskState.DONE, ""),
        (Choice.REJECT, TaskState.FAILED, "rejected by Ann: not like this"),
        (Choice.REVISE, TaskState.DONE, ""),
    ],
    ids=["approved", "rejected", "sent back"],
)
async def test_a_patch_whose_reviewer_was_cut_waits_for_a_person(
    client: Client, choice: Choice, state: TaskState, reason: str
) -> None:
    """A patch whose reviewer was cut waits for a person's decision."""
    async with at_work(
        client, coder=[EDIT, DONE, EDIT, DONE], reviewer=[CUT, GOOD], verdicts=[landed]
    ) as (env, start):
        listener = await env.listener()
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
    assert ("not like this" in str(env.messages("coder/x"))) is (choice is Choice.REVISE)
    assert env.store.leases == {}


@pytest.mark.parametrize("again", [DONE, EDIT], ids=["unchanged", "changed"])
async def test_a_person_who_sent_a_patch_back_is_asked_when_it_comes_again(
    client: Client, again: ScriptedReply
) -> None:
    """Without another round of its own left; an unchanged patch is not reviewed once more."""
    limits = RequestLimits(rework_rounds=0, person_rounds=2)
    async with at_work(
        client,
        coder=[EDIT, DONE, again, DONE],
        reviewer=[GOOD, GOOD],
        verdicts=[landed],
        human_review=True,
        request_limits=limits,
    ) as (env, start):
        listener = await env.listener()
        handle = await start()
        for number, choice in enumerate((Choice.REVISE, Choice.APPROVE)):
            asked = await until(partial(_nth, listener, number))
            decision = Decision(
                approval=asked["id"], choice=choice, reason="why", by="Ann", digest=asked["digest"]
            )
            await handle.signal(SubtaskWorkflow.decided, decision)
        report = await handle.result()

    reviewers = [each for each in env.model.opened.values() if "reviewer" in each.agent_id]
    assert (report.state, report.rounds) == (TaskState.DONE, 1)
    assert len(reviewers) == (1 if again is DONE else 2)
    assert ("sent back, unchanged" in asked["why"]) is (again is DONE)


async def test_a_reviewer_whose_findings_come_back_unanswered_is_asked_itself(
    client: Client,
) -> None:
    """A patch that comes again as it was sent back goes to the same reviewer, in its conversation,
    with its author's words; no fresh one is begun.
    """
    settles = FindingAnswer(finding="F1", state=FindingState.OVERRULED, reason="none can come in")
    convinced = finishes(ReviewFinish(verdict=Verdict.APPROVE, summary="right", earlier=(settles,)))
    excused = finishes(CoderFinish(summary="Negative numbers are refused by the caller."))
    env, report = await played(
        client,
        coder=[EDIT, DONE, excused],
        reviewer=[BAD, convinced],
        verdicts=[landed],
        request_limits=RequestLimits(),
    )

    opened = [each.agent_id.removeprefix(env.id) for each in env.model.opened.values()]
    assert opened == ["/coder-1", "/reviewer-1"]
    assert "refused by the caller" in (env.messages("reviewer/x")[1] or "")
    (finding,) = report.findings
    assert (finding.state, finding.reason) == (FindingState.OVERRULED, "none can come in")
    message = env.calls.of("make_patch")[-1].message
    assert "- F1 [P1] negative numbers (a.py), overruled by reviewer: none can come in" in message


REVIEWERS = ("reviewer-2", "reviewer-2-again")


async def _budget(client: Client, agent: str) -> int:
    """Return the money with which an agent was started, in microUSD."""
    history = await client.get_workflow_handle(agent).fetch_history()
    begun = history.events[0].workflow_execution_started_event_attributes
    (start,) = await client.data_converter.decode(begun.input.payloads, [AgentStart])
    return int(start.limits.budget_microusd)


async def test_a_reviewer_is_asked_for_an_earlier_finding_that_it_leaves_out(
    client: Client,
) -> None:
    """Once, in its conversation; then a person decides, and overrules it by approving."""
    async with at_work(
        client,
        coder=[EDIT, DONE, EDIT, DONE],
        reviewer=[BAD, GOOD, GOOD],
        verdicts=[landed],
        request_limits=RequestLimits(),
        limits=AgentLimits(budget_microusd=900_000),
    ) as (env, start):
        listener = await env.listener()
        handle = await start()
        (asked,) = await until(lambda: listener.query("asked"))
        decision = Decision(
            approval=asked["id"], choice=Choice.APPROVE, reason="", by="Ann", digest=asked["digest"]
        )
        await handle.signal(SubtaskWorkflow.decided, decision)
        report = await handle.result()
        budgets = [await _budget(client, f"{env.id}/{agent}") for agent in REVIEWERS]

    agents = [each.agent_id.removeprefix(env.id) for each in env.model.opened.values()]
    assert agents == ["/coder-1", "/reviewer-1", "/reviewer-2"]
    assert budgets[0] - budgets[1] == 1_000  # what its first answer cost
    assert "F1 [P1] negative numbers" in (env.messages("reviewer/x")[2] or "")
    assert "says nothing of earlier findings" in asked["why"]
    assert [(each.state, each.by) for each in report.findings] == [(FindingState.OVERRULED, "Ann")]
    assert report.state is TaskState.DONE


@pytest.mark.parametrize(
    ("found", "told"),
    [
        pytest.param(["too large: a.bin"], "too large: a.bin", id="over a round that did not look"),
        pytest.param(["too large: a.bin", ""], "", id="until a command finds nothing"),
    ],
)
async def test_what_is_left_out_is_told_while_it_holds(
    client: Client, found: list[str], told: str
) -> None:
    """The report has what the coder's last command found; edits and later rounds do not look."""
    runs = [acts(("run_command", str(number))) for number in range(len(found))]
    lines = iter(found)
    async with at_work(
        client,
        coder=[*runs, EDIT, DONE, EDIT, DONE],
        reviewer=[BAD, finishes(SETTLED)],
        verdicts=[landed],
        request_limits=RequestLimits(),
    ) as (env, start):
        env.tools.left_out = lambda call: next(lines) if call.tool == "run_command" else None
        report = await (await start()).result()

    assert (report.state, report.rounds, report.left_out) == (TaskState.DONE, 1, told)


async def test_no_change_is_an_outcome_of_its_own_that_a_reviewer_approves(
    client: Client,
) -> None:
    """An agent that changes nothing says why; a reviewer who disagrees sends it to work."""
    idle = finishes(CoderFinish(summary="Nothing to do.", no_change="a.py does x since line 3."))
    env, report = await played(
        client,
        coder=[DONE, idle],
        reviewer=[GOOD],
        request_limits=RequestLimits(),
    )
    _, worked = await played(
        client,
        coder=[idle, EDIT, DONE],
        reviewer=[BAD, finishes(SETTLED)],
        verdicts=[landed],
        request_limits=RequestLimits(),
    )

    assert (report.state, report.no_change) == (TaskState.DONE, "a.py does x since line 3.")
    assert "say why in `no_change`" in (env.messages("coder/x")[1] or "")
    assert env.calls.of("enqueue_patch") == []
    facts = dict(list(env.model.opened.values())[1].facts)
    assert facts["Why it changes nothing, as its author says"] == "a.py does x since line 3."
    assert (worked.state, worked.landed, worked.no_change) == (TaskState.DONE, "d" * 40, "")


async def _nth(listener: WorkflowHandle[Any, Any], number: int) -> Any:
    """Return a question that the listener got, None as long as it has not come."""
    asked = await listener.query("asked")
    return asked[number] if len(asked) > number else None


async def test_a_required_human_review_overrides_the_reviewers_approval(client: Client) -> None:
    """Where the request asks for it, a person decides although the reviewer approves."""
    async with at_work(
        client, coder=[EDIT, DONE], reviewer=[GOOD], verdicts=[landed], human_review=True
    ) as (env, start):
        listener = await env.listener()
        handle = await start()
        (asked,) = await until(lambda: listener.query("asked"))
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()

    assert asked["kind"] == "review"
    assert env.calls.of("enqueue_patch") == []
    assert env.store.leases == {}


CIRCLE = [acts(("run_command", "make"))] * 6
_NOTHING = "; it had changed nothing"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ([CUT], f"the agent was cut: no (refusal){_NOTHING}"),
        (
            [ScriptedReply(fails=failing(FailureKind.MODEL_REQUEST, "it is rejected"))],
            f"the agent was cut: it is rejected (failure){_NOTHING}",
        ),
    ],
    ids=["cut", "failing"],
)
async def test_a_task_whose_agent_was_cut_before_it_changed_anything_fails(
    client: Client, script: list[ScriptedReply], reason: str
) -> None:
    """A task whose agent left nothing fails with the reason, the cause first."""
    env, report = await played(client, coder=script)

    assert (report.state, report.reason, report.kept) == (TaskState.FAILED, reason, "")
    assert env.calls.of("run_checks") == []


@pytest.mark.parametrize(
    ("limits", "ending", "cause"),
    [
        pytest.param(AgentLimits(turns=1), [], "(turn limit)", id="turns"),
        pytest.param(AgentLimits(), [CUT], "no (refusal)", id="a refusal"),
        pytest.param(AgentLimits(), CIRCLE, "(going in circles)", id="loop"),
    ],
)
async def test_what_a_cut_agent_left_is_offered_when_it_is_green(
    client: Client, limits: AgentLimits, ending: list[ScriptedReply], cause: str
) -> None:
    """After any cut the acceptance runs; green work is reviewed and lands, and everyone is told."""
    async with at_work(client, coder=[EDIT, *ending], reviewer=[GOOD], verdicts=[landed]) as (
        env,
        start,
    ):
        env.model.limits = limits
        report = await (await start()).result()

    assert (report.state, report.landed) == (TaskState.DONE, "d" * 40)
    assert report.reason.startswith("Its agent was cut before it said that it was done: ")
    assert cause in report.reason
    (made,) = env.calls.of("make_patch")
    assert cause in made.message
    (seen,) = [each for each in env.model.opened.values() if each.role == "reviewer"]
    assert cause in dict(seen.facts)["How its author ended"]


async def test_what_a_cut_agent_left_is_kept_when_it_is_red(client: Client) -> None:
    """Red work of a cut agent is not offered: the task fails, and says where the work is kept."""
    async with at_work(client, coder=[EDIT, CUT]) as (env, start):
        env.checks.passes = lambda _run, _command: False
        report = await (await start()).result()

    assert report.state is TaskState.FAILED
    assert report.reason == (
        "the agent was cut: no (refusal); what it left cannot be offered: "
        "`make test` fails (exit code 1)"
    )
    assert report.kept == "refs/oc/key/task/x/patch/0"


async def test_a_person_is_told_that_an_agent_was_cut(client: Client) -> None:
    """The question about a patch that is offered after a cut says so."""
    async with at_work(client, coder=[EDIT, CUT], reviewer=[CUT], verdicts=[landed]) as (
        env,
        start,
    ):
        listener = await env.listener()
        handle = await start()
        (asked,) = await until(partial(listener.query, "asked"))
        await handle.signal(
            SubtaskWorkflow.decided,
            Decision(approval=asked["id"], choice=Choice.APPROVE, by="me", digest=asked["digest"]),
        )
        report = await handle.result()

    assert "Its agent was cut before it said that it was done: no (refusal)." in asked["why"]
    assert report.state is TaskState.DONE


async def test_an_agent_that_is_cut_again_with_nothing_new_is_not_reviewed_again(
    client: Client,
) -> None:
    """A patch that comes back unchanged from a second cut fails its task, and is kept."""
    env, report = await played(client, coder=[EDIT, CUT, CUT], reviewer=[BAD])

    assert report.state is TaskState.FAILED
    assert report.reason.endswith("nothing had changed since the patch was sent back")
    assert report.kept == "refs/oc/key/task/x/patch/1"
    assert len([each for each in env.model.opened.values() if each.role == "reviewer"]) == 1


def needs(**fields: Any) -> ScriptedReply:
    """A finish that says why the task cannot be done as it stands."""
    return finishes(CoderFinish(summary="not done", **fields))


async def test_a_blocked_task_ends_with_its_reason_and_keeps_its_work(client: Client) -> None:
    """An agent that is blocked ends its task at once, the reason first; its work is kept."""
    script = [EDIT, needs(blocked="the schema is not in the repository")]
    env, report = await played(client, coder=script)

    assert (report.state, report.rounds) == (TaskState.FAILED, 0)
    assert report.reason == "blocked: the schema is not in the repository"
    assert report.kept == "refs/oc/key/task/x/patch/0"
    assert env.calls.of("run_checks") == []


async def _decided(
    client: Client, choice: Choice, reason: str = "", **given: Any
) -> tuple[WorkflowEnv, SubtaskReport, dict[str, Any]]:
    """A subtask whose only question is answered: environment, report, the question."""
    async with at_work(client, **given) as (env, start):
        listener = await env.listener()
        handle = await start()
        (asked,) = await until(partial(listener.query, "asked"))
        decision = Decision(
            approval=asked["id"], choice=choice, reason=reason, by="me", digest=asked["digest"]
        )
        await handle.signal(SubtaskWorkflow.decided, decision)
        return env, await handle.result(), asked


CANNOT = needs(blocked="it tests a server that is not there", cannot_pass=(CHECK,))


async def test_a_person_may_drop_an_acceptance_command_that_cannot_pass(client: Client) -> None:
    """The change lands without the dropped command; the request and the reviewer hear which."""
    env, report, asked = await _decided(
        client, Choice.APPROVE, coder=[EDIT, CANNOT], reviewer=[GOOD], verdicts=[landed]
    )

    assert (asked["id"], asked["kind"]) == ("task/x/0", "task")
    assert "it tests a server that is not there" in asked["why"]
    assert CHECK in asked["detail"]
    assert (report.state, report.dropped) == (TaskState.DONE, (CHECK,))
    (opening,) = (each for each in env.calls.of("open_conversation") if each.role == "reviewer")
    assert dict(opening.facts)["Acceptance commands that a person dropped"] == CHECK
    assert env.calls.of("run_checks")[0].commands == ()
    assert env.calls.of("enqueue_patch")[0].queued.acceptance == ()


async def test_a_person_may_drop_a_red_check_of_which_more_must_fail(client: Client) -> None:
    """A check that failed before any change can be named, too: from then on nothing of it counts,
    neither on the patch nor in the merge queue.
    """
    red = FailedBefore(command="make all", exit_code=1, failing=("old",))
    baseline = Baseline(commit=BASE, survey=BASE, red=(1,), failed=(red,))
    env, report, asked = await _decided(
        client,
        Choice.APPROVE,
        coder=[EDIT, needs(blocked="it has another name now", cannot_pass=("make all",))],
        reviewer=[GOOD],
        verdicts=[landed],
        checks=("make lint", "make all"),
        baseline=baseline,
    )

    assert asked["what"] == "drop 1 command of x, which cannot pass"
    assert (report.state, report.dropped) == (TaskState.DONE, ("make all",))
    assert env.calls.of("run_checks")[0].commands == (CHECK, "make lint")
    assert env.calls.of("enqueue_patch")[0].queued.checks == ("make lint",)


async def test_acceptance_that_a_person_keeps_fails_the_task_with_the_reason(
    client: Client,
) -> None:
    """Where a person says no the task fails, the agent's reason first; its work is kept."""
    _, report, _ = await _decided(client, Choice.REJECT, "run it", coder=[EDIT, CANNOT])

    assert report.state is TaskState.FAILED
    assert report.reason == (
        "the acceptance cannot be met: it tests a server that is not there; me says no: run it"
    )
    assert report.kept == "refs/oc/key/task/x/patch/0"


async def test_a_person_may_answer_an_agent_that_cannot_go_on(client: Client) -> None:
    """The agent hears the answer and goes on; that takes no round of rework."""
    env, report, _ = await _decided(
        client,
        Choice.REVISE,
        "start the server first",
        coder=[EDIT, CANNOT, EDIT, DONE],
        reviewer=[GOOD],
        verdicts=[landed],
        request_limits=RequestLimits(answers=1, rework_rounds=0),
    )

    assert report.state is TaskState.DONE
    assert "me answers: start the server first" in (env.messages("coder/x")[2] or "")


async def test_a_command_that_is_none_of_the_tasks_is_told_to_the_agent(client: Client) -> None:
    """Nobody is asked about a command that the task does not have."""
    env, report = await played(
        client,
        coder=[EDIT, needs(blocked="no", cannot_pass=("make tset",)), DONE],
        reviewer=[GOOD],
        verdicts=[landed],
        request_limits=RequestLimits(answers=1),
    )

    assert report.state is TaskState.DONE
    assert CHECK in (env.messages("coder/x")[2] or "")


async def test_paths_that_no_other_task_writes_are_granted(client: Client) -> None:
    """The agent goes on with the path among its own; nobody is asked, no rework is used up."""
    env, report = await played(
        client,
        coder=[EDIT, needs(blocked="the parser is there", needs_paths=("b.py",)), EDIT, DONE],
        reviewer=[GOOD],
        verdicts=[landed],
        claims=(Claim(task="y", writes=("docs/",)),),
        request_limits=RequestLimits(answers=1, rework_rounds=0),
    )

    assert (report.state, report.rounds) == (TaskState.DONE, 1)
    assert "b.py" in (env.messages("coder/x")[2] or "")
    (granted,) = report.granted
    assert granted.startswith("b.py: ")
    assert [made.writes for made in env.calls.of("make_patch")] == [("a.py",), ("a.py", "b.py")]


@pytest.mark.parametrize("choice", [Choice.APPROVE, Choice.REJECT])
async def test_a_person_decides_on_paths_that_another_task_writes(
    client: Client, choice: Choice
) -> None:
    """A path that another task writes is granted by a person alone; else the task fails."""
    env, report, asked = await _decided(
        client,
        choice,
        coder=[EDIT, needs(blocked="the parser is there", needs_paths=("b.py",)), EDIT, DONE],
        reviewer=[GOOD],
        verdicts=[landed],
        claims=(Claim(task="y", writes=("*.py",)),),
        request_limits=RequestLimits(answers=1),
    )

    assert asked["what"] == "let x also change b.py"
    assert asked["detail"].startswith("b.py: task 'y' writes it too")
    if choice is Choice.APPROVE:
        assert report.state is TaskState.DONE
        assert env.calls.of("make_patch")[-1].writes == ("a.py", "b.py")
    else:
        assert report.reason == "it needs b.py: the parser is there; me says no"


async def test_a_person_decides_on_a_risky_path_that_nobody_claims(client: Client) -> None:
    """A path that is risky by itself is not granted by nobody's claiming it: a person is asked."""
    needed = needs(blocked="the check is there", needs_paths=(".github/workflows/ci.yml",))
    _, report, asked = await _decided(
        client,
        Choice.REJECT,
        coder=[EDIT, needed],
        claims=(),
        request_limits=RequestLimits(answers=1),
    )

    assert ".github/workflows/ci.yml: it runs" in asked["detail"]
    assert report.state is TaskState.FAILED


async def test_a_task_whose_claims_are_not_known_is_decided_as_before(client: Client) -> None:
    """A task from before claims were known: what no other task writes is granted as it was."""
    env, report = await played(
        client,
        coder=[EDIT, needs(blocked="there", needs_paths=("lib/",)), EDIT, DONE],
        reviewer=[GOOD],
        verdicts=[landed],
        request_limits=RequestLimits(answers=1),
    )

    assert report.state is TaskState.DONE
    assert env.calls.of("make_patch")[-1].writes == ("a.py", "lib/")


async def test_an_agent_that_goes_on_asking_is_given_up(client: Client) -> None:
    """Answers are bounded: an agent that only asks for more ends its task with the reason."""
    asks = needs(blocked="more", needs_paths=("b.py",))
    _, report = await played(
        client, coder=[EDIT, asks, asks, asks], claims=(), request_limits=RequestLimits(answers=2)
    )

    assert report.state is TaskState.FAILED
    assert report.reason.endswith("; given up after 3 rounds (an answer)")


async def test_a_patch_outside_the_declared_paths_is_sent_back_before_any_check(
    client: Client,
) -> None:
    """A patch that changes only what the task may not is sent back before anything is run."""
    stray = acts(("edit", "README"))
    undone = ScriptedUse("edit", "README", '{"path": "README", "content": "hello"}')
    back = ScriptedReply(uses=(undone, *EDIT.uses))
    env, report = await played(
        client, coder=[stray, DONE, back, DONE], reviewer=[GOOD], verdicts=[landed]
    )

    assert report.rounds == 1
    assert "outside" in (env.messages("coder/x")[2] or "")
    assert len(env.calls.of("run_checks")) == 1


async def test_a_test_or_document_outside_the_declared_paths_needs_no_person(
    client: Client,
) -> None:
    """An unattended task that also changes README and changelog lands in its first round; the
    agent's edits and commands carry what the other tasks claim.
    """
    edits = acts(
        ("edit", "a.py"), ("edit", "README"), ("edit", "CHANGELOG.md"), ("run_command", "make")
    )
    other = Claim(task="y", writes=("README", "b.py"))
    env, report = await played(
        client, coder=[edits, DONE], reviewer=[GOOD], verdicts=[landed], claims=(other,)
    )

    assert (report.state, report.rounds) == (TaskState.DONE, 0)
    scopes = [each.scope for each in env.calls.of("apply_edit")]
    assert scopes[0] is None
    assert [scope and [claim.task for claim in scope.claims] for scope in scopes[1:]] == [["y"], []]
    (command,) = env.calls.of("run_command")
    assert command.scope is not None
    assert command.scope.claims == (other,)


async def test_another_tasks_path_is_asked_about_unless_a_note_asks_for_it(
    client: Client,
) -> None:
    """A person decides on what another task writes; a person's note has decided it already."""
    edits = acts(("edit", "a.py"), ("edit", "b.py"))
    other = Claim(task="y", writes=("b.py",))
    async with at_work(
        client, coder=[edits, DONE], reviewer=[GOOD], verdicts=[landed], claims=(other,)
    ) as (env, start):
        listener = await env.listener()
        handle = await start()
        (asked,) = await until(lambda: listener.query("asked"))
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    _, noted = await played(
        client,
        coder=[edits, DONE],
        reviewer=[GOOD],
        verdicts=[landed],
        claims=(other,),
        notes=("and mend b.py as well",),
    )

    assert "b.py (task 'y' writes it too)" in asked["why"]
    assert (noted.state, noted.rounds) == (TaskState.DONE, 0)


async def test_an_evicted_conflict_is_rebased_resolved_and_queued_again(client: Client) -> None:
    """A patch evicted for a conflict is rebased, resolved by the agent and queued again."""

    def conflict(queued: QueuedPatch) -> MergeVerdict:
        env.store.move("target", "a.py", "what another task wrote")
        return evicted(Eviction.CONFLICT)(queued)

    both = ScriptedUse("edit", "a.py", '{"path": "a.py", "line": "what this one writes"}')
    async with at_work(
        client,
        coder=[EDIT, DONE, ScriptedReply(uses=(both,)), DONE],
        reviewer=[GOOD, GOOD],
        verdicts=[conflict, landed],
    ) as (env, start):
        report = await (await start()).result()

    assert (report.state, report.rounds) == (TaskState.DONE, 1)
    first, second = [each.queued for each in env.calls.of("enqueue_patch")]
    assert first.id != second.id
    assert env.store.commits[second.patch.commit].parents == (env.tip,)
    assert "conflict markers in: a.py" in (env.messages("coder/x")[2] or "")


async def test_a_patch_that_is_evicted_three_times_fails_its_task(client: Client) -> None:
    """A patch that the queue never takes is given up after two ways back."""
    env, report = await played(
        client,
        coder=[EDIT, DONE] * 3,
        reviewer=[GOOD] * 3,
        verdicts=[evicted(Eviction.RED)] * 3,
    )

    assert report.state is TaskState.FAILED
    assert "merge queue" in report.reason
    assert len(env.calls.of("enqueue_patch")) == 3


async def test_a_patch_that_could_not_be_tested_fails_its_task_at_once(client: Client) -> None:
    """A patch that could not be tested fails its task at once: the agent cannot help."""
    _, report = await played(
        client, coder=[EDIT, DONE], reviewer=[GOOD], verdicts=[evicted(Eviction.UNTESTED)]
    )

    assert (report.state, report.rounds) == (TaskState.FAILED, 0)
    assert report.reason == "not landed, could not be tested: no"


async def test_a_task_that_only_reads_is_done_without_review_and_landing(client: Client) -> None:
    """A task that only reads is done when its commands pass: nothing to review, nothing to land.
    What it says is the answer, whole.
    """
    task = TASK.model_copy(update={"writes": ()})
    said = "The parser keeps comments.\n\n" + "Because of this. " * 40
    answers = finishes(CoderFinish(summary=said))
    env, report = await played(client, coder=[answers], task=task)

    assert (report.state, report.reason) == (TaskState.DONE, said[:300])
    assert report.answer == said
    assert env.calls.of("enqueue_patch") == []


async def test_a_task_cancelled_in_the_queue_withdraws_its_patch(client: Client) -> None:
    """A task cancelled in the merge queue takes its patch out and frees its worktree."""
    async with at_work(client, coder=[EDIT, DONE], reviewer=[GOOD]) as (env, start):
        queue = await env.listener("/queue")
        handle = await start()
        await until(lambda: env.calls.of("enqueue_patch"))
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
        withdrawn = await until(lambda: queue.query("withdrawn"))

    assert isinstance(caught.value.cause, CancelledError)
    assert withdrawn == [env.calls.of("enqueue_patch")[0].queued.id]
    assert env.store.leases == {}


async def test_a_note_reaches_the_running_agent_and_later_openings(client: Client) -> None:
    """A note reaches the running agent, and is in the opening of one that starts later."""
    speaks = asyncio.Event()
    script = [acts(("edit", "a.py"), waits=speaks), DONE]
    async with at_work(
        client, coder=script, reviewer=[GOOD], verdicts=[landed], notes=("use tabs",)
    ) as (env, start):
        handle = await start()
        await until(lambda: env.model_calls)
        await handle.signal(SubtaskWorkflow.add_note, Note(text="mind the tests"))
        agent = client.get_workflow_handle(f"{env.id}/coder-1")
        await until(lambda: _heard(agent, "add_note"))
        speaks.set()
        await handle.result()

    assert "mind the tests" in (env.messages("coder/x")[1] or "")
    assert ("Notes from the person who made the request", "use tabs") in (
        next(iter(env.model.opened.values())).facts
    )


async def _heard(handle: WorkflowHandle[Any, Any], signal: str) -> bool:
    history = await handle.fetch_history()
    return any(
        event.workflow_execution_signaled_event_attributes.signal_name == signal
        for event in history.events
    )
