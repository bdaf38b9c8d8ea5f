"""Every row of the table of conditions: made by a server, told to a person, and what is sent next.

The real client calls a rehearsal server that fails as the row says.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import pytest
from temporalio.exceptions import ApplicationError

from contracts.agent import AgentLimits, AgentProgress, StopCause
from contracts.failures import FailureKind
from contracts.model import ReplyOutcome, ToolAnswer
from contracts.run_state import RunState
from contracts.store import ConversationRef
from domain import limits
from domain.agent import loop
from domain.agent.conditions import FAILURES, REPLIES, ROWS, Break, Came, of_failure
from domain.ids import conversation_ref
from infra.anthropic.client import translated
from rehearsal import journal
from rehearsal.journal import Entry
from rehearsal.server import serve
from tests.activities.model_env import MODEL, VIEW, ModelEnv, call, script, turn

LIMITS: AgentLimits = limits.AGENT


class Clock:
    """Seconds that pass only when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        """Return the present second."""
        return self.now


@dataclass(frozen=True)
class Case:
    """One way to come to a row.

    Attributes:
        row: its name.
        told: in what a person reads.
        fault: of the first attempt.
        top: further top-level keys of the script.
    """

    row: str
    told: str
    fault: Mapping[str, Any] | None = None
    top: Mapping[str, Any] | None = None


def status(row: str, code: int, told: str, **fields: Any) -> Case:
    """Return a case of an error response."""
    return Case(row, told, {"kind": "status", "code": code, **fields})


def coded(row: str, code: int, error_code: str, told: str) -> Case:
    """Return a case of an error response with a code of its own."""
    return status(row, code, told, error_code=error_code, message=f"by {error_code}")


def numbered(cases: Iterable[Any]) -> list[Any]:
    """Return cases that are shown by their row and their number."""
    return [pytest.param(case, id=f"{n}: {case.row}") for n, case in enumerate(cases)]


PAGE = "<html><head><title>Blocked</title></head></html>"
SPENT = "the account's spending limit is reached"
KEY = "the model key is not accepted"
ABILITY = "the model cannot do what is asked of it"

