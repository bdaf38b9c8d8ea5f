"""Both ends of a request: in from the user's repository, out to it."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from contracts.checks import ChecksReport
    from contracts.merge_queue import BuildChain
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
    from workflows import activity_options, cancellation, retrying
    from workflows.checks import run_checks
    from workflows.signals import signal_if_running


async def open_repository(start: RequestStart) -> RepositoryOpened:
    """Check every condition and bring the base into the store."""
    info = workflow.info()
    key = start.resumes or ids.request_key(info.workflow_id, info.first_execution_run_id)
    return await retrying.execute(
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
        activity_options.store(f"open {start.repository}"),
    )


async def check_merged_tree(
    opened: RepositoryOpened, commands: tuple[str, ...]
) -> tuple[str, ChecksReport]:
    """Run commands on the target's tip; return the tip and the report."""
    chain = await retrying.execute(
        PatchActivities.build_chain,
        BuildChain(repository=opened.repository, patches=()),
        activity_options.store("read the target's tip"),
    )
    report = await run_checks(
        opened.repository, chain.tip, commands, summary="check the merged tree"
    )
    return chain.tip, report


async def deliver(opened: RepositoryOpened, tip: str) -> Delivered:
    """Push the branch into the user's repository.

    A delivery that is cancelled, or fails, is withdrawn: an attempt whose result was lost may have
    made the branch all the same, and then it counts.
    """
    order = DeliverBranch(
        repository=opened.repository,
        path=opened.path,
        branch=opened.branch,
        commit=tip,
        base=opened.base,
    )
    push = retrying.execute(
        RepositoryActivities.deliver_branch,
        order,
        activity_options.external_effect(f"deliver {opened.branch}"),
    )
    if not workflow.patched("delivery-withdrawn-2026-11"):
        return await cancellation.complete_despite_cancel(push)
    try:
        return await push
    except (ActivityError, asyncio.CancelledError):
        delivered = await retrying.execute(
            RepositoryActivities.withdraw_delivery,
            order,
            activity_options.store(f"withdraw the delivery of {opened.branch}"),
        )
        if delivered is None:
            raise
        return delivered


async def close(opened: RepositoryOpened, *, used_queue: bool) -> None:
    """Leave the merge queue and give up the claim on the branch."""
    repository = opened.repository
    if used_queue:
        queue = ids.queue_id(repository.key, repository.target)
        await signal_if_running(queue, "leave", repository.request_key)
    await retrying.execute(
        RepositoryActivities.close_request,
        CloseRequest(
            repository=repository,
            request_id=workflow.info().workflow_id,
            branch=opened.branch,
        ),
        activity_options.store("close the request"),
    )
