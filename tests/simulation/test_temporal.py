"""The simulated service keeps Temporal's rules, shown on small workflows."""

import asyncio
import datetime as dt
import functools
from collections.abc import Callable
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    is_cancelled_exception,
)
from temporalio.workflow import ActivityCancellationType

from tests.simulation import adapter
from tests.simulation.attempts import Attempts
from tests.simulation.clock import Clock
from tests.simulation.commands import Commands
from tests.simulation.runs import Run
from tests.simulation.temporal import Faults, SimulatedTemporal

_MINUTE = dt.timedelta(minutes=1)


@activity.defn
async def work(what: str) -> str:
    """Any activity; the tests below define what it does."""
    raise NotImplementedError(what)


@workflow.defn
class CallingWorkflow:
    """Calls one activity and returns its result."""

    @workflow.run
    async def run(self, what: str) -> str:
        """Call it."""
        kind = ActivityCancellationType.TRY_CANCEL
        if what == "patient":
            kind = ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
        try:
            return await workflow.execute_activity(
                work,
                what,
                schedule_to_close_timeout=_MINUTE,
                cancellation_type=kind,
                retry_policy=RetryPolicy(non_retryable_error_types=["Hopeless"]),
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                return "cancelled"
            return f"failed: {getattr(error.cause, 'type', None)}"


@workflow.defn
class CountingWorkflow:
    """Counts by signal, by update with a validator, and over continue-as-new."""

    @workflow.init
    def __init__(self, seen: list[int]) -> None:
        self._seen = list(seen)

    @workflow.run
    async def run(self, seen: list[int]) -> list[int]:
        """Count to five, in runs of two."""
        began = len(seen)
        await workflow.wait_condition(lambda: len(self._seen) >= min(began + 2, 5))
        if len(self._seen) < 5:
            workflow.continue_as_new(self._seen)
        return self._seen

    @workflow.signal
    def count(self, number: int) -> None:
        """Take a number."""
        self._seen.append(number)

    @workflow.update
    def take(self, number: int) -> int:
        """Take a number and return how many there are."""
        self._seen.append(number)
        return len(self._seen)

    @take.validator
    def check(self, number: int) -> None:
        """Take no negative number."""
        if number < 0:
            raise ValueError("negative")


@workflow.defn
class ParentWorkflow:
    """Has a child, and signals a workflow that does not run."""

    @workflow.run
    async def run(self, what: str) -> str:
        """Do it."""
        if workflow.patched("a-change"):
            await workflow.sleep(1)
        try:
            await workflow.get_external_workflow_handle("nobody").signal("count", 1)
        except ApplicationError:
            what += "-unheard"
        handle = await workflow.start_child_workflow(CallingWorkflow.run, what, id="child")
        try:
            return await handle
        except ChildWorkflowError as error:
            return f"child: {type(error.cause).__name__}"
        except asyncio.CancelledError:
            return "cancelled"


def test_an_activity_is_retried_until_it_succeeds() -> None:
    """A lost or failed attempt is made again, under the same key."""
    keys: list[tuple[str, int]] = []

    def flaky(key: str, attempt: int, what: str) -> str:
        keys.append((key, attempt))
        if attempt < 3:
            raise ApplicationError("not yet")
        return what

    temporal, run = _ran(CallingWorkflow, "x", does=flaky)

    assert _result(run) == "x"
    assert keys == [("run-0/1", 1), ("run-0/1", 2), ("run-0/1", 3)]
    assert temporal.clock.seconds > 3


def test_an_activity_is_given_up_by_kind_by_flag_and_by_time() -> None:
    """A non-retryable failure is not retried; a lasting one ends with its schedule-to-close."""

    def fails(error: ApplicationError) -> Callable[[str, int, str], object]:
        def fail(key: str, attempt: int, what: str) -> object:
            raise error

        return fail

    for error in (
        ApplicationError("x", type="Hopeless"),
        ApplicationError("x", type="Final", non_retryable=True),
        ApplicationError("x", type="Slow", next_retry_delay=dt.timedelta(hours=1)),
    ):
        temporal, run = _ran(CallingWorkflow, "x", does=fails(error))

        assert _result(run) == f"failed: {error.type}"
        assert temporal.clock.seconds < 61


def test_a_cancelled_activity_ends_at_once_or_when_it_has_really_ended() -> None:
    """One kind of cancellation does not wait for the worker; the other does."""
    for what in ("hasty", "patient"):
        temporal, run = _temporal(CallingWorkflow, what, faults=Faults(work_seconds=1_000))
        temporal.clock.at(1, functools.partial(temporal.cancel, "it"))
        temporal.run()

        assert _result(run) == "cancelled", what
        assert run.closed_at < 3


def test_no_signal_is_lost_when_a_run_continues_as_new() -> None:
    """A signal during a run's last task is delivered to its repetition or the next run."""
    redone = 0
    for seed in range(30):
        temporal, _ = _temporal(
            CountingWorkflow, [], seed=seed, faults=Faults(crash=0.2, task_seconds=2)
        )
        for number in range(5):
            count = functools.partial(temporal.signal, "it", "count", [adapter.encode(number)])
            temporal.clock.soon(10, count)
        temporal.run()

        assert temporal.violations == []
        assert sorted(_result(temporal.all[-1])) == [0, 1, 2, 3, 4]
        redone += temporal.counters.redone
    assert redone


def test_a_refused_update_leaves_no_trace() -> None:
    """It is in no history, so a replay after a crash does not see it."""
    temporal, run = _temporal(CountingWorkflow, [1], faults=Faults(crash=0.5))
    for number in (-1, -2, 7, -3, 8, 9, 10):
        temporal.clock.soon(100, functools.partial(temporal.update, "it", "take", number))
    temporal.run()

    assert temporal.violations == []
    assert sorted(_result(temporal.all[-1])) == [1, 7, 8, 9, 10]
    assert run.closed == "continued"


def test_patches_signals_to_nobody_and_children_survive_crashes() -> None:
    """A crash at every second task changes nothing of what a workflow decides."""
    for seed in range(10):
        temporal, run = _temporal(ParentWorkflow, "x", seed=seed, faults=Faults(crash=0.5))
        temporal.run()

        assert temporal.violations == []
        assert _result(run) == "x-unheard"
        assert run.patches == ["a-change"]


def test_a_child_follows_its_parent() -> None:
    """Cancelled with it, and terminated with it."""
    temporal, run = _temporal(ParentWorkflow, "x", faults=Faults(work_seconds=10_000))
    temporal.clock.at(30, functools.partial(temporal.cancel, "it"))
    temporal.run()

    assert _result(run) == "cancelled"
    assert {each.workflow_id: each.closed for each in temporal.all}["child"] == "completed"

    temporal, run = _temporal(ParentWorkflow, "x", faults=Faults(work_seconds=10_000))
    temporal.clock.at(30, functools.partial(temporal.terminate, "it"))
    temporal.run()

    assert {each.workflow_id: each.closed for each in temporal.all} == {
        "it": "terminated",
        "child": "terminated",
    }


def test_a_task_that_fails_is_a_violation() -> None:
    """An exception that is no workflow failure blocks the workflow, which is a violation."""
    temporal, _ = _ran(CallingWorkflow, "x", does=lambda *_: 17)

    assert "a workflow task of it fails" in temporal.violations[0]


def _temporal(
    cls: type,
    argument: object,
    *,
    seed: int = 1,
    faults: Faults | None = None,
    does: Callable[[str, int, str], object] = lambda _, __, what: what,
) -> tuple[SimulatedTemporal, Run]:
    classes: dict[str, type] = {
        adapter.workflow_type(each): each
        for each in (CallingWorkflow, CountingWorkflow, ParentWorkflow)
    }
    temporal = SimulatedTemporal(Clock(seed), faults or Faults(), classes)
    temporal.executor = Commands(temporal, Attempts(temporal, {"work": (does, str)}))
    return temporal, temporal.start(adapter.workflow_type(cls), "it", [adapter.encode(argument)])


def _ran(
    cls: type, argument: object, *, does: Callable[[str, int, str], object]
) -> tuple[SimulatedTemporal, Run]:
    temporal, run = _temporal(cls, argument, does=does)
    temporal.run()
    return temporal, run


def _result(run: Run) -> Any:
    assert run.result is not None, run.closed
    return adapter.decode(run.result)
