"""The merge queue: patches in, landed commits or reasons out."""

from abc import ABC, abstractmethod
from enum import StrEnum

from pydantic import Field
from temporalio import activity

from contracts.base import Contract, ObjectId, PathText, ShortText, TaskId
from contracts.limits import RequestLimits
from contracts.planning import Promise
from contracts.review import MakePatch, Patch
from contracts.store import RepositoryRef


class QueuedPatch(Contract):
    """One patch that waits to land.

    Attributes:
        id: `<request key>/<task>/<round>`; enqueueing the same id again changes nothing.
        reply_to: workflow id that gets the `merge_verdict` signal.
        acceptance: the task's own commands: they must pass on every tree that has this patch.
        checks: the request's commands: they must pass too, unless they fail already without it.
        group: of its patches no second one lands; "" = the task stands for itself.
        attempt: at the task; 0 = the first.
    """

    id: str
    task: TaskId
    repository: RepositoryRef
    patch: Patch
    reply_to: str
    acceptance: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    group: str = ""
    attempt: int = 0


class EnqueuePatch(Contract):
    """Put a patch into the queue `queue_id`, starting it when it does not run.

    Attributes:
        landed: what a queue that is started anew must know: the promises of what has landed.
    """

    queue_id: str
    queued: QueuedPatch
    limits: RequestLimits = RequestLimits()
    landed: tuple[Promise, ...] = ()


class Eviction(StrEnum):
    """Why a patch did not land."""

    CONFLICT = "conflict"
    """It does not merge with what has landed."""
    RED = "red"
    """The checks fail on the tree that has it on top."""
    UNTESTED = "could not be tested"
    """The checks cannot run at all; no patch is to blame."""
    SUPERSEDED = "superseded"
    """Another patch has landed in its place: a fork of its task, or the task that it forks."""


class MergeVerdict(Contract):
    """The queue's answer for one patch.

    Attributes:
        landed: the commit on the target that holds the patch, None when it was evicted.
        conflicts: paths.
        log: object id of the failing checks' output.
        met: the tasks with whose landed work it does not go; before 2026-12 ids of patches.
        command, test: what fails, and the test that its output names.
        promised_by: the landed task that promised the command, "" when it is the patch's own.
        promised: by all that has landed: it holds for the patch's next round, too.
    """

    id: str
    landed: ObjectId | None = None
    eviction: Eviction | None = None
    reason: ShortText = ""
    conflicts: tuple[PathText, ...] = ()
    log: ObjectId | None = None
    met: tuple[str, ...] = ()
    command: ShortText = ""
    test: ShortText = ""
    promised_by: str = ""
    promised: tuple[Promise, ...] = ()


class RebasePatch(Contract):
    """Ask for a patch on top of what has landed meanwhile.

    The first `verdict`, why it did not land, stands, should the patch be queued again by a history
    that is older than the store.
    """

    repository: RepositoryRef
    patch: Patch
    verdict: MergeVerdict | None = None


class RebasedPatch(Contract):
    """The patch's tree on the present tip, as a checkpoint to work on.

    Attributes:
        checkpoint: its tree holds what the merge left in the paths `conflicts`, markers included.
        verdict: why the patch did not land, when it was asked for before with another answer.
        feedback: what the agent is told of the conflicts; "" when there are none.
    """

    tip: ObjectId
    checkpoint: ObjectId
    conflicts: tuple[PathText, ...] = ()
    verdict: MergeVerdict | None = None
    feedback: str = Field(default="", max_length=16_000)


class MergeQueueStart(Contract):
    """Start or carry on the queue of one repository and target; its last fields are carried.

    Attributes:
        repository: whose store and target; the environment is each patch's own.
        limits: of the request whose patches it lands.
        idle_seconds: an empty queue that its requests did not leave ends after this long, a month:
            people may keep a request waiting for days, and a queue that has ended has forgotten
            what must go on passing.
    """

    repository: RepositoryRef
    limits: RequestLimits = RequestLimits()
    idle_seconds: int = 2_592_000
    queue: tuple[QueuedPatch, ...] = ()
    settled: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    landed_acceptance: tuple[str, ...] = ()
    promises: tuple[Promise, ...] = ()
    failures: int = 0
    successes: int = 0
    evicted: int = 0
    rounds: int = 0


class BuildChain(Contract):
    """Ask for the patches stacked on the target's tip, without a work tree.

    Attributes:
        free_from: from here on they may be put in the order with the fewest conflicts; None: as
            they are.
    """

    repository: RepositoryRef
    patches: tuple[tuple[str, ObjectId], ...]
    free_from: int | None = None


class ChainLink(Contract):
    """One patch in the chain.

    Attributes:
        commit: the candidate with this patch and all before it that merged; None on conflict.
        conflicts: paths.
        with_tip: True when it conflicts with the tip itself, not only with a neighbour.
        met: the tasks that landed since the patch's base; on a conflict those in its paths.
    """

    id: str
    commit: ObjectId | None = None
    conflicts: tuple[PathText, ...] = ()
    with_tip: bool = False
    met: tuple[str, ...] = ()


class Chain(Contract):
    """Candidates on `tip` in the order in which they are stacked; every commit is pinned.

    Attributes:
        diffstat: of the tip against the request's base, where no patch is asked for.
    """

    tip: ObjectId
    links: tuple[ChainLink, ...]
    diffstat: str = Field(default="", max_length=3_000)


class LandChain(Contract):
    """Move the target from `tip` to a commit that has exactly the tested tree."""

    repository: RepositoryRef
    tip: ObjectId
    candidate: ObjectId
    titles: tuple[str, ...]


class Landed(Contract):
    """The target after landing; None when another process moved it first."""

    commit: ObjectId | None


class MergeQueueStatus(Contract):
    """What the `status` query of the queue tells."""

    target: str
    tip: ObjectId | None
    waiting: tuple[str, ...]
    testing: tuple[str, ...]
    landed: int
    evicted: int
    rounds: int


class PatchActivities(ABC):
    """Patches and the chain of the merge queue, made without a work tree; task queue `git`."""

    @activity.defn
    @abstractmethod
    async def make_patch(self, request: MakePatch) -> Patch:
        """Turn a checkpoint into one commit on its base, and say what it changes."""

    @activity.defn
    @abstractmethod
    async def rebase_patch(self, request: RebasePatch) -> RebasedPatch:
        """Merge a patch with the target's tip, conflict markers included, as a new checkpoint."""

    @activity.defn
    @abstractmethod
    async def build_chain(self, request: BuildChain) -> Chain:
        """Stack patches on the target's tip."""

    @activity.defn
    @abstractmethod
    async def land_chain(self, request: LandChain) -> Landed:
        """Move the target by compare-and-swap to a commit with the tested tree."""


class QueueActivities(ABC):
    """Messages to singletons that may not run yet; task queue `git`."""

    @activity.defn
    @abstractmethod
    async def enqueue_patch(self, request: EnqueuePatch) -> MergeVerdict | None:
        """Signal the merge queue, starting it when it does not run.

        Returns:
            Why the patch did not land, when that is known from a time that history has forgotten.
        """
