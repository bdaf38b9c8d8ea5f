"""A look at a request's base before any work, and at a plan's commands."""

from collections.abc import Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.approvals import Choice
    from contracts.baseline import Baseline, LookUpCommands, SurveyBase
    from contracts.checks import ChecksReport
    from contracts.planning import Plan
    from contracts.ports import SurveyActivities
    from contracts.repository import RepositoryOpened
    from domain.approvals import questions
    from domain.planning import baseline as baselines
    from workflows import activity_options, retrying
    from workflows.approvals import PendingApprovals, deadline
    from workflows.checks import run_checks


async def survey(
    opened: RepositoryOpened, checks: Sequence[str], *, attempt: int
) -> Baseline | None:
    """Survey the base and run every check on it, each alone; None in requests from before that.

    A further `attempt` at the request runs the checks again; 0 = the first.
    """
    if not workflow.patched("base-surveyed-2026-12"):
        return None
    surveyed = await retrying.execute(
        SurveyActivities.survey_base,
        SurveyBase(repository=opened.repository, commit=opened.base, name=opened.base_name),
        activity_options.checks(opened.repository.host_id, "survey the base", commands=1),
    )
    reports = [await _on_base(opened, check, attempt) for check in checks]
    return baselines.baseline(opened.base, surveyed, reports)


async def _on_base(opened: RepositoryOpened, check: str, attempt: int) -> ChecksReport:
    """Run a check on the base, and once more when it is red: it may be flaky."""
    repository, base = opened.repository, opened.base
    summary = f"on the base: {check}"
    report = await run_checks(repository, base, (check,), summary=summary, attempt=attempt)
    if report.passed or not workflow.patched("base-check-rerun-2026-12"):
        return report
    summary = f"again on the base: {check}"
    again = await run_checks(
        repository, base, (check,), summary=summary, attempt=attempt, again=True
    )
    return baselines.twice(report, again)


async def refusal(opened: RepositoryOpened, found: Baseline | None, inbox: PendingApprovals) -> str:
    """Return why a request ends whose checks cannot start on the base, "" when it goes on.

    A person decides: an agent may make what is missing.
    """
    if not (found and found.cannot_run and workflow.patched("checks-can-start-2026-12")):
        return ""
    asked = questions.checks_approval(found.cannot_run, deadline_seconds=deadline(opened))
    decision = await inbox.ask(asked)
    if decision.choice is Choice.APPROVE:
        return ""
    why = f" ({decision.by}: {decision.reason})" if decision.reason else ""
    return f"{'; '.join(found.cannot_run)}{why}"


async def lacking(opened: RepositoryOpened, plan: Plan) -> tuple[str, ...]:
    """Return what the acceptance commands of a plan lack in the sandbox, a sentence each."""
    looked_up = await retrying.execute(
        SurveyActivities.look_up_commands,
        LookUpCommands(
            repository=opened.repository, commit=opened.base, commands=baselines.commands(plan)
        ),
        activity_options.checks(
            opened.repository.host_id, "look up the plan's commands", commands=1
        ),
    )
    return baselines.lacking(plan, looked_up)
