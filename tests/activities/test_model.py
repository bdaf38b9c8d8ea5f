"""Model calls: the real client against the rehearsal server, the log in a real store."""

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from contracts import roles
from contracts.failures import FailureKind
from contracts.model import ModelTurn, ToolAnswer
from contracts.store import ConversationRef
from domain import ids, retries
from domain.agent import models
from domain.agent.loop import least_microusd
from domain.tools.registry import MAX_FINISH_BYTES
from infra.anthropic.reply import ReplyBuilder
from infra.conversation.log import ConversationLog, turn_key
from infra.kept.spending import SpendingReader
from infra.store import StoreError
from rehearsal import journal
from rehearsal.server import Server, serve
from tests import journal_checks
from tests.activities.model_env import MODEL, REPOSITORY, SECRET, VIEW, ModelEnv, call, script, turn


@asynccontextmanager
async def failing(desk: ModelEnv, **fault: Any) -> AsyncIterator[tuple[ApplicationError, Server]]:
    """Give the failure of a call that meets a fault for ever."""
    if fault.get("kind") == "stall":
        desk.read_seconds = 0.5
    play = script({"say": "Never heard.", "call": [VIEW], "fault": [{"times": 99, **fault}]})
    async with serve(play) as server:
        model = desk.model(server)
        conversation = await desk.opened(model)
        with pytest.raises(ApplicationError) as raised:
            await turn(model, call(conversation))
        assert desk.store.ref(ids.conversation_ref(conversation.id)) == conversation.head
        yield raised.value, server


async def test_two_turns_of_a_conversation(desk: ModelEnv) -> None:
    """The reply's calls come back as references, and their results are sent with the
    next request.
    """
    play = script(
        {"say": "I look.", "call": [VIEW]},
        {"expect": {"results": [{"is_error": False, "contains": "1: hello"}]}, "say": "Fine."},
    )
    async with serve(play) as server:
        model = desk.model(server)
        first = await turn(model, call(await desk.opened(model)))
        use = first.tool_uses[0]
        answer = ToolAnswer(tool_use_id=use.id, output=await desk.store.put_blob(b"1: hello"))
        second = await turn(model, call(first.conversation, answers=(answer,)))
        entries = server.entries

    assert (first.stop_reason, first.says, use.name) == ("tool_use", "I look.", "view")
    assert json.loads(await desk.store.get_blob(use.arguments or ""))["path"] == "README.md"
    assert use.subject == "README.md"
    assert first.conversation.open_calls == (use.id,)
    assert (second.stop_reason, second.conversation.turns) == ("end_turn", 2)
    assert second.conversation.open_calls == ()
    assert [entry.status for entry in entries] == [200, 200]
    assert journal.failures(entries) == []


async def test_what_came_before_the_first_call_is_said_with_it(desk: ModelEnv) -> None:
    """A note that finds an agent not yet at work follows its opening, which stays as it was."""
    play = script(
        {"expect": {"last_user_contains": ["In blue", "a line is red"]}, "say": "I look."},
        {"say": "Fine."},
    )
    async with serve(play) as server:
        model = desk.model(server)
        log = await desk.store.put_blob(b"a line is red")
        request = call(await desk.opened(model), message="In blue", documents=(("log", log),))
        first = await turn(model, request)
        await turn(model, call(first.conversation, message="Go on."))
        entries = server.entries

    assert journal.failures(entries) == []
    assert journal_checks.changed_prefixes(entries) == []


async def test_the_cost_is_that_of_the_tokens_used(desk: ModelEnv) -> None:
    """What the service counted is what the turn says, priced by kind of token."""
    async with serve(script({"say": "So."}, {"say": "On."})) as server:
        model = desk.model(server)
        first = await turn(model, call(await desk.opened(model)))
        second = await turn(model, call(first.conversation, message="Go on."))
        used = [entry.usage or {} for entry in server.entries]

    hour = used[0]["cache_creation"]["ephemeral_1h_input_tokens"]
    assert hour > 0
    assert first.usage.cache_write_1h_tokens == hour
    assert first.cost_microusd == models.cost_microusd(models.facts(MODEL), first.usage)
    assert first.usage.output_tokens == used[0]["output_tokens"]
    assert second.usage.cache_read_tokens == used[1]["cache_read_input_tokens"] > 0
    assert second.cost_microusd < first.cost_microusd


