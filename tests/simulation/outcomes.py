"""What must hold of the ends that agents choose, and of replies that no agent should make."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from contracts import roles
from contracts.agent import AgentResult
from contracts.approvals import Choice
from contracts.endings import TaskEnding
from contracts.failures import RetryAdvice
from contracts.model import ModelCall, ModelTurn, OpenConversation
from contracts.policy import JudgeReview
from contracts.request import RequestStatus
from contracts.review import MakePatch, ReviewFinish, Verdict
from contracts.task import TaskState, TaskStatus
from contracts.tools import CoderFinish, ToolCall
from contracts.verdicts import Permission
from domain.planning import undeclared, write_patterns
from domain.review.risk import sensitive
from domain.scheduling import budget
from tests.fakes.model import agent_header
from tests.simulation import adapter
from tests.simulation.activities import SimulatedActivities
from tests.simulation.adapter import Command, Job
from tests.simulation.invariants import Monitor, status_of
from tests.simulation.runs import Run
from tests.simulation.scenario import Scenario
from tests.simulation.temporal import SimulatedTemporal

Round = tuple[str, int]
_WRITES = frozenset({"apply_edit", "run_command", "call_tool"})
_MOST_UNREADABLE = 5
"""Replies of one turn that cannot be read: the first and four more."""


@dataclass
class Outcomes:
    """Watches how agents end and what their calls come to.

    Attributes:
        finishes: what the coder of a task handed in, by round.
        made: the first patch that was asked for in a round.
        looked: rounds in which a reviewer approved that nothing has to change.
        sent_back: the tree of a task that its reviewer sent back last.
        calls: the arguments of each tool call, by its id.
        unreadable: by agent and turn.
        told_microusd: what the calls of all agents cost, as they were told.
        first_round: of a task that begins anew in a retry.
        done_before: tasks that an earlier attempt has done.
    """

    temporal: SimulatedTemporal
    activities: SimulatedActivities
    scenario: Scenario
    monitor: Monitor
    finishes: dict[Round, CoderFinish] = field(default_factory=dict)
    made: dict[Round, MakePatch] = field(default_factory=dict)
    looked: set[Round] = field(default_factory=set)
    sent_back: dict[str, str] = field(default_factory=dict)
    calls: dict[str, tuple[str, str]] = field(default_factory=dict)
    unreadable: Counter[tuple[str, str]] = field(default_factory=Counter)
    told_microusd: int = 0
    first_round: Mapping[str, int] = field(default_factory=dict)
    done_before: frozenset[str] = frozenset()

    def committed(self, run: Run, jobs: Sequence[Job], commands: Sequence[Command]) -> None:
        """Look at one workflow task."""
        for job in jobs:
            if job.HasField("resolve_child_workflow_execution"):
                self._ended(run, job)
            if job.HasField("resolve_activity") and run.kind == "AgentWorkflow":
                self._replied(run, job)
        for command in commands:
            if command.HasField("schedule_activity"):
                self._scheduled(run, command)

    def _ended(self, run: Run, job: Job) -> None:
        """Keep what a coder handed in, as its task takes it."""
        child = job.resolve_child_workflow_execution
        name = run.children[child.seq].workflow_id
        parent, _, agent = name.rpartition("/")
        if run.kind != "SubtaskWorkflow" or not agent.startswith(f"{roles.CODER}-"):
            return
        if child.result.HasField("completed"):
            result = adapter.decode(child.result.completed.result, AgentResult)
            if result.output is not None:
                task = parent.rpartition("/")[2]
                number = int(agent.rpartition("-")[2]) - 1 + self.first_round.get(task, 0)
                finish = CoderFinish.model_validate_json(result.output)
                self.finishes[task, number] = finish

    def _replied(self, run: Run, job: Job) -> None:
        """Book a call of the model, and count those that came to nothing."""
        done = job.resolve_activity
        call = run.calls[done.seq]
        if call.kind != "call_model":
            return
        if done.result.HasField("completed"):
            turn = adapter.decode(done.result.completed.result, ModelTurn)
            self.told_microusd += turn.cost_microusd
        cost = _paid_for(done.result.failed.failure) if done.result.HasField("failed") else 0
        self.told_microusd += cost
        if cost:
            asked = adapter.decode(call.arguments[0], ModelCall)
            turn_name = (asked.agent, f"{asked.conversation.head}/{asked.variant}")
            self.unreadable[turn_name] += 1
            if self.unreadable[turn_name] > _MOST_UNREADABLE:
                self.temporal.violate(f"{asked.agent} goes on buying what cannot be read")

    def _scheduled(self, run: Run, command: Command) -> None:
        wanted = command.schedule_activity
        kind, argument = wanted.activity_type, wanted.arguments[0]
        if kind == "make_patch":
            made = adapter.decode(argument, MakePatch)
            self.made.setdefault((made.task, made.round), made)
        elif kind == "judge_review":
            self._judged(adapter.decode(argument, JudgeReview))
        elif kind == "open_conversation":
            self._opened(run, adapter.decode(argument, OpenConversation))
        elif kind == "call_model":
            self._answered(adapter.decode(argument, ModelCall))
        elif kind in _WRITES:
            self._called(adapter.decode(argument, ToolCall))

    def _judged(self, asked: JudgeReview) -> None:
        if asked.output is None:
            return
        patch, verdict = asked.patch, ReviewFinish.model_validate_json(asked.output).verdict
        if verdict is Verdict.APPROVE and not patch.files:
            self.looked.add((patch.task, patch.round))
        if verdict is Verdict.REVISE and asked.rounds_left:
            self.sent_back[patch.task] = patch.tree
        else:
            self.sent_back.pop(patch.task, None)

    def _opened(self, run: Run, wanted: OpenConversation) -> None:
        """A change that comes as it was sent back goes to whoever objected, not to somebody new."""
        task = run.workflow_id.split("/")[-2]
        if wanted.role == roles.REVIEWER:
            tree = self.activities.store.commits[wanted.commit].tree
            if self.sent_back.get(task) == tree:
                self.temporal.violate(f"another reviewer is asked about what {task} did not change")

    def _answered(self, call: ModelCall) -> None:
        """Each call of a reply gets one answer, its own."""
        told = tuple(answer.tool_use_id for answer in call.answers)
        if told and (told != call.conversation.open_calls or len({*told}) != len(told)):
            header = agent_header(call)
            self.temporal.violate(f"calls of {header['task']} are answered wrongly: {told}")

    def _called(self, call: ToolCall) -> None:
        what = (call.tool, call.arguments)
        if self.calls.setdefault(call.call_id, what) != what:
            self.temporal.violate(f"{call.call_id} is the id of two calls of {call.task_ref}")

    def final(self, request: Run) -> None:
        """Look at everything once nothing happens any more."""
        status = status_of(request)
        for sentence in self._problems(status) if status else ():
            self.temporal.violate(sentence)

    def _problems(self, status: RequestStatus) -> Iterable[str]:
        shown = budget.microusd(status.cost_usd)
        if abs(shown - self.told_microusd) > 1:
            yield f"{self.told_microusd} microUSD were paid for, {shown} are shown"
        for row in status.tasks:
            rounds = sorted(number for task, number in self.made if task == row.id)
            yield from self._blocked(row, rounds)
            yield from self._paths(row, rounds)
            yield from self._unchanged(row, rounds)
            yield from self._dropped(row, rounds)

    def _approved(self, approval: str) -> bool:
        return any(
            name == approval and decision.choice is Choice.APPROVE
            for (name, _), decision in self.monitor.decisions.items()
        )

    def _asked(self, row: TaskStatus, number: int) -> bool:
        return any(name == f"task/{row.id}/{number}" for name, _ in self.monitor.decisions)

    def _blocked(self, row: TaskStatus, rounds: Sequence[int]) -> Iterable[str]:
        """A blocked task ends with its agent's reason, and keeps its work."""
        for number in rounds:
            finish = self.finishes.get((row.id, number))
            if finish is None or finish.cannot_pass or finish.needs_paths or not finish.blocked:
                continue
            if row.state is not TaskState.FAILED or row.ending is not TaskEnding.IMPOSSIBLE:
                yield f"task {row.id} was blocked and ended {row.state}, {row.ending}"
            elif finish.blocked not in row.reason:
                yield f"task {row.id} does not say why it is blocked: {row.reason}"
            made = self.made[row.id, number]
            if self._changed(made) and not row.kept:
                yield f"the work of {row.id}, which is blocked, is not kept"

    def _changed(self, made: MakePatch) -> bool:
        return self.activities.store.changed(made.base, made.checkpoint) != ()

    def _paths(self, row: TaskStatus, rounds: Sequence[int]) -> Iterable[str]:
        """What an agent asks to write is granted by the one rule, or by a person."""
        for number in rounds:
            made, finish = self.made[row.id, number], self.finishes.get((row.id, number))
            asked = {write_patterns.normal(path) for path in (finish.needs_paths if finish else ())}
            verdicts = undeclared.requested(sorted(asked), made.scope, sensitive)
            free = all(each.permission is Permission.ALLOW for each in verdicts or ())
            after = self.made.get((row.id, number + 1))
            more = {*after.writes} - {*made.writes} if after else set()
            if more - asked:
                yield f"task {row.id} may write {sorted(more - asked)}, which nobody asked for"
            if more and not (free or self._approved(f"task/{row.id}/{number}")):
                yield f"task {row.id} may write {sorted(more)}, and nobody allowed it"
            if asked and free and self._asked(row, number):
                yield f"a person was asked whether {row.id} may write {sorted(asked)}"
            if asked and free and after and asked - {*after.writes}:
                yield f"task {row.id} was not granted {sorted(asked)}"

    def _unchanged(self, row: TaskStatus, rounds: Sequence[int]) -> Iterable[str]:
        """That nothing has to change is looked at by a reviewer, or a person approves it."""
        if row.state is TaskState.DONE and row.no_change and row.id not in self.done_before:
            last = rounds[-1]
            if (row.id, last) not in self.looked and not self._approved(f"review/{row.id}/{last}"):
                yield f"task {row.id} is done without a change, and no reviewer looked"

    def _dropped(self, row: TaskStatus, rounds: Sequence[int]) -> Iterable[str]:
        """An acceptance command goes only where its agent named it and a person said so.

        What an earlier attempt has done was looked at when that ended.
        """
        if row.id in self.done_before:
            return
        first, last = (self.made[row.id, rounds[at]] for at in (0, -1)) if rounds else (None, None)
        gone = {*_acceptance(first)} - {*_acceptance(last)}
        for command in (*row.dropped, *sorted(gone)):
            named = (
                number
                for number in rounds
                if command in getattr(self.finishes.get((row.id, number)), "cannot_pass", ())
            )
            if not any(self._approved(f"task/{row.id}/{number}") for number in named):
                yield f"`{command}` of {row.id} is not run any more, and nobody dropped it"


def _acceptance(made: MakePatch | None) -> tuple[str, ...]:
    return made.spec.acceptance if made and made.spec else ()


def _paid_for(failure: Failure) -> int:
    """Return what a failed call of the model may have cost, as it is recorded with the failure."""
    cause = adapter.error_of(failure).__cause__
    if not isinstance(cause, ApplicationError) or not cause.details:
        return 0
    return RetryAdvice.model_validate(cause.details[0]).cost_microusd
