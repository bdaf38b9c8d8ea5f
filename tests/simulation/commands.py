"""What the service does with the commands of a workflow task."""

from collections.abc import Sequence

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.child_workflow import StartChildWorkflowExecutionFailedCause as Cause

from tests.simulation import adapter
from tests.simulation.adapter import Command, Job
from tests.simulation.attempts import Attempts
from tests.simulation.runs import Child, Run
from tests.simulation.temporal import SimulatedTemporal

_TERMINATE, _ABANDON = 1, 2


class Commands:
    """The Temporal service's side of a simulation.

    A command that it does not know raises: a workflow that begins to use one needs it here.
    """

    def __init__(self, temporal: SimulatedTemporal, attempts: Attempts) -> None:
        self._temporal = temporal
        self._attempts = attempts
        self._now: tuple[Command, ...] = ()

    def execute(self, run: Run, commands: Sequence[Command]) -> None:
        """Execute the commands of one task in order."""
        self._now = tuple(commands)
        for command in commands:
            getattr(self, f"_{adapter.variant(command)}")(run, command)

    def closed(self, run: Run) -> None:
        """End what a closed run leaves behind: its activities, and its children by their policy."""
        for call in run.calls.values():
            call.cancelled = True
        for child in run.children.values():
            if child.done or child.close_policy == _ABANDON:
                continue
            child.done = True
            below = self._temporal.open.get(child.workflow_id)
            if below is None or below.parent is None or below.parent[0] is not run:
                continue
            if child.close_policy == _TERMINATE:
                self._temporal.close(below, "terminated")
            else:
                self._temporal.cancel(child.workflow_id)

    def _schedule_activity(self, run: Run, command: Command) -> None:
        wanted = command.schedule_activity
        call = self._attempts.schedule(run, wanted)
        if any(
            other.HasField("request_cancel_activity")
            and other.request_cancel_activity.seq == wanted.seq
            for other in self._now
        ):
            # Scheduled and cancelled in one task: the service never sees it.
            self._attempts.cancel_unsent(call)
        else:
            self._attempts.begin(call)

    def _request_cancel_activity(self, run: Run, command: Command) -> None:
        self._attempts.cancel(run.calls[command.request_cancel_activity.seq])

    def _start_timer(self, run: Run, command: Command) -> None:
        seq = command.start_timer.seq
        seconds = command.start_timer.start_to_fire_timeout.ToTimedelta().total_seconds()
        run.timers.add(seq)
        self._temporal.clock.at(seconds, lambda: self._fire(run, seq))

    def _fire(self, run: Run, seq: int) -> None:
        if seq in run.timers:
            run.timers.discard(seq)
            job = Job()
            job.fire_timer.seq = seq
            self._temporal.deliver(run, job)

    def _cancel_timer(self, run: Run, command: Command) -> None:
        seq = command.cancel_timer.seq
        run.timers.discard(seq)
        # The service withdraws a timer that has fired but was not delivered yet.
        run.pending[:] = [
            job
            for job in run.pending
            if not (job.HasField("fire_timer") and job.fire_timer.seq == seq)
        ]

    def _start_child_workflow_execution(self, run: Run, command: Command) -> None:
        wanted = command.start_child_workflow_execution
        child = Child(wanted.seq, wanted.workflow_id, wanted.parent_close_policy or _TERMINATE)
        run.children[child.seq] = child
        if any(
            other.HasField("cancel_child_workflow_execution")
            and other.cancel_child_workflow_execution.child_workflow_seq == child.seq
            for other in self._now
        ):
            child.done = True
            job = Job()
            start = job.resolve_child_workflow_execution_start
            start.seq = child.seq
            start.cancelled.failure.CopyFrom(
                adapter.failed_child(child.workflow_id, wanted.workflow_type, adapter.cancelled())
            )
            self._temporal.deliver(run, job)
            return
        kind, arguments = wanted.workflow_type, tuple(wanted.input)
        self._temporal.clock.soon(
            self._temporal.faults.hop_seconds,
            lambda: self._start_child(run, child, kind=kind, arguments=arguments),
        )

    def _start_child(
        self, run: Run, child: Child, *, kind: str, arguments: tuple[Payload, ...]
    ) -> None:
        if run.closed:
            return
        job = Job()
        start = job.resolve_child_workflow_execution_start
        start.seq = child.seq
        if child.workflow_id in self._temporal.open:
            child.done = True
            start.failed.workflow_id = child.workflow_id
            start.failed.workflow_type = kind
            start.failed.cause = (
                Cause.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS
            )
        else:
            below = self._temporal.start(kind, child.workflow_id, arguments, parent=run)
            below.parent = (run, child)
            child.run_id = start.succeeded.run_id = below.run_id
            if child.cancel_wanted:
                self._temporal.cancel(child.workflow_id)
        self._temporal.deliver(run, job)

    def _cancel_child_workflow_execution(self, run: Run, command: Command) -> None:
        child = run.children[command.cancel_child_workflow_execution.child_workflow_seq]
        child.cancel_wanted = True
        if child.run_id and not child.done:
            self._temporal.clock.soon(
                self._temporal.faults.hop_seconds, lambda: self._cancel_child(child)
            )

    def _cancel_child(self, child: Child) -> None:
        if not child.done:
            self._temporal.cancel(child.workflow_id)

    def _signal_external_workflow_execution(self, run: Run, command: Command) -> None:
        wanted = command.signal_external_workflow_execution
        if any(
            other.HasField("cancel_signal_workflow")
            and other.cancel_signal_workflow.seq == wanted.seq
            for other in self._now
        ):
            self._answer_signal(run, wanted.seq, adapter.cancelled())
            return
        target = wanted.workflow_execution.workflow_id or wanted.child_workflow_id
        name, arguments, seq = wanted.signal_name, tuple(wanted.args), wanted.seq

        def arrive() -> None:
            heard = self._temporal.signal(target, name, arguments)
            self._temporal.clock.trace("signal", name, "to", target, heard)
            self._answer_signal(run, seq, None if heard else adapter.unheard())

        self._temporal.clock.soon(self._temporal.faults.hop_seconds, arrive)

    def _answer_signal(self, run: Run, seq: int, failure: Failure | None) -> None:
        job = Job()
        job.resolve_signal_external_workflow.seq = seq
        if failure is not None:
            job.resolve_signal_external_workflow.failure.CopyFrom(failure)
        self._temporal.deliver(run, job)

    def _cancel_signal_workflow(self, run: Run, command: Command) -> None:
        """A signal that was sent cannot be taken back; one of the same task is not sent."""

    def _complete_workflow_execution(self, run: Run, command: Command) -> None:
        run.result = command.complete_workflow_execution.result
        self._tell_parent(run)
        self._temporal.close(run, "completed")

    def _fail_workflow_execution(self, run: Run, command: Command) -> None:
        failure = command.fail_workflow_execution.failure
        run.failure = adapter.error_of(failure)
        self._tell_parent(run, failure=failure)
        self._temporal.close(run, "failed")

    def _cancel_workflow_execution(self, run: Run, command: Command) -> None:
        self._tell_parent(run, failure=adapter.cancelled())
        self._temporal.close(run, "cancelled")

    def _tell_parent(self, run: Run, *, failure: Failure | None = None) -> None:
        if run.parent is None or run.parent[1].done:
            return
        parent, child = run.parent
        child.done = True
        job = Job()
        resolved = job.resolve_child_workflow_execution
        resolved.seq = child.seq
        if failure is None:
            resolved.result.completed.result.CopyFrom(run.result or Payload())
        else:
            wrapped = adapter.failed_child(run.workflow_id, run.kind, failure)
            stopped = failure.HasField("canceled_failure_info")
            outcome = resolved.result.cancelled if stopped else resolved.result.failed
            outcome.failure.CopyFrom(wrapped)
        self._temporal.deliver(parent, job)

    def _continue_as_new_workflow_execution(self, run: Run, command: Command) -> None:
        wanted = command.continue_as_new_workflow_execution
        parent = run.parent
        self._temporal.close(run, "continued")
        kind = wanted.workflow_type or run.kind
        above = parent[0] if parent else None
        after = self._temporal.start(
            kind, run.workflow_id, tuple(wanted.arguments), parent=above, after=run
        )
        after.parent = parent
        if parent:
            parent[1].run_id = after.run_id

    def _update_response(self, run: Run, command: Command) -> None:
        """The sender's answer; observers look at it."""

    def _set_patch_marker(self, run: Run, command: Command) -> None:
        patch = command.set_patch_marker.patch_id
        if patch not in run.patches:
            run.patches.append(patch)

    def _upsert_workflow_search_attributes(self, run: Run, command: Command) -> None:
        upsert = command.upsert_workflow_search_attributes
        run.attributes.update(upsert.search_attributes.indexed_fields.items())

    def _modify_workflow_properties(self, run: Run, command: Command) -> None:
        """A memo: recorded only."""