async def test_a_call_costs_no_more_than_was_reserved_for_it(desk: ModelEnv) -> None:
    """Also one whose whole context is written to the cache for an hour, as an opening is."""
    async with serve(script({"say": "So."})) as server:
        model = desk.model(server)
        conversation = await desk.opened(model)
        first = await turn(model, call(conversation))
        (entry,) = server.entries

    assert conversation.config
    reserved = least_microusd(
        conversation.config.prices,
        context_tokens=first.usage.context_tokens,
        output_tokens=first.usage.output_tokens,
    )
    assert first.usage.cache_write_1h_tokens > 0.9 * first.usage.context_tokens
    assert journal_checks.microusd(entry) <= reserved


async def test_no_line_of_a_turn_holds_a_secret(desk: ModelEnv) -> None:
    """What a reply says and what its calls are about, as people are shown it; the call itself is
    kept as it came.
    """
    command = f"curl -H 'Authorization: Bearer {'x1' * 10}' https://me:{SECRET.replace(' ', '')}@h"
    run = {"tool": "run_command", "input": {"command": command}}
    said = {"say": f"The key is {SECRET}.", "call": [run]}
    async with serve(script(said)) as server:
        model = desk.model(server)
        first = await turn(model, call(await desk.opened(model)))
    (use,) = first.tool_uses

    assert first.says == "The key is [redacted]."
    assert use.subject == "curl -H 'Authorization: Bearer [redacted]' https://[redacted]@h"
    assert command in (await desk.store.get_blob(use.arguments or "")).decode()


@pytest.mark.parametrize(
    ("request_id", "sent"),
    [
        ("request/plain", "request/plain"),
        ("request/a\nx-evil: 1\r\n", "request/a\\nx-evil: 1\\r\\n"),
        ("request/\x1b[2J\u202e\u00fc ", "request/\\x1b[2J\\u202e\\xfc"),
    ],
    ids=["plain", "line ends", "not ASCII"],
)
async def test_any_workflow_id_can_be_told_to_the_service(
    desk: ModelEnv, request_id: str, sent: str
) -> None:
    """One that no header can hold is escaped: the call is made, and no header is added."""
    async with serve(script({"say": "Once.", "call": [VIEW]})) as server:
        model = desk.model(server)
        asked = call(await desk.opened(model))
        header = f"role=coder; task=a; request={request_id}"
        told = await turn(model, asked.model_copy(update={"agent": header}))
        (entry,) = server.entries

    assert not told.discarded
    assert entry.request == sent


async def test_a_lost_acknowledgement_makes_no_second_call(desk: ModelEnv) -> None:
    """A worker that never saw the call returns the journaled turn and does not ask the service."""
    async with serve(script({"say": "Once.", "call": [VIEW]})) as server:
        model = desk.model(server)
        request = call(await desk.opened(model))
        told = await turn(model, request)
        again = [await turn(model, request), await turn(desk.model(server), request)]
        asked = len(server.entries)

    assert again == [told, told]
    assert asked == 1