FAILS = [
    coded("spending limit", 429, "enforced_spend_limit_reached", SPENT),
    coded("spending limit", 429, "contract_spend_limit_reached", SPENT),
    coded("linked organization", 402, "linked_organization_suspended", SPENT),
    coded("ramp limit", 429, "ramp_limit_exceeded", "by ramp_limit_exceeded"),
    coded("organization on hold", 403, "organization_on_hold", KEY),
    coded("body time-out", 400, "request_body_timeout", "by request_body_timeout"),
    coded("body too large", 413, "request_body_too_large_after_decoding", "larger than"),
    coded("compaction unavailable", 529, "compaction_unavailable", "the model's service failed"),
    coded("unusable part", 400, "image_dimensions_too_large", "the service rejects"),
    coded("unusable part", 400, "tool_name_conflict", "the service rejects"),
    coded("unusable part", 400, "tool_reference_unresolved", "the service rejects"),
    coded("unusable part", 400, "available_tools_limit_exceeded", "the service rejects"),
    coded("unusable part", 400, "cmek_key_disabled", "the service rejects"),
    coded("compaction refused", 400, "compaction_block_misplaced", "does not take back"),
    coded("compaction refused", 400, "compaction_signature_invalid", "does not take back"),
    coded("state of the service's gone", 404, "thread_not_found", "no longer has"),
    coded("state of the service's gone", 400, "file_expired", "no longer has"),
    Case("prompt too long", "prompt is too long", top={"models": {MODEL: {"max_input_tokens": 9}}}),
    status(
        "usage limit of the key",
        400,
        SPENT,
        message="You have reached your specified API usage limits. It ends on 2026-12-01.",
    ),
    status(
        "usage limit of the key",
        400,
        "specified workspace API usage limits",
        message="You have reached your specified workspace API usage limits.",
    ),
    status(
        "usage limit of the account", 429, SPENT, message="You have reached your API usage limits."
    ),
    status("ability", 400, ABILITY, message="This model does not support message prefill."),
    status("ability", 400, ABILITY, message='"thinking.type.enabled" is not supported'),
    status("ability", 400, ABILITY, message="role 'system' is not supported on this model"),
    status("ability", 400, ABILITY, message="tool_choice: 'any' is not supported on this model"),
    status("billing", 402, SPENT),
    status("payment required", 402, SPENT, type="other_error"),
    status("limit without end", 429, SPENT, headers={"x-should-retry": "false"}),
    status("rate limit", 429, "slowly", message="slowly", headers={"retry-after": "30"}),
    status("rate limit", 429, "slowly", message="slowly"),
    status("too many requests", 429, "429", body=PAGE),
    status("key refused", 401, KEY),
    status("key refused", 403, KEY),
    status("not allowed", 403, KEY, type="other_error"),
    status("foreign answer, closed", 403, "not in the service's words", body=PAGE),
    status("foreign answer, elsewhere", 404, "is no Messages API", body=PAGE),
    status("too large", 413, "larger than the service takes"),
    status("content too large", 413, "larger than the service takes: 413", body=PAGE),
    status("told not to retry", 500, "not to retry", headers={"x-should-retry": "false"}),
    status("told to retry", 400, "service failed", headers={"x-should-retry": "true"}),
    status("no such model", 404, "does not have what was asked for", message="model: none"),
    status("not found", 404, "the service rejects", type="other_error"),
    *(status("bug of ours", code, "rejects") for code in (412, 422, 431, 499, 501)),
    status("time-out or conflict", 408, "the model's service failed"),
    status("time-out or conflict", 409, "the model's service failed"),
    status("overloaded", 529, "the model's service failed"),
    status("overloaded", 503, "the model's service failed"),
    Case("overloaded", "Overloaded", {"kind": "error_event"}),
    Case("billing", SPENT, {"kind": "error_event", "type": "billing_error"}),
    Case("rate limit", "slowly", {"kind": "error_event", "type": "rate_limit_error",
                                  "message": "slowly"}),
    Case("spending limit", SPENT, {"kind": "error_event", "type": "rate_limit_error",
                                   "error_code": "enforced_spend_limit_reached"}),
    status("service error", 500, "the model's service failed"),
    status("service error", 502, "the model's service failed"),
    status("unavailable", 504, "the model's service failed"),
    status("unavailable", 520, "service failed: 520", body=PAGE),
    Case("time-out in the stream", "too slow", {"kind": "error_event", "type": "timeout_error",
                                                "message": "too slow"}),
    Case("unreadable event", "cannot be read", {"kind": "error_event", "raw": "half a mess"}),
    Case("no answer", "no answer from the model's service", {"kind": "no_response"}),
    Case("no answer", "no answer from the model's service", {"kind": "cut_chunked"}),
    Case("no answer", "no answer from the model's service", {"kind": "reset"}),
    Case("cut reply", "the reply was cut off before its end", {"kind": "cut_clean"}),
    Case("cut reply", "the reply was cut off before its end", {"kind": "cut_close"}),
    Case("no reply", "the reply cannot be read", {"kind": "html_200"}),
    Case("no reply", "the reply cannot be read", {"kind": "json_200"}),
    Case("no reply", "are not JSON", {"kind": "bad_tool_json"}),
    Case("no reply", "are not JSON", {"kind": "surrogate"}),
    status("rejected", 400, "the service rejects the request"),
]  # fmt: skip
STATES = {
    FailureKind.RATE_LIMITED: RunState.WAITING_MODEL,
    FailureKind.OVERLOADED: RunState.WAITING_MODEL,
    FailureKind.UNREACHABLE: RunState.WAITING_MODEL,
    FailureKind.MALFORMED: RunState.WAITING_MODEL,
    FailureKind.CREDENTIALS: RunState.WAITING_INFRA,
    FailureKind.SPEND_LIMIT: RunState.WAITING_BUDGET,
}
"""How a run is shown while it waits; any other kind ends the agent."""
ELSEWHERE = {
    "no key": "below",
    "key file missing": "below",
    "key unusable": "below",
    "proxy forbids": "tests/infra/test_route.py",
    "proxy fails": "tests/infra/test_route.py",
    "unexpected exception": "tests/activities/test_model.py",
    "unknown field": "below",
    "other history": "below",
    "calls without results": "below",
}
"""Rows that another test comes to."""


def test_every_row_is_tested() -> None:
    """Each row has a case here that a server makes, or a test elsewhere."""
    cases = {case.row for case in FAILS} | {case.row for case in ENDS}

    assert cases | set(ELSEWHERE) == set(ROWS)
    assert len(ROWS) == len(FAILURES) + len(REPLIES)


