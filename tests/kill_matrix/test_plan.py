"""The matrix's plans: drawn from a seed, every event once when all are asked for."""

from hypothesis import given
from hypothesis import strategies as st

from tests.kill_matrix.history_follower import HistoryPoint
from tests.kill_matrix.plan import USUAL, FaultKind, Mode, plans

POINTS = [HistoryPoint("/task/a", "ACTIVITY_TASK_STARTED", "call_model", n) for n in range(1, 90)]


@given(st.integers(0, 1_000), st.integers(1, 200), st.sets(st.sampled_from(Mode), min_size=1))
def test_the_same_seed_draws_the_same_kills(seed: int, kills: int, modes: set[Mode]) -> None:
    """A plan depends on its seed alone, numbers its runs from 1 and leaves none without a kill."""
    first = plans(POINTS, kills=kills, seed=seed, modes=sorted(modes))
    assert first == plans(POINTS, kills=kills, seed=seed, modes=sorted(modes))
    assert [plan.number for plan in first] == list(range(1, len(first) + 1))
    assert all(plan.kill_points for plan in first)
    assert {plan.mode for plan in first} == modes


def test_the_worker_dies_once_at_every_event() -> None:
    """Without a number of kills the worker dies at each event of the undisturbed run, once."""
    drawn = plans(POINTS, kills=0, seed=3, modes=list(Mode))
    killed = [
        kill_point.at
        for plan in drawn
        for kill_point in plan.kill_points
        if plan.mode is Mode.EVENT
    ]
    assert sorted(map(str, killed)) == sorted(map(str, POINTS))


def test_without_sharing_each_event_has_its_own_run() -> None:
    """When no events are taken together, each run has one kill."""
    drawn = plans(POINTS, kills=0, seed=3, modes=[Mode.EVENT], together=1)
    assert {len(plan.kill_points) for plan in drawn} == {1}
    assert len({plan.kill_points[0].at for plan in drawn}) == len(POINTS)


def test_the_kills_of_a_run_are_far_apart() -> None:
    """The events of one run lie far apart, so that the request makes progress between two kills."""
    for plan in plans(POINTS, kills=20, seed=5, modes=[Mode.EVENT]):
        where = [POINTS.index(kill_point.at) for kill_point in plan.kill_points if kill_point.at]
        assert where == sorted(where)
        assert where[-1] - where[0] > len(POINTS) // 2


def test_the_default_matrix_kills_more_than_two_hundred() -> None:
    """It plans well above 200, for a request may end before its last kill, of every kind."""
    drawn = plans(POINTS * 12, kills=USUAL, seed=1, modes=list(Mode))
    faults = [kill_point.fault for plan in drawn for kill_point in plan.kill_points]
    assert sum(fault.processes for fault in faults) >= 240
    assert {*faults} == {*FaultKind}
