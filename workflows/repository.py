"""Both ends of a request: in from the user's repository, out to it."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from contracts.checks import ChecksReport
    from contracts.merge import BuildChain
    from contracts.ports import PatchActivities, RepositoryActivities
    from contracts.repository import (
        CloseRequest,
        DeliverBranch,
        Delivered,
        OpenRepository,
        RepositoryOpened,
    )
    from contracts.request import RequestStart
    from domain import ids
    from workflows import calls, cancellation, patience
    from workflows.telling import tell
    from workflows.trials import run_checks


async def open_repository(start: RequestStart) -> RepositoryOpened:
    """Check every condition and bring the base into the store."""
    info = workflow.info()
    key = start.resumes or ids.request_key(info.workflow_id, info.first_execution_run_id)
    return await patience.call(
        RepositoryActivities.open_repository,
        OpenRepository(
            request_id=info.workflow_id,
            request_key=key,
            path=start.repository,
            base=start.base,
            branch=start.branch,
            suggested_branch=ids.branch_name(start.request, key),
            checks=start.checks,
            environment=start.environment,
            asked=start.model_dump_json(exclude_defaults=True),
        ),
        calls.store(f"open {start.repository}"),
    )


async def check_merged_tree(
    opened: RepositoryOpened, commands: tuple[str, ...]
) -> tuple[str, ChecksReport]:
    """Run commands on the target's tip; return the tip and the report."""
    chain = await patience.call(
        PatchActivities.build_chain,
        BuildChain(repository=opened.repository, patches=()),
        calls.store("read the target's tip"),
    )
    report = await run_checks(
        opened.repository, chain.tip, commands, summary="check the merged tree"
    )
    return chain.tip, report


async def deliver(opened: RepositoryOpened, tip: str) -> Delivered:
    """
    Push the branch into the user's repository.

    A delivery that is cancelled, or fails, is withdrawn: an attempt of which nobody heard may have
    come about all the same, and then it counts.
    """
    order = DeliverBranch(
        repository=opened.repository,
        path=opened.path,
        branch=opened.branch,
        commit=tip,
        base=opened.base,
    )
    push = patience.call(
        RepositoryActivities.deliver_branch, order, calls.outward(f"deliver {opened.branch}")
    )
    if not workflow.patched("delivery-withdrawn-2026-11"):
        return await cancellation.taken(push)
    try:
        return await push
    except (ActivityError, asyncio.CancelledError):
        delivered = await patience.call(
            RepositoryActivities.withdraw_delivery,
            order,
            calls.store(f"withdraw the delivery of {opened.branch}"),
        )
        if delivered is None:
            raise
        return delivered


async def close(opened: RepositoryOpened, *, used_queue: bool) -> None:
    """Leave the merge queue and give up the claim on the branch."""
    repository = opened.repository
    if used_queue:
        queue = ids.queue_id(repository.key, repository.target)
        await tell(queue, "leave", repository.request_key)
    await patience.call(
        RepositoryActivities.close_request,
        CloseRequest(
            repository=repository,
            request_id=workflow.info().workflow_id,
            branch=opened.branch,
        ),
        calls.store("close the request"),
    )
