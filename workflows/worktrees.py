"""A worktree for as long as a block lasts, freed also after a failure."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.lanes import LaneFacts
    from contracts.ports import WorktreeActivities
    from contracts.store import RepositoryRef
    from contracts.worktrees import LeaseWorktree, ReleaseWorktree, WorktreeLease
    from workflows import activity_options, cancellation, retrying


@asynccontextmanager
async def worktree_lease(
    repository: RepositoryRef,
    purpose: str,
    *,
    commit: str | None = None,
    lane: LaneFacts | None = None,
) -> AsyncIterator[WorktreeLease]:
    """Lease a worktree at a commit, None for the target's tip, and free it at the end.

    `lane` is what its lane is chosen by; None = it is a worktree.
    """
    lease = await cancellation.complete_despite_cancel(
        retrying.execute(
            WorktreeActivities.lease_worktree,
            LeaseWorktree(
                repository=repository,
                owner=workflow.info().workflow_id,
                purpose=purpose,
                commit=commit,
                lane=lane,
            ),
            activity_options.store(f"lease a worktree to {purpose}"),
        )
    )
    try:
        cancellation.raise_if_cancelled()
        yield lease
    finally:
        await cancellation.run_to_completion(_release(repository, purpose, lease))


async def _release(repository: RepositoryRef, purpose: str, lease: WorktreeLease) -> None:
    await retrying.execute(
        WorktreeActivities.release_worktree,
        ReleaseWorktree(
            repository=repository,
            lease=lease,
            owner=workflow.info().workflow_id,
            purpose=purpose,
        ),
        activity_options.store("free the worktree"),
    )
