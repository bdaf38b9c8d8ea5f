"""One seed, one simulation."""

import asyncio
import contextlib
import gc
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from contracts.merge_queue import MergeQueueStart, QueuedPatch
from contracts.reconcile import Reconcile
from contracts.resume import Retry
from contracts.task import TaskState
from domain.request import retry
from tests.fakes.model import FakeModel
from tests.fakes.patches import FakePatches
from tests.simulation import adapter, goals, scenario
from tests.simulation.activities import SimulatedActivities
from tests.simulation.attempts import Attempts
from tests.simulation.clock import Clock, LivelockError
from tests.simulation.commands import Commands
from tests.simulation.invariants import Monitor, status_of
from tests.simulation.outcomes import Outcomes
from tests.simulation.people import Crowd
from tests.simulation.retries import RetryMonitor, lost_work, payload_of
from tests.simulation.runs import Run
from tests.simulation.scenario import REQUEST_ID, Scenario
from tests.simulation.temporal import Counters, SimulatedTemporal
from workflows.agent import AgentWorkflow
from workflows.merge_queue import MergeQueueWorkflow
from workflows.reconcile import ReconcileWorkflow
from workflows.request import RequestWorkflow
from workflows.subtask import SubtaskWorkflow

CLASSES: Mapping[str, type] = {
    adapter.workflow_type(cls): cls
    for cls in (
        RequestWorkflow,
        SubtaskWorkflow,
        AgentWorkflow,
        MergeQueueWorkflow,
        ReconcileWorkflow,
    )
}


@dataclass(frozen=True)
class SimulationResult:
    """The result of one seed.

    Attributes:
        ended: how the request ended.
        fingerprint: the digest of the trace.
        hours: simulated.
        runs: of workflows.
        activities: what the workflows reached, for a closer look.
    """

    seed: int
    violations: tuple[str, ...]
    ended: str
    fingerprint: str
    hours: float
    counters: Counters
    runs: int
    lines: tuple[str, ...]
    activities: SimulatedActivities


def simulate(
    seed: int,
    *,
    classes: Mapping[str, type] = CLASSES,
    model: type[FakeModel] = FakeModel,
    patches: type[FakePatches] = FakePatches,
    words: bool = False,
) -> SimulationResult:
    """Run a seed to its end.

    Args:
        seed: decides everything.
        classes: workflow classes by type, for planted bugs.
        model: the fake of its port, for planted bugs.
        patches: the same.
        words: keep the trace as text.
    """
    with _quiet():
        return _simulate(seed, dict(classes), model, patches, words=words)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Be as undisturbed as a worker: no log of evictions, no warning of handlers that a failed run
    leaves, no loop of the test's own, and no garbage collector in the middle of an activation.
    """
    outside = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    collecting = gc.isenabled()
    gc.disable()
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
        if collecting:
            gc.enable()
        asyncio._set_running_loop(outside)


def _simulate(
    seed: int,
    classes: dict[str, type],
    model: type[FakeModel],
    patches: type[FakePatches],
    *,
    words: bool,
) -> SimulationResult:
    plot = scenario.of(seed)
    clock = Clock(seed)
    if words:
        clock.keep_lines()
    temporal = SimulatedTemporal(clock, plot.faults, classes)

    def enqueue(queue: str, start: MergeQueueStart, patch: QueuedPatch) -> None:
        if queue not in temporal.open:
            temporal.start("MergeQueueWorkflow", queue, [adapter.encode(start)])
        temporal.signal(queue, "enqueue", [adapter.encode(patch)])

    reached = SimulatedActivities(
        plot,
        now=lambda: clock.seconds,
        enqueue=enqueue,
        running=temporal.open.keys,
        model=model,
        patches=patches,
    )
    temporal.executor = Commands(temporal, Attempts(temporal, reached.table()))
    request = _attempts(plot, temporal, reached)
    _forget(temporal)
    return SimulationResult(
        seed=seed,
        violations=tuple(temporal.violations),
        ended=request.closed,
        fingerprint=clock.fingerprint,
        hours=clock.last / 3_600,
        counters=temporal.counters,
        runs=len(temporal.all),
        lines=clock.lines,
        activities=reached,
    )


def _attempts(plot: Scenario, temporal: SimulatedTemporal, reached: SimulatedActivities) -> Run:
    """Run the request and, where it ends badly, as often as its people want again."""
    monitor = Monitor(temporal, reached, plot)
    watch, people, payload = RetryMonitor(temporal, None), plot.people, plot.payload
    left = reached.repositories.resumed
    for attempt in range(1, plot.people.retries + 2):
        outcomes = Outcomes(
            temporal,
            reached,
            plot,
            monitor,
            told_microusd=left.spent_microusd,
            first_round={row.id: row.earlier.rounds for row in left.tasks if row.earlier},
            done_before=frozenset(row.id for row in left.tasks if row.state is TaskState.DONE),
        )
        crowd = Crowd(temporal, people)
        temporal.observers[:] = [monitor, outcomes, crowd, watch]
        request = temporal.start("RequestWorkflow", REQUEST_ID, [adapter.encode(payload)])
        crowd.arrive()
        _to_the_end(plot, temporal, request)
        if not temporal.violations:
            monitor.final(request)
            outcomes.final(request)
            for sentence in (
                *lost_work(status_of(request), reached.store),
                *_goal_problems(plot, request, reached),
            ):
                temporal.violate(sentence)
        order = Retry(attempt=attempt + 1)
        if temporal.violations or not _goes_on(request, reached):
            break
        left = reached.repositories.resumed = reached.kept.resumed(order)
        reached.store.withdrawn.clear()  # a delivery is withdrawn for one run alone
        watch = RetryMonitor(temporal, reached.kept.last_status)
        monitor = monitor.of_retry()
        people = replace(people, pause=people.pause or 600.0, cancel=None, terminate=None)
        payload = payload_of(payload, reached.kept, order)
    return request


def _goal_problems(plot: Scenario, request: Run, reached: SimulatedActivities) -> Iterator[str]:
    status = status_of(request)
    commit = status.commit if status else None
    tree = reached.store.commits[commit].tree if commit else ""
    yield from goals.problems(plot.goal, status, reached.checks.passed, tree)


def _goes_on(request: Run, reached: SimulatedActivities) -> bool:
    """Return whether a request that has ended can be retried."""
    status = status_of(request)
    return bool(reached.kept.key) and (status is None or not retry.problem(status, ()))


def _to_the_end(plot: Scenario, temporal: SimulatedTemporal, request: Run) -> None:
    try:
        temporal.run()
        if request.closed == "terminated" or (request.closed == "cancelled" and plot.sluggish):
            # The reconciler frees what was not released, or not soon enough.
            look = Reconcile(host_id="host-1")
            temporal.start("ReconcileWorkflow", "reconcile", [adapter.encode(look)])
            temporal.run()
    except LivelockError as error:
        temporal.violate(f"nothing comes to an end: {error}")


def _forget(temporal: SimulatedTemporal) -> None:
    """End every instance in an orderly way, so that none is torn down by the garbage collector."""
    for run in temporal.all:
        temporal.drop(run)
