"""Worktrees: one lease for each owner and purpose, each with a new epoch."""

from temporalio import activity
from typing_extensions import override

from contracts.lanes import Lane
from contracts.ports import WorktreeActivities
from contracts.worktrees import LeaseWorktree, ReleaseWorktree, WorktreeLease
from domain import lanes
from tests.fakes.calls import Fake


class FakeWorktrees(Fake, WorktreeActivities):
    """Leases worktrees of one host."""

    @override
    @activity.defn
    async def lease_worktree(self, request: LeaseWorktree) -> WorktreeLease:
        await self._before("lease_worktree", request)
        commit = request.commit or self._store.tips[request.repository.target]
        lease = self._store.lease(_holder(request), commit)
        lane, reason = lanes.choose(request.lane) if request.lane else (Lane.WORKTREE, "")
        return WorktreeLease(
            worktree=lease.worktree,
            epoch=lease.epoch,
            host_id=self._store.host_id,
            commit=lease.commit,
            lane=lane,
            reason=reason,
        )

    @override
    @activity.defn
    async def release_worktree(self, request: ReleaseWorktree) -> None:
        await self._before("release_worktree", request)
        self._store.leases.pop(_holder(request), None)
        self._store.release(request.lease.worktree, request.lease.epoch)


def _holder(request: LeaseWorktree | ReleaseWorktree) -> str:
    return f"{request.owner} to {request.purpose}"
