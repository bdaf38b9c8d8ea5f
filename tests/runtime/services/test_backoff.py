"""Pauses between starts."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.services.backoff import Backoff


def test_doubles() -> None:
    """What ends at once again is started at pauses of 0.2 s that double up to ten seconds."""
    backoff, now, pauses = Backoff(0.0), 0.0, []
    for _ in range(8):
        pauses.append(backoff.after_end(now))
        now += pauses[-1] + 1

    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_health() -> None:
    """After more than thirty seconds of health the next pause is short again."""
    backoff = Backoff(0.0)
    backoff.after_end(1.0)
    backoff.after_end(2.0)

    assert backoff.after_end(2.4 + 30.0) == 0.8
    assert backoff.after_end(2.4 + 30.0 + 0.8 + 30.1) == 0.2


@given(st.lists(st.floats(min_value=0, max_value=1_000)))
def test_bounds(lives: list[float]) -> None:
    """However long each life was, no pause is under 0.2 s or over ten."""
    backoff, now = Backoff(0.0), 0.0
    for life in lives:
        pause = backoff.after_end(now + life)
        now += life + pause

        assert 0.2 <= pause <= 10
