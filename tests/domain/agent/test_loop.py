"""The agent's loop on paper."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.agent import AgentLimits, AgentProgress, StopCause
from contracts.failures import RetryAdvice
from contracts.model import ModelTurn, ToolAnswer, ToolUse, Usage
from contracts.store import ConversationRef
from contracts.visibility import RunState
from domain import limits
from domain.agent import loop, models
from domain.agent.configuration import pinned_prices

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


LIMITS = limits.AGENT
BEFORE = AgentLimits()
"""Of agents from before 2026-12, whose calls were counted."""
PRICES = pinned_prices(models.facts(MODEL))


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


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (5_900_000, "its share of the budget, $5.00, is used up"),
        (4_999_000, "the $0.00 that are left of its share of the budget, $5.00"),
    ],
)
def test_money_that_is_used_up_is_said_of_the_agents_share(cost: int, words: str) -> None:
    """Never a negative amount, and never an agent's share as if it were the whole budget."""
    decided = may_call(progress(cost_microusd=cost), 100.0)

    assert isinstance(decided, loop.Stop)
    assert words in decided.reason


@given(
    spent=st.integers(min_value=0, max_value=5_000_000),
    context=st.integers(min_value=0, max_value=900_000),
    variant=st.integers(min_value=0, max_value=4),
)
def test_a_permitted_call_can_be_paid_in_full(spent: int, context: int, variant: int) -> None:
    """Writing the whole context to the cache for an hour, and every permitted token of the reply,
    stays within the lease.
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
        whole = context + LIMITS.growth_tokens
        worst = Usage(cache_write_tokens=whole, cache_write_1h_tokens=whole, output_tokens=decided)

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


@pytest.mark.parametrize(
    "stop", ["tool_use", "end_turn", "stop_sequence", "pause_turn", "something_new"]
)
def test_calls_are_run_whatever_the_reply_stopped_for(stop: str) -> None:
    """An edit in a reply that says `end_turn` is an edit; one that finishes has finished."""
    ends = turn(stop, FINISH, finish="{}")

    assert loop.after_turn(turn(stop, VIEW), BEGUN, LIMITS) == loop.CallTools((VIEW,))
    assert loop.after_turn(ends, BEGUN, LIMITS) == loop.Finish("{}")


@pytest.mark.parametrize("stop", ["max_tokens", "refusal", "model_context_window_exceeded"])
def test_calls_of_a_reply_that_was_cut_or_refused_are_not_run(stop: str) -> None:
    """What it would have said after them, or in them, is not known."""
    decided = loop.after_turn(turn(stop, VIEW), BEGUN, LIMITS)

    assert not isinstance(decided, loop.CallTools)


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
        pytest.param("tool_use", loop.Nudge(loop.GO_ON), id="no call where one is named"),
        pytest.param("something_new", loop.Nudge(loop.GO_ON), id="unknown"),
        pytest.param("pause_turn", loop.Nudge(None), id="paused"),
        pytest.param("max_tokens", loop.RetryTurn(None), id="too long"),
    ],
)
def test_what_follows_a_reply_without_calls(stop: str, decided: object) -> None:
    """A pause goes on, silence is nudged, a reply cut short is asked for again."""
    assert loop.after_turn(turn(stop, says="So."), BEGUN, LIMITS) == decided


def test_an_empty_reply_is_named_as_one() -> None:
    """The model has no record of it, so that it is not reminded of words that it never said."""
    assert loop.after_turn(turn("end_turn"), BEGUN, LIMITS) == loop.Nudge(loop.EMPTY)


@pytest.mark.parametrize(
    ("stop", "used", "cut"),
    [
        pytest.param("end_turn", progress(nudges=2), StopCause.SILENT, id="silent too often"),
        pytest.param("max_tokens", progress(variant=2), StopCause.SILENT, id="too long too often"),
        pytest.param("refusal", BEGUN, StopCause.REFUSAL, id="refusal"),
        pytest.param("tool_use", progress(nudges=2), StopCause.SILENT, id="no call too often"),
        pytest.param("pause_turn", progress(bad_replies=5), StopCause.SILENT, id="pauses"),
    ],
)
def test_what_ends_the_loop(stop: str, used: AgentProgress, cut: StopCause) -> None:
    """Nothing goes on for ever: each kind of end has its name and a reason."""
    decided = loop.after_turn(turn(stop), used, LIMITS)

    assert isinstance(decided, loop.Stop)
    assert decided.cut is cut
    assert decided.reason


@pytest.mark.parametrize(
    ("turns", "tokens", "goes_on"), [(2, 110_000, True), (0, 110_000, False), (2, 0, False)]
)
def test_a_full_window_is_no_end_where_a_fresh_one_can_help(
    turns: int, tokens: int, *, goes_on: bool
) -> None:
    """A window in which nothing was said, and an agent of one window, end when they are full."""
    full = turn("model_context_window_exceeded")
    at = full.conversation.model_copy(update={"turns": turns})
    limits = LIMITS.model_copy(update={"window_tokens": tokens})
    decided = loop.after_turn(full.model_copy(update={"conversation": at}), BEGUN, limits)

    assert isinstance(decided, loop.OpenWindow) is goes_on
    assert goes_on or isinstance(decided, loop.Stop)


BAD = ToolUse(id="b", name="fly", problem="no such tool")
EDIT = ToolUse(id="e", name="edit", arguments="2" * 40)


@dataclass
class Talked:
    """An agent's loop, reply by reply, without a model.

    Attributes:
        told: what it was told after its replies.
        replies: how many came before its end.
    """

    used: AgentProgress = BEGUN
    limits: AgentLimits = LIMITS
    told: list[str | None] = field(default_factory=list)
    replies: int = 0
    end: loop.Stop | None = None

    def says(
        self, *uses: ToolUse, stop: str = "tool_use", text: str = "same", failed: bool = False,
        changed: bool = False, learned: bool = False,
    ) -> "Talked":  # fmt: skip
        """Hear one more reply, and answer its calls that are run with a text."""
        if self.end:
            return self
        self.replies += 1
        reply = turn(stop, *uses)
        step = loop.after_turn(reply, self.used, self.limits)
        self.used = loop.with_usage(self.used, reply, self.limits)
        if isinstance(step, loop.CallTools):
            answers = [
                ToolAnswer(
                    tool_use_id=use.id,
                    text=use.problem or text,
                    is_error=failed or bool(use.problem) or use.name == "finish",
                )
                for use in step.uses
            ]
            self.used = loop.answered(
                self.used, uses, answers, self.limits, changed=changed, learned=learned
            )
            after = loop.after_answers(self.used, self.limits)
            self.end = after if isinstance(after, loop.Stop) else None
            self.told.append(None if isinstance(after, loop.Stop) else after)
        elif isinstance(step, loop.Stop):
            self.end = step
        return self


def test_the_same_reply_with_the_same_result_is_warned_of_then_cut() -> None:
    """Going in circles is told at the third time and ended when it comes for the sixth."""
    agent = Talked()
    while not agent.end:
        agent.says(VIEW)

    assert [told is not None for told in agent.told] == [False, False, True, False, False]
    assert agent.end.cut is StopCause.LOOP


def test_another_reply_is_judged_before_the_loop_is_cut() -> None:
    """After five times the same, a call that is another one is run."""
    agent = Talked()
    for _ in range(5):
        agent.says(VIEW)

    assert not agent.says(EDIT, changed=True).end
    assert not agent.says(VIEW).end


def test_two_calls_by_turns_are_a_circle_too() -> None:
    """Reading the same two things over and over is cut like reading one."""
    agent = Talked()
    while not agent.end and agent.replies < 60:
        agent.says(VIEW).says(VIEW.model_copy(update={"arguments": "3" * 40}))

    assert agent.replies == 11


def test_what_is_read_again_after_a_change_is_no_circle() -> None:
    """The same red test between edits that change something is work."""
    agent = Talked()
    for number in range(20):
        agent.says(VIEW).says(EDIT, text=str(number), changed=True)

    assert not agent.end
    assert agent.told == [None] * 40


def test_another_result_breaks_the_circle() -> None:
    """The same command with new output is progress."""
    agent = Talked()
    for number in range(30):
        agent.says(VIEW, text=str(number), learned=True)

    assert not agent.end
    assert len(agent.used.recent) <= 16


def test_many_bad_calls_of_one_reply_are_one_bad_reply() -> None:
    """Six calls with wrong argument names cost one turn, and the right one after them is run."""
    agent = Talked().says(*[BAD] * 6)

    assert agent.used.bad_replies == 1
    assert not agent.says(EDIT, changed=True).end
    assert agent.used.bad_replies == 0


def test_replies_without_a_call_that_can_be_run_end_the_loop() -> None:
    """Five in a row are answered; a sixth is not, but a good call would have been run."""
    agent = Talked()
    for number in range(5):
        agent.says(BAD.model_copy(update={"problem": str(number)}))

    assert not replace(agent).says(EDIT, changed=True).end
    assert agent.says(BAD).end == loop.Stop(
        StopCause.LOOP, "5 replies in a row held no call that could be run"
    )


def test_a_bad_call_beside_a_good_one_is_no_bad_reply() -> None:
    """A reply that comes to something is one."""
    agent = Talked()
    for number in range(20):
        agent.says(BAD, VIEW, text=str(number))

    assert not agent.end
    assert agent.used.bad_replies == 0


def test_calls_that_fail_without_end_are_warned_of_then_cut() -> None:
    """Sixty failing edits in a row, each another one, are a dozen."""
    agent = Talked()
    while not agent.end and agent.replies < 60:
        other = EDIT.model_copy(update={"arguments": f"{agent.replies:040x}"})
        agent.says(other, failed=True)

    assert agent.replies == 12
    assert [number for number, told in enumerate(agent.told) if told] == [5]
    assert agent.told[5] == loop.FAILING
    assert agent.end == loop.Stop(
        StopCause.LOOP, "12 replies in a row came to nothing: every call failed"
    )


@pytest.mark.parametrize(
    ("lost", "granted", "paid", "goes_on"),
    [(4, 0, 100, 100), (5, 0, 100, 100), (4, 9, 100, 100), (5, 9, 100, None)],
)
def test_more_money_buys_no_more_tries(
    lost: int, granted: int, paid: int, goes_on: int | None
) -> None:
    """A turn that was given money is over after as many lost calls as without; what lacks money is
    asked for only while there is a try left.
    """
    advice = RetryAdvice(waits=True, state=RunState.WAITING_MODEL, most_pauses=4)
    progress = AgentProgress(lost=lost, granted_microusd=granted)
    stop = loop.Stop(StopCause.BUDGET, "no money")

    assert loop.after_lost(progress, advice, paid) == goes_on
    assert loop.after_lost(progress, advice, stop) == (stop if lost == 4 else None)


def test_a_red_command_that_changed_files_is_work() -> None:
    """An agent that edits by commands and tests in the same line is not cut while it does."""
    agent = Talked()
    for number in range(40):
        agent.says(EDIT, text=str(number), failed=True, changed=True)

    assert not agent.end


def test_a_finish_beside_other_calls_is_answered_five_times() -> None:
    """An answer that is ignored counts, also where the other calls are run."""
    agent = Talked()
    while not agent.end and agent.replies < 60:
        agent.says(VIEW, FINISH, text=str(agent.replies))

    assert agent.replies == 6
    assert agent.end
    assert agent.end.cut is StopCause.LOOP


@pytest.mark.parametrize("stop", ["end_turn", "tool_use", "stop_sequence", "something_new"])
def test_replies_without_a_call_are_reminded_twice_then_cut(stop: str) -> None:
    """Whatever they say they stopped for."""
    agent = Talked()
    while not agent.end and agent.replies < 60:
        agent.says(stop=stop)

    assert agent.replies == 3
    assert agent.end
    assert agent.end.cut is StopCause.SILENT


@pytest.mark.parametrize("good", [0, 1], ids=["no good one between", "good ones between"])
def test_bad_replies_of_several_kinds_add_up(good: int) -> None:
    """Only a good reply makes up for the bad ones before it."""
    agent = Talked()
    while not agent.end and agent.replies < 60:
        agent.says(stop="end_turn").says(BAD)
        agent.says(*[EDIT] * good, text=str(agent.replies), changed=True)

    assert (agent.end is not None) is not good


def test_rounds_do_not_begin_with_all_their_turns_again() -> None:
    """They share the turns of the agent; each has at least the twenty that a correction takes."""
    shared = LIMITS.model_copy(update={"turns": 60})

    left = [loop.turns_of_round(shared, before) for before in (0, 15, 50, 300)]
    short = shared.model_copy(update={"turns": 7})
    assert left == [60, 45, 20, 20]
    assert [loop.turns_of_round(short, before) for before in (0, 300)] == [7, 7]
    assert loop.turns_of_round(BEFORE, 300) == BEFORE.turns


def test_an_agent_from_before_is_judged_as_it_was() -> None:
    """Its calls are counted, and are run only when the reply stopped for them."""
    assert loop.after_turn(turn("end_turn", VIEW), BEGUN, BEFORE) == loop.Nudge(loop.GO_ON)
    agent = Talked(limits=BEFORE).says(*[BAD] * 5).says(EDIT)
    circle = Talked(limits=BEFORE).says(*[VIEW] * 5).says(EDIT)
    unknown = Talked(limits=BEFORE).says(stop="something_new")

    assert [one.end and one.end.cut for one in (agent, circle, unknown)] == [
        StopCause.LOOP,
        StopCause.LOOP,
        StopCause.SILENT,
    ]


@given(st.lists(st.sampled_from(["tool_use", "end_turn", "pause_turn", "max_tokens"]), max_size=20))
def test_the_counters_add_up(stops: list[str]) -> None:
    """Every reply counts as a turn and costs, also one that was discarded."""
    used = BEGUN
    for stop in stops:
        reply = turn(
            stop, usage=Usage(input_tokens=3, output_tokens=2), cost_microusd=7, model="m",
            discarded=stop == "max_tokens",
        )  # fmt: skip
        used = loop.with_usage(used, reply, LIMITS)
    tail = list(reversed(stops))

    assert (used.turns, used.cost_microusd) == (len(stops), 7 * len(stops))
    assert used.usage.total_tokens == 5 * len(stops)
    assert used.variant == next((n for n, s in enumerate(tail) if s != "max_tokens"), len(stops))
    assert used.nudges == stops.count("end_turn") + stops.count("tool_use")
    assert used.bad_replies == stops.count("pause_turn")


@pytest.mark.parametrize(
    ("used", "now", "said"),
    [
        pytest.param(progress(turns=48), 100.0, "12 of 60 turns are left", id="turns"),
        pytest.param(BEGUN, 100.0 + 5_760, "24 of 120 minutes are left", id="time"),
        pytest.param(
            progress(cost_microusd=4_000_000), 100.0, "$1.00 of $5.00 are left", id="money"
        ),
    ],
)
def test_an_agent_is_told_once_when_most_of_a_limit_is_used_up(
    used: AgentProgress, now: float, said: str
) -> None:
    """At 80 % of turns, time or money the agent is warned, once for each."""
    told, message = loop.running_low(used, LIMITS, now=now)

    assert said in (message or "")
    assert loop.running_low(told, LIMITS, now=now) == (told, None)
    assert loop.running_low(BEGUN, LIMITS, now=100.0) == (BEGUN, None)


def test_agents_from_before_are_not_warned_and_keep_their_turns() -> None:
    """What holds for an agent that started before 2026-12 stays as it was."""
    assert loop.running_low(progress(turns=59), BEFORE, now=7_000.0)[1] is None
    assert loop.sized(BEFORE, 1_000) == BEFORE


@pytest.mark.parametrize(
    ("size", "turns", "seconds"),
    [(0, 60, 7_200), (10, 60, 7_200), (40, 120, 14_400), (1_000, 300, 36_000)],
)
def test_limits_follow_the_size_that_a_plan_estimates(size: int, turns: int, seconds: int) -> None:
    """A larger task has more turns and time, within bounds; a small one no fewer than its role."""
    given = loop.sized(LIMITS, size)

    assert (given.turns, given.seconds) == (turns, seconds)
