"""The matrix's plans: drawn from a seed, every event once when all are asked for."""

from hypothesis import given
from hypothesis import strategies as st

from tests.kill_matrix.following import Point
from tests.kill_matrix.plan import USUAL, FaultKind, Mode, plans

POINTS = [Point("/task/a", "ACTIVITY_TASK_STARTED", "call_model", n) for n in range(1, 90)]


@given(st.integers(0, 1_000), st.integers(1, 200), st.sets(st.sampled_from(Mode), min_size=1))
def test_the_same_seed_draws_the_same_blows(seed: int, blows: int, modes: set[Mode]) -> None:
    """A plan depends on its seed alone, numbers its runs from 1 and leaves none without a blow."""
    first = plans(POINTS, blows=blows, seed=seed, modes=sorted(modes))
    assert first == plans(POINTS, blows=blows, seed=seed, modes=sorted(modes))
    assert [plan.number for plan in first] == list(range(1, len(first) + 1))
    assert all(plan.strikes for plan in first)
    assert {plan.mode for plan in first} == modes


def test_every_event_is_struck_once() -> None:
    """Without a number of blows the worker dies at each event of the undisturbed run, once."""
    drawn = plans(POINTS, blows=0, seed=3, modes=list(Mode))
    struck = [strike.at for plan in drawn for strike in plan.strikes if plan.mode is Mode.EVENT]
    assert sorted(map(str, struck)) == sorted(map(str, POINTS))


def test_every_event_has_a_run_of_its_own() -> None:
    """When no events are taken together, each run has one blow."""
    drawn = plans(POINTS, blows=0, seed=3, modes=[Mode.EVENT], together=1)
    assert {len(plan.strikes) for plan in drawn} == {1}
    assert len({plan.strikes[0].at for plan in drawn}) == len(POINTS)


def test_a_run_is_struck_from_its_beginning_to_its_end() -> None:
    """The events of one run lie far apart, so that the request gets on between two blows."""
    for plan in plans(POINTS, blows=20, seed=5, modes=[Mode.EVENT]):
        where = [POINTS.index(strike.at) for strike in plan.strikes if strike.at]
        assert where == sorted(where)
        assert where[-1] - where[0] > len(POINTS) // 2


def test_the_default_matrix_kills_more_than_two_hundred() -> None:
    """
    It aims well above 200, for a request may end before its last blow, and strikes in every way.
    """
    drawn = plans(POINTS * 12, blows=USUAL, seed=1, modes=list(Mode))
    harms = [strike.harm for plan in drawn for strike in plan.strikes]
    assert sum(harm.kills for harm in harms) >= 240
    assert {*harms} == {*FaultKind}
