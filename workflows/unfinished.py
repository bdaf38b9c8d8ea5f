"""What the supervisor does when an agent says that its task cannot be done as it stands."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.approvals import Approval, Choice
    from contracts.limits import RequestLimits
    from contracts.planning import TaskSpec
    from contracts.review import Patch
    from contracts.subtask import SubtaskStart
    from contracts.tools import CoderFinish
    from domain.approvals import questions
    from domain.approvals.questions import Asker
    from domain.planning import baseline as baselines
    from domain.planning import unfinished
    from domain.planning.unfinished import Settled
    from domain.text import listing
    from workflows.reviewing import Reviewing


class Unfinished:
    """The questions of one task's agent: paths, and acceptance commands that cannot pass.

    Paths that the rule of undeclared paths allows are granted; all else a person decides.
    """

    def __init__(self, start: SubtaskStart, reviewing: Reviewing) -> None:
        self._start = start
        self._reviewing = reviewing

    async def settle(self, task: TaskSpec, finish: CoderFinish, patch: Patch) -> Settled | str:
        """Return how the task goes on, or why it fails."""
        why = unfinished.reason(finish)
        if finish.needs_paths:
            return await self._paths(task, finish, patch, why)
        if not finish.cannot_pass:
            return f"blocked: {why}"
        red = tuple(each.command for each in baselines.failed(self._start))
        named = unfinished.commands(task, finish.cannot_pass, red)
        if not named:
            return Settled(task, unfinished.misnamed(task, red))
        approval = questions.acceptance_approval(task, named, patch, why=why, asker=self._asker())
        return await self._ask(
            approval,
            unfinished.without(task, named),
            task,
            failed=f"the acceptance cannot be met: {why}",
        )

    async def _paths(
        self, task: TaskSpec, finish: CoderFinish, patch: Patch, why: str
    ) -> Settled | str:
        paths = finish.needs_paths
        if wrong := unfinished.refused(paths):
            return Settled(task, f"These paths cannot be asked for: {wrong}. {unfinished.GO_ON}")
        free, reason = self._judged(paths, patch)
        if free:
            return unfinished.granted(task, paths, by=reason, finish=finish)
        approval = questions.paths_approval(
            task, paths, reason, patch, why=why, asker=self._asker()
        )
        return await self._ask(
            approval,
            unfinished.granted(task, paths, by="a person allows it", finish=finish),
            task,
            failed=f"it needs {', '.join(paths)}: {why}",
        )

    def _judged(self, paths: tuple[str, ...], patch: Patch) -> tuple[bool, str]:
        """Return whether paths are granted without a person, and why; as recorded with the patch.

        Where nothing is recorded it is decided as it was before.
        """
        if patch.requested is not None:
            free = unfinished.free(patch.requested)
            say = unfinished.grounds if free else unfinished.doubts
            return free, say(patch.requested)
        owners = unfinished.owners(paths, self._start.claims or ())
        if not owners:
            return True, "no other task writes it"
        return False, f"{listing(owners)} writes there too."

    async def _ask(
        self, approval: Approval, approved: Settled, task: TaskSpec, *, failed: str
    ) -> Settled | str:
        decision = await self._reviewing.decision(approval)
        match decision.choice:
            case Choice.APPROVE:
                return approved
            case Choice.REVISE:
                return Settled(task, unfinished.answered(decision.by, decision.reason))
            case Choice.REJECT:
                return f"{failed}; {decision.by} says no: {decision.reason}".rstrip(": ")

    def _asker(self) -> Asker:
        limits = self._start.request_limits or RequestLimits()
        return Asker(workflow.info().workflow_id, limits.approval_seconds)
