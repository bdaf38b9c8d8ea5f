"""The lane of a task: which, and why."""

import pytest

from contracts.lanes import Lane
from contracts.planning import Risk, TaskSpec
from domain.lanes import choose


@pytest.mark.parametrize("writes", [(), ("src/",), ("src/", "docs/")], ids=len)
def test_every_task_gets_an_offered_lane_with_its_reason(writes: tuple[str, ...]) -> None:
    """What the choice was made from stands in the reason: writes, risk, size."""
    task = TaskSpec(id="t", title="T", goal="G", writes=writes, size=7, risk=Risk.HIGH)
    lane, reason = choose(task)

    assert lane is Lane.WORKTREE
    assert ("writes" in reason) == bool(writes)
    assert "high risk, about 7 turns" in reason
