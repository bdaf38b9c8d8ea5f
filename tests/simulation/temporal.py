"""A Temporal service and its workers, in one thread: runs, workflow tasks, crashes, replays,
signals.

`commands` executes what a workflow task asks for, `attempts` the activities.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from temporalio.api.common.v1 import Payload

from contracts.task_queue import WORKFLOW_TASK_TIMEOUT
from tests.simulation import adapter
from tests.simulation.adapter import Birth, Command, Completed, Instance, Job
from tests.simulation.clock import Clock
from tests.simulation.runs import Committed, Run


@dataclass(frozen=True)
class Faults:
    """How hostile the environment is; each a probability, but for the delays in seconds.

    Attributes:
        crash: of the worker, before and after each workflow task.
        fail: of an attempt, before it had an effect.
        lost: of an attempt's result, after its effect.
        duplicate: of a signal.
        slow: of an attempt that takes up to a hundred times as long.
        new_run: that a workflow task suggests to continue as new.
        work_seconds: most that an ordinary attempt takes.
        hop_seconds: most that a message is under way.
        task_seconds: most that a workflow task takes to begin, and again to be committed.
    """

    crash: float = 0.0
    fail: float = 0.0
    lost: float = 0.0
    duplicate: float = 0.0
    slow: float = 0.0
    new_run: float = 0.0
    work_seconds: float = 10.0
    hop_seconds: float = 0.2
    task_seconds: float = 0.05


@dataclass
class Counters:
    """What a simulation did."""

    activations: int = 0
    replays: int = 0
    crashes: int = 0
    redone: int = 0


class Observer(Protocol):
    """Sees every workflow task that is committed."""

    def committed(self, run: Run, jobs: Sequence[Job], commands: Sequence[Command]) -> None:
        """Look at a task and what it did; `run.cache` holds the workflow."""


class CommandExecutor(Protocol):
    """Executes the commands of workflow tasks: see `commands` and `attempts`."""

    def execute(self, run: Run, commands: Sequence[Command]) -> None:
        """Execute the commands of one workflow task."""

    def closed(self, run: Run) -> None:
        """Do what follows from a run's end."""


