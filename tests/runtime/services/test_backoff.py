"""Pauses between restarts."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.services.backoff import Backoff


def test_pauses_double_up_to_ten_seconds() -> None:
    """A process that ends at once each time is restarted after 0.2 s, 0.4 s … 10 s."""
    backoff, now, pauses = Backoff(0.0), 0.0, []
    for _ in range(8):
        pauses.append(backoff.after_end(now))
        now += pauses[-1] + 1

    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_the_pause_is_short_again_after_thirty_seconds_of_running() -> None:
    """After 30 s or less it still doubles."""
    backoff = Backoff(0.0)
    backoff.after_end(1.0)
    backoff.after_end(2.0)

    assert backoff.after_end(2.4 + 30.0) == 0.8
    assert backoff.after_end(2.4 + 30.0 + 0.8 + 30.1) == 0.2


@given(st.lists(st.floats(min_value=0, max_value=1_000)))
def test_every_pause_is_between_its_bounds(lives: list[float]) -> None:
    """However long each run was, a pause is between 0.2 s and 10 s."""
    backoff, now = Backoff(0.0), 0.0
    for life in lives:
        pause = backoff.after_end(now + life)
        now += life + pause

        assert 0.2 <= pause <= 10
