"""Worktrees: leased, pooled git working directories."""

from abc import ABC, abstractmethod

from temporalio import activity

from contracts.base import Contract, ObjectId, ShortText
from contracts.lanes import Lane, LaneFacts
from contracts.store import RepositoryRef


class LeaseWorktree(Contract):
    """Ask for a worktree that holds `commit`. The same owner and purpose get the same lease again.

    Attributes:
        owner: the workflow that frees it; when that has ended, the reconciler does.
        purpose: what for, since one workflow may hold several.
        commit: None means the target's tip at this moment.
        lane: by what the lane is chosen; None = a worktree, as in histories from before.
    """

    repository: RepositoryRef
    owner: str
    purpose: str
    commit: ObjectId | None = None
    lane: LaneFacts | None = None


class WorktreeLease(Contract):
    """The right to change one worktree until it is released or given to another.

    Attributes:
        worktree: the worktree's name in the pool of its store.
        epoch: counts the worktree's leases; an effect with an older epoch is refused.
        host_id: the host whose queue runs what touches it.
        commit: the commit that it held when it was leased.
        lane, reason: which it is, and why.
    """

    worktree: str
    epoch: int
    host_id: str
    commit: ObjectId
    lane: Lane = Lane.WORKTREE
    reason: ShortText = ""

    def plain(self) -> "WorktreeLease":
        """Return it as each call of a tool names it: without why it is in its lane."""
        return self.model_copy(update={"reason": ""})


class ReleaseWorktree(Contract):
    """Give back a worktree and every other lease of the same owner and purpose.

    Unpinned work in it is pinned under `refs/oc/rescue/` first.
    """

    repository: RepositoryRef
    lease: WorktreeLease
    owner: str = ""
    purpose: str = ""


class WorktreeActivities(ABC):
    """Leases on pooled worktrees; task queue `git`."""

    @activity.defn
    @abstractmethod
    async def lease_worktree(self, request: LeaseWorktree) -> WorktreeLease:
        """Lease a worktree that holds the commit, the same one for the same holder."""

    @activity.defn
    @abstractmethod
    async def release_worktree(self, request: ReleaseWorktree) -> None:
        """Return a worktree to the pool; a lease that is over already changes nothing."""