@dataclass
class SimulatedTemporal:
    """Runs by workflow id, and the event queue that drives them.

    Attributes:
        classes: workflow classes by their type.
        violations: what must not happen and did; the first ends the simulation.
    """

    clock: Clock
    faults: Faults
    classes: dict[str, type]
    open: dict[str, Run] = field(default_factory=dict)
    all: list[Run] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)
    observers: list[Observer] = field(default_factory=list)
    calm: bool = False

    def __post_init__(self) -> None:
        self.executor: CommandExecutor | None = None
        self._queries = 0

    def run(self) -> None:
        """Run until nothing more happens."""
        self.clock.run(until=lambda: bool(self.violations))

    def violate(self, sentence: str) -> None:
        """Record a violation of an invariant."""
        self.clock.trace("VIOLATION", sentence)
        self.violations.append(f"at {self.clock.seconds:.0f} s: {sentence}")

    def start(
        self,
        kind: str,
        workflow_id: str,
        arguments: Sequence[Payload],
        *,
        parent: Run | None = None,
        after: Run | None = None,
    ) -> Run:
        """Start a run; `after` is the one that it continues."""
        run_id = f"run-{len(self.all)}"
        birth = Birth(
            workflow_type=kind,
            workflow_id=workflow_id,
            run_id=run_id,
            first_run_id=after.birth.first_run_id if after else run_id,
            continued_from=after.run_id if after else "",
            parent=(parent.workflow_id, parent.run_id) if parent else None,
            arguments=tuple(arguments),
            attributes=dict(after.attributes) if after else {},
            started_ns=self.clock.now,
            seed=self.clock.chance.getrandbits(63),
        )
        run = Run(self.classes[kind], birth, attributes=dict(birth.attributes))
        self.open[workflow_id] = run
        self.all.append(run)
        self.deliver(run, adapter.initialize(birth))
        return run

    def deliver(self, run: Run, job: Job) -> None:
        """Deliver a job to a run."""
        if run.closed:
            return
        run.pending.append(job)
        self._wake(run)

    def signal(self, workflow_id: str, name: str, arguments: Sequence[Payload]) -> bool:
        """Signal the run that is open now; False when none is."""
        run = self.open.get(workflow_id)
        if run is None:
            return False
        job = Job()
        job.signal_workflow.signal_name = name
        job.signal_workflow.input.extend(arguments)
        self.deliver(run, job)
        return True

    def cancel(self, workflow_id: str) -> bool:
        """Ask a run to end; False when none is open."""
        run = self.open.get(workflow_id)
        if run is None:
            return False
        job = Job()
        job.cancel_workflow.reason = "a person cancelled it"
        self.deliver(run, job)
        return True

    def terminate(self, workflow_id: str) -> None:
        """End a run by force."""
        run = self.open.get(workflow_id)
        if run is not None:
            self.close(run, "terminated")

    def update(self, workflow_id: str, name: str, argument: object) -> bool:
        """Send an update; its answer is found among the commands. False when no run is open."""
        run = self.open.get(workflow_id)
        if run is None:
            return False
        job = Job()
        self._queries += 1
        job.do_update.id = job.do_update.protocol_instance_id = f"update-{self._queries}"
        job.do_update.name = name
        job.do_update.input.append(adapter.encode(argument))
        job.do_update.run_validator = True
        self.deliver(run, job)
        return True

    def query(self, workflow_id: str, name: str, hint: Any) -> Any:
        """Return a query's answer, None when no run is open or it has not begun."""
        run = self.open.get(workflow_id)
        if run is None or not run.log:
            return None
        job = Job()
        job.query_workflow.query_id = "question"
        job.query_workflow.query_type = name
        done = self._instance(run).activate(
            adapter.activation(
                run.run_id,
                [job],
                now_ns=self.clock.now,
                length=run.events,
                suggest_new_run=False,
            )
        )
        for command in done.commands:
            answer = command.respond_to_query
            if answer.HasField("succeeded"):
                return adapter.decode(answer.succeeded.response, hint)
        self.violate(f"the query {name} of {workflow_id} was not answered: {done.problem}")
        return None

    def workflow(self, run: Run) -> Any:
        """Return a run's workflow object, replayed when no worker has it in its cache."""
        return self._instance(run).workflow

    def close(self, run: Run, how: str) -> None:
        """Close a run."""
        run.closed, run.closed_at = how, self.clock.seconds
        run.pending.clear()
        if self.open.get(run.workflow_id) is run:
            del self.open[run.workflow_id]
        self.clock.trace("closed", run.workflow_id, how)
        if self.executor:
            self.executor.closed(run)

    def _wake(self, run: Run) -> None:
        if not run.at_work and not run.closed:
            run.at_work = True
            self.clock.soon(self.faults.task_seconds, lambda: self._begin(run))

    def _crashed(self, run: Run) -> bool:
        if self.calm or not self.clock.odds(self.faults.crash):
            return False
        self.counters.crashes += 1
        self.drop(run)
        return True

    def drop(self, run: Run) -> None:
        """Take a run out of the worker's cache."""
        cached, run.cache = run.cache, None
        if cached is not None:
            try:
                cached.evict(run.run_id)
            except RuntimeError as error:
                self.violate(f"{run.workflow_id} cannot be evicted: {error}")

    def _instance(self, run: Run) -> Instance:
        if run.cache is None:
            run.cache = Instance(run.cls, run.birth)
            self._replay(run, run.cache)
        return run.cache

    def _replay(self, run: Run, instance: Instance) -> None:
        """Replay the history in a fresh instance; it must decide the same."""
        for index, task in enumerate(run.log):
            self.counters.replays += 1
            act = adapter.as_replay(task.activation, flags=sorted(run.flags), patches=run.patches)
            done = instance.activate(act)
            if done.problem or adapter.written(done.commands) != task.commands:
                self.violate(_difference(run, index, task=task, done=done))
                return

    def _begin(self, run: Run) -> None:
        """Run one workflow task, up to the moment when its answer is on the way."""
        run.at_work = False
        if run.closed or not run.pending:
            return
        self._crashed(run)
        instance = self._instance(run)
        if self.violations:
            return
        jobs, run.pending = run.pending, []
        act = adapter.activation(
            run.run_id,
            jobs,
            now_ns=self.clock.now,
            length=run.events,
            suggest_new_run=not self.calm and self.clock.odds(self.faults.new_run),
        )
        run.at_work = True
        self.counters.activations += 1
        done = instance.activate(act)
        if done.problem:
            self.violate(f"a workflow task of {run.workflow_id} fails: {done.problem}")
        elif self._crashed(run):
            self._again(run, jobs, after=WORKFLOW_TASK_TIMEOUT.total_seconds())
        else:
            self.clock.soon(self.faults.task_seconds, lambda: self._commit(run, act, done))

    def _again(self, run: Run, jobs: Sequence[Job], *, after: float) -> None:
        run.pending[:0] = jobs
        self.clock.at(after, lambda: self._begin(run))

    def _commit(self, run: Run, act: Any, done: Completed) -> None:
        """Commit a task, unless a job arrived that a closing command must not overlook."""
        if run.closed:
            return
        if run.pending and any(adapter.closes(command) for command in done.commands):
            self.counters.redone += 1
            self.drop(run)
            self._again(run, list(act.jobs), after=0.01)
            return
        jobs = list(act.jobs)
        commands = _accepted(act, done.commands)
        run.flags |= set(done.flags)
        run.tasks += 1
        run.events += 3 + len(act.jobs) + len(commands)
        if act.jobs:
            run.log.append(Committed(act, adapter.written(commands)))
        self.clock.trace(
            run.workflow_id, *map(adapter.variant, jobs), ">", *map(adapter.variant, done.commands)
        )
        run.at_work = False
        if self.executor:
            self.executor.execute(run, commands)
        for observer in self.observers:
            observer.committed(run, jobs, done.commands)
        if run.pending:
            self._wake(run)


