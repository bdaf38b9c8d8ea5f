"""The pending approvals of a request, and how answers reach the workflow that asked.

What an answer means, and whether it counts, is decided in domain.approvals.inbox.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from contracts.agent import Note
    from contracts.approvals import Approval, Choice, Decide, Decision, Receipt
    from contracts.budget import BudgetChange
    from contracts.failures import FailureKind
    from contracts.limits import RequestLimits
    from contracts.permissions import AllowRules
    from contracts.planning import Plan
    from contracts.policy import JudgeCode
    from contracts.ports import PermissionActivities, PolicyActivities
    from contracts.repository import RepositoryOpened
    from contracts.store import RepositoryRef
    from domain.approvals import allowing, questions, refusals
    from domain.approvals.inbox import AnswerOutcome, ApprovalInbox
    from domain.approvals.reading import code_of, parse_answer, without_code
    from domain.request import status as requests
    from workflows import activity_options, retrying
    from workflows.signals import signal_if_running


class PendingApprovals:
    """Open questions, their deadlines and answers; `changed` is called after every change.

    Attributes:
        codes: answers and notes count only with a code.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.inbox = ApprovalInbox()
        self.codes = False
        self._asked = 0
        self._refused = 0
        self._repository: RepositoryRef | None = None
        self._changed = changed
        self._version = 0

    def begin(self, opened: RepositoryOpened) -> None:
        """Take what the opening says of answers, before anything is asked."""
        self.codes, self._repository = opened.codes, opened.repository
        self.inbox = self.inbox.begun(opened.allowed)

    def open(self, approval: Approval) -> None:
        """Let a question wait for a person."""
        self._asked += int(self.codes)
        self._set(self.inbox.open(approval, now=workflow.time(), asked=self._asked))

    async def receive(self, approval: Approval) -> None:
        """Let the question of a task wait; one whose like people have answered is settled by it."""
        earlier = self.inbox.answered_before(approval)
        if earlier is None:
            self.open(approval)
            return
        self._set(self.inbox.reuse(earlier))
        if approval.asked_by:
            await signal_if_running(approval.asked_by, "decided", earlier)

    async def ask(self, approval: Approval) -> Decision:
        """Let a question wait and return what was decided."""
        self.open(approval)
        await workflow.wait_condition(lambda: self.inbox.decision(approval.id) is not None)
        decision = self.inbox.decision(approval.id)
        assert decision is not None  # noqa: S101 - the condition above says so
        return decision

    async def take(self, payload: object, choice: Choice) -> AnswerOutcome:
        """Take an answer, tell the workflow that asked, and return what became of it."""
        if self.codes:
            return await self._take_with_code(payload, choice)
        return await self._taken(payload, choice)

    async def _take_with_code(self, payload: object, choice: Choice) -> AnswerOutcome:
        """Take an answer once its code is found right for the question that it answers."""
        answer = parse_answer(
            payload, choice, pending=self.inbox.pending, decided=self.inbox.decided
        )
        if isinstance(answer, str):
            return await self._taken(without_code(payload), choice)
        (asked,) = (each for each in self.inbox.pending if each.id == answer.approval)
        meant = allowing.what_is_answered(choice, for_request=bool(answer.rules))
        problem = await judge_code(choice=meant, answers=asked, code=code_of(payload))
        if not problem and asked not in self.inbox.pending:
            problem = f"'{asked.id}' does not wait any more as it did when you answered"
        if problem:
            self.refuse(without_code(payload), problem)
            return AnswerOutcome(self.inbox, None, problem)
        # By its name: meanwhile another question may be the only one that waits.
        fields = answer.model_dump(include={"approval", "digest", "reason", "by"})
        return await self._taken({**fields, "for_request": bool(answer.rules)}, choice)

    async def read_note(self, payload: object, tasks: Sequence[str]) -> Note | None:
        """Return a person's note; None when it cannot be taken, which is shown."""
        note = requests.note(payload, tasks)
        if self.codes and isinstance(note, Note):
            code, note = note.code, note.model_copy(update={"code": ""})
            problem = await judge_code(note=note, code=code)
            if problem:
                self.refuse(note.text, problem)
                return None
        if isinstance(note, Note):
            return note
        self.refuse(payload, note)
        return None

    async def _taken(self, payload: object, choice: Choice) -> AnswerOutcome:
        outcome = self.inbox.take(payload, choice, now=workflow.time())
        self._refused += int(outcome.decision is None)
        self._set(outcome.inbox)
        if outcome.decision and outcome.decision.rules:
            await self._pin(outcome.decision.rules)
        await self._tell(outcome)
        return outcome

    async def _pin(self, texts: Sequence[str]) -> None:
        """Pin what an answer allows, before the agents that wait for it go on."""
        assert self._repository is not None  # noqa: S101 - agents ask once it is open
        rules = tuple(rule for rule in self.inbox.allowed if rule.text in texts)
        pinned = await retrying.execute(
            PermissionActivities.allow_rules,
            AllowRules(repository=self._repository, rules=rules),
            activity_options.store("pin what an answer allows for the rest of the request"),
        )
        self._set(self.inbox.in_force(texts, pinned.rules))

    def refuse(self, payload: object, problem: str) -> None:
        """Keep an answer that could not be taken, where people see it."""
        self._refused += 1
        self._set(self.inbox.refuse(payload, problem))

    @property
    def keeps_no_more(self) -> bool:
        """Whether so many answers were refused that updates are refused without being kept."""
        return self._refused >= refusals.MOST_OF_A_RUN

    def withdraw_of(self, asked_by: str) -> None:
        """Forget the questions of a workflow that has ended."""
        self._set(self.inbox.withdraw_of(asked_by))

    def withdraw(self, approval: str) -> None:
        """Forget a question that needs no answer any more."""
        self._set(self.inbox.withdraw(approval))

    async def keep(self) -> None:
        """Remind of what is not answered, and deny it in time, for as long as the request runs."""
        while True:
            # Before the timer: one for a time that is over would be none in the history.
            self._remind()
            version, due = self._version, self.inbox.due()
            wait = None if due is None else dt.timedelta(seconds=max(due - workflow.time(), 0))
            try:
                await workflow.wait_condition(
                    lambda version=version: self._version != version,  # type: ignore[misc]
                    timeout=wait,
                    timeout_summary="approval deadline",
                )
            except TimeoutError:
                inbox, denials = self.inbox.expire(workflow.time())
                # Set before anybody is told: meanwhile others may ask and answer.
                self._set(inbox)
                for denial in denials:
                    await self._tell(denial)

    def _remind(self) -> None:
        inbox, reminded = self.inbox.remind(workflow.time())
        for each in reminded:
            workflow.logger.warning(
                "approval.reminder", extra={"reason": f"{each.id}: {each.what}"}
            )
        if reminded:
            self._set(inbox)

    async def _tell(self, outcome: AnswerOutcome) -> None:
        if outcome.decision is None:
            return
        for asked_by, decision in ((outcome.asked_by, outcome.decision), *outcome.others):
            if asked_by is not None:
                await signal_if_running(asked_by, "decided", decision)

    def _set(self, inbox: ApprovalInbox) -> None:
        self.inbox = inbox
        self._version += 1
        self._changed()


