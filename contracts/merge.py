"""
The merge queue: patches in, landed commits or reasons out.
"""

from enum import StrEnum

from pydantic import Field

from contracts.base import Brief, Contract, ObjectId, TaskId
from contracts.review import Patch
from contracts.store import RepositoryRef


class QueuedPatch(Contract):
    """
    One patch that waits to land.

    Attributes:
        id: `<request key>/<task>/<round>`; enqueueing the same id again changes nothing.
        reply_to: workflow id that gets the `merge_verdict` signal.
        checks: commands that must pass on every tree that lands.
    """

    id: str
    task: TaskId
    repository: RepositoryRef
    patch: Patch
    reply_to: str
    checks: tuple[str, ...]


class EnqueuePatch(Contract):
    """
    Put a patch into the queue `queue_id`, starting it when it does not run.
    """

    queue_id: str
    queued: QueuedPatch
    lanes: int = 2


class Eviction(StrEnum):
    """
    Why a patch did not land.
    """

    CONFLICT = "conflict"
    """It does not merge with what has landed."""
    RED = "red"
    """The checks fail on the tree that has it on top."""
    TARGET_RED = "target is red"
    """The checks fail already without it; nobody is to blame."""


class MergeVerdict(Contract):
    """
    The queue's answer for one patch.

    Attributes:
        landed: the commit on the target that holds the patch, None when it was evicted.
        conflicts: paths that conflict.
        log: object id of the failing checks' output.
        met: titles or ids of patches that it was tested together with.
    """

    id: str
    landed: ObjectId | None = None
    eviction: Eviction | None = None
    reason: Brief = ""
    conflicts: tuple[str, ...] = ()
    log: ObjectId | None = None
    met: tuple[str, ...] = ()


class MergeQueueStart(Contract):
    """
    Start or carry on the queue of one repository and target.

    Attributes:
        repository: whose store and target; the environment is each patch's own.
        lanes: checks run at once.
        idle_seconds: an empty queue ends after this long.
        queue, settled, failures, successes, red_prefix: what continue-as-new carries.
    """

    repository: RepositoryRef
    lanes: int = Field(default=2, ge=1, le=16)
    idle_seconds: int = 60
    queue: tuple[QueuedPatch, ...] = ()
    settled: tuple[str, ...] = ()
    failures: int = 0
    successes: int = 0
    red_prefix: int | None = None


class BuildChain(Contract):
    """
    Ask for the patches stacked on the target's tip, without a work tree.
    """

    repository: RepositoryRef
    patches: tuple[tuple[str, ObjectId], ...]


class ChainLink(Contract):
    """
    One patch in the chain.

    Attributes:
        commit: the candidate with this patch and all before it that merged; None on conflict.
        conflicts: the paths that conflict.
        with_tip: True when it conflicts with the tip itself, not only with a neighbour.
    """

    id: str
    commit: ObjectId | None = None
    conflicts: tuple[str, ...] = ()
    with_tip: bool = False


class Chain(Contract):
    """
    Candidates in queue order on `tip`; every commit is pinned.
    """

    tip: ObjectId
    links: tuple[ChainLink, ...]


class LandChain(Contract):
    """
    Move the target from `tip` to a commit that has exactly the tested tree.
    """

    repository: RepositoryRef
    tip: ObjectId
    candidate: ObjectId
    titles: tuple[str, ...]


class Landed(Contract):
    """
    The target after landing; None when somebody else moved it first.
    """

    commit: ObjectId | None


class MergeQueueStatus(Contract):
    """
    What the `status` query of the queue tells.
    """

    target: str
    tip: ObjectId | None
    waiting: tuple[str, ...]
    testing: tuple[str, ...]
    landed: int
    evicted: int
    rounds: int
