"""Faults planted on purpose: a simulation that cannot find them finds nothing."""

import itertools
import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from temporalio import activity, workflow
from typing_extensions import override

from contracts.merge_queue import LandChain, Landed, MergeQueueStart, MergeQueueStatus
from contracts.request import RequestStatus
from contracts.review import ReviewItem, ReviewState, Undone
from domain.agent.inputs import Offer
from domain.planning import replan, unfinished
from domain.request import goal, retry
from tests.fakes.model import FakeModel, ScriptedUse
from tests.fakes.patches import FakePatches
from tests.simulation import scenario
from tests.simulation.scenario import Scenario
from tests.simulation.simulate import CLASSES, SimulationResult, simulate
from workflows.agent import AgentWorkflow
from workflows.goal import GoalLoop
from workflows.merge_queue import MergeQueueWorkflow
from workflows.request import RequestWorkflow
from workflows.reviewing import Reviewing
from workflows.scheduler import TaskScheduler
from workflows.subtask import SubtaskWorkflow

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


class CarelessModel(FakeModel):
    """Takes the ids of calls as the service gives them."""

    @override
    def _call_name(self, turn_id: str, number: int, use: ScriptedUse) -> str:
        return use.id or super()._call_name(turn_id, number, use)


def test_unseeded_randomness_is_found() -> None:
    """A workflow that asks `random` decides otherwise when it is replayed."""
    found = _first_violation(classes={**CLASSES, "RequestWorkflow": RestlessRequest})

    assert "nondeterminism: request/simulated-1" in found.violations[0]
    assert "start_timer" in found.violations[0]


def test_a_landing_that_is_not_idempotent_is_found() -> None:
    """A landing whose result was lost is made again, and then the patch has landed twice."""
    found = _first_violation(patches=HastyPatches, first=25)

    assert "landed twice" in found.violations[0]


def test_a_queue_that_continue_as_new_forgets_is_found() -> None:
    """A patch that waited in it never gets an answer."""
    found = _first_violation(
        classes={**CLASSES, "MergeQueueWorkflow": ForgetfulQueue},
        fit=lambda plot: plot.faults.new_run > 0.2 and len(plot.tasks) > 1,
        first=40,
    )

    assert any("never ends" in violation for violation in found.violations)


def test_a_landed_line_that_disappears_unseen_is_found() -> None:
    """A patch that takes another task's line away lands, and nobody was told."""
    found = _first_violation(
        patches=SilentPatches,
        fit=lambda plot: plot.manners.drops > 0 < plot.manners.stray and len(plot.tasks) > 1,
        first=780,
    )

    assert any("nobody decided it" in violation for violation in found.violations)


def test_one_id_for_two_calls_is_found() -> None:
    """Two calls of one reply with one id get one answer, unless each has an id of our own."""
    found = _first_violation(model=CarelessModel, fit=lambda plot: plot.oddities.strange > 0)

    assert "answered wrongly" in found.violations[0] or "two calls" in found.violations[0]


def test_a_call_that_is_not_booked_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a call without a usable reply has cost is forgotten by its agent."""
    monkeypatch.setattr(AgentWorkflow, "_after_lost", lambda _self, call, _advice: call)
    found = _first_violation(fit=lambda plot: plot.oddities.unreadable > 0)

    assert "were paid for" in found.violations[0]


def test_a_blocked_task_that_goes_on_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its agent says that it cannot be done, and its change is taken all the same."""

    async def taken(*_: object) -> bool:
        return True

    monkeypatch.setattr(SubtaskWorkflow, "_settled", taken)
    found = _first_violation(fit=lambda plot: plot.oddities.unfinished > 0)

    assert "was blocked and ended" in found.violations[0]