async def test_a_reply_that_the_store_could_not_take_is_kept_for_the_next_attempt(
    desk: ModelEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is paid for: once the disk has room again it is written, and the service is not asked
    again.
    """
    full = StoreError("an object could not be written: No space left on device")
    append, tries = ConversationLog.append, iter((full, None))

    async def fails_at_first(*args: Any, **kwargs: Any) -> ModelTurn:
        if problem := next(tries):
            raise problem
        return await append(*args, **kwargs)

    monkeypatch.setattr(ConversationLog, "append", fails_at_first)
    async with serve(script({"say": "Once.", "call": [VIEW]})) as server:
        model = desk.model(server)
        request = call(await desk.opened(model))
        with pytest.raises(ApplicationError, match="no room left on the disk"):
            await turn(model, request)
        told = await turn(model, request)
        asked = len(server.entries)

    assert (told.says, asked) == ("Once.", 1)


async def test_a_restarted_worker_sends_what_the_first_would_have_sent(desk: ModelEnv) -> None:
    """The window is read from the store, to the byte, and the service's cache still holds."""
    async with serve(
        script({"say": "One."}, {"say": "Two."}, {"say": "Three."}),
        journal_bodies=True,
        journal_path=Path(desk.store.path).parent / "j.jsonl",
    ) as server:
        model = desk.model(server)
        conversation: ConversationRef = await desk.opened(model)
        for number in range(3):
            message = f"Step {number}." if number else None
            told = await turn(desk.model(server), call(conversation, message=message))
            conversation = told.conversation
        written = journal.read(Path(desk.store.path).parent / "j.jsonl")

    assert journal_checks.prefix_breaks(written) == []
    assert told.usage.cache_read_tokens > 0


async def test_a_reply_of_thinking_is_sent_back_as_it_came(desk: ModelEnv) -> None:
    """Sealed blocks survive the journal: the service refuses any that was changed."""
    play = script({"think": "Hm ✓.", "say": "Look.", "call": [VIEW]}, {"say": "Done."})
    async with serve(play) as server:
        first = await turn(desk.model(server), call(await desk.opened(desk.model(server))))
        answer = ToolAnswer(tool_use_id=first.tool_uses[0].id, text="nothing there", is_error=True)
        second = await turn(desk.model(server), call(first.conversation, answers=(answer,)))

    assert second.says == "Done."


_STATUS = FailureKind.OVERLOADED
_CUT = FailureKind.UNREACHABLE


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        pytest.param({"kind": "html_200"}, FailureKind.MALFORMED, id="a page"),
        pytest.param({"kind": "json_200"}, FailureKind.MALFORMED, id="no stream"),
        pytest.param({"kind": "bad_tool_json"}, FailureKind.MALFORMED, id="broken input"),
        pytest.param(
            {"kind": "truncate_tool", "stop": "tool_use"},
            FailureKind.MALFORMED,
            id="half an input that is called whole",
        ),
        pytest.param({"kind": "surrogate"}, FailureKind.MALFORMED, id="half a character"),
        pytest.param({"kind": "cut_chunked"}, _CUT, id="cut"),
        pytest.param({"kind": "cut_clean"}, _CUT, id="cut cleanly"),
        pytest.param({"kind": "reset"}, _CUT, id="reset"),
        pytest.param({"kind": "stall", "seconds": 3}, _CUT, id="stall"),
        pytest.param({"kind": "error_event", "type": "overloaded_error"}, _STATUS, id="an event"),
    ],
)
async def test_a_call_that_may_have_been_paid_for_reaches_the_workflow_each_time(
    desk: ModelEnv, fault: dict[str, Any], kind: FailureKind
) -> None:
    """A call whose reply is lost or unreadable says what it may cost; the server repeats none."""
    async with failing(desk, **fault) as (failure, server):
        asked = len(server.entries)

    (advice,) = failure.details
    assert (failure.type, failure.non_retryable, advice.waits) == (kind, True, True)
    assert advice.usage.context_tokens > 0
    assert advice.cost_microusd > 0
    assert asked <= 1
    assert len(chain(failure)) < 10


async def test_a_call_that_may_have_been_paid_for_is_counted_from_the_store(
    desk: ModelEnv,
) -> None:
    """Without a usable reply, as with one, the request's spending has its tokens and dollars."""
    async with failing(desk, kind="cut_clean") as (failure, _):
        paid = failure.details[0]

    (lost,) = await SpendingReader().of_request(desk.store, REPOSITORY.request_key)
    assert (lost.role, lost.task, lost.turns) == (roles.CODER, "a", 0)
    assert (lost.usage, lost.cost_microusd) == (paid.usage, paid.cost_microusd)
    assert lost.usage.cache_write_1h_tokens == lost.usage.cache_write_tokens > 0
    assert lost.cost_microusd > 0


async def test_a_call_that_is_cancelled_while_its_reply_comes_is_counted(desk: ModelEnv) -> None:
    """What the model had read and written by then is in the request's spending."""
    stall = {"kind": "stall", "seconds": 6, "times": 99}
    async with serve(script({"say": "A long reply.", "call": [VIEW], "fault": [stall]})) as server:
        model = desk.model(server)
        conversation = await desk.opened(model)
        environment = ActivityEnvironment()
        running = asyncio.create_task(environment.run(model.call_model, call(conversation)))
        await asyncio.sleep(1.5)
        environment.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    (lost,) = await SpendingReader().of_request(desk.store, REPOSITORY.request_key)
    assert lost.usage.context_tokens > 0
    assert lost.cost_microusd > 0


