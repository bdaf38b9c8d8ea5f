"""The one file that touches the SDK's private side: workflow instances, activations, payloads.

The SDK's own instance is driven by the protobufs that its Rust core would send. An upgrade that
changes any of it fails `test_adapter.py` before it can make the simulation lie.
"""

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from google.protobuf.message import Message
from temporalio import activity, common, converter, workflow
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import TimeoutType
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.workflow_activation import (
    WorkflowActivation,
    WorkflowActivationJob,
)
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker._workflow_instance import (
    UnsandboxedWorkflowRunner,
    WorkflowInstance,
    WorkflowInstanceDetails,
    _WorkflowLogicFlag,
)
from typing_extensions import override

from contracts.task_queue import WORKFLOW_TASK_TIMEOUT
from runtime.connect import converter as project_converter

Job = WorkflowActivationJob
Command = WorkflowCommand

_CONVERTER = project_converter()
_RUNNER = UnsandboxedWorkflowRunner()
_NANOSECONDS = 1_000_000_000
_CLOSING = frozenset(
    {
        "complete_workflow_execution",
        "fail_workflow_execution",
        "cancel_workflow_execution",
        "continue_as_new_workflow_execution",
    }
)


class _StandInLoop(asyncio.AbstractEventLoop):
    """What an instance's constructor takes for the running loop; it keeps one attribute on it."""


_LOOP = _StandInLoop()  # type: ignore[abstract]


class _RememberingConverter(converter.PayloadConverter):
    """The project's converter with a memory: equal bytes decode to the one frozen value.

    A simulation decodes the same answers again at every replay; contracts are frozen, so sharing
    them is safe. Values that are not contracts (what people typed) are decoded each time.
    """

    def __init__(self) -> None:
        self._real = _CONVERTER.payload_converter
        self._decoded: dict[tuple[bytes, object], object] = {}

    @override
    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        """Encode as the project does."""
        return self._real.to_payloads(values)

    @override
    def from_payloads(
        self, payloads: Sequence[Payload], type_hints: list[type] | None = None
    ) -> list[Any]:
        """Decode as the project does, once for each value and type."""
        hints = type_hints or [None] * len(payloads)  # type: ignore[list-item]
        return [self._one(payload, hint) for payload, hint in zip(payloads, hints, strict=False)]

    def _one(self, payload: Payload, hint: type | None) -> object:
        if not (isinstance(hint, type) and getattr(hint, "model_config", {}).get("frozen")):
            return self._real.from_payloads([payload], [hint] if hint else None)[0]
        key = (payload.data, hint)
        if key not in self._decoded:
            if len(self._decoded) > 20_000:
                self._decoded.clear()
            self._decoded[key] = self._real.from_payloads([payload], [hint])[0]
        return self._decoded[key]


_PAYLOADS = _RememberingConverter()
_FAILURES = _CONVERTER.failure_converter_class()


@dataclass(frozen=True)
class Birth:
    """What a run starts from.

    Attributes:
        parent: workflow id and run id of the parent, None for a root.
        first_run_id: of the chain of continue-as-new.
        started_ns: by the simulated clock.
        seed: of `workflow.random()`.
    """

    workflow_type: str
    workflow_id: str
    run_id: str
    first_run_id: str
    continued_from: str
    parent: tuple[str, str] | None
    arguments: tuple[Payload, ...]
    attributes: Mapping[str, Payload]
    started_ns: int
    seed: int


@dataclass(frozen=True)
class Completed:
    """The result of an activation.

    Attributes:
        problem: why the workflow task failed, None when it did not.
    """

    commands: tuple[Command, ...]
    flags: tuple[int, ...]
    problem: str | None


def encode(value: object) -> Payload:
    """Return the payload of one value."""
    return _PAYLOADS.to_payloads([value])[0]


def decode(payload: Payload, hint: Any = None) -> Any:
    """Return the value of a payload; without a hint, plain JSON."""
    return _PAYLOADS.from_payloads([payload], [hint] if hint else None)[0]


def failure_of(error: BaseException) -> Failure:
    """Return a failure as the worker would report an exception."""
    failure = Failure()
    _FAILURES.to_failure(error, _PAYLOADS, failure)
    return failure


def error_of(failure: Failure) -> BaseException:
    """Return the exception that a failure becomes inside a workflow."""
    return _FAILURES.from_failure(failure, _PAYLOADS)


