"""One seed, one simulation."""

import asyncio
import contextlib
import gc
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from contracts.merge_queue import MergeQueueStart, QueuedPatch
from contracts.reconcile import Reconcile
from tests.fakes.model import FakeModel
from tests.fakes.patches import FakePatches
from tests.simulation import adapter, scenario
from tests.simulation.activities import SimulatedActivities
from tests.simulation.attempts import Attempts
from tests.simulation.clock import Clock, LivelockError
from tests.simulation.commands import Commands
from tests.simulation.invariants import Monitor
from tests.simulation.outcomes import Outcomes
from tests.simulation.people import Crowd
from tests.simulation.scenario import REQUEST_ID
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
    monitor = Monitor(temporal, reached, plot)
    temporal.observers.append(monitor)
    request = temporal.start("RequestWorkflow", REQUEST_ID, [adapter.encode(plot.payload)])
    outcomes = Outcomes(temporal, reached, plot, monitor)
    temporal.observers.append(outcomes)
    crowd = Crowd(temporal, plot.people)
    temporal.observers.append(crowd)
    crowd.arrive()
    try:
        temporal.run()
        if request.closed == "terminated" or (request.closed == "cancelled" and plot.sluggish):
            # The reconciler frees what was not released, or not soon enough.
            look = Reconcile(host_id="host-1")
            temporal.start("ReconcileWorkflow", "reconcile", [adapter.encode(look)])
            temporal.run()
    except LivelockError as error:
        temporal.violate(f"nothing comes to an end: {error}")
    if not temporal.violations:
        monitor.final(request)
        outcomes.final(request)
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


def _forget(temporal: SimulatedTemporal) -> None:
    """End every instance in an orderly way, so that none is torn down by the garbage collector."""
    for run in temporal.all:
        temporal.drop(run)