def chain(error: BaseException) -> list[BaseException]:
    """Return an error with its causes, at most ten."""
    found = [error]
    while len(found) < 10 and (cause := found[-1].__cause__) is not None:
        found.append(cause)
    return found


@pytest.mark.parametrize(
    "used",
    [
        pytest.param({"fault": [{"kind": "no_usage"}]}, id="no usage at all"),
        pytest.param({"usage": {"output_tokens": None}}, id="null"),
        pytest.param({"usage": {"input_tokens": "many"}}, id="a word"),
        pytest.param({"usage": {"output_tokens": -5, "cache_creation": None}}, id="below nothing"),
        pytest.param({"usage": {"cache_read_input_tokens": 10**30}}, id="beyond all bounds"),
    ],
)
async def test_a_reply_counts_whatever_its_usage_says(desk: ModelEnv, used: Any) -> None:
    """A count that is missing or impossible is estimated or cut to what can be; nothing fails."""
    async with serve(script({"say": "Fine. " * 30, "call": [VIEW], **used})) as server:
        model = desk.model(server)
        told = await turn(model, call(await desk.opened(model)))

    assert told.stop_reason == "tool_use"
    assert 0 < told.usage.context_tokens < 10**9
    assert told.usage.output_tokens >= 0
    assert told.cost_microusd > 0


async def test_an_exception_that_nobody_foresaw_is_tried_again_a_few_times(
    desk: ModelEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown exception of the client is no verdict on the request, and no endless loop."""

    def breaks(*_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(ReplyBuilder, "add", breaks)
    async with serve(script({"say": "Never heard."})) as server:
        model = desk.model(server)
        with pytest.raises(ApplicationError, match="surprise") as raised:
            await turn(model, call(await desk.opened(model)))

    (advice,) = raised.value.details
    assert raised.value.type == FailureKind.BUG
    assert advice.waits
    assert retries.pause_seconds(advice, 100, alike=advice.most_pauses) is None
    assert advice.most_pauses < 10


async def test_a_reply_that_is_paid_for_is_not_bought_again_because_reading_it_failed(
    desk: ModelEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong after the reply came, the next attempt reads the same reply."""
    async with serve(script({"say": "Once.", "call": [VIEW]})) as server:
        model = desk.model(server)
        request = call(await desk.opened(model))
        with monkeypatch.context() as broken:
            broken.setattr("activities.model.shown", None)
            with pytest.raises(TypeError):
                await turn(model, request)
        told = await turn(model, request)
        asked = len(server.entries)

    assert (told.says, asked) == ("Once.", 1)


@pytest.mark.parametrize(
    ("fault", "kind", "retried"),
    [
        pytest.param({"kind": "status", "code": 529}, _STATUS, True, id="overloaded"),
        pytest.param({"kind": "status", "code": 500}, _STATUS, True, id="server error"),
        pytest.param({"kind": "status", "code": 429}, FailureKind.RATE_LIMITED, False, id="429"),
        pytest.param({"kind": "status", "code": 401}, FailureKind.CREDENTIALS, False, id="key"),
        pytest.param({"kind": "status", "code": 402}, FailureKind.SPEND_LIMIT, False, id="money"),
        pytest.param({"kind": "status", "code": 413}, FailureKind.CONTEXT_FULL, False, id="full"),
        pytest.param({"kind": "status", "code": 400}, FailureKind.MODEL_REQUEST, False, id="400"),
        pytest.param(
            {"kind": "status", "code": 500, "headers": {"x-should-retry": "false"}},
            FailureKind.MODEL_REQUEST, False, id="do not retry",
        ),
        pytest.param({"kind": "no_response"}, FailureKind.UNREACHABLE, True, id="no response"),
    ],
)  # fmt: skip
async def test_a_fault_is_classed_at_the_door(
    desk: ModelEnv,
    fault: dict[str, Any],
    kind: FailureKind,
    retried: bool,  # noqa: FBT001
) -> None:
    """Each way of failing has its kind, whether it is retried, and is asked once:
    Temporal retries.
    """
    async with failing(desk, **fault) as (failure, server):
        asked = len(server.entries)

    assert failure.type == kind
    assert failure.non_retryable is not retried
    assert asked <= 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({"retry-after": "3"}, 3, id="seconds"),
        pytest.param({"retry-after-ms": "1500"}, 1.5, id="milliseconds"),
        pytest.param({"retry-after": "inf"}, None, id="for ever"),
        pytest.param({"retry-after": "nan"}, None, id="not a number"),
        pytest.param({"retry-after": "-3"}, None, id="before now"),
        pytest.param({"retry-after-ms": "x", "retry-after": "2"}, 2, id="one of two"),
        pytest.param({"retry-after": "soon"}, None, id="neither seconds nor a date"),
        pytest.param({}, None, id="not said"),
    ],
)
async def test_the_next_attempt_waits_as_long_as_the_service_asks(
    desk: ModelEnv, headers: dict[str, str], seconds: float | None
) -> None:
    """A retry-after becomes the retry's delay; without one the policy's own back-off holds.

    The wait for a limit is the workflow's, so that it takes no attempt, and a little longer for
    each agent, so that they do not all come at once.
    """
    async with failing(desk, kind="status", code=529, headers=headers) as (failure, _):
        pass
    async with failing(desk, kind="status", code=429, headers=headers) as (limited, _):
        pass

    assert failure.next_retry_delay == (None if seconds is None else dt.timedelta(seconds=seconds))
    assert not failure.non_retryable
    (advice,) = limited.details
    wait = retries.pause_seconds(advice, 7)
    assert (limited.non_retryable, advice.free, limited.next_retry_delay) == (True, True, None)
    assert wait is not None
    assert seconds is None or seconds <= wait <= 1.1 * seconds + 0.1


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        pytest.param("7", 7, id="some seconds"),
        pytest.param("7200", 7_200, id="hours"),
        pytest.param("4294967", 86_400, id="weeks"),
        pytest.param("1e300", 86_400, id="ages"),
    ],
)
async def test_a_long_wait_is_the_workflows_which_shows_it(
    desk: ModelEnv, asked: str, waited: int
) -> None:
    """The server, which waits without a word, is given no wait above a few seconds."""
    async with failing(desk, kind="status", code=529, headers={"retry-after": asked}) as (fail, _):
        pass

    (advice,) = fail.details
    assert fail.non_retryable
    assert fail.next_retry_delay is None
    assert retries.pause_seconds(advice, 0) == waited


