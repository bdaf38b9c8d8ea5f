"""The system's own run of commands on a clean checkout of a commit."""

from collections.abc import Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.checks import ChecksReport, FailedBefore, RunChecks
    from contracts.ports import CheckActivities
    from contracts.review import Patch
    from contracts.store import RepositoryRef
    from contracts.subtask import SubtaskStart
    from domain.check_results import attempt_at, fresh_run
    from domain.planning import baseline as baselines
    from workflows import activity_options, cancellation, retrying


async def run_checks(
    repository: RepositoryRef,
    commit: str,
    commands: tuple[str, ...],
    *,
    summary: str,
    attempt: int = 0,
    again: bool = False,
    by: str = "",
    failed_before: tuple[FailedBefore, ...] = (),
) -> ChecksReport:
    """Run commands on a clean checkout of a commit.

    What is known of its tree is not found out again, but by a further attempt (`attempt` is not 0)
    and where a red outcome is doubted (`again`). `by` counts its attempts for itself: a task, the
    merge queue; "" = the request. What `failed_before` may fail again, in nothing more.
    """
    report = await retrying.execute(
        CheckActivities.run_checks,
        RunChecks(
            repository=repository,
            commit=commit,
            commands=commands,
            fresh=fresh_run(attempt, again=again),
            by=by,
            failed_before=failed_before,
        ),
        activity_options.checks(repository.host_id, summary, commands=len(commands)),
    )
    cancellation.raise_if_cancelled()
    return report


async def accept(start: SubtaskStart, patch: Patch, promised: Sequence[str]) -> ChecksReport:
    """Run what must pass on a patch alone; once more when what is red was so, or flaky, before."""
    repository, commit, before = start.repository, patch.commit, baselines.failed(start)
    commands, summary = baselines.required(start, promised), f"accept {patch.task}"
    # What was red in an earlier attempt may be green by now, though nothing of the tree changed.
    attempt, task = attempt_at(start), patch.task
    report = await run_checks(
        repository,
        commit,
        commands,
        summary=summary,
        attempt=attempt,
        by=task,
        failed_before=before,
    )
    if not baselines.doubtful(start, report):
        return report
    summary = f"again: {summary}"
    return await run_checks(
        repository,
        commit,
        commands,
        summary=summary,
        attempt=attempt,
        again=True,
        by=task,
        failed_before=before,
    )