@pytest.mark.parametrize("case", numbered(FAILS))
async def test_a_failure_is_told_and_followed_as_its_row_says(desk: ModelEnv, case: Case) -> None:
    """The person reads the row's sentence. Where waiting helps the same request is sent again,
    after the wait; where it does not, nothing is.
    """
    clock, kind = Clock(), ROWS[case.row].answer
    faults = [{**case.fault, "times": 1}] if case.fault else []
    play = {**script({"say": "At last.", "call": [VIEW], "fault": faults}), **(case.top or {})}
    async with serve(play) as server:
        model = desk.model(server, clock=clock)
        request = call(await desk.opened(model))
        with pytest.raises(ApplicationError) as raised:
            await turn(model, request)
        (advice,) = raised.value.details
        asked = len(server.entries)
        if advice.waits:
            clock.now += advice.pause_seconds
            told = await turn(model, request)
            assert told.says == "At last."
        sent = [entry.digest for entry in server.entries]

    assert raised.value.type == kind
    assert case.told in raised.value.message
    assert asked <= 1
    assert advice.waits is (kind in STATES)
    assert advice.state is STATES.get(FailureKind(raised.value.type), RunState.FAILED)
    # A connection that was reset is seen by the client first.
    assert len(set(sent)) == 1
    assert len(sent) == (2 if advice.waits else 1)
    assert desk.store.ref(conversation_ref(request.conversation.id)) is not None


@dataclass(frozen=True)
class End:
    """One way for a whole reply to end.

    Attributes:
        step: its turn in the script.
        outcome: what the row says.
        decision: what the loop makes of it.
        next: what is sent next: "more" of the conversation, the turn "again", or "nothing".
    """

    row: str
    step: Mapping[str, Any]
    outcome: ReplyOutcome
    decision: object
    next: str = "more"


def _fault(kind: str, **values: Any) -> dict[str, Any]:
    return {"say": "Partly.", "call": [VIEW], "fault": [{"kind": kind, "times": 1, **values}]}


ENDS = [
    End("end of turn", {"say": "All is done."}, ReplyOutcome.GOES_ON, loop.Nudge(loop.GO_ON)),
    End(
        "end of turn",
        {"say": "x", "fault": [{"kind": "empty_end_turn"}]},
        ReplyOutcome.GOES_ON,
        loop.Nudge(loop.EMPTY),
    ),
    End(
        "end of turn",
        {"say": "All is done.", "stop": "stop_sequence"},
        ReplyOutcome.GOES_ON,
        loop.Nudge(loop.GO_ON),
    ),
    End("tool calls", {"call": [VIEW]}, ReplyOutcome.GOES_ON, loop.CallTools),
    End(
        "reply too long",
        _fault("truncate_tool"),
        ReplyOutcome.TOO_LONG,
        loop.RetryTurn(None),
        "again",
    ),
    End("pause", _fault("pause_turn"), ReplyOutcome.PAUSED, loop.Nudge(None)),
    *(
        End(
            "refusal",
            _fault("refuse", category=category, mid=mid),
            ReplyOutcome.REFUSED,
            loop.Stop(StopCause.REFUSAL, f"the model declined to answer ({category or 'refusal'})"),
            "nothing",
        )
        for category, mid in (
            ("cyber", False),
            ("bio", True),
            ("frontier_llm", False),
            ("reasoning_extraction", False),
            ("general_harms", False),
            (None, False),
        )
    ),
    End(
        "window full",
        {"say": "Partly.", "stop": "model_context_window_exceeded"},
        ReplyOutcome.WINDOW_FULL,
        loop.Stop(StopCause.CONTEXT, "the conversation no longer fits the model's window"),
        "nothing",
    ),
    *(
        End(
            "compaction",
            _fault("compaction", content=content),
            ReplyOutcome.WINDOW_FULL,
            loop.Stop(
                StopCause.CONTEXT,
                "the service shortens the conversation by itself; it goes on in a new one",
            ),
            "nothing",
        )
        for content in ("A summary.", None)
    ),
    End(
        "unknown stop reason",
        _fault("stop"),
        ReplyOutcome.UNKNOWN,
        loop.Stop(
            StopCause.SILENT, "the model stopped for a reason that is not known: rehearsed_stop"
        ),
        "nothing",
    ),
]


