"""Reconciling a host's disk with the two ledgers: open workflows and the store."""

from abc import ABC, abstractmethod

from temporalio import activity

from contracts.base import Contract
from contracts.clean_up import CleanUp, CleanUpReport


class Reconcile(Contract):
    """Compare what lies on a host's disk with the workflows that are open.

    Attributes:
        dry_run: say what would be done and do nothing.
        forgotten: start every request again that the store knows as open and the server does not
            know at all, not only those of the time that a copy of the database has forgotten.
        without_packing: pack no store, which may take minutes.
        clean: delete finished requests, too; None = as the worker's settings say.
    """

    host_id: str
    dry_run: bool = False
    forgotten: bool = False
    without_packing: bool = False
    clean: CleanUp | None = None


class ReconcileReport(Contract):
    """What was found.

    Attributes:
        leases: how many leased worktrees and claims were looked at.
        mended: what was freed (or would be), each a sentence.
        left: what could not be explained or is in use, and was left alone, each a sentence.
        cleaned: what was deleted of finished requests; None when nothing was to be.
    """

    host_id: str
    dry_run: bool
    leases: int
    mended: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    cleaned: CleanUpReport | None = None


class ReconcileActivities(ABC):
    """A host's look at its own disk; task queue `host/<host-id>`."""

    @activity.defn
    @abstractmethod
    async def reconcile(self, request: Reconcile) -> ReconcileReport:
        """Free what belongs to workflows that have ended."""