async def ask_plan(
    inbox: PendingApprovals, opened: RepositoryOpened, plan: Plan, expected: str
) -> Decision:
    """Ask a person for a plan, with what it may cost, and return what was decided."""
    seconds = deadline(opened)
    return await inbox.ask(questions.plan_approval(plan, expected, deadline_seconds=seconds))


async def ask_delivery(
    inbox: PendingApprovals, opened: RepositoryOpened, tip: str, summary: str
) -> Decision:
    """Ask a person before a branch is delivered and return what was decided."""
    seconds = deadline(opened)
    return await inbox.ask(
        questions.delivery_approval(tip, summary, opened.branch, deadline_seconds=seconds)
    )


def deadline(opened: RepositoryOpened) -> int:
    """Return after how many seconds an approval of a request is denied."""
    return (opened.limits or RequestLimits()).approval_seconds


async def judge_code(
    *,
    choice: str = "",
    answers: Approval | None = None,
    note: Note | None = None,
    budget: BudgetChange | None = None,
    code: str,
) -> str:
    """Return why what a person sent does not count, "" when it came with its code."""
    info = workflow.info()
    judged = await retrying.execute(
        PolicyActivities.judge_code,
        JudgeCode(
            request_id=info.workflow_id,
            run_id=info.run_id,
            answers=answers,
            choice=choice,
            note=note,
            budget=budget,
            code=code[:100],
        ),
        activity_options.store("check the code of an answer"),
    )
    return judged.problem


class ApprovalHandlers:
    """The handlers by which people answer: signals for the web UI and CLI, an update with a reply.

    A workflow that inherits them keeps its pending approvals in `_inbox`.
    """

    _inbox: PendingApprovals

    @workflow.signal(description='Approve what waits: {"approval": "plan"}, or nothing')
    async def approve(self, payload: Any = None) -> None:  # noqa: ANN401, RUF100
        """Approve; an answer that cannot be taken is kept and shown."""
        await self._inbox.take(payload, Choice.APPROVE)

    @workflow.signal(description='Reject what waits: {"approval": "plan", "reason": "…"}')
    async def reject(self, payload: Any = None) -> None:  # noqa: ANN401, RUF100
        """Reject; an answer that cannot be taken is kept and shown."""
        await self._inbox.take(payload, Choice.REJECT)

    @workflow.signal(description='Send it back with feedback: {"approval": "…", "reason": "…"}')
    async def revise(self, payload: Any = None) -> None:  # noqa: ANN401, RUF100
        """Send it back; an answer that cannot be taken is kept and shown."""
        await self._inbox.take(payload, Choice.REVISE)

    @workflow.update(description='Answer with a reply: {"choice": "approve", "approval": "plan"}')
    async def decide(self, decision: Decide) -> Receipt:
        """Take an answer and say what became of it; one that is refused is kept and shown."""
        outcome = await self._inbox.take(decision, decision.choice)
        if outcome.decision is None:
            raise ApplicationError(outcome.message, type=FailureKind.REFUSED, non_retryable=True)
        return Receipt(
            approval=outcome.decision.approval, choice=decision.choice, message=outcome.message
        )

    @decide.validator
    def check_decision(self, decision: Decide) -> None:
        """Refuse, before it reaches history, what cannot be taken once much was refused and kept.

        A validator cannot change the workflow, so a refusal that is to be kept is the update's
        failure. Each counts towards the updates that the server allows a run.
        """
        problem = self._inbox.inbox.problem(decision, decision.choice)
        if problem and self._inbox.keeps_no_more:
            raise ApplicationError(problem, type=FailureKind.REFUSED, non_retryable=True)

    @workflow.signal(dynamic=True, description="Anything else: kept and shown")
    def unknown(self, name: str, args: Sequence[RawValue]) -> None:
        """Keep a signal of an unknown name, where people see it."""
        self._inbox.refuse(name, f"there is no signal {name!r}: approve, reject, revise or note")

    @workflow.query(description="What waits for a person")
    def pending_approvals(self) -> list[Approval]:
        """Return what waits for a person, oldest first."""
        return list(self._inbox.inbox.asked)