@pytest.mark.parametrize("case", numbered(ENDS))
async def test_a_reply_is_told_and_followed_as_its_row_says(
    desk: ModelEnv, tmp_path: Path, case: End
) -> None:
    """Of what is discarded nothing is run or sent back; what goes on is sent back as it came."""
    path = tmp_path / "j.jsonl"
    play = script(case.step, {"say": "Then this."})
    async with serve(play, journal_bodies=True, journal_path=path) as server:
        model = desk.model(server)
        opened: ConversationRef = await desk.opened(model)
        told = await turn(model, call(opened))
        decided = loop.after_turn(told, AgentProgress(), LIMITS)
        message = decided.message if isinstance(decided, loop.Nudge) else None
        answers = tuple(ToolAnswer(tool_use_id=use.id, text="seen") for use in told.tool_uses)
        if case.next != "nothing":
            variant = int(case.next == "again")
            then = call(told.conversation, message=message, answers=answers, variant=variant)
            await turn(model, then)
        first, *after = map(messages_of, journal.read(path))

    assert told.outcome is case.outcome
    assert decided == case.decision or type(decided) is case.decision
    assert (told.conversation == opened) is (case.next != "more")
    assert told.cost_microusd > 0
    assert len(after) == (case.next != "nothing")
    if case.next == "again":
        assert after == [first]
    elif case.next == "more":
        assert after[0][: len(first)] == first
        assert len(after[0]) > len(first)


def messages_of(entry: Entry) -> list[Any]:
    """Return a request's messages without cache markers."""
    body = json.loads(entry.body or "{}")
    for message in body["messages"]:
        for block in message["content"]:
            block.pop("cache_control", None)
    return list(body["messages"])


def body_of(entry: Entry) -> dict[str, Any]:
    """Return a request's body."""
    return dict(json.loads(entry.body or "{}"))


async def test_what_a_service_does_not_know_is_left_out_from_then_on(
    desk: ModelEnv, tmp_path: Path
) -> None:
    """A service that refuses a field of ours gets the request without it, at once; no failure."""
    unknown = {
        "kind": "status",
        "code": 400,
        "message": "diagnostics: Extra inputs are not permitted",
    }
    path = tmp_path / "j.jsonl"
    play = script({"say": "One.", "fault": [unknown]}, {"say": "Two."})
    async with serve(play, journal_bodies=True, journal_path=path) as server:
        model = desk.model(server)
        first = await turn(model, call(await desk.opened(model)))
        second = await turn(model, call(first.conversation, message="On."))
        sent = ["diagnostics" in body_of(entry) for entry in journal.read(path)]

    assert (first.says, second.says) == ("One.", "Two.")
    assert sent == [True, False, False]


@pytest.mark.parametrize(
    "words",
    [
        "Invalid `signature` in `thinking` block. The block is bound to a different conversation",
        "`thinking` blocks in the latest assistant message cannot be modified.",
    ],
)
@pytest.mark.parametrize("times", [1, 2])
async def test_thinking_of_another_history_is_dropped_once_then_it_is_a_new_conversation(
    desk: ModelEnv, tmp_path: Path, words: str, times: int
) -> None:
    """The second request lets the service drop it; where that does not help, the window is over."""
    fault = {"kind": "status", "code": 400, "message": words, "times": times}
    path = tmp_path / "j.jsonl"
    play = script({"say": "On.", "fault": [fault]})
    async with serve(play, journal_bodies=True, journal_path=path) as server:
        model = desk.model(server)
        request = call(await desk.opened(model))
        if times == 1:
            assert (await turn(model, request)).says == "On."
        else:
            with pytest.raises(ApplicationError, match="for another one") as raised:
                await turn(model, request)
            assert raised.value.type == FailureKind.CONTEXT_FULL
        sent = [body_of(entry).get("thinking") for entry in journal.read(path)]

    dropping = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    assert sent == [None, dropping]


async def test_a_broken_seal_is_a_new_conversation(desk: ModelEnv) -> None:
    """A service that refuses its own thinking, also where it may drop it, ends the window."""
    steps = {"think": "Hm.", "call": [VIEW], "fault": [{"kind": "unseal"}]}
    async with serve(script(steps, {"say": "Never heard."})) as server:
        model = desk.model(server)
        first = await turn(model, call(await desk.opened(model)))
        answers = (ToolAnswer(tool_use_id=first.tool_uses[0].id, text="seen"),)
        with pytest.raises(ApplicationError) as raised:
            await turn(model, call(first.conversation, answers=answers))
        statuses = [entry.status for entry in server.entries]

    assert raised.value.type == FailureKind.CONTEXT_FULL
    assert statuses == [200, 400, 400]


