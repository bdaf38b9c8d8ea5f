"""What must always hold, checked after every workflow task and at the end."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from temporalio.exceptions import ApplicationError

from contracts.approvals import AnswerRecord, Choice, Decision
from contracts.endings import TaskEnding
from contracts.merge_queue import EnqueuePatch, MergeVerdict
from contracts.model import ModelCall
from contracts.policy import JudgeReview
from contracts.request import RequestStart, RequestStatus
from contracts.review import MakePatch, ReviewFinish
from contracts.task import TaskState, TaskStatus
from contracts.visibility import OC_PENDING_APPROVALS, OC_STATE, RunState
from domain.scheduling import budget
from tests.fakes.model import agent_header
from tests.simulation import adapter
from tests.simulation.activities import SimulatedActivities
from tests.simulation.adapter import Command, Job
from tests.simulation.runs import Run
from tests.simulation.scenario import Scenario
from tests.simulation.temporal import SimulatedTemporal

_ANSWERS = frozenset({"approve", "reject", "revise"})
_QUEUE_SECONDS = 3_600.0
"""How long a merge queue may live on after its last request."""
_MESSAGE_CHARS = 12_000
"""A message to an agent holds at least this much of what waits to be told."""
_ENDED = (TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED, TaskState.BLOCKED)
_WAITING = (RunState.WAITING_APPROVAL, RunState.WAITING_REVIEW)
_LOST = (TaskState.FAILED, TaskState.CANCELLED, TaskState.BLOCKED)


@dataclass(frozen=True)
class _SentNote:
    seconds: float
    text: str
    task: str | None


@dataclass(frozen=True)
class _CoderCall:
    """The text from outside in a coder's call of the model."""

    seconds: float
    task: str
    words: str


