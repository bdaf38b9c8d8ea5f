"""Which finished requests leave a host."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.clean_up import CleanUp
from domain.clean_up import DAY_SECONDS, FinishedRequest, InstalledLayer, leaving, unused

NOW = 2_000_000_000.0
MB = 1_000_000
_REQUESTS = st.lists(
    st.builds(
        FinishedRequest,
        key=st.text("abc", min_size=1, max_size=6),
        ended=st.floats(0, NOW),
        stored_bytes=st.integers(0, 100 * MB),
    ),
    unique_by=lambda each: each.key,
)


def _one(key: str, days: float, megabytes: int = 0) -> FinishedRequest:
    return FinishedRequest(key, NOW - days * DAY_SECONDS, megabytes * MB)


def test_what_ended_long_enough_ago_goes_with_the_reason() -> None:
    """The last whole day counts; without a retention nothing goes for its age."""
    requests = [_one("new", 29.9), _one("old", 30.1), _one("older", 45)]

    gone = leaving(requests, CleanUp(retention_days=30), used_bytes=0, now=NOW)

    assert [(each.key, why) for each, why in gone] == [
        ("older", "it ended 45 days ago and is kept 30"),
        ("old", "it ended 30 days ago and is kept 30"),
    ]
    assert leaving(requests, CleanUp(), used_bytes=10**12, now=NOW) == []


def test_beyond_the_budget_those_that_ended_first_go_until_it_is_kept() -> None:
    """No more than are needed, and none while the stores are within it."""
    requests = [_one("new", 1, 50), _one("old", 3, 50), _one("middle", 2, 50)]
    order = CleanUp(budget_bytes=100 * MB)

    gone = leaving(requests, order, used_bytes=160 * MB, now=NOW)

    assert [each.key for each, _ in gone] == ["old", "middle"]
    assert gone[0][1] == "the stores take 160 MB, their budget is 100 MB"
    assert leaving(requests, order, used_bytes=100 * MB, now=NOW) == []


def test_disk_of_a_layer_is_free_once_its_last_request_goes() -> None:
    """Of one that none uses at once; what an open request uses counts for nobody."""
    requests = [_one("new", 1, 10), _one("old", 3, 10), _one("middle", 2, 10)]
    layers = [
        InstalledLayer("shared", 50 * MB, frozenset({"old", "middle"})),
        InstalledLayer("none", 5 * MB),
        InstalledLayer("open", 90 * MB, frozenset({"old", "an open one"})),
    ]
    order = CleanUp(budget_bytes=100 * MB)

    gone = leaving(requests, order, used_bytes=175 * MB, now=NOW, layers=layers)

    assert [each.key for each, _ in gone] == ["old", "middle"]
    assert gone[0][1] == "the stores and layers take 175 MB, their budget is 100 MB"
    left = [layer.name for layer in unused(layers, {"old", "middle"})]
    assert left == ["shared", "none"]
    assert leaving(requests, order, used_bytes=105 * MB, now=NOW, layers=layers) == []


@given(_REQUESTS, st.integers(1, 90), st.integers(1, 500), st.integers(0, 1_000))
def test_nothing_younger_goes_before_something_older(
    requests: list[FinishedRequest], days: int, budget: int, used: int
) -> None:
    """What goes ended no later than anything that stays, whatever the order says."""
    order = CleanUp(retention_days=days, budget_bytes=budget * MB)
    gone = [each for each, _ in leaving(requests, order, used_bytes=used * MB, now=NOW)]

    stays = [each for each in requests if each not in gone]
    assert max((each.ended for each in gone), default=0) <= min(
        (each.ended for each in stays), default=NOW
    )
    for each in requests:
        if NOW - each.ended >= days * DAY_SECONDS:
            assert each in gone
