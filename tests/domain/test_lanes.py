"""The lane of a task: which, why, and what is refused."""

import pytest

from contracts.lanes import Lane
from contracts.planning import Risk, TaskSpec
from domain.lanes import OFFERED, choose, refusal


def task(*writes: str) -> TaskSpec:
    """A task that writes `writes`."""
    return TaskSpec(id="t", title="T", goal="G", writes=writes, size=7, risk=Risk.HIGH)


@pytest.mark.parametrize("writes", [(), ("src/",), ("src/", "docs/")], ids=len)
def test_every_task_gets_an_offered_lane_with_its_reason(writes: tuple[str, ...]) -> None:
    """What the choice was made from stands in the reason: writes, risk, size."""
    choice = choose(task(*writes))

    assert choice.lane is Lane.WORKTREE
    assert refusal(choice) is None
    assert ("writes" in choice.reason) == bool(writes)
    assert "high risk, about 7 turns" in choice.reason


@pytest.mark.parametrize("lane", Lane)
def test_a_person_may_override_and_is_told_what_is_not_offered(lane: Lane) -> None:
    """An override is never quietly replaced by another lane."""
    choice = choose(task("src/"), override=lane)

    assert choice.lane is lane
    assert "a person chose it" in choice.reason
    if lane in OFFERED:
        assert refusal(choice) is None
    else:
        assert refusal(choice) == f"The lane {lane} is not offered yet; choose one of: worktree."