@dataclass
class Monitor:
    """Checks the invariants of a simulation."""

    temporal: SimulatedTemporal
    activities: SimulatedActivities
    scenario: Scenario
    answers: int = 0
    decided: set[tuple[str, str, str, str]] = field(default_factory=set)
    refused: int = 0
    notes: list[_SentNote] = field(default_factory=list)
    coder_calls: list[_CoderCall] = field(default_factory=list)
    verdicts: dict[str, MergeVerdict] = field(default_factory=dict)
    decisions: dict[tuple[str, str], Decision] = field(default_factory=dict)
    queued: dict[str, tuple[str, ...]] = field(default_factory=dict)
    reasons: set[tuple[str, int]] = field(default_factory=set)
    accepted: set[tuple[str, int]] = field(default_factory=set)
    agreed: set[str] = field(default_factory=set)
    branches_before: Mapping[str, str] = field(default_factory=dict)
    _records: tuple[AnswerRecord, ...] = ()
    _calls: set[bytes] = field(default_factory=set)
    _obstacles: dict[str, tuple[bytes, int]] = field(default_factory=dict)

    def of_retry(self) -> "Monitor":
        """Return one for the next attempt, which knows what was decided and landed before."""
        return Monitor(
            self.temporal,
            self.activities,
            self.scenario,
            verdicts=self.verdicts,
            queued=self.queued,
            reasons=self.reasons,
            accepted=self.accepted,
            agreed=self._approved(),
            branches_before=dict(self.activities.store.branches),
        )

    def _approved(self) -> set[str]:
        """Return what people have approved, in earlier attempts too."""
        return self.agreed | {
            approval
            for (approval, _), decision in self.decisions.items()
            if decision.choice is Choice.APPROVE
        }

    def committed(self, run: Run, jobs: Sequence[Job], commands: Sequence[Command]) -> None:
        """Look at one workflow task."""
        if run.kind == "RequestWorkflow":
            self._request(run, jobs)
        for command in commands:
            if command.HasField("signal_external_workflow_execution"):
                self._message(run, command)
            if command.HasField("schedule_activity"):
                self._recorded(command)
                self._scheduled(command)
        at_work = sum(run.kind == "SubtaskWorkflow" for run in self.temporal.open.values())
        if at_work > self.scenario.payload["max_parallel"]:
            self.temporal.violate(f"{at_work} tasks run at once")

    def _request(self, run: Run, jobs: Sequence[Job]) -> None:
        workflow = run.cache.workflow if run.cache else None
        if workflow is None:
            return
        self.answers += sum(
            (job.HasField("signal_workflow") and job.signal_workflow.signal_name in _ANSWERS)
            or job.HasField("do_update")
            for job in jobs
        )
        # Refused by its validator, an update leaves no record, since its sender has the answer.
        inbox = workflow._inbox.inbox
        for each in inbox.decided:
            if each.by != "the deadline":
                self.decided.add((each.approval, each.digest, each.choice, each.reason))
        new = _new(self._records, inbox.refused)
        self.refused += len(new)
        self._records = inbox.refused
        self._visible(run, len(inbox.pending))
        kept = {note.text: note for note in workflow._notes}
        for job in jobs:
            if job.HasField("signal_workflow") and job.signal_workflow.signal_name == "note":
                self._noted(adapter.decode(job.signal_workflow.input[0]), kept, new)

    def _visible(self, run: Run, waiting: int) -> None:
        """A request is shown as waiting for a person exactly while it waits."""
        if run.closed or not run.attributes:
            return
        state = adapter.decode(run.attributes[OC_STATE])
        count = adapter.decode(run.attributes[OC_PENDING_APPROVALS])
        over = state in {RunState.DONE, RunState.FAILED, RunState.CANCELLED}
        # The service's own spending limit is waited for in the same state, without a question.
        asks = state in _WAITING or (waiting > 0 and state == RunState.WAITING_BUDGET)
        if not over and (waiting != count or (waiting > 0) != asks):
            self.temporal.violate(
                f"{waiting} answers are waited for, shown are {count} and {state}"
            )

    def _noted(self, payload: object, kept: dict[str, object], new: Sequence[object]) -> None:
        text = payload.get("text", "") if isinstance(payload, dict) else str(payload)
        if text in kept:
            task = payload.get("task") if isinstance(payload, dict) else None
            self.notes.append(_SentNote(self.temporal.clock.seconds, text, task))
        elif not new:
            self.temporal.violate(f"the note {payload!r} was neither kept nor refused")

    def _message(self, run: Run, command: Command) -> None:
        sent = command.signal_external_workflow_execution
        if sent.signal_name == "obstacle":
            words = sent.args[0].data
            last, times = self._obstacles.get(run.run_id, (b"", 0))
            times = times + 1 if last == words else 1
            self._obstacles[run.run_id] = (words, times)
            # Twice: one call was given up in favour of another, which met the same.
            if times > 2:
                self.temporal.violate(
                    f"{run.workflow_id} tells the same again and again: {words!r}"
                )
        if sent.signal_name == "merge_verdict":
            verdict = adapter.decode(sent.args[0], MergeVerdict)
            first = self.verdicts.setdefault(verdict.id, verdict)
            if first != verdict:
                self.temporal.violate(f"two verdicts on {verdict.id}: {first} and {verdict}")
        if sent.signal_name == "decided":
            decision = adapter.decode(sent.args[0], Decision)
            before = self.decisions.setdefault((decision.approval, decision.digest), decision)
            if before != decision:
                self.temporal.violate(f"two decisions: {before} and {decision}")

    def _recorded(self, command: Command) -> None:
        """Keep what history records of patches: their acceptance when they were queued, and of
        those that undo landed work their authors' reasons, and the reviewers'.
        """
        wanted = command.schedule_activity
        if wanted.activity_type == "enqueue_patch":
            queued = adapter.decode(wanted.arguments[0], EnqueuePatch).queued
            self.queued[queued.id] = queued.acceptance
        if wanted.activity_type == "make_patch":
            made = adapter.decode(wanted.arguments[0], MakePatch)
            if made.undoes:
                self.reasons.add((made.task, made.round))
        if wanted.activity_type == "judge_review":
            asked = adapter.decode(wanted.arguments[0], JudgeReview)
            if asked.output and ReviewFinish.model_validate_json(asked.output).undoing:
                self.accepted.add((asked.patch.task, asked.patch.round))

    def _scheduled(self, command: Command) -> None:
        wanted = command.schedule_activity
        if wanted.activity_type != "call_model" or not self.scenario.people.notes:
            return
        if wanted.arguments[0].data in self._calls:
            return  # an identical retry
        self._calls.add(wanted.arguments[0].data)
        call = adapter.decode(wanted.arguments[0], ModelCall)
        header = agent_header(call)
        if header["role"] == "coder":
            opening = self.activities.model.opened[call.conversation.id]
            words = "\n".join((call.message or "", *(text for _, text in opening.facts)))
            self.coder_calls.append(_CoderCall(self.temporal.clock.seconds, header["task"], words))

    def final(self, request: Run) -> None:
        """Look at everything once nothing happens any more."""
        for sentence in self._problems(request):
            self.temporal.violate(sentence)

    def _problems(self, request: Run) -> Iterable[str]:
        yield from (f"{run.workflow_id} never ends" for run in self.temporal.open.values())
        yield from self._money(request)
        yield from self._resources()
        yield from self._landings()
        yield from self._undone()
        yield from self._messages()
        yield from self._queue(request)
        yield from self._ending(request)

    def _money(self, request: Run) -> Iterable[str]:
        most = budget.microusd(self._budget_usd(request))
        spent = self.activities.model.spent
        if spent > most:
            yield f"{spent} microUSD were spent of {most}"

    def _budget_usd(self, request: Run) -> float:
        """Return what a request may spend at its end: people may have raised what it asked for."""
        if status := status_of(request):
            return status.budget_usd
        # One that was cancelled tells its store alone.
        asked: float = adapter.decode(request.birth.arguments[0], RequestStart).budget_usd
        closed = self.activities.kept.ended
        kept = RequestStatus.model_validate(closed.status) if closed else None
        return max(asked, kept.budget_usd) if kept else asked

    def _resources(self) -> Iterable[str]:
        store = self.activities.store
        yield from (f"the worktree of {holder} is still leased" for holder in store.leases)
        yield from (f"the branch {branch} is still claimed" for branch in store.claims)

    def _landings(self) -> Iterable[str]:
        """Each patch at most once, never evicted as well, and only trees that were seen green."""
        passed = self.activities.checks.passed
        landed: list[str] = []
        for landing in self.activities.patches.landings:
            for title in landing.titles:
                if title in landed:
                    yield f"{title} landed twice"
                landed.append(title)
                verdict = self.verdicts.get(title)
                if verdict is not None and verdict.landed is None:
                    yield f"{title} landed, and its sender was told: {verdict.eviction}"
            for command in (each for title in landed for each in self.queued[title]):
                if (landing.tree, command) not in passed:
                    yield f"{landing.titles} landed, but `{command}` was never green on its tree"
        for title, verdict in self.verdicts.items():
            if verdict.landed is not None and title not in landed:
                yield f"{title} is said to have landed and did not"

    def _undone(self) -> Iterable[str]:
        """No landed line disappears without a recorded decision.

        Its author has said why, and a reviewer too, or a person has approved the patch.
        """
        store = self.activities.store
        approved = self._approved()
        for landing in self.activities.patches.landings:
            before = store.commits[landing.commit].parents[0]
            names = [(task, int(number)) for _, task, number in map(_parted, landing.titles)]
            decided = any(
                name in self.reasons
                and (name in self.accepted or f"review/{name[0]}/{name[1]}" in approved)
                for name in names
            )
            for path, lines in store.dropped(before, landing.commit).items():
                if not decided:
                    yield f"{landing.titles} removes {lines} from {path}, and nobody decided it"

    def _messages_of_notes(self, task: str) -> int:
        """Return how many full messages a task's notes make: more calls have told each of them."""
        told = sum(len(note.text) for note in self.notes if note.task in {None, task})
        return told // _MESSAGE_CHARS

    def _messages(self) -> Iterable[str]:
        """No answer and no note is lost."""
        taken = len(self.decided) + self.refused
        if self.answers and taken == 0:
            yield f"{self.answers} answers came, and none was taken or refused"
        for note in self.notes:
            late: dict[str, bool] = {}
            for call in self.coder_calls:
                if note.task in {None, call.task}:
                    known = note.text in call.words
                    late[call.task] = late.get(call.task, False) or known
            for task in sorted(late):
                again = sum(
                    call.task == task and call.seconds > note.seconds + self._slack()
                    for call in self.coder_calls
                )
                if again > self._messages_of_notes(task) and not late[task]:
                    yield f"{note.text!r} of second {note.seconds:.0f} never reached {task}"

    def _slack(self) -> float:
        """Return how long a note may travel through three workers that may crash."""
        faults = self.scenario.faults
        return 20 + 10 * (faults.hop_seconds + faults.task_seconds) + (60 if faults.crash else 0)

    def _queue(self, request: Run) -> Iterable[str]:
        if request.closed == "terminated":
            return  # it could not leave the queue; an idle queue ends by itself
        for run in self.temporal.all:
            if run.kind != "MergeQueueWorkflow" or run.closed == "continued":
                continue
            if run.closed_at > request.closed_at + _QUEUE_SECONDS:
                yield f"{run.workflow_id} outlives its last request"

    def _ending(self, request: Run) -> Iterable[str]:
        """The request shows how it ended, and every task shows why."""
        if request.closed == "terminated":
            return
        shown = adapter.decode(request.attributes[OC_STATE]) if request.attributes else None
        if request.closed == "cancelled":
            yield from self._cancelled(shown)
            return
        status = status_of(request)
        if status is None:
            if not isinstance(request.failure, ApplicationError):
                yield f"the request ended {request.closed} without a status: {request.failure!r}"
            return
        if shown != status.state:
            yield f"the request ended {status.state} and shows {shown}"
        if not status.reason and status.state is not RunState.DONE:
            yield "the request does not say why it failed"
        rows = {row.id: row for row in status.tasks}
        for row in status.tasks:
            yield from self._row(row, rows, status)
        if status.commit is None and self.activities.store.branches:
            yield f"a request that ended {status.state} delivered a branch and does not say so"
        if status.state is RunState.DONE:
            yield from self._delivered(status)

    def _cancelled(self, shown: object) -> Iterable[str]:
        if shown != RunState.CANCELLED:
            yield f"a cancelled request shows {shown}"
        # What an earlier attempt has delivered stays.
        if self.activities.store.branches != self.branches_before:
            yield "a cancelled request has delivered a branch all the same"

    def _row(
        self, row: TaskStatus, rows: dict[str, TaskStatus], status: RequestStatus
    ) -> Iterable[str]:
        never_ran = all(each.state is TaskState.PENDING for each in rows.values())
        if row.state not in _ENDED and not never_ran:
            yield f"task {row.id} is {row.state} at the end"
        if row.state in {TaskState.FAILED, TaskState.BLOCKED} and not row.reason:
            yield f"task {row.id} is {row.state} and nobody knows why"
        if "later holder" in row.reason:
            yield f"task {row.id} lost its worktree"
        order = {edge.before for edge in status.edges_added if edge.after == row.id}
        needs = [name for name in row.depends_on if name not in order]
        if row.state is TaskState.BLOCKED and all(rows[name].state not in _LOST for name in needs):
            yield f"task {row.id} is blocked by the order alone: {row.reason}"
        for name in needs:
            if rows[name].ending is TaskEnding.SUPERSEDED and row.ending is not rows[name].ending:
                yield f"task {row.id} waits for {name}, in whose place others stand"
            if rows[name].state in _LOST and row.state not in _LOST and not never_ran:
                yield f"task {row.id} is {row.state} though {name} is {rows[name].state}"
        landed = [
            landing.commit
            for landing in self.activities.patches.landings
            if any(title.split("/")[-2] == row.id for title in landing.titles)
        ]
        if row.state is TaskState.DONE and row.commit and row.commit not in landed:
            yield f"task {row.id} is done with {row.commit}, which never landed"
        if row.state in {TaskState.FAILED, TaskState.BLOCKED} and landed:
            yield f"task {row.id} is {row.state} ({row.reason}), yet its patch landed"

    def _delivered(self, status: RequestStatus) -> Iterable[str]:
        store = self.activities.store
        if status.commit is None:
            return
        if store.branches.get(status.branch or "") != status.commit:
            yield "the branch is not what the request says"
        tree = store.commits[status.commit].tree
        for result in status.checks:
            if (tree, result.command) not in self.activities.checks.passed:
                yield f"delivered, but `{result.command}` was never green on its tree"


def _parted(title: str) -> list[str]:
    """Return the request, task and round of a patch's title."""
    return title.rsplit("/", 2)


def _new(
    before: tuple[AnswerRecord, ...], now: tuple[AnswerRecord, ...]
) -> tuple[AnswerRecord, ...]:
    """Return what is new in a bounded record."""
    for kept in range(min(len(before), len(now)), -1, -1):
        if before[len(before) - kept :] == now[:kept]:
            return now[kept:]
    return now


def status_of(request: Run) -> RequestStatus | None:
    if request.result is not None:
        status: RequestStatus = adapter.decode(request.result, RequestStatus)
        return status
    details = getattr(request.failure, "details", ())
    return RequestStatus.model_validate(details[0]) if details else None