def _accepted(act: Any, commands: Sequence[Command]) -> tuple[Command, ...]:
    """Take rejected updates out of a task: they leave no trace in a history."""
    accepted: set[str] = set()
    refused: set[str] = set()
    for command in commands:
        if command.HasField("update_response"):
            answer = command.update_response
            group = refused if answer.HasField("rejected") else accepted
            group.add(answer.protocol_instance_id)
    refused -= accepted
    if not refused:
        return tuple(commands)
    kept = [
        job
        for job in act.jobs
        if not (job.HasField("do_update") and job.do_update.protocol_instance_id in refused)
    ]
    del act.jobs[:]
    act.jobs.extend(kept)
    return tuple(
        command
        for command in commands
        if command.update_response.protocol_instance_id not in refused
    )


def _difference(run: Run, index: int, *, task: Committed, done: Completed) -> str:
    now = adapter.written(done.commands)
    at = next(
        (i for i, (a, b) in enumerate(zip(now, task.commands, strict=False)) if a != b),
        min(len(now), len(task.commands)),
    )
    before = [Command.FromString(each) for each in task.commands]
    return (
        f"nondeterminism: {run.workflow_id}, task {index + 1} of {len(run.log)}, command {at + 1}: "
        f"was {[adapter.variant(each) for each in before]}, replayed as "
        f"{[adapter.variant(each) for each in done.commands]} {done.problem or ''}"
        f"\n{before[at : at + 1]}\n{list(done.commands[at : at + 1])}"
    )
