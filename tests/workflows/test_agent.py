"""AgentWorkflow on a real server: turn by turn until it finishes or is cut."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import CancelledError

from contracts import roles, task_queue
from contracts.agent import AgentLimits, AgentResult, AgentStart, Note, StopCause
from contracts.approvals import Choice, Decision
from contracts.failures import FailureKind
from contracts.handoff import HandoffCause, HandoffNote
from contracts.lanes import Lane, LaneFacts
from contracts.model import OpenConversation, ReplyOutcome, Usage
from contracts.store import ConversationRef
from contracts.task_queue import TaskQueue
from contracts.tools import CoderFinish, ReadCall, ToolCall
from domain.agent import loop, messages
from domain.handoff import window
from domain.limits import AGENT
from tests.fakes.calls import failing
from tests.fakes.model import MODEL, ScriptedReply, ScriptedUse, acts, finishes, says
from tests.fakes.policy import config_of
from tests.fakes.store import BASE
from tests.workflows.workflow_env import WorkflowEnv, until
from workflows.agent import AgentWorkflow
from workflows.visibility import STATE

pytestmark = pytest.mark.system

DONE = finishes(CoderFinish(summary="done"))
VIEW, EDIT, RUN = "view", "edit", "run_command"


def agent(env: WorkflowEnv, **changes: object) -> AgentStart:
    """A coder's start."""
    start = AgentStart(
        request_id=f"{env.id}/listener",
        repository=env.repository,
        role=roles.CODER,
        task_ref="x",
        lease=env.lease,
        checkpoint=BASE,
        opening=OpenConversation(
            repository=env.repository, agent_id=env.id, role=roles.CODER, commit=BASE
        ),
    )
    return start.model_copy(update=changes)


@asynccontextmanager
async def coder(
    client: Client, script: Iterable[ScriptedReply], **changes: object
) -> AsyncIterator[tuple[WorkflowEnv, WorkflowHandle[Any, AgentResult]]]:
    """A coder at work on a script."""
    env = WorkflowEnv(client, {"coder/x": script})
    start = agent(env, **changes)
    env.model.limits = AGENT.model_copy(update=start.limits.model_dump(exclude_defaults=True))
    async with env.at_work():
        yield env, await env.start(AgentWorkflow, start)


async def played(
    client: Client, script: Iterable[ScriptedReply], **changes: object
) -> tuple[WorkflowEnv, AgentResult]:
    """A coder's environment and result, once it has ended by itself."""
    async with coder(client, script, **changes) as (env, handle):
        return env, await handle.result()


async def test_an_agent_returns_its_output_and_usage(client: Client) -> None:
    """An agent returns its output and what its turns used."""
    env, result = await played(client, [acts((VIEW, "a.py")), acts((EDIT, "a.py")), DONE])

    assert result.cut is None
    assert CoderFinish.model_validate_json(result.output or "").summary == "done"
    assert (result.turns, result.cost_microusd, result.usage.total_tokens) == (3, 3_000, 3_000)
    assert env.written(result.checkpoint) == {"a.py"}


async def test_reads_share_an_activity_and_writes_run_in_order(client: Client) -> None:
    """Neighbouring reads of a turn go in one activity, writes one by one, answers in call order."""
    turn = acts((VIEW, "a"), (VIEW, "b"), (EDIT, "a"), (RUN, "make"), (VIEW, "c"))
    env, _ = await played(client, [turn, DONE])

    shape = [
        len(call.calls) if isinstance(call, ReadCall) else call.tool for call in env.tool_calls
    ]
    assert shape == [2, EDIT, RUN, 1]
    writes = [call for call in env.tool_calls if isinstance(call, ToolCall)]
    assert env.written(writes[1].expected) == {"a"}
    answers = env.model_calls[1].answers
    assert (
        tuple(answer.tool_use_id for answer in answers)
        == env.model_calls[1].conversation.open_calls
    )


async def test_an_agent_continues_in_another_worktree_from_its_checkpoint(client: Client) -> None:
    """An agent whose worktree is gone continues in another one, at its last checkpoint."""
    env = WorkflowEnv(client, {"coder/x": [acts((EDIT, "a")), acts((VIEW, "a")), DONE]})
    async with env.at_work():
        env.store.release(env.lease.worktree, env.lease.epoch)
        handle = await env.start(AgentWorkflow, agent(env))
        result = await handle.result()

    assert result.cut is None
    (asked,) = env.calls.of("lease_worktree")
    assert (asked.owner, asked.purpose, asked.commit) == (env.id, "work", BASE)
    held = env.store.leases[f"{env.id} to work"]
    assert [(call.lease.worktree, call.lease.epoch) for call in env.tool_calls] == [
        (held.worktree, held.epoch)
    ] * 2


