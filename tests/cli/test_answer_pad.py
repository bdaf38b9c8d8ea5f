"""Keys in the watch view: nothing is sent that was not seen, chosen and confirmed."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.answer_pad import (
    BACKSPACE,
    ENTER,
    ERASE,
    ESCAPE,
    RIGHT,
    AnswerPad,
    Edit,
    Key,
    Mode,
    Send,
    ViewWhole,
)
from contracts.approvals import Approval, ApprovalKind, Choice
from tests.cli.builders import approval

PLAN = approval("plan")
PATCH = approval("review/cart/0", kind=ApprovalKind.REVIEW, digest="ab" * 32)
DELIVERY = approval("delivery", kind=ApprovalKind.DELIVERY, digest="cd" * 32)


def pad_with(*questions: Approval) -> AnswerPad:
    """Return the keys of a view in which these questions wait."""
    pad = AnswerPad()
    pad.update(questions)
    return pad


def pressed(pad: AnswerPad, keys: Sequence[str]) -> object:
    """Press keys one after the other and return what the last one asks for."""
    action: object = None
    for key in keys:
        action = pad.press([key])
    return action


def mode(pad: AnswerPad) -> Mode:
    """Return what the next key is for."""
    return pad.mode


def test_an_approval_is_sent_once_it_is_confirmed() -> None:
    """For exactly what stood there; any other key than y sends nothing."""
    assert pressed(pad_with(PLAN), "ay") == Send(Choice.APPROVE, PLAN)
    for other in ("n", ESCAPE, ENTER, "a", " "):
        pad = pad_with(PLAN)
        assert pressed(pad, ["a", other]) is None
        assert (mode(pad), pad.message) == (Mode.CHOOSE, "nothing was sent")


def test_an_approval_for_the_request_is_sent_where_a_rule_is_offered() -> None:
    """Confirmed like another; where none is offered it is said, and nothing is asked."""
    ruled = PLAN.model_copy(update={"rules": ("Bash(make)",)})
    assert pressed(pad_with(ruled), "Ay") == Send(Choice.APPROVE, ruled, for_request=True)
    assert pressed(pad_with(ruled), "ay") == Send(Choice.APPROVE, ruled)
    given_up = pad_with(ruled)
    assert pressed(given_up, "Anay") == Send(Choice.APPROVE, ruled)
    pad = pad_with(PLAN)
    assert pressed(pad, "A") is None
    assert (mode(pad), pad.message) == (
        Mode.CHOOSE,
        "this can be approved for this once alone: press a",
    )


def test_a_reason_is_typed_and_confirmed() -> None:
    """It can be corrected, begun again and given up; without a word nothing is sent."""
    pad = pad_with(PLAN)
    assert pressed(pad, [*"rnoo", BACKSPACE, *" ré", ENTER, "y"]) == Send(
        Choice.REJECT, PLAN, "no ré"
    )
    assert pressed(pad, [*"ex", ERASE, *"also y", ENTER, "y"]) == Send(
        Choice.REVISE, PLAN, "also y"
    )
    assert pressed(pad, [*"ex", ESCAPE, "y"]) is None
    assert pressed(pad, ["r", " ", ENTER, "y"]) is None
    assert mode(pad) is Mode.CHOOSE


def test_a_delivery_cannot_be_sent_back() -> None:
    """It is said, and nothing is asked."""
    pad = pad_with(DELIVERY)

    assert pressed(pad, "e") is None
    assert (mode(pad), "not sent back" in pad.message) == (Mode.CHOOSE, True)


def test_the_question_that_is_shown_is_the_one_that_is_answered() -> None:
    """Next and previous go round; the choice stays while others come and go."""
    pad = pad_with(PLAN, PATCH, DELIVERY)

    assert pressed(pad, ["n", RIGHT]) is None
    assert pad.place == (3, 3)
    pressed(pad, "npp")
    pad.update([PATCH, DELIVERY])
    assert (pad.shown, pad.place) == (PATCH, (1, 2)) or pad.shown == DELIVERY
    shown = pad.shown
    assert isinstance(sent := pressed(pad, "ay"), Send)
    assert sent.approval == shown


def test_keys_ask_for_what_is_behind_them() -> None:
    """All of a question, an editor, the reason, the diff, leaving; help goes by any key."""
    pad = pad_with(PATCH)

    assert pressed(pad, "v") == ViewWhole(PATCH)
    assert pressed(pad, "E") == Edit(PATCH)
    assert [pressed(pad, key) for key in "wdq"] == [Key.WHY, Key.DIFF, Key.LEAVE]
    assert pressed(pad, "?") is None
    assert mode(pad) is Mode.HELP
    assert pressed(pad, "?") is None
    assert mode(pad) is Mode.CHOOSE


@pytest.mark.parametrize("keys", ["a", "ro", "rok\r"])
def test_what_changes_while_it_is_answered_is_not_answered(keys: str) -> None:
    """Whether it is gone or another digest stands there; the person is told."""
    changed = PLAN.model_copy(update={"digest": "ef" * 32})
    for now in ([changed], []):
        pad = pad_with(PLAN)
        pressed(pad, keys)
        pad.update(now)
        assert pad.message.endswith("nothing was sent")
        assert pressed(pad, "y") is None


def test_what_came_of_an_answer_stays_until_the_next_key() -> None:
    """That its question waits no longer says nothing more."""
    pad = pad_with(PLAN)
    assert pressed(pad, "ay") == Send(Choice.APPROVE, PLAN)
    pad.message = "'plan' is approved by Ada."
    pad.update([])
    assert pad.message == "'plan' is approved by Ada."
    pad.press(["n"])
    assert "approved" not in pad.message


def test_pasted_text_answers_nothing() -> None:
    """Neither many keys at once nor a y that came with the key before it."""
    pad = pad_with(PLAN)

    assert pad.press("ayay") is None
    assert mode(pad) is Mode.CHOOSE
    assert pad.press("ay") is None
    assert mode(pad) is Mode.CONFIRM


keys = st.sampled_from([*"areEvnpwdq?yhx ", ENTER, ESCAPE, BACKSPACE, RIGHT])
questions = st.lists(st.sampled_from([PLAN, PATCH, DELIVERY]), unique_by=lambda each: each.id)


@given(st.lists(st.one_of(st.lists(keys, max_size=5), questions), max_size=30))
def test_no_keys_send_what_does_not_wait(moments: list[list[str] | list[Approval]]) -> None:
    """Whatever is pressed while questions come and go: an answer is for a question that waits, of
    a kind that can be answered so, and came after its own y.
    """
    pad = AnswerPad()
    waiting: list[Approval] = []
    for moment in moments:
        if moment and isinstance(moment[0], Approval):
            waiting = [each for each in moment if isinstance(each, Approval)]
            pad.update(waiting)
            continue
        pressed_now = [key for key in moment if isinstance(key, str)]
        confirming = mode(pad) is Mode.CONFIRM
        action = pad.press(pressed_now)
        if isinstance(action, Send):
            assert confirming
            assert pressed_now[0] == "y"
            assert action.approval in waiting
            assert (action.choice, action.approval) != (Choice.REVISE, DELIVERY)
            assert bool(action.reason) is (action.choice is not Choice.APPROVE)
