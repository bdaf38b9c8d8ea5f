"""The setup step of a request: asked where it has to be, run once, its result for all commands."""

from dataclasses import dataclass

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.approvals import Choice, Decision
    from contracts.checks import CheckResult, ChecksReport
    from contracts.limits import RequestLimits
    from contracts.repository import RepositoryOpened
    from contracts.review import Patch
    from contracts.setup import WantedSetup
    from contracts.subtask import SubtaskStart
    from domain import setup_words
    from domain.approvals import questions
    from domain.approvals.inbox import EXPIRED
    from workflows.approvals import PendingApprovals, deadline
    from workflows.reviewing import Reviewing
    from workflows.setup_run import run_setup


@dataclass(frozen=True)
class SetUp:
    """What a setup came to.

    Attributes:
        opened: the repository with the environment in which commands find the result.
        failed: why the request cannot go on; "" = it can.
        results: of the commands of a setup that failed.
    """

    opened: RepositoryOpened
    failed: str = ""
    results: tuple[CheckResult, ...] = ()


async def set_up(opened: RepositoryOpened, inbox: PendingApprovals) -> SetUp:
    """Install what the base needs, once a person has allowed it where that has to be."""
    wanted = opened.setup
    if wanted is None:
        return SetUp(opened)
    decision = await _answer(opened, wanted, inbox) if wanted.ask else None
    if decision and decision.by == EXPIRED:
        return SetUp(opened, setup_words.unanswered_reason(wanted.rule.commands, decision.reason))
    report = await run_setup(
        opened.repository,
        opened.base,
        wanted,
        allowed=None if decision is None else decision.choice is Choice.APPROVE,
        by=decision.by if decision else "",
    )
    if report.environment is None:
        return SetUp(opened, setup_words.failed_reason(report.results), report.results)
    place = opened.repository.model_copy(update={"environment": report.environment})
    update = {"repository": place, "notes": (*opened.notes, *report.notes)}
    return SetUp(opened.model_copy(update=update))


async def set_up_patch(
    start: SubtaskStart, patch: Patch, reviewing: Reviewing
) -> ChecksReport | None:
    """Install what a patch needs that changes a lock file; return what keeps it from passing."""
    wanted = patch.setup
    if wanted is None:
        return None
    decision = await _answer_of_patch(start, patch, wanted, reviewing) if wanted.ask else None
    allowed = decision is None or decision.choice is Choice.APPROVE
    report = await run_setup(
        start.repository,
        patch.commit,
        wanted,
        allowed=allowed if decision else None,
        by=decision.by if decision else "",
    )
    results = report.results
    if decision and not allowed:
        refused = setup_words.not_allowed(wanted.rule.commands, decision.by, decision.reason)
        results = (refused,)
    elif report.environment is not None:
        return None
    log = report.log or patch.diff
    return ChecksReport(commit=patch.commit, tree=patch.tree, results=results, log=log)


async def _answer_of_patch(
    start: SubtaskStart, patch: Patch, wanted: WantedSetup, reviewing: Reviewing
) -> Decision:
    asked = questions.setup_approval(
        wanted,
        deadline_seconds=(start.request_limits or RequestLimits()).approval_seconds,
        patch=patch,
        asked_by=workflow.info().workflow_id,
    )
    return await reviewing.decision(asked)


async def _answer(
    opened: RepositoryOpened, wanted: WantedSetup, inbox: PendingApprovals
) -> Decision:
    asked = questions.setup_approval(wanted, deadline_seconds=deadline(opened))
    return await inbox.ask(asked)
