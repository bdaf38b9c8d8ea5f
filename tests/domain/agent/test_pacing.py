"""The pace of a key: it never exceeds its bounds, honours what was asked, and comes back."""

import math

from hypothesis import given
from hypothesis import strategies as st

from contracts.failures import FailureKind
from domain.agent import pacing
from domain.agent.pacing import LEAST_CALLS, MOST_CALLS, Failed, Hold, Pace

SECONDS = st.floats(0, 1e5)
ASKED = st.none() | st.floats(0, 86_400)
KINDS = st.sampled_from(FailureKind)
LIMITED, KEY, MONEY = FailureKind.RATE_LIMITED, FailureKind.CREDENTIALS, FailureKind.SPEND_LIMIT
STEPS = st.lists(st.none() | st.tuples(KINDS, ASKED), max_size=60)


def after(pace: Pace, step: tuple[FailureKind, float | None] | None, now: float) -> Pace:
    """Return the pace after one call that began just now: a whole reply, or a failure."""
    if step is None:
        return pacing.after_reply(pace)
    kind, asked = step
    return pacing.after_failure(pace, Failed(kind, "no", now, now, asked=asked))


def limited(
    pace: Pace, *, began: float, now: float, asked: float | None = None, at_work: int = 32
) -> Pace:
    """Return the pace after a rate limit."""
    failed = Failed(LIMITED, "slowly", began, now, at_work=at_work, asked=asked)
    return pacing.after_failure(pace, failed)


@given(STEPS)
def test_the_limit_stays_within_its_bounds(steps: list[tuple[FailureKind, float | None]]) -> None:
    """Whatever happens, at least one call may run, and never more than a worker takes."""
    pace = Pace()
    for now, step in enumerate(steps):
        pace = after(pace, step, float(now))
        assert LEAST_CALLS <= pace.limit <= MOST_CALLS


@given(SECONDS, st.floats(0.001, 86_400), st.integers(0, 40))
def test_no_call_begins_before_the_service_said(now: float, asked: float, at_work: int) -> None:
    """A retry-after holds every call of the key, for exactly that long."""
    pace = limited(Pace(), began=now, now=now, asked=asked)
    wait = pacing.admit(pace, at_work=at_work, now=now)

    assert isinstance(wait, Hold)
    assert math.isclose(wait.seconds, asked, rel_tol=1e-6, abs_tol=1e-6)
    assert wait.kind is LIMITED
    assert pacing.admit(pace, at_work=0, now=now + asked + 0.001) == pace


@given(st.integers(2, 32))
def test_limits_of_calls_that_ran_together_count_once(count: int) -> None:
    """Many calls that met the same limit halve the pace once, not once each."""
    pace = Pace()
    for _ in range(count):
        pace = limited(pace, began=0.0, now=1.0)

    assert pace.limit == MOST_CALLS / 2
    assert limited(pace, began=2.0, now=3.0).limit == MOST_CALLS / 4
    assert limited(Pace(), began=0.0, now=1.0, at_work=6).limit == 3


def test_a_limit_without_a_time_holds_longer_each_time() -> None:
    """1, 2, 4 … seconds, at most a minute, until a reply comes."""
    pace, holds = Pace(), []
    for round_ in range(9):
        now = 1_000.0 * round_
        pace = limited(pace, began=now, now=now)
        holds.append(pace.hold_until - now)

    assert holds == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert limited(pacing.after_reply(pace), began=1e5, now=1e5).hold_until == 1e5 + 1


def test_whole_replies_let_one_more_call_through_a_round() -> None:
    """From two at once to three takes two to three replies; all comes back in the end."""
    pace = Pace(limit=2.0)
    for _ in range(3):
        pace = pacing.after_reply(pace)
    assert int(pace.limit) == 3
    for _ in range(1_000):
        pace = pacing.after_reply(pace)
    assert pace.limit == MOST_CALLS


@given(st.integers(1, 32), st.integers(0, 40))
def test_so_many_calls_run_at_once_as_the_limit_says(limit: int, at_work: int) -> None:
    """One more waits until another has ended."""
    admitted = pacing.admit(Pace(limit=float(limit)), at_work=at_work, now=0.0)

    assert isinstance(admitted, Pace) is (at_work < limit)


@given(st.sampled_from([KEY, MONEY]), st.integers(1, 15))
def test_a_refused_key_is_probed_by_one_call_at_a_time(kind: FailureKind, refusals: int) -> None:
    """The others wait; the pauses double up to ten minutes; a reply ends them."""
    pace, now, pause = Pace(), 0.0, 0.0
    for _ in range(refusals):
        probe = pacing.admit(pace, at_work=0, now=now)
        assert isinstance(probe, Pace)
        pace = pacing.after_failure(probe, Failed(kind, "no money", now, now))
        refused = pacing.admit(pace, at_work=0, now=now)
        assert isinstance(refused, Hold)
        assert (refused.kind, refused.says) == (kind, "no money")
        pause = refused.seconds
        now += pause
    probing = pacing.admit(pace, at_work=0, now=now)

    assert pause == min(2.0 ** (refusals - 1), 600)
    assert isinstance(probing, Pace)
    assert isinstance(pacing.admit(probing, at_work=1, now=now), Hold)
    assert pacing.after_reply(probing).stopped is None


@given(KINDS.filter(lambda kind: kind not in {LIMITED, KEY, MONEY}))
def test_other_failures_leave_the_pace_as_it_is(kind: FailureKind) -> None:
    """A request that is wrong, or a broken connection, says nothing of the others."""
    assert after(Pace(), (kind, None), 0.0) == Pace()