async def test_without_a_key_nothing_is_asked(desk: ModelEnv) -> None:
    """The person is told what to set."""
    model = desk.model(None)
    with pytest.raises(ApplicationError, match="ANTHROPIC_API_KEY") as raised:
        await turn(model, call(await desk.opened(model)))

    assert raised.value.type == FailureKind.CREDENTIALS
    assert raised.value.non_retryable


async def test_a_service_of_ones_own_is_asked_without_a_key(desk: ModelEnv) -> None:
    """Where an address is set the service says whether it wants a key."""
    async with serve(script({"say": "At last."})) as server:
        model = desk.model(server, key=None)
        reply = await turn(model, call(await desk.opened(model)))

    assert reply.says == "At last."


async def test_after_a_fault_the_call_succeeds_and_is_journaled_once(desk: ModelEnv) -> None:
    """The retry is the same call: the log holds one turn."""
    play = script({"say": "At last.", "fault": [{"kind": "cut_chunked", "times": 1}]})
    async with serve(play) as server:
        model = desk.model(server)
        request = call(await desk.opened(model))
        with pytest.raises(ApplicationError):
            await turn(model, request)
        told = await turn(model, request)

    commit = await desk.store.get_commit(told.conversation.head)
    assert (told.says, told.conversation.turns) == ("At last.", 1)
    assert commit.parents == (request.conversation.head,)


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        pytest.param("fly", {}, "There is no tool 'fly'", id="unknown tool"),
        pytest.param("view", {"path": 7}, "path: Input should be a valid string", id="wrong type"),
        pytest.param("view", {}, "path: Field required", id="missing"),
        pytest.param("view", {"path": "a", "x": 1}, "x: Extra inputs", id="too much"),
        pytest.param("edit", {"command": "delete", "path": "a"}, "command: Input", id="no command"),
    ],
)
async def test_arguments_that_do_not_fit_are_a_problem_told_to_the_model(
    desk: ModelEnv, tool: str, arguments: dict[str, Any], said: str
) -> None:
    """Nothing is run and nothing fails: the model gets the sentence as an error result."""
    async with serve(script({"call": [{"tool": tool, "input": arguments}]})) as server:
        model = desk.model(server)
        told = await turn(model, call(await desk.opened(model)))

    use = told.tool_uses[0]
    assert said in use.problem
    assert use.arguments is None
    assert told.conversation.open_calls == (use.id,)


