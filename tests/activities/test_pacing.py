"""Agents of one key together: limits, a refused key, a shared prefix, the fallback model, ttl.

Each agent is a conversation of its own on one worker, against a rehearsal server.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.model import MessagesModel
from contracts.agent import AgentProgress
from contracts.failures import FailureKind
from contracts.model import ModelCall, ModelTurn, ReplyOutcome, ToolAnswer, ToolUse
from contracts.model_choice import ModelChoice
from contracts.run_state import RunState
from contracts.verdicts import CallVerdict, Permission
from domain import limits
from domain.agent import loop, models
from infra.anthropic.warming import PrefixWarmer
from infra.conversation.log import ConversationLog
from infra.kept.spending import SpendingReader
from rehearsal import journal
from rehearsal.journal import Entry
from rehearsal.server import Server, serve
from tests import journal_checks
from tests.activities.model_env import MODEL, REPOSITORY, VIEW, ModelEnv, call, script, turn
from tests.activities.test_model_conditions import Clock

OTHER = "claude-opus-5"
ALLOWED = ModelChoice(fallback=OTHER)


@pytest.fixture(autouse=True)
def patience(desk: ModelEnv) -> None:
    """Clients that wait for a slow machine."""
    desk.read_seconds = 60


async def opened(desk: ModelEnv, model: MessagesModel, count: int) -> list[ModelCall]:
    """Open conversations of so many agents; return their first calls."""
    agents = [
        await desk.opened(model, agent=f"request/x/task/t{number}/coder-1")
        for number in range(count)
    ]
    return [
        call(each).model_copy(update={"agent": f"role=coder; task=t{number}; agent=a{number}"})
        for number, each in enumerate(agents)
    ]


def most_at_once(entries: Sequence[Entry]) -> int:
    """Return how many requests were being answered at the same time, at most."""
    return max(
        sum(other.time_received <= entry.time_received < other.time_done for other in entries)
        for entry in entries
    )


async def test_agents_of_a_key_slow_down_together(desk: ModelEnv) -> None:
    """Twelve agents meet a limit at once. After it about half of them ask at the same time, the
    others when one of these is through, and all are answered.
    """
    clock = Clock()
    limited = {"kind": "status", "code": 429, "headers": {"retry-after": "30"}, "times": 1}
    play = {
        "casts": [
            {"match": {"task": "t0"}, "turns": [{"say": "Warm."}]},
            {"turns": [{"say": "Done.", "fault": [limited], "delay_ms": 150}]},
        ]
    }
    async with serve(play) as server:
        model = desk.model(server, clock=clock)
        first, *requests = await opened(desk, model, 13)
        await turn(model, first)
        refused = await asyncio.gather(
            *(turn(model, each) for each in requests), return_exceptions=True
        )
        asked = len(server.entries)
        clock.now += 30
        ends: list[object] = list(refused)
        while any(isinstance(end, ApplicationError) for end in ends):
            ends = await asyncio.gather(
                *(turn(model, each) for each in requests), return_exceptions=True
            )
            clock.now += 30
        answered = server.entries[asked:]

    assert [getattr(end, "says", end) for end in ends] == ["Done."] * 12
    assert {end.type for end in refused if isinstance(end, ApplicationError)} == {
        FailureKind.RATE_LIMITED
    }
    assert most_at_once([entry for entry in answered if entry.status == 200]) <= 8


async def test_one_agents_limit_holds_the_others_before_they_ask(desk: ModelEnv) -> None:
    """What would be refused is not sent: the other agent is told until when all wait."""
    clock = Clock()
    limited = {"kind": "status", "code": 429, "headers": {"retry-after": "40"}, "times": 1}
    async with serve(script({"say": "Done.", "fault": [limited]})) as server:
        model = desk.model(server, clock=clock)
        first, second = await opened(desk, model, 2)
        with pytest.raises(ApplicationError):
            await turn(model, first)
        with pytest.raises(ApplicationError, match="all agents of this key wait") as held:
            await turn(model, second)
        asked = len(server.entries)
        clock.now += 40
        said = (await turn(model, first)).says

    (advice,) = held.value.details
    assert (held.value.type, advice.state) == (FailureKind.RATE_LIMITED, RunState.WAITING_MODEL)
    assert 40 <= advice.pause_seconds <= 44
    assert advice.free
    assert (asked, said) == (1, "Done.")


@pytest.mark.parametrize("code", [401, 402])
async def test_twenty_agents_with_a_refused_key_ask_once(desk: ModelEnv, code: int) -> None:
    """The first refusal stops the key: the others read the same sentence and send nothing."""
    clock = Clock()
    refused = {"kind": "status", "code": code, "times": 99}
    async with serve(script({"say": "Done.", "fault": [refused]})) as server:
        model = desk.model(server, clock=clock)
        requests = await opened(desk, model, 20)
        ends = await asyncio.gather(
            *(turn(model, each) for each in requests), return_exceptions=True
        )
        asked = len(server.entries)
        clock.now += 1.1
        with pytest.raises(ApplicationError):
            await turn(model, requests[7])
        probes = len(server.entries) - asked

    assert {str(each) for each in ends} == {str(ends[0])}
    assert (asked, probes) == (1, 1)


async def test_a_role_s_prefix_is_written_once_and_read_by_its_siblings(desk: ModelEnv) -> None:
    """Of six coders that begin together, one goes first; none is sent before its reply begins."""
    play = script({"say": "Done.", "delay_ms": 150})
    async with serve(play) as server:
        model = desk.model(server)
        requests = await opened(desk, model, 6)
        await asyncio.gather(*(turn(model, each) for each in requests))
        entries = sorted(server.entries, key=lambda entry: entry.time_received)
        rest = entries[1:]

    assert [(entry.usage or {})["cache_read_input_tokens"] > 0 for entry in entries] == [
        False,
        *[True] * 5,
    ]
    assert all(entry.time_received >= (entries[0].time_first_byte or 0) for entry in rest)
    # The siblings do not wait for each other.
    assert most_at_once(rest) > 1


async def test_a_sibling_waits_for_a_bounded_time() -> None:
    """A first call that gives no sign of life holds the next one for some moments only."""
    warmer, order = PrefixWarmer(longest=0.05), []

    async def lead() -> None:
        async with warmer.call("p"):
            order.append("lead")
            await asyncio.Event().wait()

    stuck = asyncio.create_task(lead())
    await asyncio.sleep(0)
    async with warmer.call("p"):
        order.append("next")
    stuck.cancel()

    assert order == ["lead", "next"]


async def test_another_prefix_waits_for_nobody() -> None:
    """A planner does not wait for a coder that goes first."""
    warmer, both = PrefixWarmer(longest=3_600), False
    async with asyncio.timeout(60), warmer.call("coder"), warmer.call("planner"):
        both = True

    assert both


async def test_after_a_leader_that_failed_the_next_one_leads() -> None:
    """One at a time, until a reply begins."""
    warmer, leads = PrefixWarmer(), 0

    async def fails() -> None:
        nonlocal leads
        async with warmer.call("p"):
            leads += 1
            assert leads == 1
            await asyncio.sleep(0)
            leads -= 1
            raise ValueError

    ends = await asyncio.gather(*(fails() for _ in range(5)), return_exceptions=True)

    assert [type(each) for each in ends] == [ValueError] * 5


# ---- the fallback model


async def followed(model: MessagesModel, request: ModelCall) -> tuple[ModelTurn, AgentProgress]:
    """Make a turn as the agent's loop does, until it is one to act on."""
    progress = AgentProgress()
    while True:
        asked = request.model_copy(
            update={"fallback": progress.fallback, "variant": progress.variant}
        )
        told = await turn(model, asked)
        decided = loop.after_turn(told, progress, limits.AGENT)
        progress = loop.with_usage(progress, told, limits.AGENT)
        if not isinstance(decided, loop.RetryTurn):
            return told, progress