def activity_types(method: Callable[..., object]) -> tuple[str, type]:
    """Return a port method's activity name and the type of its one parameter."""
    definition = activity._Definition.must_from_callable(method)
    name, types = definition.name, definition.arg_types
    if name is None or not types:
        raise TypeError(f"{method} is not an activity with one parameter")
    return name, types[-1]


def workflow_type(cls: type) -> str:
    """Return a workflow class's name on the wire."""
    name = workflow._Definition.must_from_class(cls).name
    if name is None:
        raise TypeError(f"{cls} has no name")
    return name


def initialize(birth: Birth) -> Job:
    """Return the job that starts a run."""
    job = Job()
    start = job.initialize_workflow
    start.workflow_type = birth.workflow_type
    start.workflow_id = birth.workflow_id
    start.randomness_seed = birth.seed
    start.first_execution_run_id = birth.first_run_id
    start.original_execution_run_id = birth.run_id
    start.continued_from_execution_run_id = birth.continued_from
    start.attempt = 1
    start.start_time.FromNanoseconds(birth.started_ns)
    start.workflow_task_timeout.FromTimedelta(WORKFLOW_TASK_TIMEOUT)
    start.arguments.extend(birth.arguments)
    for name, payload in birth.attributes.items():
        start.search_attributes.indexed_fields[name].CopyFrom(payload)
    if birth.parent:
        start.parent_workflow_info.workflow_id, start.parent_workflow_info.run_id = birth.parent
    return job


def activation(
    run_id: str, jobs: Sequence[Job], *, now_ns: int, length: int, suggest_new_run: bool
) -> WorkflowActivation:
    """Return a live activation; `length` is the history's, in events."""
    act = WorkflowActivation(
        run_id=run_id,
        history_length=length,
        jobs=jobs,
        continue_as_new_suggested=suggest_new_run,
    )
    act.timestamp.FromNanoseconds(now_ns)
    return act


def as_replay(
    act: WorkflowActivation, *, flags: Sequence[int], patches: Sequence[str]
) -> WorkflowActivation:
    """Return a committed activation as a worker meets it again in the history."""
    again = WorkflowActivation()
    again.CopyFrom(act)
    again.is_replaying = True
    del again.jobs[:]
    for patch in patches:
        again.jobs.add().notify_has_patch.patch_id = patch
    for job in act.jobs:
        kept = again.jobs.add()
        kept.CopyFrom(job)
        if kept.HasField("do_update"):
            kept.do_update.run_validator = False
    again.available_internal_flags[:] = flags
    return again


class Instance:
    """One run in a worker's cache."""

    def __init__(self, cls: type, birth: Birth, *, namespace: str = "default") -> None:
        job = initialize(birth).initialize_workflow
        previous = asyncio._get_running_loop()
        asyncio._set_running_loop(_LOOP)
        try:
            self._real: WorkflowInstance = _RUNNER.create_instance(
                WorkflowInstanceDetails(
                    payload_converter_factory=lambda: _PAYLOADS,
                    failure_converter_class=_CONVERTER.failure_converter_class,
                    interceptor_classes=[],
                    defn=workflow._Definition.must_from_class(cls),
                    info=_info(birth, job.search_attributes, namespace),
                    randomness_seed=birth.seed,
                    extern_functions={
                        "__temporal_get_metric_meter": lambda: common.MetricMeter.noop,
                        "__temporal_assert_local_activity_valid": lambda _: None,
                    },
                    disable_eager_activity_execution=True,
                    worker_level_failure_exception_types=[],
                    patch_activation_callback=None,
                    last_completion_result=Payloads(),
                    last_failure=None,
                )
            )
        finally:
            asyncio._set_running_loop(previous)

    @property
    def workflow(self) -> Any:
        """The workflow object, for invariants to look at."""
        return self._real._object  # type: ignore[attr-defined]

    def activate(self, act: WorkflowActivation) -> Completed:
        """Handle one activation."""
        return _completed(self._real.activate(act))

    def evict(self, run_id: str) -> None:
        """Evict it, as a worker does that ends or needs memory."""
        act = WorkflowActivation(run_id=run_id)
        act.jobs.add().remove_from_cache.message = "the simulation drops it"
        self.activate(act)


def _completed(completion: WorkflowActivationCompletion) -> Completed:
    if completion.HasField("failed"):
        failure = completion.failed.failure
        problem = f"{failure.message}\n{failure.stack_trace}"
        return Completed((), (), problem)
    successful = completion.successful
    flags = tuple(successful.used_internal_flags)
    return Completed(tuple(successful.commands), flags, None)


