"""The reconciler: it frees what ended workflows hold."""

from collections.abc import Callable, Collection

from temporalio import activity
from typing_extensions import override

from contracts.ports import ReconcileActivities
from contracts.reconcile import Reconcile, ReconcileReport
from tests.fakes.calls import Before, Fake
from tests.fakes.store import MemoryStore


class FakeReconciler(Fake, ReconcileActivities):
    """Frees leases and claims.

    Args:
        running: the workflow ids that are open.
    """

    def __init__(
        self, store: MemoryStore, before: Before, running: Callable[[], Collection[str]]
    ) -> None:
        super().__init__(store, before)
        self._running = running

    @override
    @activity.defn
    async def reconcile(self, request: Reconcile) -> ReconcileReport:
        await self._before("reconcile", request)
        leases, claims, running = self._store.leases, self._store.claims, self._running()
        ended = [holder for holder in leases if holder.split(" to ", 1)[0] not in running]
        if not request.dry_run:
            for holder in ended:
                del leases[holder]
            for branch in [each for each, owner in claims.items() if owner not in running]:
                del claims[branch]
        return ReconcileReport(
            host_id=request.host_id,
            dry_run=request.dry_run,
            leases=len(ended),
            mended=tuple(ended),
        )