async def test_a_refusal_is_answered_by_the_fallback_model_once(desk: ModelEnv) -> None:
    """The other model is asked the same; it stays; both are booked at their own prices."""
    refused = {"kind": "refuse", "mid": True, "times": 1}
    play = script({"say": "Here it is.", "call": [VIEW], "fault": [refused]}, {"say": "End."})
    async with serve(play) as server:
        model = desk.model(server)
        request = call(await desk.opened(model, choice=ALLOWED))
        told, progress = await followed(model, request)
        answers = (ToolAnswer(tool_use_id=told.tool_uses[0].id, text="seen"),)
        then = call(told.conversation, answers=answers, fallback=progress.fallback)
        await turn(model, then)
        asked = [entry.model for entry in server.entries]
        used = [entry.usage or {} for entry in server.entries]

    spent = await SpendingReader().of_request(desk.store, REPOSITORY.request_key)
    assert (told.says, progress.fallback, progress.turns) == ("Here it is.", True, 2)
    assert asked == [MODEL, OTHER, OTHER]
    assert {part.model.removesuffix(" (rehearsed)"): part.turns for part in spent} == {
        MODEL: 1,
        OTHER: 2,
    }
    written = used[1]["cache_creation"]["ephemeral_1h_input_tokens"]
    assert told.usage.cache_write_1h_tokens == written > 0
    assert told.cost_microusd == models.cost_microusd(models.facts(OTHER), told.usage)
    assert journal_checks.changed_prefixes(server.entries) == []