def test_a_risky_path_that_nobody_allowed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever an agent asks to write is granted."""
    monkeypatch.setattr(unfinished, "free", lambda _verdicts: True)
    found = _first_violation(fit=lambda plot: plot.oddities.unfinished > 0)

    assert "and nobody allowed it" in found.violations[0]


def test_an_unchanged_change_before_somebody_new_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that comes as it was sent back is put before a reviewer who knows nothing of it."""
    plain = Reviewing.review

    async def forgetful(reviewing: Reviewing, *args: Any, **given: Any) -> Any:
        reviewing._refused = None
        return await plain(reviewing, *args, **given)

    monkeypatch.setattr(Reviewing, "review", forgetful)
    found = _first_violation(
        fit=lambda plot: plot.oddities.idle > 0 < plot.manners.revise and len(plot.tasks) > 1
    )

    assert "another reviewer is asked" in found.violations[0]


def test_a_task_without_a_change_that_no_reviewer_sees_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An agent's word that nothing has to change is taken."""
    plain = Reviewing.review

    async def trusting(reviewing: Reviewing, offer: Offer, **given: Any) -> ReviewItem:
        if offer.patch.files:
            return await plain(reviewing, offer, **given)
        return ReviewItem(
            id="review/none",
            task=offer.patch.task,
            tree=offer.patch.tree,
            patch_commit=offer.patch.commit,
            state=ReviewState.APPROVED,
        )

    monkeypatch.setattr(Reviewing, "review", trusting)
    found = _first_violation(fit=lambda plot: plot.oddities.needless != ())

    assert "no reviewer looked" in found.violations[0]


def test_a_done_task_that_a_retry_runs_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheduler of a further attempt knows nothing of the rows that the one before has left."""
    plain = RequestWorkflow._new_scheduler

    def forgetful(request: RequestWorkflow, *given: Any) -> TaskScheduler:
        request._resumed = request._resumed.model_copy(update={"tasks": ()})
        return plain(request, *given)

    monkeypatch.setattr(RequestWorkflow, "_new_scheduler", forgetful)
    found = _first_violation(
        fit=lambda plot: plot.people.retries > 0 and len(plot.tasks) > 1 and not plot.plan_flaw,
        first=27,
    )

    assert "which is done, runs again in a retry" in found.violations[0]


def test_turns_that_a_retry_buys_again_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that was only cancelled begins anew instead of going on in its conversations."""
    monkeypatch.setattr(retry, "_anew", lambda _row: True)
    found = _first_violation(
        fit=lambda plot: plot.people.retries > 0 and plot.people.cancel is not None
    )

    assert "buys all its turns again" in found.violations[0]


def test_a_task_that_waits_for_one_in_whose_place_others_stand_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What depended on a stuck task does not wait for those that the planner put in its place."""
    monkeypatch.setattr(replan, "_waiting", lambda each, *_: each)
    found = _first_violation(
        fit=lambda plot: any(
            {*task["depends_on"]} & {*plot.oddities.circles} for task in plot.tasks
        )
    )

    assert any("in whose place others stand" in violation for violation in found.violations)


def test_rounds_without_end_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the number of a goal's rounds nor its deadline or money ends them."""
    monkeypatch.setattr(goal, "_spent", lambda *_: "")
    found = _first_violation(
        fit=lambda plot: plot.goal is not None and plot.goal.rounds == 1 and plot.goal.steps > 2
    )

    assert "of at most 1" in found.violations[0]


def test_a_goal_that_fails_and_counts_as_met_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request whose command fails still is taken for done."""
    monkeypatch.setattr(GoalLoop, "met", property(lambda _self: True))
    found = _first_violation(fit=lambda plot: plot.goal is not None and plot.goal.steps > 0)

    assert any("was never green on its tree" in violation for violation in found.violations)


def _first_violation(
    classes: Mapping[str, type] = CLASSES,
    model: type[FakeModel] = FakeModel,
    patches: type[FakePatches] = FakePatches,
    fit: Callable[[Scenario], bool] = lambda _: True,
    first: int = 0,
) -> SimulationResult:
    """Return the first run that shows a bug; of a rare one, `first` is shortly before it."""
    fitting = (seed for seed in itertools.count(first) if fit(scenario.of(seed)))
    for seed in itertools.islice(fitting, _MOST_SEEDS):
        result = simulate(seed, classes=classes, model=model, patches=patches)
        if result.violations:
            return result
    raise AssertionError(f"not found in {_MOST_SEEDS} seeds")
