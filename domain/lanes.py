"""Which execution lane a task gets, and why. Tuned freely: the choice is recorded with the lease.

What a stranger wrote always goes to the cloud lane, which is refused rather than replaced where a
host does not offer it. After that the person decides, then the repository's settings, then the
task itself: a task of high risk goes where its host has a lane for it.
"""

from collections.abc import Mapping
from types import MappingProxyType

from contracts.lanes import Lane, LaneFacts
from contracts.planning import Risk
from contracts.subtask import SubtaskStart
from contracts.worktrees import WorktreeLease

TIME_IS_OVER = (
    "Error: The time of this task's clone is over, so nothing runs in it any more. Call finish "
    "with what there is; it was kept."
)
"""What every further call of an agent in the cloud lane is answered then."""

_STRANGER = "it works from a stranger's words"
_ASKED: Mapping[Lane, str] = MappingProxyType(
    {
        Lane.WORKTREE: "the request or its repository's settings ask for a worktree",
        Lane.CLOUD: "the request or its repository's settings ask for the cloud lane",
    }
)


class LaneRefused(ValueError):  # noqa: N818 - a decision, told to a person as it stands
    """The host has no lane in which the task may run; the text says what to do."""


def facts(start: SubtaskStart) -> LaneFacts:
    """Return by what the lane of a task, and of its reviewers, is chosen."""
    task = start.task
    return LaneFacts(
        writes=len(task.writes),
        risk=task.risk,
        size=task.size,
        asked=start.lane,
        untrusted=start.untrusted,
    )


def again(lease: WorktreeLease) -> LaneFacts | None:
    """Return by what the lane is chosen of a lease that takes a lost one's place: it stays."""
    return None if lease.lane is Lane.WORKTREE else LaneFacts(asked=lease.lane)


def told(lease: WorktreeLease) -> str:
    """Return for people which lane a task has, and why."""
    return f"{lease.lane}: {lease.reason}"[:1_000] if lease.reason else lease.lane.value


def must_be_cloud(asked: Lane | None, *, untrusted: bool) -> bool:
    """Return whether a request cannot run on a host without a cloud lane."""
    return untrusted or asked is Lane.CLOUD


def choose(found: LaneFacts, *, no_cloud: str = "") -> tuple[Lane, str]:
    """Return the lane and the reason; `no_cloud` says why the host has no cloud lane, "" = it has.

    Raises:
        LaneRefused: it has to be the cloud lane, and the host has none.
    """
    if must_be_cloud(found.asked, untrusted=found.untrusted):
        reason = _STRANGER if found.untrusted else _ASKED[Lane.CLOUD]
        if no_cloud:
            raise LaneRefused(f"it has to run in the cloud lane ({reason}), but {no_cloud}")
        return Lane.CLOUD, reason
    if found.asked is not None:
        return Lane.WORKTREE, _ASKED[Lane.WORKTREE]
    if found.risk is Risk.HIGH and not no_cloud:
        return Lane.CLOUD, "its risk is high"
    why = f"; its risk is high, but {no_cloud}" if found.risk is Risk.HIGH else ""
    return Lane.WORKTREE, f"{_work(found)} ({found.risk} risk, about {found.size} turns{why})"


def _work(found: LaneFacts) -> str:
    if not found.writes:
        return "it only reads"
    return "it writes 1 path pattern" if found.writes == 1 else f"it writes {found.writes} patterns"
