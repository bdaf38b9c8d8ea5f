"""The lane of a task: which, and why."""

import pytest

from contracts.lanes import Lane, LaneFacts
from contracts.planning import Risk
from domain.lanes import LaneRefused, choose, must_be_cloud

NONE_HERE = "this host offers none: have root start the worker"

# asked, whose words, risk, writes, whether the host has a cloud lane -> the lane, words of why
ROWS = """
-        person   low    0  yes  worktree  it only reads (low risk, about 10 turns)
-        person   low    1  yes  worktree  it writes 1 path pattern (low risk
-        person   low    2  yes  worktree  it writes 2 patterns
-        person   low    9  yes  worktree  it writes 9 patterns
-        person   normal 0  yes  worktree  it only reads (normal risk
-        person   normal 1  yes  worktree  it writes 1 path pattern (normal risk
-        person   normal 2  yes  worktree  it writes 2 patterns
-        person   high   0  yes  cloud     its risk is high
-        person   high   1  yes  cloud     its risk is high
-        person   high   9  yes  cloud     its risk is high
-        person   low    0  no   worktree  it only reads
-        person   low    1  no   worktree  it writes 1 path pattern
-        person   normal 0  no   worktree  it only reads
-        person   normal 2  no   worktree  it writes 2 patterns
-        person   high   0  no   worktree  its risk is high, but this host offers none
-        person   high   1  no   worktree  its risk is high, but this host offers none
-        stranger low    0  yes  cloud     a stranger's words
-        stranger low    1  yes  cloud     a stranger's words
-        stranger normal 0  yes  cloud     a stranger's words
-        stranger normal 2  yes  cloud     a stranger's words
-        stranger high   1  yes  cloud     a stranger's words
-        stranger low    0  no   refused   a stranger's words
-        stranger normal 1  no   refused   a stranger's words
-        stranger high   1  no   refused   a stranger's words
worktree person   low    0  yes  worktree  ask for a worktree
worktree person   normal 1  yes  worktree  ask for a worktree
worktree person   high   0  yes  worktree  ask for a worktree
worktree person   high   1  yes  worktree  ask for a worktree
worktree person   low    0  no   worktree  ask for a worktree
worktree person   high   1  no   worktree  ask for a worktree
worktree stranger low    0  yes  cloud     a stranger's words
worktree stranger normal 1  yes  cloud     a stranger's words
worktree stranger high   1  yes  cloud     a stranger's words
worktree stranger normal 1  no   refused   a stranger's words
worktree stranger high   1  no   refused   a stranger's words
cloud    person   low    0  yes  cloud     ask for the cloud lane
cloud    person   low    1  yes  cloud     ask for the cloud lane
cloud    person   normal 0  yes  cloud     ask for the cloud lane
cloud    person   normal 2  yes  cloud     ask for the cloud lane
cloud    person   high   1  yes  cloud     ask for the cloud lane
cloud    person   low    0  no   refused   have root start the worker
cloud    person   normal 1  no   refused   have root start the worker
cloud    person   high   1  no   refused   have root start the worker
cloud    stranger low    0  yes  cloud     a stranger's words
cloud    stranger high   2  yes  cloud     a stranger's words
cloud    stranger normal 1  no   refused   have root start the worker
"""


@pytest.mark.parametrize("row", ROWS.strip().splitlines(), ids=lambda row: " ".join(row.split()))
def test_every_task_gets_a_lane_and_its_reason_or_is_refused(row: str) -> None:
    """Each row of the table: a stranger's words first, then who asks, then the task."""
    asked, whose, risk, writes, offered, lane, why = row.split(maxsplit=6)
    facts = LaneFacts(
        writes=int(writes),
        risk=Risk(risk),
        asked=None if asked == "-" else Lane(asked),
        untrusted=whose == "stranger",
    )
    no_cloud = "" if offered == "yes" else NONE_HERE
    if lane == "refused":
        with pytest.raises(LaneRefused, match=why):
            choose(facts, no_cloud=no_cloud)
        assert must_be_cloud(facts.asked, untrusted=facts.untrusted)
        return
    chosen, reason = choose(facts, no_cloud=no_cloud)

    assert chosen is Lane(lane)
    assert why in reason


def test_the_size_of_a_task_stands_in_the_reason() -> None:
    """A person sees by what it was chosen."""
    _, reason = choose(LaneFacts(writes=1, size=7))

    assert "about 7 turns" in reason
