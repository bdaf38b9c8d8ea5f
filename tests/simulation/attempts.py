"""Activities: attempts that fail, hang, or succeed and lose their result."""

from collections.abc import Callable
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from contracts.failures import FailureKind
from tests.simulation import adapter
from tests.simulation.adapter import Job
from tests.simulation.runs import Call, Run
from tests.simulation.temporal import SimulatedTemporal

_WAIT_CANCELLED = 1
_LOST_SECONDS = 5.0
"""A heartbeat timeout and a little more: then a lost attempt is noticed."""

_CARRIED = frozenset({"deliver_branch"})
"""Activities that end as they would have, once they have begun, even when they are cancelled."""

Activity = Callable[[str, int, Any], object]
"""Takes the call's key, the attempt from 1 and the argument; what it returns is the result."""


class Attempts:
    """The activities of a simulation.

    Args:
        activities: by name, each with its argument's type.
    """

    def __init__(
        self, temporal: SimulatedTemporal, activities: dict[str, tuple[Activity, type]]
    ) -> None:
        self._temporal = temporal
        self._clock = temporal.clock
        self._activities = activities

    def schedule(self, run: Run, wanted: Any) -> Call:
        """Take an activity's command."""
        policy = wanted.retry_policy
        limit = wanted.schedule_to_close_timeout.ToTimedelta().total_seconds()
        call = Call(
            run=run,
            seq=wanted.seq,
            id=wanted.activity_id,
            kind=wanted.activity_type,
            arguments=tuple(wanted.arguments),
            deadline_ns=self._clock.now + int(limit * 1e9),
            first_wait=policy.initial_interval.ToTimedelta().total_seconds() or 1.0,
            longest_wait=policy.maximum_interval.ToTimedelta().total_seconds() or 100.0,
            most_attempts=policy.maximum_attempts,
            never_retried=tuple(policy.non_retryable_error_types),
            cancellation=wanted.cancellation_type,
        )
        run.calls[call.seq] = call
        return call

    def begin(self, call: Call) -> None:
        """Let the next attempt run."""
        call.attempt += 1
        seconds = self._temporal.faults.work_seconds
        if not self._temporal.calm and self._clock.odds(self._temporal.faults.slow):
            seconds *= 100
        self._clock.soon(seconds, lambda: self._end(call))

    def cancel(self, call: Call) -> None:
        """Ask an activity to end: at once for the workflow, or when it has really ended."""
        if call.cancelled:
            return
        call.cancelled = True
        if call.cancellation == _WAIT_CANCELLED:
            self._clock.soon(1.0, lambda: self._stopped(call))
            return
        untold = [
            job
            for job in call.run.pending
            if job.HasField("resolve_activity") and job.resolve_activity.seq == call.seq
        ]
        for job in untold:
            # It has finished, but its result is lost: the workflow sees a cancellation.
            call.run.pending.remove(job)
            call.done = False
        self._cancelled(call)

    def cancel_unsent(self, call: Call) -> None:
        """Resolve an activity that was never sent."""
        call.cancelled = True
        self._cancelled(call)

    def _stopped(self, call: Call) -> None:
        """The worker receives the cancellation, either in time or too late."""
        if call.done or call.lost:
            return  # a dead worker receives nothing
        if not self._clock.odds(0.5):
            self._cancelled(call)
            return
        outcome = self._perform(call)
        if call.kind in _CARRIED and not isinstance(outcome, ApplicationError):
            self._completed(call, outcome)
        else:
            self._cancelled(call)

    def _cancelled(self, call: Call) -> None:
        job = Job()
        job.resolve_activity.result.cancelled.failure.CopyFrom(
            adapter.cancelled_activity(call.kind, call.id)
        )
        self._resolve(call, job)

    def _end(self, call: Call) -> None:
        """End an attempt."""
        if call.run.closed or (call.cancelled and call.cancellation != _WAIT_CANCELLED):
            # The workflow does not wait any more, but the worker may not know that in time.
            if self._clock.odds(0.5):
                self._perform(call)
            return
        if call.done:
            return
        faults, calm = self._temporal.faults, self._temporal.calm
        if not calm and self._clock.odds(faults.fail):
            broken = ApplicationError("git failed", type=FailureKind.STORE.value)
            self._failed(call, adapter.failure_of(broken), broken)
            return
        outcome = self._perform(call)
        if not calm and self._clock.odds(faults.lost):
            call.lost = True
            self._clock.at(_LOST_SECONDS, lambda: self._missed(call))
        elif isinstance(outcome, ApplicationError):
            self._failed(call, adapter.failure_of(outcome), outcome)
        else:
            self._completed(call, outcome)

    def _completed(self, call: Call, outcome: Payload) -> None:
        job = Job()
        job.resolve_activity.result.completed.result.CopyFrom(outcome)
        self._resolve(call, job)

    def _missed(self, call: Call) -> None:
        call.lost = False
        if not (call.done or call.run.closed):
            self._failed(call, adapter.timed_out(), None)

    def _perform(self, call: Call) -> Payload | ApplicationError:
        """Run the activity."""
        function, hint = self._activities[call.kind]
        argument = adapter.decode(call.arguments[0], hint)
        try:
            result = function(call.key, call.attempt, argument)
        except ApplicationError as error:
            self._clock.trace(call.key, call.kind, call.attempt, "raises", error.type)
            return error
        self._clock.trace(call.key, call.kind, call.attempt, "ran")
        return adapter.encode(result)

    def _failed(self, call: Call, failure: Failure, error: ApplicationError | None) -> None:
        """Retry, or fail, as the retry policy demands."""
        if call.cancelled and error is not None:
            self._cancelled(call)
            return
        wait = min(call.longest_wait, call.first_wait * 2.0 ** (call.attempt - 1))
        if error is not None and error.next_retry_delay is not None:
            wait = error.next_retry_delay.total_seconds()
        final = error is not None and (
            error.non_retryable or (error.type or "") in call.never_retried
        )
        spent = 0 < call.most_attempts <= call.attempt
        late = self._clock.now + int(wait * 1e9) >= call.deadline_ns
        # A server does not try again what is to be cancelled; nor does it call a death that.
        if not (final or spent or late or call.cancelled):
            self._clock.at(wait, lambda: self._next(call))
            return
        job = Job()
        job.resolve_activity.result.failed.failure.CopyFrom(
            adapter.failed_activity(call.kind, call.id, failure)
        )
        self._resolve(call, job)

    def _next(self, call: Call) -> None:
        if not (call.cancelled or call.run.closed):
            self.begin(call)

    def _resolve(self, call: Call, job: Job) -> None:
        if not call.done:
            call.done = True
            job.resolve_activity.seq = call.seq
            self._temporal.deliver(call.run, job)