async def test_a_conversation_goes_on_with_the_fallback_model_behind_its_thinking(
    desk: ModelEnv, caplog: pytest.LogCaptureFixture
) -> None:
    """Thinking of the first model stays in the log, to the byte, and the other one goes on; the log
    names it and why.
    """
    refused = {"kind": "refuse", "category": "cyber", "times": 1}
    play = script(
        {"think": "Hm.", "say": "I look.", "call": [VIEW]},
        {"say": "On.", "call": [VIEW], "fault": [refused]},
        {"say": "End."},
    )
    async with serve(play) as server:
        model = desk.model(server)
        first = await turn(model, call(await desk.opened(model, choice=ALLOWED)))
        told, progress = await followed(model, call(first.conversation, answers=answers_to(first)))
        then = call(told.conversation, answers=answers_to(told), fallback=progress.fallback)
        last = await turn(desk.model(server), then)

    (line,) = [each for each in caplog.records if each.getMessage().startswith("model.fallback")]
    assert (told.says, last.says) == ("On.", "End.")
    assert (line.__dict__["model"], "cyber" in line.__dict__["reason"]) == (OTHER, True)
    assert loop.doing(3, progress) == "turn 3: fallback model"
    assert [entry.status for entry in server.entries] == [200] * 4
    assert journal_checks.changed_prefixes(server.entries) == []


def answers_to(told: ModelTurn) -> tuple[ToolAnswer, ...]:
    """Return an answer for each call of a reply."""
    return tuple(ToolAnswer(tool_use_id=use.id, text="seen") for use in told.tool_uses)


async def test_a_fallback_model_without_a_price_is_shown_as_one(desk: ModelEnv) -> None:
    """Its tokens are counted, its cost is not made up; what the first model cost stands."""
    own = {
        "casts": script({"say": "Here.", "fault": [{"kind": "refuse", "mid": True}]})["casts"],
        "models": {"own-model": {}},
    }
    async with serve(own) as server:
        model = desk.model(server)
        request = call(await desk.opened(model, choice=ModelChoice(fallback="own-model")))
        told, _ = await followed(model, request)

    spent = await SpendingReader().of_request(desk.store, REPOSITORY.request_key)
    assert told.cost_microusd == 0
    assert [(part.priced, part.cost_microusd > 0, part.turns) for part in spent] == [
        (True, True, 1),
        (False, False, 1),
    ]


async def test_a_refusal_of_both_models_ends_the_agent(desk: ModelEnv) -> None:
    """The fallback is asked once; then a person reads that it declined."""
    refused = {"kind": "refuse", "category": "bio", "times": 9}
    async with serve(script({"say": "No.", "fault": [refused]})) as server:
        model = desk.model(server)
        told, progress = await followed(model, call(await desk.opened(model, choice=ALLOWED)))
        asked = [entry.model for entry in server.entries]

    assert (told.outcome, told.says) == (ReplyOutcome.REFUSED, "the model declined to answer (bio)")
    assert (asked, progress.turns) == ([MODEL, OTHER], 2)


@pytest.mark.parametrize("choice", [ModelChoice(), ModelChoice(fallback=MODEL)])
async def test_without_another_model_nothing_is_asked_twice(
    desk: ModelEnv, choice: ModelChoice
) -> None:
    """A fallback that nobody allowed, or that is the model itself, is none."""
    async with serve(script({"say": "No.", "fault": [{"kind": "refuse"}]})) as server:
        model = desk.model(server)
        told, _ = await followed(model, call(await desk.opened(model, choice=choice)))

    assert told.outcome is ReplyOutcome.REFUSED
    assert len(server.entries) == 1