@pytest.mark.parametrize(
    ("lane", "asked"), [(Lane.WORKTREE, None), (Lane.CLOUD, LaneFacts(asked=Lane.CLOUD))]
)
async def test_an_agent_that_loses_its_worktree_stays_in_its_lane(
    client: Client, lane: Lane, asked: LaneFacts | None
) -> None:
    """One in a sealed clone gets a clone again, and its calls are made there."""
    env = WorkflowEnv(client, {"coder/x": [acts((EDIT, "a")), DONE]})
    async with env.at_work():
        env.store.release(env.lease.worktree, env.lease.epoch)
        lease = env.lease.model_copy(update={"lane": lane})
        await (await env.start(AgentWorkflow, agent(env, lease=lease))).result()

    (again,) = env.calls.of("lease_worktree")
    assert again.lane == asked
    assert [call.lease.lane for call in env.tool_calls] == [lane]


async def test_an_agent_that_loses_every_worktree_fails_with_the_reason(client: Client) -> None:
    """An agent that loses every worktree fails, and the reason shows why."""
    env = WorkflowEnv(client, {"coder/x": [acts((EDIT, "a")), DONE]})
    async with env.at_work():
        env.calls.fail("apply_edit", failing(FailureKind.FENCED, "the lease is over"))
        handle = await env.start(AgentWorkflow, agent(env))
        result = await handle.result()

    assert (result.cut, result.failure) == (StopCause.FAILURE, FailureKind.FENCED)
    assert "the lease is over" in result.reason


async def test_a_call_with_unusable_arguments_is_answered_not_run(client: Client) -> None:
    """A call with unusable arguments is answered with its problem, and nothing is run."""
    broken = ScriptedReply(uses=(ScriptedUse(EDIT, "a.py", problem="the arguments do not fit"),))
    env, result = await played(client, [broken, DONE])

    assert result.output
    assert env.tool_calls == []
    assert env.model_calls[1].answers[0].is_error
    assert env.model_calls[1].answers[0].text == "the arguments do not fit"


async def test_a_finish_beside_other_calls_does_not_end_the_agent(client: Client) -> None:
    """A finish beside other calls is answered, not obeyed: their results have not been seen."""
    both = replace(DONE, uses=(ScriptedUse(VIEW, "a.py"), *DONE.uses))
    env, result = await played(client, [both, DONE])

    assert result.turns == 2
    assert env.model_calls[1].answers[1].text == loop.FINISH_ALONE


async def test_a_silent_agent_is_reminded_twice_then_cut(client: Client) -> None:
    """An agent without tool calls is reminded twice, then cut with the reason."""
    env, result = await played(client, [says("Well."), says("Hm."), says("So.")])

    assert (result.cut, result.output) == (StopCause.SILENT, None)
    assert "2 reminders" in result.reason
    assert env.messages("coder/x") == [None, loop.GO_ON, loop.GO_ON]


async def test_an_edit_of_a_reply_that_says_it_is_done_is_made(client: Client) -> None:
    """Calls are run whatever the stop reason says, and their results go back."""
    env, result = await played(client, [replace(acts((EDIT, "a.py")), stop="end_turn"), DONE])

    assert env.written(result.checkpoint) == {"a.py"}
    assert not env.model_calls[1].answers[0].is_error


async def test_six_bad_calls_of_one_reply_do_not_keep_the_right_one_from_being_run(
    client: Client,
) -> None:
    """A bad turn costs a turn: the next reply, with the right names, edits the file."""
    wrong = ScriptedReply(uses=(ScriptedUse(EDIT, "a.py", problem="path: Field required"),) * 6)
    env, result = await played(client, [wrong, acts((EDIT, "a.py")), DONE])

    assert (result.cut, result.turns) == (None, 3)
    assert env.written(result.checkpoint) == {"a.py"}


