"""Both ends of a request: in from the user's repository, out to it."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from contracts.checks import ChecksReport
    from contracts.delivery import DeliverBranch, Delivered
    from contracts.merge_queue import BuildChain, Chain
    from contracts.ports import PatchActivities, RepositoryActivities
    from contracts.repository import CloseRequest, OpenRepository, RepositoryOpened, RequestClosed
    from contracts.request import RequestEnded, RequestStart
    from contracts.resume import RequestResumed, ResumeRequest
    from contracts.store import RepositoryRef
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
            retried=start.retry is not None,
            setup=start.setup,
            thread=start.thread or "",
            until=start.until,
            lane=start.lane,
            untrusted=start.untrusted,
        ),
        activity_options.store(f"open {start.repository}"),
    )


async def resume(start: RequestStart, opened: RepositoryOpened) -> RequestResumed:
    """Return what earlier attempts at the request have left; of a first one, nothing."""
    if start.retry is None:
        return RequestResumed()
    # One that was terminated has not left the queue, which takes each patch once.
    await _leave_queue(opened.repository)
    return await retrying.execute(
        RepositoryActivities.resume_request,
        ResumeRequest(
            repository=opened.repository,
            request_id=workflow.info().workflow_id,
            retry=start.retry,
        ),
        activity_options.store("read what earlier attempts have left"),
    )


async def check_merged_tree(
    start: RequestStart, opened: RepositoryOpened, commands: tuple[str, ...]
) -> tuple[Chain, ChecksReport]:
    """Run commands on the target's tip; return that and the report.

    A further attempt at the request runs them again, also those that were red on this very tree.
    """
    chain = await retrying.execute(
        PatchActivities.build_chain,
        BuildChain(repository=opened.repository, patches=()),
        activity_options.store("read the target's tip"),
    )
    report = await run_checks(
        opened.repository,
        chain.tip,
        commands,
        summary="check the merged tree",
        attempt=start.retry.attempt if start.retry else 0,
    )
    return chain, report


async def deliver(
    opened: RepositoryOpened, tip: str, *, before: Delivered | None = None
) -> Delivered:
    """Push the branch into the user's repository; one that was delivered `before` is moved on.

    A delivery that is cancelled, or fails, is withdrawn: an attempt whose result was lost may have
    made the branch all the same, and then it counts.
    """
    order = DeliverBranch(
        repository=opened.repository,
        path=opened.path,
        branch=opened.branch,
        commit=tip,
        base=opened.base,
        moves_from=before.commit if before and before.branch == opened.branch else None,
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


async def _leave_queue(repository: RepositoryRef) -> None:
    queue = ids.queue_id(repository.key, repository.target)
    await signal_if_running(queue, "leave", repository.request_key)


async def close(
    opened: RepositoryOpened, ended: RequestEnded, *, used_queue: bool
) -> RequestClosed | None:
    """Leave the merge queue, give up the claim on the branch, and have the end kept."""
    repository = opened.repository
    if used_queue:
        await _leave_queue(repository)
    return await retrying.execute(
        RepositoryActivities.close_request,
        CloseRequest(
            repository=repository,
            request_id=workflow.info().workflow_id,
            branch=opened.branch,
            status=ended.status.model_dump(mode="json", exclude_defaults=True),
            plan=ended.plan,
            approved=ended.approved,
            notes=tuple(note.model_copy(update={"code": ""}) for note in ended.notes),
        ),
        activity_options.store("close the request"),
    )
