"""The system's own run of commands on a clean checkout of a commit."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.checks import ChecksReport, RunChecks
    from contracts.ports import CheckActivities
    from contracts.store import RepositoryRef
    from workflows import activity_options, cancellation, retrying


async def run_checks(
    repository: RepositoryRef,
    commit: str,
    commands: tuple[str, ...],
    *,
    summary: str,
    fresh: int = 0,
) -> ChecksReport:
    """Run commands on a clean checkout of a commit; `fresh` counts deliberate reruns."""
    report = await retrying.execute(
        CheckActivities.run_checks,
        RunChecks(
            repository=repository,
            commit=commit,
            commands=commands,
            fresh=fresh,
        ),
        activity_options.checks(repository.host_id, summary, commands=len(commands)),
    )
    cancellation.raise_if_cancelled()
    return report