async def test_edits_that_fail_without_end_cut_the_agent(client: Client) -> None:
    """A dozen failed replies in a row are enough, with a warning half way, in each window."""
    edits = [acts((EDIT, f"{n}.py")) for n in range(60)]
    edits[12] = says("Nothing works.")
    env = WorkflowEnv(client, {"coder/x": edits})
    env.tools.fails = lambda call: True
    env.tools.changes = lambda call: False
    async with env.at_work():
        result = await (await env.start(AgentWorkflow, agent(env))).result()

    assert (result.cut, result.turns) == (StopCause.LOOP, 12 + 1 + 12)
    told = env.messages("coder/x")
    assert [place for place, text in enumerate(told) if text == loop.FAILING] == [6, 13 + 6]


async def test_a_round_begins_with_the_turns_that_the_others_left(client: Client) -> None:
    """Being sent back does not begin the turns again without bound."""
    script = [acts((EDIT, f"{n}.py")) for n in range(60)]
    _, result = await played(client, script, turns_before=57)

    assert (result.cut, result.turns) == (StopCause.TURNS, 20)


async def test_work_resets_the_count_of_reminders(client: Client) -> None:
    """Reminders count in a row only: an agent that went on working has them all again."""
    script = [says("."), says("."), acts((VIEW, "a")), says("."), says("."), DONE]
    _, result = await played(client, script)

    assert result.cut is None


async def test_a_reply_that_is_too_long_is_retried_with_twice_the_limit(client: Client) -> None:
    """A reply cut by its limit is repeated with twice the limit, then with a message about it."""
    long = says("", "max_tokens")
    env, result = await played(client, [acts((VIEW, "a")), long, long, DONE])

    assert result.cut is None
    assert [call.max_output_tokens for call in env.model_calls] == [
        16_000,
        16_000,
        32_000,
        64_000,
    ]
    assert env.messages("coder/x") == [None, None, None, loop.CUT_SHORT]
    assert len({call.conversation.head for call in env.model_calls[1:]}) == 1
    assert all(len(call.answers) == 1 for call in env.model_calls[1:])


async def test_replies_that_stay_too_long_cut_the_agent(client: Client) -> None:
    """Replies that stay too long cut the agent."""
    _, result = await played(client, [says("", "max_tokens")] * 3)

    assert result.cut is StopCause.SILENT
    assert "longer" in result.reason


async def test_a_refusal_cuts_the_agent_with_the_models_words(client: Client) -> None:
    """A refusal cuts the agent, with the text of the refusal."""
    _, result = await played(client, [says("I would rather not.", "refusal")])

    assert (result.cut, result.reason) == (StopCause.REFUSAL, "I would rather not.")


async def test_a_repeated_call_is_warned_of_after_three_and_cut_after_five(client: Client) -> None:
    """The same call with the same result is warned of after three times, then goes on in a fresh
    window; there it is cut after five.
    """
    circle = [acts((RUN, "make"))] * 6
    env, result = await played(client, [*circle, says("I am lost."), *circle])

    assert result.cut is StopCause.LOOP
    assert result.reason.endswith("also in 1 fresh window")
    why = "the same call came to the same 5 times"
    once = [None, None, None, loop.CIRCLES, None, None]
    assert env.messages("coder/x") == [*once, window.ASK_STUCK.format(why=why), *once]
    assert len(env.tool_calls) == 10
    (opened,) = env.model.windows.values()
    assert (opened.cause, opened.why, opened.asked) == (HandoffCause.STUCK, why, True)


@pytest.mark.parametrize(
    ("limits", "cut", "calls"),
    [
        (AgentLimits(budget_microusd=30_000), StopCause.BUDGET, 0),
        (AgentLimits(turns=2), StopCause.TURNS, 2),
        (AgentLimits(seconds=0), StopCause.TIME, 0),
    ],
    ids=["money", "turns", "time"],
)
async def test_a_limit_cuts_the_agent_before_the_call_that_exceeds_it(
    client: Client, limits: AgentLimits, cut: StopCause, calls: int
) -> None:
    """A limit cuts the agent before the call that would pass it, and its work so far is kept."""
    script = [acts((EDIT, "a")), acts((EDIT, "b")), DONE]
    env, result = await played(client, script, limits=limits)

    assert (result.cut, len(env.model_calls)) == (cut, calls)
    assert env.written(result.checkpoint) == ({"a", "b"} if calls else set())


async def test_a_lasting_model_failure_ends_the_agent_and_keeps_its_work(client: Client) -> None:
    """An agent whose model fails for good ends with the failure's kind, and keeps its work."""
    broken = ScriptedReply(fails=failing(FailureKind.MODEL_REQUEST, "it is rejected"))
    _, result = await played(client, [acts((EDIT, "a")), broken])

    assert (result.cut, result.failure) == (StopCause.FAILURE, FailureKind.MODEL_REQUEST)
    assert result.reason == "it is rejected"
    assert result.checkpoint != BASE


