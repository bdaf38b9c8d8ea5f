"""The table of conditions: something holds for whatever comes, and the sharper row first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.failures import FailureKind
from contracts.model import ReplyOutcome
from domain.agent.conditions import (
    DISCARDED,
    FAILURES,
    REPLIES,
    Break,
    Came,
    Switch,
    of_failure,
    of_reply,
)
from domain.failures import STRATEGIES

WORDS = {"where": "w", "through": "t", "variables": "v"}
CAME = st.builds(
    Came,
    broke=st.none() | st.sampled_from(Break),
    status=st.integers(0, 599),
    type=st.sampled_from(["", "rate_limit_error", "api_error", "new_error"]) | st.text(),
    code=st.sampled_from(["", "cmek_x", "compaction_unavailable", "new_code"]) | st.text(),
    says=st.sampled_from(["prompt is too long", "thinking.x", "{says}"]) | st.text(),
    foreign=st.booleans(),
    names_wait=st.booleans(),
    should_retry=st.sampled_from(["", "true", "false", "maybe"]),
    words=st.just(WORDS),
)


@given(CAME)
def test_whatever_comes_has_a_row_and_a_sentence(came: Came) -> None:
    """A service may answer anything: there is a kind with a strategy, and words for a person."""
    row = of_failure(came)

    assert isinstance(row.answer, FailureKind)
    assert row.answer in STRATEGIES
    assert row.sentence(came) or not came.says


@given(st.text())
def test_any_other_stop_reason_is_unknown_and_run_by_nobody(stop: str) -> None:
    """Nothing of such a reply is kept, and its reason is told."""
    known = {each for row in REPLIES for each in row.stops}
    if stop not in known:
        came = Came(stop_reason=stop, says=stop)
        assert of_reply(came).answer is ReplyOutcome.UNKNOWN
        assert stop in of_reply(came).sentence(came)
    assert ReplyOutcome.UNKNOWN in DISCARDED


@given(CAME.filter(lambda came: came.broke is None and not came.foreign))
def test_a_code_counts_before_type_status_and_text(came: Came) -> None:
    """A spending limit looks like a rate limit in everything else, and is never tried again."""
    spent = Came(
        status=came.status,
        type=came.type,
        says=came.says,
        code="enforced_spend_limit_reached",
        should_retry=came.should_retry,
    )

    assert of_failure(spent).answer is FailureKind.SPEND_LIMIT


@given(CAME.filter(lambda came: came.broke is not None))
def test_what_broke_is_told_as_that_whatever_it_says(came: Came) -> None:
    """The words of an exception are never taken for the service's."""
    row = of_failure(Came(broke=came.broke, status=came.status, says=came.says, words=WORDS))

    assert came.broke in row.broke


@pytest.mark.parametrize("status", [401, 403, 404, 407, 418, 451])
def test_a_page_of_another_server_is_not_the_services_answer(status: int) -> None:
    """The person is told which address answered and which variables to check."""
    came = Came(status=status, foreign=True, says="a page", words=WORDS)

    assert "check v" in of_failure(came).sentence(came)


def test_every_row_can_be_told_apart() -> None:
    """Names are unique; a fallback model is asked only where another may do better."""
    names = [row.name for row in (*REPLIES, *FAILURES)]

    assert len(set(names)) == len(names)
    assert {row.name for row in (*REPLIES, *FAILURES) if row.switch is not Switch.NEVER} == {
        "refusal",
        "no such model",
        "overloaded",
        "service error",
        "unavailable",
    }
