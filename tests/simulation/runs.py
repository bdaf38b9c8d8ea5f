"""A workflow run as the server and a worker's cache know it."""

from dataclasses import dataclass, field

from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import WorkflowActivation

from tests.simulation.adapter import Birth, Instance, Job


@dataclass(frozen=True)
class Committed:
    """One finished workflow task: what a replay is given and must answer."""

    activation: WorkflowActivation
    commands: tuple[bytes, ...]


@dataclass
class Call:
    """An activity from its command to its resolution.

    Attributes:
        key: workflow id and activity id, the same over all attempts.
        deadline_ns: schedule-to-close.
        cancelled: its cancellation was requested.
        done: the workflow has its answer.
        lost: an attempt ended with its worker, which is not noticed yet.
    """

    run: "Run"
    seq: int
    id: str
    kind: str
    arguments: tuple[Payload, ...]
    deadline_ns: int
    first_wait: float
    longest_wait: float
    most_attempts: int
    never_retried: tuple[str, ...]
    cancellation: int
    attempt: int = 0
    cancelled: bool = False
    done: bool = False
    lost: bool = False

    @property
    def key(self) -> str:
        """What stays the same over the attempts."""
        return f"{self.run.run_id}/{self.id}"


@dataclass
class Child:
    """A child as its parent's run knows it.

    Attributes:
        run_id: None until it has started.
        done: the parent has its result.
    """

    seq: int
    workflow_id: str
    close_policy: int
    run_id: str | None = None
    cancel_wanted: bool = False
    done: bool = False


@dataclass
class Run:
    """One run.

    Attributes:
        parent: the run that waits for its end, and the child's number there.
        cache: the instance in the worker's cache, None after a crash or before the first task.
        log: committed tasks, oldest first.
        pending: jobs of the next task.
        at_work: a task is scheduled or running.
        closed: how it ended, "" while it is open.
        attributes: search attributes by name.
    """

    cls: type
    birth: Birth
    parent: "tuple[Run, Child] | None" = None
    cache: Instance | None = None
    log: list[Committed] = field(default_factory=list)
    pending: list[Job] = field(default_factory=list)
    at_work: bool = False
    closed: str = ""
    closed_at: float = 0.0
    result: Payload | None = None
    failure: BaseException | None = None
    flags: set[int] = field(default_factory=set)
    patches: list[str] = field(default_factory=list)
    attributes: dict[str, Payload] = field(default_factory=dict)
    calls: dict[int, Call] = field(default_factory=dict)
    children: dict[int, Child] = field(default_factory=dict)
    timers: set[int] = field(default_factory=set)
    events: int = 3
    tasks: int = 0

    @property
    def workflow_id(self) -> str:
        """The workflow id."""
        return self.birth.workflow_id

    @property
    def run_id(self) -> str:
        """The run id."""
        return self.birth.run_id

    @property
    def kind(self) -> str:
        """The workflow type."""
        return self.birth.workflow_type
