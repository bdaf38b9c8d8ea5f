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
    from domain.planning import unfinished
    from domain.planning.unfinished import Settled
    from workflows.reviewing import Reviewing


class Unfinished:
    """The questions of one task's agent: paths, and acceptance commands that cannot pass.

    Paths that no other task writes are granted; all else a person decides.
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
        named = unfinished.commands(task, finish.cannot_pass)
        if not named:
            return Settled(task, unfinished.misnamed(task))
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
        owners = unfinished.owners(paths, self._start.claims or ())
        if not owners:
            return unfinished.granted(task, paths, by="no other task writes it")
        approval = questions.paths_approval(
            task, paths, owners, patch, why=why, asker=self._asker()
        )
        return await self._ask(
            approval,
            unfinished.granted(task, paths, by="a person allows it"),
            task,
            failed=f"it needs {', '.join(paths)}: {why}",
        )

    async def _ask(
        self, approval: Approval, approved: Settled, task: TaskSpec, *, failed: str
    ) -> Settled | str:
        decision = await self._reviewing.decision(approval)
        match decision.choice:
            case Choice.APPROVE:
                return approved
            case Choice.REVISE:
                return Settled(task, f"{decision.by} answers: {decision.reason}")
            case Choice.REJECT:
                return f"{failed}; {decision.by} says no: {decision.reason}".rstrip(": ")

    def _asker(self) -> Asker:
        limits = self._start.request_limits or RequestLimits()
        return Asker(workflow.info().workflow_id, limits.approval_seconds)