async def test_a_call_that_no_worker_takes_is_shown_and_made_once_one_comes(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no worker has a model key the agent is WAITING_INFRA; with one it goes on."""
    monkeypatch.setattr(task_queue, "MODEL_TAKEN_WITHIN", dt.timedelta(seconds=0.3))
    env = WorkflowEnv(client, {"coder/x": [DONE]})
    async with env.at_work(idle=TaskQueue.MODEL):
        handle = await env.start(AgentWorkflow, agent(env))

        async def shown() -> bool:
            return (await handle.describe()).typed_search_attributes.get(STATE) == "WAITING_INFRA"

        await until(shown)
        async with env.worker(TaskQueue.MODEL):
            result = await handle.result()

    assert result.cut is None


async def test_a_reply_that_cannot_be_read_is_bought_a_few_times_and_booked(
    client: Client,
) -> None:
    """After a few calls that came to nothing the agent stops with the sentence; each is booked."""
    paid = {"usage": Usage(input_tokens=900), "cost_microusd": 700, "longest_pause_seconds": 0.01}
    broken = failing(FailureKind.MALFORMED, "the reply cannot be read", **paid)
    env, result = await played(client, [acts((EDIT, "a")), *[ScriptedReply(fails=broken)] * 9])

    assert (result.cut, result.failure) == (StopCause.FAILURE, FailureKind.MALFORMED)
    assert result.reason == "5 replies in a row could not be used: the reply cannot be read"
    assert len(env.model_calls) == 6
    assert result.cost_microusd == 1_000 + 5 * 700
    assert result.usage.input_tokens == 900 + 5 * 900


async def test_calls_that_come_to_nothing_stay_within_the_budget(client: Client) -> None:
    """A call that may have to be paid for takes from the budget before the next one is made."""
    paid = {"cost_microusd": 100_000, "longest_pause_seconds": 0.01}
    broken = failing(FailureKind.UNREACHABLE, "the reply was cut off", **paid)
    limits = AgentLimits(budget_microusd=500_000)
    env, result = await played(client, [ScriptedReply(fails=broken)] * 9, limits=limits)

    assert (result.cut, result.failure) == (StopCause.BUDGET, None)
    assert "the reply was cut off" in result.reason
    assert result.cost_microusd == 100_000 * len(env.model_calls) <= 500_000


async def test_a_wait_that_is_asked_for_takes_no_try(client: Client) -> None:
    """After eight waits for a limit, the first failure of the service is tried again at once, not
    after the minute that eight tries would have come to.
    """
    limited = failing(FailureKind.RATE_LIMITED, "slowly", pause_seconds=0.02)
    broken = failing(FailureKind.OVERLOADED, "Overloaded")
    fails = [*[ScriptedReply(fails=limited)] * 8, ScriptedReply(fails=broken)]
    env, result = await played(client, [*fails, acts((EDIT, "a")), DONE])

    assert result.cut is None
    assert len(env.model_calls) == 11


async def test_a_declined_turn_goes_to_the_fallback_model_with_all_that_follow(
    client: Client,
) -> None:
    """The refused reply is booked; the same is asked once more, of the other model."""
    declined = ScriptedReply(stop="refusal", outcome=ReplyOutcome.FALLBACK, cost_microusd=300)
    env, result = await played(client, [declined, acts((EDIT, "a")), DONE])

    assert [call.fallback for call in env.model_calls] == [False, True, True]
    assert [call.variant for call in env.model_calls] == [0, 1, 0]
    assert (result.cut, result.cost_microusd) == (None, 300 + 2 * 1_000)


async def test_a_fresh_window_knows_that_the_fallback_model_goes_on(client: Client) -> None:
    """So that its ledger can say from which model to which."""
    declined = ScriptedReply(stop="refusal", outcome=ReplyOutcome.FALLBACK, cost_microusd=300)
    circle = [acts((RUN, "make"))] * 6
    env, result = await played(client, [declined, *circle, says("I am lost."), DONE])

    (opened,) = env.model.windows.values()
    assert opened.fallback
    assert (result.cut, env.model_calls[-1].fallback) == (None, True)


async def test_a_failure_that_says_so_changes_to_the_fallback_model(client: Client) -> None:
    """After a long overload the next try asks the other model, and it stays."""
    long = failing(FailureKind.OVERLOADED, "Overloaded", fallback=True, longest_pause_seconds=0.01)
    env, result = await played(client, [ScriptedReply(fails=long), acts((EDIT, "a")), DONE])

    assert [call.fallback for call in env.model_calls] == [False, True, True]
    assert result.cut is None


async def test_a_reply_that_stops_for_an_unknown_reason_ends_the_agent_with_it(
    client: Client,
) -> None:
    """Nothing of it is run; the work so far is kept and the reason is told."""
    why = "the model stopped for a reason that is not known: other"
    odd = ScriptedReply(
        stop="other", uses=acts((EDIT, "b")).uses, says=why, outcome=ReplyOutcome.UNKNOWN
    )
    env, result = await played(client, [acts((EDIT, "a")), odd])

    assert (result.cut, result.reason) == (StopCause.SILENT, why)
    assert env.written(result.checkpoint) == {"a"}


async def test_a_note_during_a_turn_reaches_the_next_turn_once(client: Client) -> None:
    """A note that comes while the model speaks reaches it at its next turn, once."""
    speaks = asyncio.Event()
    script = [acts((VIEW, "a"), waits=speaks), acts((VIEW, "b")), DONE]
    async with coder(client, script) as (env, handle):
        await until(lambda: env.model_calls)
        await handle.signal(AgentWorkflow.add_note, Note(text="mind the tests"))
        speaks.set()
        await handle.result()

        told = env.messages("coder/x")
        assert told[0] is None
        assert told[1] is not None
        assert "mind the tests" in told[1]
        assert told[2] is None


async def test_a_note_defers_a_finish_that_is_being_written(client: Client) -> None:
    """A note that arrives during a finish defers the finish until the note was read."""
    speaks = asyncio.Event()
    last = replace(DONE, waits=speaks)
    async with coder(client, [last, acts((EDIT, "a")), DONE]) as (env, handle):
        await until(lambda: env.model_calls)
        await handle.signal(AgentWorkflow.add_note, Note(text="mind the tests"))
        speaks.set()
        result = await handle.result()

    assert (result.cut, result.turns) == (None, 3)
    second = env.model_calls[1]
    assert [answer.text for answer in second.answers] == [loop.FINISH_DEFERRED]
    assert (second.message or "").endswith("mind the tests")


async def test_pinned_limits_override_the_limits_of_the_caller(client: Client) -> None:
    """What its first activity resolved holds; of the caller's limits only the money does."""
    env = WorkflowEnv(client, {"coder/x": [acts((VIEW, "a")), acts((VIEW, "b")), DONE]})
    env.model.limits = AGENT.model_copy(update={"turns": 2})
    async with env.at_work():
        handle = await env.start(AgentWorkflow, agent(env, limits=AgentLimits(turns=9)))
        result = await handle.result()

    assert (result.cut, result.turns) == (StopCause.TURNS, 2)
    assert result.config is not None
    assert result.config.limits.turns == 2


async def test_an_agent_keeps_the_configuration_it_was_started_with(client: Client) -> None:
    """A round, or a run after continue-as-new, resolves nothing again."""
    env = WorkflowEnv(client, {"coder/x": [acts((VIEW, "a")), DONE]})
    pinned = config_of(MODEL, AgentLimits(turns=1))
    conversation = ConversationRef(id="c", head="b" * 40, model=MODEL)
    async with env.at_work():
        start = agent(env, conversation=conversation, config=pinned)
        result = await (await env.start(AgentWorkflow, start)).result()

    assert (result.cut, result.turns) == (StopCause.TURNS, 1)
    assert (result.config, env.model.opened) == (pinned, {})


async def test_money_does_not_cut_an_agent_whose_price_is_unknown(client: Client) -> None:
    """Without a price the budget holds nothing: turns and time do, and the result says so."""
    env = WorkflowEnv(client, {"coder/x": [acts((VIEW, "a"))] * 9})
    pinned = config_of("nobody-knows", AgentLimits(turns=2))
    conversation = ConversationRef(id="c", head="b" * 40, model="nobody-knows")
    async with env.at_work():
        start = agent(
            env,
            conversation=conversation,
            config=pinned,
            limits=AgentLimits(budget_microusd=0),
        )
        result = await (await env.start(AgentWorkflow, start)).result()

    assert (result.cut, result.turns, result.priced) == (StopCause.TURNS, 2, False)


async def test_an_agent_of_a_custom_role_returns_its_output(client: Client) -> None:
    """A role's name is data on the wire: the workflow knows none of them."""
    env = WorkflowEnv(client, {"triager/x": [acts((VIEW, "a")), DONE]})
    async with env.at_work():
        start = agent(env, role="triager")
        result = await (await env.start(AgentWorkflow, start)).result()

    assert (result.cut, result.turns) == (None, 2)


async def test_an_agent_hears_that_most_of_its_turns_are_used_up(client: Client) -> None:
    """The warning comes with the next call after 80 %, once; turns follow the plan's size."""
    limits = AgentLimits(turns=2, warn_percent=80, turns_a_size=1, most_turns=9)
    reads = [acts((VIEW, str(number))) for number in range(9)]
    env, result = await played(client, reads, limits=limits, size=5)

    told = env.messages("coder/x")
    assert (result.cut, result.turns) == (StopCause.TURNS, 5)
    assert told[:4] == [None] * 4
    assert "1 of 5 turns are left" in (told[4] or "")


async def test_a_note_after_the_last_turn_keeps_the_finished_work(client: Client) -> None:
    """A note that comes when no turn is left does not undo what the agent has done."""
    speaks = asyncio.Event()
    last = replace(DONE, waits=speaks)
    limits = AgentLimits(turns=1)
    async with coder(client, [last], limits=limits) as (env, handle):
        await until(lambda: env.model_calls)
        await handle.signal(AgentWorkflow.add_note, Note(text="mind the tests"))
        speaks.set()
        result = await handle.result()

    assert (result.cut, result.turns) == (None, 1)


async def test_feedback_and_documents_come_first_and_once(client: Client) -> None:
    """A continued agent gets the message and its documents first, and only once."""
    documents = (("checks", "c" * 40),)
    env, _ = await played(
        client, [acts((VIEW, "a")), DONE], message="two tests are red", documents=documents
    )

    assert env.messages("coder/x") == ["two tests are red", None]
    assert [call.documents for call in env.model_calls] == [documents, ()]


async def test_an_agent_with_a_conversation_opens_none_and_counts_from_zero(client: Client) -> None:
    """An agent with a conversation opens none; turns and cost start from zero."""
    first, before = await played(client, [acts((VIEW, "a")), DONE])
    env, after = await played(client, [DONE], conversation=before.conversation)

    assert len(first.model.opened) == 1
    assert env.model.opened == {}
    assert env.model_calls[0].conversation == before.conversation
    assert (after.turns, after.cost_microusd) == (1, 1_000)


@pytest.mark.parametrize(
    ("choice", "edits", "answer"),
    [(Choice.APPROVE, 1, ""), (Choice.REJECT, 0, "Denied: not that file")],
    ids=["approved", "rejected"],
)
async def test_an_edit_of_a_protected_path_waits_for_a_person(
    client: Client, choice: Choice, edits: int, answer: str
) -> None:
    """An edit of a path that can run code outside waits for a person's decision."""
    async with coder(client, [acts((EDIT, ".github/workflows/ci.yml")), DONE]) as (env, handle):
        inbox = await env.listener()
        (approval,) = await until(lambda: inbox.query("asked"))
        assert env.tool_calls == []
        decision = Decision(
            approval=approval["id"], choice=choice, reason="not that file", by="Ann"
        )
        await handle.signal(AgentWorkflow.decided, decision)
        await handle.result()

        assert len(env.tool_calls) == edits
        assert env.model_calls[1].answers[0].text == answer


async def test_the_first_of_two_decisions_counts(client: Client) -> None:
    """Of two decisions on one question the first counts."""
    async with coder(client, [acts((EDIT, ".envrc")), DONE]) as (env, handle):
        inbox = await env.listener()
        (approval,) = await until(lambda: inbox.query("asked"))
        for choice in (Choice.REJECT, Choice.APPROVE):
            decision = Decision(approval=approval["id"], choice=choice, by="Ann")
            await handle.signal(AgentWorkflow.decided, decision)
        await handle.result()

        assert env.tool_calls == []


async def test_a_path_outside_the_repository_is_denied_without_a_question(client: Client) -> None:
    """A path outside the repository is refused without a question; the agent continues."""
    env, result = await played(client, [acts((EDIT, "../a")), DONE])

    assert result.output
    assert env.tool_calls == []
    assert env.model_calls[1].answers[0].text.startswith("Denied: ")


@pytest.mark.parametrize(
    "script",
    [
        lambda: [acts((VIEW, "a"), waits=asyncio.Event())],
        lambda: [acts((EDIT, ".envrc")), DONE],
    ],
    ids=["while the model speaks", "while a person is asked"],
)
async def test_a_cancelled_agent_ends_at_once(
    client: Client, script: Callable[[], list[ScriptedReply]]
) -> None:
    """A cancelled agent ends as cancelled, at once."""
    async with coder(client, script()) as (env, handle):
        await env.listener()
        await until(lambda: env.model_calls)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()

        assert isinstance(caught.value.cause, CancelledError)


async def test_an_agent_cancelled_at_any_moment_ends_cancelled(client: Client) -> None:
    """An agent cancelled at any moment ends as cancelled."""
    # The agents share the script, so none may end by itself.
    env = WorkflowEnv(client, {"coder/x": [acts((VIEW, "a")), acts((EDIT, ".envrc"))] * 45})
    async with env.at_work():
        await env.listener()
        agents = []
        for moment in range(30):
            opening = agent(env).opening.model_copy(update={"agent_id": f"{env.id}/{moment}"})
            start = agent(env, opening=opening)
            handle = await env.start(AgentWorkflow, start, name=f"/{moment}")
            await asyncio.sleep(moment * 0.002)
            await handle.cancel()
            agents.append(handle)
        ended = await asyncio.gather(*(each.result() for each in agents), return_exceptions=True)

    causes = [getattr(each, "cause", each) for each in ended]
    assert [type(each) for each in causes] == [CancelledError] * 30


async def test_the_status_shows_what_an_agent_waits_for(client: Client) -> None:
    """The status shows what the agent waits for."""
    speaks = asyncio.Event()
    async with coder(client, [acts((VIEW, "a")), replace(DONE, waits=speaks)]) as (env, handle):
        await until(lambda: len(env.model_calls) == 2)
        status = await handle.query(AgentWorkflow.status)
        speaks.set()
        await handle.result()

        assert (status.turns, status.doing) == (1, "turn 2: model")


def asks_for_a_window() -> ScriptedReply:
    """A reply that hands over by itself."""
    note = HandoffNote(state="Half is done.", decisions=("Keep the old form.",))
    return ScriptedReply(uses=(ScriptedUse("handoff", "Half is done.", note.model_dump_json()),))


def full(tokens: int = 120_000) -> Usage:
    """What a nearly full window uses."""
    return Usage(cache_read_tokens=tokens - 100, output_tokens=100)


async def test_a_full_window_is_handed_over_with_a_note_and_the_work_goes_on(
    client: Client,
) -> None:
    """At the limit of tokens the agent is asked for its note, and goes on in a fresh window: with
    the same worktree and configuration, and with what a person said meanwhile.
    """
    work = [acts((EDIT, "a")), acts((EDIT, "b")), replace(acts((RUN, "make")), usage=full())]
    env, result = await played(client, [*work, asks_for_a_window(), acts((EDIT, "c")), DONE])

    assert result.cut is None
    assert env.written(result.checkpoint) == {"a", "b", "c"}
    (order,) = env.model.windows.values()
    calls = env.model_calls
    asked, first = calls[3], calls[4]
    assert asked.message == window.ASK.format(tokens=119_900)
    assert [answer.tool_use_id for answer in asked.answers] == list(asked.conversation.open_calls)
    assert order.cause is HandoffCause.FULL
    assert (order.conversation.turns, order.opening.generation, order.answers) == (4, 1, ())
    assert order.note == env.store.blob(asks_for_a_window().uses[0].arguments)
    assert order.checkpoint == env.tool_calls[3].expected
    assert (first.conversation.id in env.model.windows, first.conversation.window) == (True, 1)
    assert (first.answers, first.message) == ((), None)
    assert result.conversation
    assert (result.conversation.window, result.conversation.turns, result.turns) == (1, 2, 6)


async def test_an_agent_without_a_word_of_a_note_goes_on_with_the_ledger_alone(
    client: Client,
) -> None:
    """A reply that was asked for a note and came to nothing is paid for, and asked for once."""
    work = [acts((VIEW, "a")), acts((VIEW, "b")), replace(acts((VIEW, "c")), usage=full())]
    cut = ScriptedReply(stop="max_tokens")
    env, result = await played(client, [*work, cut, DONE])

    assert (result.cut, result.turns, result.cost_microusd) == (None, 5, 5_000)
    (order,) = env.model.windows.values()
    assert (order.note, order.asked) == (None, False)
    assert [answer.output for answer in order.answers] == [env.store.blob("text")]


async def test_a_window_that_is_full_all_at_once_is_handed_over_without_a_note(
    client: Client,
) -> None:
    """What the last calls came to, which the full window was not told, goes on into the next."""
    full_up = ScriptedReply(stop="model_context_window_exceeded")
    env, result = await played(client, [acts((RUN, "make")), full_up, DONE])

    assert result.cut is None
    (order,) = env.model.windows.values()
    assert (order.cause, order.note, order.asked) == (HandoffCause.OVERFLOW, None, False)
    assert [answer.tool_use_id for answer in order.answers] == list(order.conversation.open_calls)


async def test_a_prompt_that_is_too_long_is_handed_over(client: Client) -> None:
    """The service's refusal of a request that is too long ends the window, not the agent."""
    refused = ScriptedReply(fails=failing(FailureKind.CONTEXT_FULL, "prompt is too long"))
    env, result = await played(client, [acts((RUN, "make")), refused, DONE])

    assert result.cut is None
    (order,) = env.model.windows.values()
    assert order.cause is HandoffCause.OVERFLOW


async def test_a_fresh_window_that_does_not_fit_either_ends_the_agent(client: Client) -> None:
    """There is nothing to hand over from a window in which nothing was said."""
    refused = ScriptedReply(fails=failing(FailureKind.CONTEXT_FULL, "prompt is too long"))
    env, result = await played(client, [acts((RUN, "make")), refused, refused])

    assert (result.cut, result.failure) == (StopCause.FAILURE, FailureKind.CONTEXT_FULL)
    assert len(env.model.windows) == 1


async def test_an_agent_hands_over_by_itself(client: Client) -> None:
    """The other calls of its reply are run before, and what they come to goes on."""
    both = ScriptedReply(uses=(*asks_for_a_window().uses, ScriptedUse(EDIT, "d")))
    work = [acts((EDIT, "a")), acts((EDIT, "b")), acts((EDIT, "c"))]
    env, result = await played(client, [asks_for_a_window(), *work, both, DONE])

    assert env.written(result.checkpoint) == {"a", "b", "c", "d"}
    assert env.model_calls[1].answers[0].text == loop.TOO_EARLY
    (order,) = env.model.windows.values()
    assert (order.cause, len(order.answers)) == (HandoffCause.ASKED, 1)
    assert order.note == env.store.blob(asks_for_a_window().uses[0].arguments)


async def test_a_note_of_a_person_waits_for_the_fresh_window(client: Client) -> None:
    """What a person says while an agent hands over is told in the window that goes on."""
    work = [acts((VIEW, "a")), acts((VIEW, "b")), replace(acts((VIEW, "c")), usage=full())]
    gate = asyncio.Event()
    noted = replace(asks_for_a_window(), waits=gate)
    async with coder(client, [*work, noted, acts((VIEW, "d")), DONE]) as (env, handle):
        await until(lambda: len(env.model_calls) == 4)
        await handle.signal(AgentWorkflow.add_note, Note(text="Mind the tabs."))
        gate.set()
        result = await handle.result()
        status = await handle.query(AgentWorkflow.status)

    assert result.cut is None
    assert env.model_calls[4].message == messages.note("Mind the tabs.")
    assert env.model_calls[4].parts == (("person", len(messages.note("Mind the tabs."))),)
    assert (status.window, status.handed_over) == (1, HandoffCause.FULL.value)


async def test_an_agent_in_circles_gets_another_model_before_it_ends(client: Client) -> None:
    """A fresh window first, then one with the fallback model where one is allowed, then the end."""
    circle = [acts((RUN, "make"))] * 6
    lost = says("I am lost.")
    env = WorkflowEnv(client, {"coder/x": [*circle, lost, *circle, lost, *circle]})
    env.model.fallback = "claude-opus-5-5"
    async with env.at_work():
        result = await (await env.start(AgentWorkflow, agent(env))).result()

    assert result.cut is StopCause.LOOP
    asked = [call.fallback for call in env.model_calls if call.conversation.turns == 0]
    assert asked == [False, False, True]
    assert result.reason.endswith("also in 2 fresh windows")
