"""What a kind of failure means: each has an answer, and no run waits for what time cannot solve."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.failures import FailureKind, RetryAdvice
from contracts.visibility import RunState
from domain import failures, retries, wire

KINDS = st.sampled_from(FailureKind)
FOR_A_PERSON = (FailureKind.CREDENTIALS, FailureKind.SPEND_LIMIT)
"""What only a person ends, whenever that is."""


def test_every_kind_has_a_strategy() -> None:
    """No failure is without an answer."""
    assert set(failures.STRATEGIES) == set(FailureKind)


@pytest.mark.parametrize("kind", FailureKind)
def test_a_run_that_waits_is_shown_as_waiting(kind: FailureKind) -> None:
    """A run that waits is never shown as failed."""
    advice = failures.STRATEGIES[kind].advice
    if advice.waits:
        assert advice.state is not RunState.FAILED


@pytest.mark.parametrize(
    "kind",
    [
        FailureKind.REFUSED,
        FailureKind.MODEL_REQUEST,
        FailureKind.CONTEXT_FULL,
        FailureKind.FENCED,
    ],
)
def test_a_failure_that_time_does_not_solve_is_final(kind: FailureKind) -> None:
    """Another try would end the same way."""
    advice = failures.STRATEGIES[kind].advice

    assert retries.pause_seconds(advice, 0) is None
    assert advice.state is RunState.FAILED


@given(KINDS, st.integers(0, 1_999))
def test_pauses_grow_to_their_longest_and_stay_there(kind: FailureKind, tries: int) -> None:
    """A run tries again soon at first, later once a minute, or in ten where a person must act."""
    advice = failures.STRATEGIES[kind].advice
    pause, following = (retries.pause_seconds(advice, n) for n in (tries, tries + 1))
    if pause is not None:
        assert 1 <= pause <= (600 if kind in FOR_A_PERSON else 60)
        assert following is None or following >= pause


def test_a_reply_that_cannot_be_read_is_asked_for_a_few_times() -> None:
    """What is bought and cannot be used is not bought without end, however long others waited."""
    advice = failures.STRATEGIES[FailureKind.MALFORMED].advice
    assert retries.pause_seconds(advice, 500, alike=0) is not None
    assert retries.pause_seconds(advice, 500, alike=4) is None


def test_a_wait_says_until_when() -> None:
    """A wait names the time at which it ends, and the day when that is another."""
    now = dt.datetime(2026, 11, 28, 22, 30, tzinfo=dt.UTC)
    assert retries.until(now, 7_200, often=True) == "waits until 29 November 00:30:00 UTC"
    assert retries.until(now, 8, often=False) == "waits until 22:30:08 UTC"
    assert retries.until(now, 60, often=True) == "tries again every 60 s from 22:31:00 UTC"
    assert retries.until(now, 600, often=True) == "tries again every 10 minutes from 22:40:00 UTC"


@given(KINDS.filter(lambda kind: kind not in FOR_A_PERSON))
def test_every_wait_that_no_person_ends_has_an_end(kind: FailureKind) -> None:
    """After some thousand tries, more than a day, the failure is final."""
    assert retries.pause_seconds(failures.STRATEGIES[kind].advice, 2_000) is None


@given(st.sampled_from(FOR_A_PERSON))
def test_a_wait_for_a_person_lasts_for_weeks(kind: FailureKind) -> None:
    """A key or money may come at any time: ten minutes between tries, and no end to them."""
    assert retries.pause_seconds(failures.STRATEGIES[kind].advice, 10_000) == 600


@given(st.text() | st.none())
def test_an_unknown_kind_of_an_old_history_is_final(kind: str | None) -> None:
    """A failure of a type that is not ours, recorded without advice, is not waited for."""
    if kind not in {member.value for member in FailureKind}:
        assert retries.pause_seconds(wire.advice(kind), 0) is None
        assert wire.advice(kind).state is RunState.WAITING_INFRA


@given(KINDS, st.integers(0, 3_000))
def test_recorded_advice_decides_whatever_the_table_says(kind: FailureKind, tries: int) -> None:
    """What a workflow does follows from the advice alone."""
    never = RetryAdvice(waits=False, state=failures.STRATEGIES[kind].advice.state)
    once = RetryAdvice(waits=True, state=never.state, longest_pause_seconds=5, most_pauses=1)

    assert retries.pause_seconds(never, tries) is None
    assert retries.pause_seconds(once, tries) == (1.0 if tries == 0 else None)