@pytest.mark.parametrize(
    ("size", "taken"),
    [
        pytest.param(3_000, True, id="fits"),
        pytest.param(MAX_FINISH_BYTES, False, id="too long"),
    ],
)
async def test_what_is_handed_in_has_its_limit(desk: ModelEnv, size: int, taken: bool) -> None:  # noqa: FBT001
    """A finish within the limit comes back as JSON; a longer one is a problem."""
    plan = {
        "summary": "Plan.",
        "tasks": [
            {"id": f"t{number}", "title": "T", "goal": "g" * (size // 12), "writes": ["a.py"]}
            for number in range(12)
        ],
    }
    async with serve(script({"call": [{"tool": "finish", "input": plan}]})) as server:
        model = desk.model(server)
        conversation = await desk.opened(model, roles.PLANNER)
        told = await turn(model, call(conversation))

    use = told.tool_uses[0]
    assert use.name == "finish"
    assert (told.finish is not None) is taken
    assert bool(use.problem) is not taken
    assert told.finish is None or json.loads(told.finish)["summary"] == "Plan."


@pytest.mark.parametrize(
    ("fault", "stop"),
    [
        pytest.param({"kind": "truncate_tool"}, "max_tokens", id="cut at the limit"),
        pytest.param({"kind": "refuse"}, "refusal", id="refused"),
    ],
)
async def test_a_reply_that_does_not_count_is_discarded_but_paid_for(
    desk: ModelEnv, fault: dict[str, Any], stop: str
) -> None:
    """No tool of it runs, the conversation stays, its cost is told, and the repeat is
    a new call.
    """
    play = script({"say": "Long.", "call": [VIEW], "fault": [{**fault, "times": 1}]})
    async with serve(play) as server:
        model = desk.model(server)
        conversation = await desk.opened(model)
        told = await turn(model, call(conversation))
        again = await turn(model, call(conversation, variant=1))

    assert (told.stop_reason, told.discarded, told.tool_uses) == (stop, True, ())
    assert told.conversation == conversation
    assert told.cost_microusd > 0
    assert (again.discarded, again.conversation.turns) == (False, 1)


def answers_of(told: ModelTurn) -> tuple[ToolAnswer, ...]:
    """Return an answer for each call of a reply."""
    return tuple(ToolAnswer(tool_use_id=use.id, text=f"of {use.id}") for use in told.tool_uses)


async def conversed(desk: ModelEnv, *turns: Mapping[str, Any], nudge: str | None = None) -> Any:
    """Return the turns of a scripted conversation, each call answered, each on a new worker."""
    path = Path(desk.store.path).parent / "j.jsonl"
    told: list[ModelTurn] = []
    async with serve(script(*turns), journal_bodies=True, journal_path=path) as server:
        conversation: ConversationRef = await desk.opened(desk.model(server))
        model = desk.model(server)
        for number in range(len(turns)):
            answers = answers_of(told[-1]) if told else ()
            request = call(conversation, answers=answers, message=nudge if number else None)
            told.append(await turn(model if number % 2 else desk.model(server), request))
            conversation = told[-1].conversation
        entries = server.entries
        assert [entry.status for entry in entries] == [200] * len(turns)
        assert journal.failures(entries) == []
        assert journal_checks.prefix_breaks(journal.read(path)) == []
    return told


async def test_two_calls_of_one_reply_with_one_id_are_two_calls(desk: ModelEnv) -> None:
    """Each call has an id of our own, so that none of the two loses its result."""
    twice = [{**VIEW, "id": "call_1"}, {**VIEW, "id": "call_1"}]
    seen = [{"is_error": False, "contains": "_1_0_"}, {"is_error": False, "contains": "_1_1_"}]
    first, _ = await conversed(desk, {"call": twice}, {"expect": {"results": seen}, "say": "Both."})

    assert len({use.id for use in first.tool_uses}) == 2


async def test_ids_that_begin_again_in_each_reply_are_other_calls(desk: ModelEnv) -> None:
    """A service that counts `call_0` anew in every reply means another call each time."""
    again = {"call": [{**VIEW, "id": "call_0"}]}
    told = await conversed(desk, again, again, again)

    names = [ids.call_id(each.conversation.id, each.tool_uses[0].id) for each in told]
    assert len(set(names)) == 3


async def test_a_repeated_turn_gives_its_calls_the_same_ids(
    desk: ModelEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply that was lost before it was written comes again with the same names of its calls."""
    async with serve(script({"call": [VIEW, VIEW]})) as server:
        model = desk.model(server)
        request = call(await desk.opened(model))
        with monkeypatch.context() as lost:
            lost.setattr(ConversationLog, "append", _refuses)
            with pytest.raises(RuntimeError):
                await turn(desk.model(server), request)
        told = await turn(model, request)
        again = await turn(desk.model(server), call(request.conversation, variant=1))

    key = turn_key(request)
    assert [use.id for use in told.tool_uses] == [
        ids.tool_use_id(key, 1, position) for position in range(2)
    ]
    assert {use.id for use in told.tool_uses}.isdisjoint(use.id for use in again.tool_uses)


async def _refuses(*_args: object, **_kwargs: object) -> ModelTurn:
    raise RuntimeError("the worker ends here")


@pytest.mark.parametrize("blank", [" ", "\n\t "])
async def test_blank_text_is_not_sent_back(desk: ModelEnv, blank: str) -> None:
    """The service refuses a text of white space alone, also when it wrote that itself."""
    first, second = await conversed(desk, {"say": blank, "call": [VIEW]}, {"say": "Fine."})

    assert (len(first.tool_uses), second.says) == (1, "Fine.")


@pytest.mark.parametrize(
    "empty",
    [
        pytest.param({"say": " "}, id="blank"),
        pytest.param({"fault": [{"kind": "empty_end_turn"}], "say": "On."}, id="no content"),
    ],
)
async def test_an_empty_turn_is_asked_on_from(desk: ModelEnv, empty: dict[str, Any]) -> None:
    """Nothing was said, so nothing is sent back; the conversation goes on from its last word."""
    async with serve(script({"call": [VIEW]}, empty)) as server:
        model = desk.model(server)
        first = await turn(model, call(await desk.opened(model)))
        nothing = await turn(model, call(first.conversation, answers=answers_of(first)))
        third = await turn(desk.model(server), call(nothing.conversation, message="Go on."))
        entries = server.entries

    assert (nothing.says, nothing.tool_uses, nothing.conversation.turns) == ("", (), 2)
    assert third.conversation.turns == 3
    assert [entry.status for entry in entries] == [200] * 3


@pytest.mark.parametrize("given", [["README.md"], "README.md", 7], ids=["list", "text", "number"])
async def test_an_input_that_is_no_object_is_answered(desk: ModelEnv, given: object) -> None:
    """The model is told what its arguments must be, and the next request is one of objects."""
    first, second = await conversed(
        desk, {"call": [{"tool": "view", "input": given}]}, {"say": "."}
    )

    use = first.tool_uses[0]
    assert "must be a JSON object" in use.problem
    assert use.arguments is None
    assert second.says == "."


@pytest.mark.parametrize("name", ["my tool!", "", "é" * 200])
async def test_a_name_that_no_tool_can_have_is_answered(desk: ModelEnv, name: str) -> None:
    """The model is told that there is no such tool; what is sent back has an allowed name."""
    first, _ = await conversed(desk, {"call": [{"tool": name, "input": {}}]}, {"say": "."})

    assert "There is no tool" in first.tool_uses[0].problem


async def test_a_paused_reply_is_sent_back_and_goes_on(desk: ModelEnv) -> None:
    """A pause asks for the same conversation with nothing new said."""
    play = script({"say": "Then the end.", "fault": [{"kind": "pause_turn", "times": 1}]})
    async with serve(play) as server:
        model = desk.model(server)
        paused = await turn(model, call(await desk.opened(model)))
        told = await turn(model, call(paused.conversation))

    assert paused.stop_reason == "pause_turn"
    assert (told.stop_reason, told.says) == ("end_turn", "Then the end.")