async def test_calls_without_results_are_answered_and_sent_once_more(
    desk: ModelEnv, tmp_path: Path
) -> None:
    """The model reads that they were interrupted, and so does every later turn."""
    path = tmp_path / "j.jsonl"
    play = script({"call": [VIEW]}, {"say": "On."}, {"say": "End."})
    async with serve(play, journal_bodies=True, journal_path=path) as server:
        model = desk.model(server)
        first = await turn(model, call(await desk.opened(model)))
        lost = first.conversation.model_copy(update={"open_calls": ()})
        second = await turn(model, call(lost, message="Look again."))
        third = await turn(desk.model(server), call(second.conversation, message="Go on."))
        entries = journal.read(path)

    (result, text) = messages_of(entries[2])[2]["content"]
    assert (second.says, third.says) == ("On.", "End.")
    assert [entry.status for entry in entries] == [200, 400, 200, 200]
    assert (result["content"], result["is_error"]) == ("Interrupted, not executed.", True)
    assert text["text"] == "Look again."
    assert messages_of(entries[3])[:3] == messages_of(entries[2])


async def test_beside_a_tool_of_the_services_own_only_results_are_sent(
    desk: ModelEnv, tmp_path: Path
) -> None:
    """A message waits for the reply after it, also on a worker that starts meanwhile; none is
    lost.
    """
    path = tmp_path / "j.jsonl"
    play = script(_fault("server_tool"), {"say": "On."}, {"say": "End."})
    async with serve(play, journal_bodies=True, journal_path=path) as server:
        first = await turn(desk.model(server), call(await desk.opened(desk.model(server))))
        answers = (ToolAnswer(tool_use_id=first.tool_uses[0].id, text="seen"),)
        asked = call(first.conversation, answers=answers, message="A note.")
        second = await turn(desk.model(server), asked)
        await turn(desk.model(server), call(second.conversation, message="Another."))
        _, then, last = map(messages_of, journal.read(path))

    assert [block["type"] for block in then[-1]["content"]] == ["tool_result"]
    assert [block.get("text") for block in last[-1]["content"]] == ["A note.", "Another."]


async def test_an_unknown_block_is_kept_and_sent_back(desk: ModelEnv, tmp_path: Path) -> None:
    """A block of a newer service is part of the reply like any other."""
    path = tmp_path / "j.jsonl"
    play = script(_fault("unknown_block"), {"say": "On."})
    async with serve(play, journal_bodies=True, journal_path=path) as server:
        model = desk.model(server)
        first = await turn(model, call(await desk.opened(model)))
        answers = (ToolAnswer(tool_use_id=first.tool_uses[0].id, text="seen"),)
        second = await turn(model, call(first.conversation, answers=answers))
        _, then = map(messages_of, journal.read(path))

    assert second.says == "On."
    assert then[1]["content"][0]["type"] == "rehearsed_block"


async def test_a_history_that_the_service_changed_is_an_error_in_the_log(
    desk: ModelEnv, caplog: pytest.LogCaptureFixture
) -> None:
    """The reply counts; the line says what was dropped and why."""
    async with serve(script(_fault("transformed"))) as server:
        model = desk.model(server)
        told = await turn(model, call(await desk.opened(model)))

    (line,) = [each for each in caplog.records if each.getMessage().startswith("history.changed")]
    assert told.outcome is ReplyOutcome.GOES_ON
    assert line.levelname == "ERROR"
    assert "prefix_binding_mismatch" in line.__dict__["reason"]


async def test_without_a_key_a_person_is_told_what_to_set(desk: ModelEnv) -> None:
    """Nothing is sent; the run waits for a person."""
    model = desk.model(None)
    with pytest.raises(ApplicationError, match="set ANTHROPIC_API_KEY") as raised:
        await turn(model, call(await desk.opened(model)))

    assert raised.value.details[0].state is RunState.WAITING_INFRA


def test_a_key_file_that_is_not_there_yet_is_waited_for() -> None:
    """A token that is about to be mounted is no wrong key; a broken configuration is."""
    missing = translated(anthropic.IdentityTokenFileError("no file yet"))
    broken = translated(anthropic.CredentialsError("no such profile"))

    assert (missing.condition, missing.kind) == ("key file missing", FailureKind.UNREACHABLE)
    assert (broken.condition, broken.kind) == ("key unusable", FailureKind.CREDENTIALS)


@pytest.mark.parametrize("broke", Break)
def test_whatever_breaks_has_a_row_of_its_own(broke: Break) -> None:
    """No break falls to the row of what is rejected, whatever it says."""
    says = "diagnostics: thinking. prompt is too long"

    assert broke in of_failure(Came(broke=broke, says=says)).broke
