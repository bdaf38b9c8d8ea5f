"""Leases on worktrees, as workflows ask for them; the pool of each store does the work."""

from collections.abc import Awaitable, Callable

from temporalio import activity
from typing_extensions import override

from activities.failures import failed, translated_failures
from contracts.failures import FailureKind
from contracts.lanes import Lane
from contracts.ports import WorktreeActivities
from contracts.worktrees import LeaseWorktree, ReleaseWorktree, WorktreeLease
from domain import ids, lanes
from infra.cloud_lane import CloudLane
from infra.store import names
from infra.worktrees.errors import WorktreeBusy
from infra.worktrees.pool import WorktreePool


class PooledWorktrees(WorktreeActivities):
    """Worktree activities on the pools of this host.

    Args:
        pools: gives the open pool of a repository key.
        cloud: of this host.
    """

    def __init__(
        self, pools: Callable[[str], Awaitable[WorktreePool]], *, cloud: CloudLane
    ) -> None:
        self._pools = pools
        self._cloud = cloud

    @override
    @activity.defn
    async def lease_worktree(self, request: LeaseWorktree) -> WorktreeLease:
        """Lease a worktree that holds the commit.

        Safe to repeat because a holder that has a lease gets the same one, with the commit of the
        first time, wherever the target's tip is now; one whose lease is over gets that commit too.

        Raises:
            FailureKind.BUSY when another attempt works in the holder's worktree, DISK when there
                is no room for one, STORE when the commit is missing or git fails; all retryable.
                REFUSED when this host has no lane in which the task may run.
        """
        lane, reason = self._chosen(request)
        sealed = self._cloud.seconds if lane is Lane.CLOUD else 0.0
        async with translated_failures():
            pool = await self._pools(request.repository.key)
            first = ids.lease_ref(request.repository.request_key, request.owner, request.purpose)
            known = request.commit or pool.store.ref(first)
            target = ids.target_ref(request.repository.target)
            commit = known or (await pool.store.get(target)).oid
            view = await names.view_of(pool.store, request.repository.request_key)
            leased = await pool.lease(_holder(request), commit, view, sealed_seconds=sealed)
            if known is None:
                await pool.store.advance(first, leased.commit, None)
        return WorktreeLease(
            worktree=leased.name,
            epoch=leased.epoch,
            host_id=pool.host_id,
            commit=leased.commit,
            lane=lane,
            reason=reason,
        )

    def _chosen(self, request: LeaseWorktree) -> tuple[Lane, str]:
        """Return the lane of a lease and why; the same facts always give the same."""
        if request.lane is None:
            return Lane.WORKTREE, ""
        try:
            return lanes.choose(request.lane, no_cloud=self._cloud.problem)
        except lanes.LaneRefused as refused:
            raise failed(FailureKind.REFUSED, str(refused)) from refused

    @override
    @activity.defn
    async def release_worktree(self, request: ReleaseWorktree) -> None:
        """Give a worktree back, its unpinned work rescued, and all others of its holder.

        Safe to repeat because a lease that is over is left alone.

        Raises:
            FailureKind.BUSY when a call still runs in it or this is not its host, DISK or STORE
                when the rescue failed; all retryable.
        """
        async with translated_failures():
            pool = await self._pools(request.repository.key)
            if request.lease.host_id != pool.host_id:
                # The same name and epoch may be another lease here.
                raise WorktreeBusy(
                    f"{request.lease.worktree} is a worktree of the host {request.lease.host_id}"
                )
            holder = _holder(request)
            for other in [record for record in pool.leases() if record.holder == holder]:
                await pool.release(other.name, other.epoch)
            await pool.release(request.lease.worktree, request.lease.epoch)


def _holder(request: LeaseWorktree | ReleaseWorktree) -> str:
    return ids.holder(request.owner, request.repository.request_key, request.purpose)
