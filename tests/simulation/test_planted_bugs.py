"""Faults planted on purpose: a simulation that cannot find them finds nothing."""

import itertools
import random
from collections.abc import Callable, Mapping
from typing import Any

from temporalio import activity, workflow
from typing_extensions import override

from contracts.merge_queue import LandChain, Landed, MergeQueueStart, MergeQueueStatus
from contracts.request import RequestStatus
from contracts.review import Undone
from tests.fakes.patches import FakePatches
from tests.simulation import scenario
from tests.simulation.scenario import Scenario
from tests.simulation.simulate import CLASSES, SimulationResult, simulate
from workflows.merge_queue import MergeQueueWorkflow
from workflows.request import RequestWorkflow

_MOST_SEEDS = 60


@workflow.defn(name="RequestWorkflow")
class RestlessRequest(RequestWorkflow):
    """Waits for a random time, by a source of chance that a replay does not share."""

    @workflow.init
    def __init__(self, payload: Any) -> None:
        super().__init__(payload)

    @workflow.run
    @override
    async def run(self, payload: Any) -> RequestStatus:
        """Wait, then run as usual."""
        await workflow.sleep(1 + random.random())
        return await super().run(payload)


@workflow.defn(name="MergeQueueWorkflow")
class ForgetfulQueue(MergeQueueWorkflow):
    """Leaves its queue behind when it continues as new."""

    @workflow.init
    def __init__(self, start: MergeQueueStart) -> None:
        super().__init__(start)

    @workflow.run
    @override
    async def run(self, start: MergeQueueStart) -> MergeQueueStatus:
        """Run as usual."""
        return await super().run(start)

    @override
    def _carried(self) -> MergeQueueStart:
        return super()._carried().model_copy(update={"queue": ()})


class HastyPatches(FakePatches):
    """Moves the target without comparing its tip, so that a repeat moves it again."""

    @override
    @activity.defn
    async def land_chain(self, request: LandChain) -> Landed:
        """Land on the present tip."""
        store, target = self._store, request.repository.target
        tree = store.tree(request.candidate)
        commit = store.commit(tree, store.tips[target], request.candidate, note="hasty")
        self._move(target, commit, request.titles)
        return Landed(commit=commit)


class SilentPatches(FakePatches):
    """Does not say which landed lines a patch removes."""

    @override
    def _undone(self, base: str, commit: str) -> tuple[Undone, ...]:
        return ()


def test_unseeded_randomness_is_found() -> None:
    """A workflow that asks `random` decides otherwise when it is replayed."""
    found = _first_violation(classes={**CLASSES, "RequestWorkflow": RestlessRequest})

    assert "nondeterminism: request/simulated-1" in found.violations[0]
    assert "start_timer" in found.violations[0]


def test_a_landing_that_is_not_idempotent_is_found() -> None:
    """A landing whose result was lost is made again, and then the patch has landed twice."""
    found = _first_violation(patches=HastyPatches)

    assert "landed twice" in found.violations[0]


def test_a_queue_that_continue_as_new_forgets_is_found() -> None:
    """A patch that waited in it never gets an answer."""
    found = _first_violation(
        classes={**CLASSES, "MergeQueueWorkflow": ForgetfulQueue},
        fit=lambda plot: plot.faults.new_run > 0.2 and len(plot.tasks) > 1,
    )

    assert any("never ends" in violation for violation in found.violations)


def test_a_landed_line_that_disappears_unseen_is_found() -> None:
    """A patch that takes another task's line away lands, and nobody was told."""
    found = _first_violation(
        patches=SilentPatches,
        fit=lambda plot: plot.manners.drops > 0 < plot.manners.stray and len(plot.tasks) > 1,
    )

    assert any("nobody decided it" in violation for violation in found.violations)


def _first_violation(
    classes: Mapping[str, type] = CLASSES,
    patches: type[FakePatches] = FakePatches,
    fit: Callable[[Scenario], bool] = lambda _: True,
) -> SimulationResult:
    fitting = (seed for seed in itertools.count() if fit(scenario.of(seed)))
    for seed in itertools.islice(fitting, _MOST_SEEDS):
        result = simulate(seed, classes=classes, patches=patches)
        if result.violations:
            return result
    raise AssertionError(f"not found in {_MOST_SEEDS} seeds")