async def test_ten_minutes_of_overload_change_to_the_fallback_model(desk: ModelEnv) -> None:
    """Before that the same model is tried again; a reply in between begins the ten minutes anew."""
    clock = Clock()
    overloaded = {"kind": "status", "code": 529, "times": 9}
    play = {
        "casts": [
            {"match": {"model": OTHER}, "turns": [{"say": "From the other."}]},
            {"turns": [{"say": "Never heard.", "fault": [overloaded]}]},
        ]
    }
    async with serve(play) as server:
        model = desk.model(server, clock=clock)
        request = call(await desk.opened(model, choice=ALLOWED))
        advised = []
        for second in (0, 300, 599, 601):
            clock.now = float(second)
            with pytest.raises(ApplicationError) as raised:
                await turn(model, request)
            advised.append(raised.value.details[0])
        progress, then = loop.with_fallback(AgentProgress(), request, advised[-1])
        told = await turn(model, then)

    assert [advice.fallback for advice in advised] == [False, False, False, True]
    assert all(advice.waits for advice in advised)
    assert (told.says, progress.fallback) == ("From the other.", True)


async def test_a_model_that_its_service_lacks_is_replaced_at_once(desk: ModelEnv) -> None:
    """A model that was retired meanwhile does not end an agent that may use another."""
    gone = {"kind": "status", "code": 404, "message": "model: gone", "times": 1}
    async with serve(script({"say": "On.", "fault": [gone]})) as server:
        model = desk.model(server)
        request = call(await desk.opened(model, choice=ALLOWED))
        with pytest.raises(ApplicationError) as raised:
            await turn(model, request)
        _, then = loop.with_fallback(AgentProgress(), request, raised.value.details[0])
        told = await turn(model, then)

    assert (told.says, told.model) == ("On.", f"{OTHER} (rehearsed)")


# ---- the cache


def marks(entry: Entry) -> list[str]:
    """Return the ttl of each mark of a request, in order."""
    body = json.loads(entry.body or "{}")
    blocks: list[Mapping[str, Any]] = [*body["system"]]
    blocks += [block for message in body["messages"] for block in message["content"]]
    return [block["cache_control"].get("ttl", "5m") for block in blocks if "cache_control" in block]


async def conversed(desk: ModelEnv, server: Server, turns: int) -> None:
    """Hold a conversation in which the second reply asks a person."""
    model = desk.model(server)
    told = await turn(model, call(await desk.opened(model)))
    for _ in range(turns - 1):
        answers = tuple(ToolAnswer(tool_use_id=use.id, text="seen") for use in told.tool_uses)
        # Every turn on a worker that has just started: what it knows stands in the log.
        told = await turn(desk.model(server), call(told.conversation, answers=answers))


async def test_after_a_turn_that_waits_for_a_person_the_end_is_kept_for_an_hour(
    desk: ModelEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four marks, never more; before that the end is kept for five minutes."""
    path, made = tmp_path / "j.jsonl", ConversationLog.append

    async def asks(*args: Any, turn: ModelTurn, **kwargs: Any) -> ModelTurn:
        uses = tuple(asked(use) for use in turn.tool_uses)
        second = turn.conversation.turns == 1
        turn = turn.model_copy(update={"tool_uses": uses}) if second else turn
        return await made(*args, turn=turn, **kwargs)

    monkeypatch.setattr(ConversationLog, "append", asks)
    steps = [{"call": [VIEW]}] * 4
    async with serve(script(*steps), journal_bodies=True, journal_path=path) as server:
        await conversed(desk, server, 4)
        entries = journal.read(path)

    assert [marks(entry) for entry in entries] == [
        ["1h", "1h"],
        ["1h", "1h", "5m"],
        ["1h", "1h", "1h", "1h"],
        ["1h", "1h", "1h", "1h"],
    ]
    assert journal_checks.prefix_breaks(entries) == []
    assert journal_checks.changed_prefixes(entries) == []


def asked(use: ToolUse) -> ToolUse:
    """Return a call on which a person decides."""
    verdict = CallVerdict(permission=Permission.ASK, rule="r")
    return use.model_copy(update={"verdict": verdict})


async def test_a_prefix_that_changed_is_an_error_in_the_log(
    desk: ModelEnv, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each request asks for the diagnosis against the one before; a change of ours is told."""
    async with serve(script({"say": "One."}, {"say": "Two."}, {"say": "Three."})) as server:
        model = desk.model(server)
        first = await turn(model, call(await desk.opened(model)))
        second = await turn(model, call(first.conversation, message="On."))
        assert "prefix.changed" not in caplog.text
        window = await model._log.window(desk.store, second.conversation.head)
        monkeypatch.setitem(window.config, "system", "Another prompt.")
        await turn(model, call(second.conversation, message="On."))
        found = journal_checks.changed_prefixes(server.entries)

    (line,) = [each for each in caplog.records if each.getMessage().startswith("prefix.changed")]
    assert (line.levelname, line.__dict__["cache_miss"]) == ("ERROR", "system_changed")
    assert [entry.cache_miss for entry in found] == ["system_changed"]
