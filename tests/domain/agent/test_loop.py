"""The agent's loop on paper."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.agent import AgentLimits, AgentProgress, ModelPrices, StopCause
from contracts.model import ModelTurn, ToolAnswer, ToolUse, Usage
from contracts.store import ConversationRef
from domain.agent import loop, models

MODEL = "claude-sonnet-5-5"
TALK = ConversationRef(id="c", head="0" * 40, turns=3, context_tokens=20_000, model=MODEL)
BEGUN = AgentProgress(started_at=100.0)
VIEW = ToolUse(id="u1", name="view", arguments="1" * 40)
FINISH = ToolUse(id="u9", name="finish", arguments="9" * 40)


def turn(stop: str = "tool_use", *uses: ToolUse, **fields: object) -> ModelTurn:
    """Return a reply."""
    return ModelTurn.model_validate(
        {"conversation": TALK, "stop_reason": stop, "tool_uses": uses, **fields}
    )


LIMITS = AgentLimits()
PRICES = ModelPrices.model_validate(models.facts(MODEL), from_attributes=True)


def progress(**fields: object) -> AgentProgress:
    """Return counters, those not named as at the beginning."""
    return BEGUN.model_copy(update=fields)


def may_call(progress: AgentProgress = BEGUN, now: float = 100.0, **limits: int) -> object:
    """Return the decision in the common conversation."""
    return loop.may_call(progress, AgentLimits(**limits), PRICES, conversation=TALK, now=now)


@pytest.mark.parametrize(
    ("used", "now", "cut"),
    [
        pytest.param(progress(turns=60), 100.0, StopCause.TURNS, id="turns"),
        pytest.param(BEGUN, 7_300.0, StopCause.TIME, id="time"),
        pytest.param(progress(cost_microusd=5_000_000), 100.0, StopCause.BUDGET, id="money"),
    ],
)
def test_each_limit_cuts_and_says_which(used: AgentProgress, now: float, cut: StopCause) -> None:
    """An agent that was cut says what cut it, in a sentence."""
    decided = may_call(used, now)

    assert isinstance(decided, loop.Stop)
    assert decided.cut is cut
    assert decided.reason


@given(
    spent=st.integers(min_value=0, max_value=5_000_000),
    context=st.integers(min_value=0, max_value=900_000),
    variant=st.integers(min_value=0, max_value=4),
)
def test_a_permitted_call_can_be_paid_in_full(spent: int, context: int, variant: int) -> None:
    """Reading the whole context uncached and writing every permitted token stays
    within the lease.
    """
    talk = TALK.model_copy(update={"context_tokens": context})
    decided = loop.may_call(
        progress(cost_microusd=spent, variant=variant),
        LIMITS,
        PRICES,
        conversation=talk,
        now=100.0,
    )
    if isinstance(decided, int):
        worst = Usage(
            cache_write_tokens=context + LIMITS.growth_tokens,
            output_tokens=decided,
        )

        assert (
            models.cost_microusd(models.facts(MODEL), worst)
            <= AgentLimits().budget_microusd - spent + 1
        )
        assert LIMITS.smallest_reply_tokens <= decided
        assert decided <= LIMITS.largest_reply_tokens


def test_a_repeat_of_a_reply_that_was_too_long_may_be_longer() -> None:
    """The room doubles with each variant, up to the ceiling."""
    rooms = [may_call(progress(variant=number), output_tokens=16_000) for number in range(4)]

    assert rooms == [
        16_000,
        32_000,
        64_000,
        64_000,
    ]


def test_calls_are_run_only_when_the_reply_stopped_for_them() -> None:
    """A call in a reply that ended otherwise is not one."""
    assert loop.after_turn(turn("tool_use", VIEW), BEGUN, LIMITS) == loop.CallTools((VIEW,))
    assert loop.after_turn(turn("end_turn", VIEW), BEGUN, LIMITS) == loop.Nudge(loop.GO_ON)


def test_finish_ends_the_work_only_alone() -> None:
    """Beside other calls, whose results nobody has seen, it is one more call to be answered."""
    alone = turn("tool_use", FINISH, finish="{}")
    beside = turn("tool_use", VIEW, FINISH, finish="{}")

    assert loop.after_turn(alone, BEGUN, LIMITS) == loop.Finish("{}")
    assert loop.after_turn(beside, BEGUN, LIMITS) == loop.CallTools((VIEW, FINISH))


def test_an_agent_hears_what_came_meanwhile_before_it_is_done() -> None:
    """Its output is kept for the case that no turn is left."""
    alone = turn("tool_use", FINISH, finish="{}")

    assert loop.after_turn(alone, BEGUN, LIMITS, waiting=True) == loop.FinishDeferred(FINISH, "{}")
    assert loop.after_turn(turn("tool_use", VIEW), BEGUN, LIMITS, waiting=True) == loop.CallTools(
        (VIEW,)
    )


def test_a_finish_that_does_not_fit_is_answered_not_taken() -> None:
    """Without validated output the call goes back with its problem."""
    bad = FINISH.model_copy(update={"arguments": None, "problem": "too long"})

    assert loop.after_turn(turn("tool_use", bad), BEGUN, LIMITS) == loop.CallTools((bad,))


@pytest.mark.parametrize(
    ("stop", "decided"),
    [
        pytest.param("end_turn", loop.Nudge(loop.GO_ON), id="silent"),
        pytest.param("pause_turn", loop.Nudge(None), id="paused"),
        pytest.param("max_tokens", loop.RetryTurn(None), id="too long"),
    ],
)
def test_what_follows_a_reply_without_calls(stop: str, decided: object) -> None:
    """A pause goes on, silence is nudged, a reply cut short is asked for again."""
    assert loop.after_turn(turn(stop), BEGUN, LIMITS) == decided


@pytest.mark.parametrize(
    ("stop", "used", "cut"),
    [
        pytest.param("end_turn", progress(nudges=2), StopCause.SILENT, id="silent too often"),
        pytest.param("max_tokens", progress(variant=2), StopCause.SILENT, id="too long too often"),
        pytest.param("refusal", BEGUN, StopCause.REFUSAL, id="refusal"),
        pytest.param("model_context_window_exceeded", BEGUN, StopCause.CONTEXT, id="context"),
        pytest.param("something_new", BEGUN, StopCause.SILENT, id="unknown"),
    ],
)
def test_what_ends_the_loop(stop: str, used: AgentProgress, cut: StopCause) -> None:
    """Nothing goes on for ever: each kind of end has its name and a reason."""
    decided = loop.after_turn(turn(stop), used, LIMITS)

    assert isinstance(decided, loop.Stop)
    assert decided.cut is cut
    assert decided.reason


def test_the_same_call_with_the_same_result_is_warned_of_then_cut() -> None:
    """Going in circles is told at the third time and ended at the fifth."""
    used = BEGUN
    warned: list[bool] = []
    while not isinstance(loop.after_turn(turn("tool_use", VIEW), used, LIMITS), loop.Stop):
        used = loop.answered(used, (VIEW,), (ToolAnswer(tool_use_id="u1", text="same"),))
        warned.append(loop.warning(used, LIMITS) is not None)

    assert warned == [False, False, True, False, False]


def test_another_result_breaks_the_circle() -> None:
    """The same command with new output is progress."""
    used = BEGUN
    for number in range(9):
        used = loop.answered(used, (VIEW,), (ToolAnswer(tool_use_id="u1", text=str(number)),))

    assert loop.warning(used, LIMITS) is None
    assert loop.after_turn(turn("tool_use", VIEW), used, LIMITS) == loop.CallTools((VIEW,))
    assert len(used.recent) <= 8


def test_calls_that_cannot_be_run_end_the_loop() -> None:
    """Five in a row are enough; one good call starts the count anew."""
    bad = ToolUse(id="b", name="fly", problem="no such tool")
    used = BEGUN
    for number in range(5):
        used = loop.answered(used, (bad,), (ToolAnswer(tool_use_id="b", text=str(number)),))
    cut = loop.after_turn(turn("tool_use", bad), used, LIMITS)
    good = loop.answered(used, (VIEW,), (ToolAnswer(tool_use_id="u1", text="ok"),))

    assert isinstance(cut, loop.Stop)
    assert cut.cut is StopCause.LOOP
    assert good.bad_calls == 0


@given(st.lists(st.sampled_from(["tool_use", "end_turn", "pause_turn", "max_tokens"]), max_size=20))
def test_the_counters_add_up(stops: list[str]) -> None:
    """Every reply counts as a turn and costs, also one that was discarded."""
    used = BEGUN
    for stop in stops:
        reply = turn(
            stop, usage=Usage(input_tokens=3, output_tokens=2), cost_microusd=7, model="m",
            discarded=stop == "max_tokens",
        )  # fmt: skip
        used = loop.with_usage(used, reply)
    tail = list(reversed(stops))

    assert (used.turns, used.cost_microusd) == (len(stops), 7 * len(stops))
    assert used.usage.total_tokens == 5 * len(stops)
    assert used.variant == next((n for n, s in enumerate(tail) if s != "max_tokens"), len(stops))
    assert used.nudges == next((n for n, s in enumerate(tail) if s != "end_turn"), len(stops))
