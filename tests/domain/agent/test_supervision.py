"""What is done with an agent that does not come on: each sign, each step, each threshold."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.agent import AgentLimits, AgentProgress, StopCause
from contracts.handoff import HandoffCause
from contracts.model import ToolAnswer, ToolUse
from contracts.store import ConversationRef
from contracts.verdicts import Effect
from domain.agent import circles, loop, supervision
from domain.handoff import window
from domain.limits import AGENT

SEARCH = ToolUse(id="s", name="search", arguments="1" * 40, effect=Effect.READ)
RUN = ToolUse(id="r", name="run_command", arguments="2" * 40, effect=Effect.WRITE)
EDIT = ToolUse(id="e", name="edit", arguments="3" * 40, effect=Effect.WRITE)
UNDO = ToolUse(id="u", name="edit", arguments="4" * 40, effect=Effect.WRITE)
OTHER_LOOKS = AGENT.model_copy(update={"same_call_warning": 99})
"""Without the warning of the same call, which comes in the same places."""


@dataclass
class Replies:
    """An agent's counters, reply by reply.

    Attributes:
        told: what it was told after each reply.
    """

    limits: AgentLimits = AGENT
    progress: AgentProgress = field(default_factory=AgentProgress)
    told: list[object] | None = None

    def say(
        self, use: ToolUse, text: str = "same", *, changed: bool = False, learned: bool = False
    ) -> object:
        """Answer one more reply; returns what follows."""
        answers = [ToolAnswer(tool_use_id=use.id, text=text)]
        self.progress = loop.answered(
            self.progress, [use], answers, self.limits, changed=changed, learned=learned
        )
        step = loop.after_answers(self.progress, self.limits)
        self.told = [*(self.told or []), step]
        return step


def test_an_edit_that_is_done_and_undone_is_a_circle() -> None:
    """A-B-A-B is warned of in its second round and ends in its sixth, though files change."""
    replies = Replies(OTHER_LOOKS)
    for _ in range(6):
        replies.say(EDIT, changed=True)
        replies.say(UNDO, changed=True)

    told = replies.told or []
    assert [place for place, step in enumerate(told) if step == loop.CIRCLES] == [3]
    assert [isinstance(step, loop.Stop) for step in told] == [False] * 11 + [True]


def test_edits_and_tests_with_other_outcomes_are_no_circle() -> None:
    """The same test after each of many edits is work."""
    replies = Replies()
    for number in range(30):
        edit = EDIT.model_copy(update={"arguments": f"{number:040x}"})
        replies.say(edit, changed=True)
        replies.say(RUN, f"{number} failed")

    assert set(replies.told or []) == {None}


def test_searching_on_and_on_is_told_then_ended() -> None:
    """Replies that change nothing, read nothing for the first time and run nothing new."""
    replies = Replies()
    for number in range(30):
        other = SEARCH.model_copy(update={"arguments": f"{number:040x}"})
        replies.say(other, str(number))

    told = replies.told or []
    assert [place for place, step in enumerate(told) if isinstance(step, str)] == [14]
    assert told[14] == loop.IDLE.format(replies=15)
    assert isinstance(told[29], loop.Stop)
    assert not any(isinstance(step, loop.Stop) for step in told[:29])


@pytest.mark.parametrize(
    ("use", "text", "changed", "learned"),
    [
        pytest.param(SEARCH, "x", False, True, id="a file read for the first time"),
        pytest.param(EDIT, "x", True, False, id="a file changed"),
        pytest.param(RUN, "new", False, False, id="a command that came to something new"),
    ],
)
def test_what_changes_the_ledger_counts_from_the_beginning(
    use: ToolUse, text: str, *, changed: bool, learned: bool
) -> None:
    """One such reply is enough."""
    replies = Replies(progress=AgentProgress(idle=14))
    replies.say(use, text, changed=changed, learned=learned)

    assert replies.progress.idle == 0


def test_an_agent_from_before_is_not_looked_at() -> None:
    """Limits of old histories have none of these thresholds."""
    replies = Replies(AgentLimits())
    for _ in range(2):
        replies.say(EDIT, changed=True)
        replies.say(UNDO, changed=True)

    assert (replies.progress.trail, replies.progress.idle) == ((), 0)
    stop = loop.Stop(StopCause.LOOP, "in circles")
    assert supervision.instead_of(stop, AgentProgress(), AgentLimits(), fallback=True) == stop


def test_the_steps_come_in_their_order() -> None:
    """A fresh window, another model, a person: each once, and the reason names what was tried."""
    stop = loop.Stop(StopCause.LOOP, "in circles")
    progress, steps = AgentProgress(), []
    for _ in range(3):
        step = supervision.instead_of(stop, progress, AGENT, fallback=True)
        steps.append(step)
        if isinstance(step, loop.OpenWindow):
            progress = supervision.in_fresh_window(progress, step)

    assert steps == [
        loop.OpenWindow(HandoffCause.STUCK, why="in circles"),
        loop.OpenWindow(HandoffCause.STUCK, why="in circles", fallback=True),
        loop.Stop(StopCause.LOOP, "in circles, also in 2 fresh windows"),
    ]


def test_without_another_model_a_person_comes_next() -> None:
    """Nobody's model is taken that was not allowed."""
    stop = loop.Stop(StopCause.LOOP, "in circles")
    step = loop.OpenWindow(HandoffCause.STUCK)
    after = supervision.in_fresh_window(AgentProgress(), step)

    assert supervision.instead_of(stop, after, AGENT, fallback=False) == loop.Stop(
        StopCause.LOOP, "in circles, also in 1 fresh window"
    )


@pytest.mark.parametrize("cut", [each for each in StopCause if each is not StopCause.LOOP])
def test_no_other_end_is_put_off(cut: StopCause) -> None:
    """What ends an agent for another reason ends it."""
    stop = loop.Stop(cut, "because")

    assert supervision.instead_of(stop, AgentProgress(), AGENT, fallback=True) == stop


def test_a_fresh_window_counts_anew_but_for_what_was_spent() -> None:
    """What it is told is new to it; turns, money and warnings of limits stay."""
    used = AgentProgress(
        turns=9, nudges=2, bad_replies=3, failed_replies=4, recent=("a",), trail=("a",), idle=5,
        variant=1, warned=("turns",), cost_microusd=7,
    )  # fmt: skip
    fresh = supervision.in_fresh_window(used, loop.OpenWindow(HandoffCause.FULL))

    assert fresh == AgentProgress(turns=9, warned=("turns",), cost_microusd=7)


@given(st.lists(st.sampled_from("ab"), max_size=24))
def test_a_circle_is_what_stands_there_again(trail: list[str]) -> None:
    """Whatever is counted, the end of the trail is that many times the same."""
    times = circles.repeats(trail)
    fits = [
        length
        for length in range(2, 5)
        if times and trail[-length * times :] == trail[-length:] * times
    ]

    assert bool(times) == bool(fits)
    assert times != 1


@pytest.mark.parametrize(
    ("turns", "tokens", "due"),
    [(3, 110_000, True), (3, 109_999, False), (2, 150_000, False), (40, 0, False)],
)
def test_a_window_ends_at_its_limit_after_a_few_turns(
    turns: int, tokens: int, *, due: bool
) -> None:
    """Never at once: the next would be as full."""
    at = ConversationRef(id="c", head="0" * 40, turns=turns, context_tokens=tokens)

    assert (window.due(at, AGENT) is HandoffCause.FULL) is due
    assert window.due(at, AgentLimits()) is None
