"""
The system's whole reach into the world, on one page.

Workflows call these methods by `workflow.execute_activity_method(Port.method, input, …)` and never
see who implements them; `worker.py` registers each implementation once. One parameter each; the
method's name is the activity's name, unique across all ports.
"""

from abc import ABC, abstractmethod

from temporalio import activity

from contracts.checks import ChecksReport, RunChecks
from contracts.merge_queue import (
    BuildChain,
    Chain,
    EnqueuePatch,
    LandChain,
    Landed,
    MergeVerdict,
    RebasedPatch,
    RebasePatch,
)
from contracts.model import ModelCall, ModelTurn, OpenConversation
from contracts.reconcile import Reconcile, ReconcileReport
from contracts.repository import (
    CloseRequest,
    DeliverBranch,
    Delivered,
    OpenRepository,
    RepositoryOpened,
)
from contracts.review import MakePatch, Patch
from contracts.store import ConversationRef
from contracts.tools import ReadCall, ReadResults, ToolCall, ToolResult
from contracts.worktrees import LeaseWorktree, ReleaseWorktree, WorktreeLease


class ModelActivities(ABC):
    """The model's service; task queue `model`."""

    @activity.defn
    @abstractmethod
    async def open_conversation(self, request: OpenConversation) -> ConversationRef:
        """Write a conversation's frozen configuration and opening message to the store."""

    @activity.defn
    @abstractmethod
    async def call_model(self, request: ModelCall) -> ModelTurn:
        """Get the model's next turn, journaled before it returns."""


class RepositoryActivities(ABC):
    """The user's repository: read at the start, given one branch at the end; task queue `git`."""

    @activity.defn
    @abstractmethod
    async def open_repository(self, request: OpenRepository) -> RepositoryOpened:
        """Check every condition, then bring the base commit into the store and claim the branch."""

    @activity.defn
    @abstractmethod
    async def deliver_branch(self, request: DeliverBranch) -> Delivered:
        """Push the branch without running any hook."""

    @activity.defn
    @abstractmethod
    async def withdraw_delivery(self, request: DeliverBranch) -> Delivered | None:
        """Return what a delivery that gave no answer has come to; None = nothing, for good."""

    @activity.defn
    @abstractmethod
    async def close_request(self, request: CloseRequest) -> None:
        """Give up the claim on the branch."""


class WorktreeActivities(ABC):
    """Leases on pooled worktrees; task queue `git`."""

    @activity.defn
    @abstractmethod
    async def lease_worktree(self, request: LeaseWorktree) -> WorktreeLease:
        """Lease a worktree that holds the commit, the same one for the same holder."""

    @activity.defn
    @abstractmethod
    async def release_worktree(self, request: ReleaseWorktree) -> None:
        """Return a worktree to the pool; a lease that is over already changes nothing."""


class ToolActivities(ABC):
    """An agent's hands in its worktree; task queue `host/<host-id>`."""

    @activity.defn
    @abstractmethod
    async def read_files(self, request: ReadCall) -> ReadResults:
        """Answer the read-only calls of one turn."""

    @activity.defn
    @abstractmethod
    async def apply_edit(self, request: ToolCall) -> ToolResult:
        """Change one file and checkpoint the worktree."""

    @activity.defn
    @abstractmethod
    async def run_command(self, request: ToolCall) -> ToolResult:
        """Run one command in the sandbox and checkpoint the worktree."""


class CheckActivities(ABC):
    """The system's own commands on clean checkouts; task queue `test/<host-id>`."""

    @activity.defn
    @abstractmethod
    async def run_checks(self, request: RunChecks) -> ChecksReport:
        """Run commands on a commit in a clean worktree."""


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
        """
        Signal the merge queue, starting it when it does not run.

        Returns:
            Why the patch did not land, when that is known from a time that history has forgotten.
        """


class ReconcileActivities(ABC):
    """A host's look at its own disk; task queue `host/<host-id>`."""

    @activity.defn
    @abstractmethod
    async def reconcile(self, request: Reconcile) -> ReconcileReport:
        """Free what belongs to workflows that have ended."""


PORTS: tuple[type[ABC], ...] = (
    ModelActivities,
    RepositoryActivities,
    WorktreeActivities,
    ToolActivities,
    CheckActivities,
    PatchActivities,
    QueueActivities,
    ReconcileActivities,
)
"""Every port, for the worker's registration check and the wire-names test."""
