"""One run of a setup, for a request, a patch or the call of an agent."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.ports import SetupActivities
    from contracts.setup import RunSetup, SetupReport, WantedSetup
    from contracts.store import RepositoryRef
    from domain.setup_words import lines_of
    from workflows import activity_options, cancellation, retrying


async def run_setup(
    repository: RepositoryRef,
    commit: str,
    wanted: WantedSetup,
    *,
    allowed: bool | None,
    by: str,
) -> SetupReport:
    """Have a setup run, unless a person refused it; what they answered is remembered."""
    lines = lines_of(wanted)
    report = await retrying.execute(
        SetupActivities.run_setup,
        RunSetup(repository=repository, commit=commit, setup=wanted, allowed=allowed, by=by),
        activity_options.setup(
            repository.host_id, f"set up: {' && '.join(lines)}", commands=len(lines)
        ),
    )
    cancellation.raise_if_cancelled()
    return report