def _info(birth: Birth, attributes: Any, namespace: str) -> workflow.Info:
    started = dt.datetime.fromtimestamp(birth.started_ns / _NANOSECONDS, dt.UTC)
    parent = None
    if birth.parent:
        parent = workflow.ParentInfo(
            namespace=namespace, workflow_id=birth.parent[0], run_id=birth.parent[1]
        )
    return workflow.Info(
        attempt=1,
        continued_run_id=birth.continued_from or None,
        cron_schedule=None,
        execution_timeout=None,
        first_execution_run_id=birth.first_run_id,
        headers={},
        namespace=namespace,
        original_execution_run_id=birth.run_id,
        parent=parent,
        root=None,
        priority=common.Priority.default,
        raw_memo={},
        retry_policy=None,
        run_id=birth.run_id,
        run_timeout=None,
        search_attributes=converter.decode_search_attributes(attributes),
        start_time=started,
        task_queue="orchestcode",
        task_timeout=WORKFLOW_TASK_TIMEOUT,
        typed_search_attributes=converter.decode_typed_search_attributes(attributes),
        workflow_id=birth.workflow_id,
        workflow_start_time=started,
        workflow_type=birth.workflow_type,
    )


def variant(message: Command | Job) -> str:
    """Return which kind of command or job a message is."""
    name: str | None = message.WhichOneof("variant")
    if name is None:
        raise ValueError("an empty command")
    return name


def closes(command: Command) -> bool:
    """Return whether a command closes its run."""
    return variant(command) in _CLOSING


def written(commands: Sequence[Command]) -> tuple[bytes, ...]:
    """Return commands in the form in which a replay compares them."""
    return tuple(command.SerializeToString(deterministic=True) for command in commands)


def cancelled_activity(activity_type: str, activity_id: str) -> Failure:
    """Return the failure of an activity that was cancelled."""
    failure = Failure(message="Activity cancelled")
    failure.activity_failure_info.activity_type.name = activity_type
    failure.activity_failure_info.activity_id = activity_id
    failure.cause.CopyFrom(cancelled())
    return failure


def failed_activity(activity_type: str, activity_id: str, cause: Failure) -> Failure:
    """Return the failure of an activity that will not be tried again."""
    failure = Failure(message="Activity task failed")
    failure.activity_failure_info.activity_type.name = activity_type
    failure.activity_failure_info.activity_id = activity_id
    failure.cause.CopyFrom(cause)
    return failure


def failed_child(workflow_id: str, kind: str, cause: Failure) -> Failure:
    """Return the failure that a parent sees of a child."""
    failure = Failure(message="Child Workflow execution failed")
    failure.child_workflow_execution_failure_info.workflow_type.name = kind
    failure.child_workflow_execution_failure_info.workflow_execution.workflow_id = workflow_id
    failure.cause.CopyFrom(cause)
    return failure


def cancelled() -> Failure:
    """Return the failure of something that was cancelled."""
    failure = Failure(message="Cancelled")
    failure.canceled_failure_info.SetInParent()
    return failure


def timed_out() -> Failure:
    """Return the failure of an attempt whose heartbeats stopped."""
    failure = Failure(message="activity Heartbeat timeout")
    failure.timeout_failure_info.timeout_type = TimeoutType.TIMEOUT_TYPE_HEARTBEAT
    return failure


def terminated() -> Failure:
    """Return the failure of a run that was ended from outside."""
    failure = Failure(message="workflow execution terminated")
    failure.terminated_failure_info.SetInParent()
    return failure


def unheard() -> Failure:
    """Return the failure of a signal to a workflow that does not run."""
    failure = Failure(message="Unable to signal external workflow because it was not found")
    failure.application_failure_info.SetInParent()
    return failure


def private_shape() -> dict[str, list[str]]:
    """Return the names of everything private that this file relies on."""
    return {
        "WorkflowInstanceDetails": [field.name for field in fields(WorkflowInstanceDetails)],
        "workflow.Info": [field.name for field in fields(workflow.Info)],
        "WorkflowActivation": _names(WorkflowActivation()),
        "WorkflowActivationJob": _names(WorkflowActivationJob()),
        "WorkflowCommand": _names(WorkflowCommand()),
        "flags": [f"{flag.name}={flag.value}" for flag in _WorkflowLogicFlag],
    }


def _names(message: Message) -> list[str]:
    return [field.name for field in message.DESCRIPTOR.fields]
