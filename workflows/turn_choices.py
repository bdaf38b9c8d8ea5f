"""The handlers by which a person takes a task over, or lets it go on from one of its turns."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from contracts.agent import Note
    from contracts.continuation import HandOff, HandOffReceipt, TurnChoice, TurnReceipt
    from contracts.failures import FailureKind
    from contracts.planning import Plan
    from domain.agent import messages
    from domain.request import retry
    from workflows.approvals import PendingApprovals, judge_code
    from workflows.scheduler import TaskScheduler

_NONE_AT_WORK = "no task of it is at work just now: wait for its end, then try again"


class TurnChoices:
    """A workflow that inherits this keeps what it needs for it in these attributes."""

    _plan: Plan | None
    _scheduler: TaskScheduler | None
    _inbox: PendingApprovals

    @workflow.update(description='Go on from a turn of a task: {"task": "…", "turn": "<commit>"}')
    async def choose_turn(self, choice: TurnChoice) -> TurnReceipt:
        """Take a task back to one of its turns, or fork it there, and say what became of it."""
        if self._inbox.codes:
            note = Note(text=retry.choice_text(choice), task=choice.task)
            if problem := await judge_code(note=note, code=choice.code):
                raise _refused(problem)
        if problem := self._turn_problem(choice):
            raise _refused(problem)
        assert self._scheduler is not None  # noqa: S101 - there is no problem without it
        try:
            continued = await self._scheduler.choose_turn(choice)
        except ActivityError as error:
            raise _refused(messages.cause(error)) from error
        self._plan = self._scheduler.plan
        return TurnReceipt(message=f"{choice.fork or choice.task} {continued.reason}")

    @workflow.update(description='Work on a task\'s files yourself: {"task": "…"}')
    async def hand_off(self, wanted: HandOff) -> HandOffReceipt:
        """Stop a task's agent and let it wait for a person, who works on its files."""
        if self._inbox.codes:
            note = Note(text=retry.hand_off_text(wanted.task), task=wanted.task)
            if problem := await judge_code(note=note, code=wanted.code):
                raise _refused(problem)
        if problem := self._hand_off_problem(wanted):
            raise _refused(problem)
        assert self._scheduler is not None  # noqa: S101 - there is no problem without it
        try:
            return await self._scheduler.hand_off(wanted.task)
        except ActivityError as error:
            raise _refused(messages.cause(error)) from error

    @hand_off.validator
    def check_hand_off(self, wanted: HandOff) -> None:
        """Refuse what cannot be, before it reaches history."""
        if problem := self._hand_off_problem(wanted):
            raise _refused(problem)

    @choose_turn.validator
    def check_turn(self, choice: TurnChoice) -> None:
        """Refuse what cannot be, before it reaches history."""
        if problem := self._turn_problem(choice):
            raise _refused(problem)

    def _turn_problem(self, choice: TurnChoice) -> str:
        if self._scheduler is None or not self._scheduler.open:
            return _NONE_AT_WORK
        return self._scheduler.turn_problem(choice)

    def _hand_off_problem(self, wanted: HandOff) -> str:
        if self._scheduler is None or not self._scheduler.open:
            return _NONE_AT_WORK
        return self._scheduler.hand_off_problem(wanted.task)


def _refused(problem: str) -> ApplicationError:
    return ApplicationError(problem, type=FailureKind.REFUSED, non_retryable=True)
