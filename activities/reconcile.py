"""The reconciler: frees what belongs to workflows that have ended.

It leaves alone what it cannot explain, and says so.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from typing_extensions import override

from activities.clean_up import FinishedRequests
from activities.merge_queue import is_open, restart_request, workflow_status
from contracts.clean_up import CleanUp, CleanUpReport
from contracts.ports import ReconcileActivities
from contracts.reconcile import Reconcile, ReconcileReport
from contracts.repository import OpenRequest
from domain import ids
from infra.layers import Layers
from infra.memory.recall import recall_cache
from infra.sandbox import end_orphan, find_orphans
from infra.start_codes import StartCodes
from infra.store import ANY, RefUpdate, Store, StoreError, packing, records
from infra.store.open_stores import OpenStores
from infra.worktrees.errors import WorktreeBusy
from infra.worktrees.open_pools import OpenPools
from infra.worktrees.pool import WorktreePool


@dataclass
class _Found:
    leases: int = 0
    mended: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


class HostReconciler(ReconcileActivities):
    """Compares the stores, worktrees and sandboxes of this host with what is open and alive.

    Args:
        home: the product's data folder.
        layers: what setups have installed in it.
        forgotten: between which two moments, in seconds since the epoch, the server's database
            knows nothing, since a copy took its place; None when it never did.
        starts: signs what is started again; None where starts need no code.
        settled: what is deleted without an order of its own; None = nothing.
        note_use: called with the bytes of disk that all stores and layers take.
    """

    def __init__(
        self,
        stores: OpenStores,
        pools: OpenPools,
        client: Client,
        *,
        home: Path,
        layers: Layers,
        forgotten: Callable[[], tuple[float, float] | None],
        starts: StartCodes | None = None,
        settled: CleanUp | None = None,
        note_use: Callable[[int], None] = lambda _bytes: None,
    ) -> None:
        self._starts = starts
        self._settled = settled
        self._note_use = note_use
        self._requests_that_ended = FinishedRequests(
            stores, pools, layers, client, recall=recall_cache(home)
        )
        self._home = home
        self._forgotten = forgotten
        self._stores = stores
        self._pools = pools
        self._client = client

    @override
    @activity.defn
    async def reconcile(self, request: Reconcile) -> ReconcileReport:
        """Free worktrees and claims of ended workflows; end what a killed worker left.

        Requests that the server's database has forgotten are started again.

        Safe to repeat: what was freed is not found again. Work that no checkpoint holds is pinned
        under `refs/oc/rescue/` before its worktree is free. Then stores are packed, and finished
        requests are deleted as the order or the settings say.
        """
        found = _Found()
        await asyncio.to_thread(self._sandboxes, found, dry_run=request.dry_run)
        for key in await asyncio.to_thread(self._stores.keys):
            try:
                await self._store(key, found, request)
            except StoreError as error:
                found.left.append(f"the store {key} cannot be opened: {error}")
        for sentence in found.mended:
            activity.logger.info("reconcile.mended", extra={"outcome": sentence})
        cleaned = await self._clean_up(request)
        return ReconcileReport(
            host_id=request.host_id,
            dry_run=request.dry_run,
            leases=found.leases,
            mended=tuple(found.mended[:200]),
            left=tuple(found.left[:200]),
            cleaned=cleaned,
        )

    async def _clean_up(self, request: Reconcile) -> CleanUpReport | None:
        if not request.dry_run and not request.without_packing:
            await self._pack()
        order = request.clean or (None if request.dry_run else self._settled)
        if order is None:
            return None
        report = await self._requests_that_ended.clean_up(order)
        for each in () if order.dry_run else report.gone:
            activity.logger.info("clean_up.gone", extra={"outcome": f"{each.id}: {each.why}"})
        for layer in () if order.dry_run else report.layers:
            outcome = f"the layer {layer.name}, which no request uses"
            activity.logger.info("clean_up.gone", extra={"outcome": outcome})
        return report

    async def _pack(self) -> None:
        """Pack the stores; one that cannot be packed is as good as before."""
        for key in await asyncio.to_thread(self._stores.keys):
            try:
                saved = await packing.pack(await self._stores.get(key))
            except StoreError as error:
                activity.logger.warning("store.unpacked", extra={"reason": str(error)[:500]})
            else:
                if saved:
                    activity.logger.info(
                        "store.packed", extra={"outcome": f"{key}: {saved} bytes saved"}
                    )
        await self._requests_that_ended.prune()
        self._note_use(await self._requests_that_ended.used_bytes())

    def _sandboxes(self, found: _Found, *, dry_run: bool) -> None:
        for pid in find_orphans(self._home):
            if dry_run or end_orphan(pid, self._home):
                found.mended.append(f"the sandbox {pid}, whose worker is gone, is ended")

    async def _store(self, key: str, found: _Found, wanted: Reconcile) -> None:
        pool = await self._pools.get(key)
        # First of all: what they hold must not be taken for a dead one's.
        await self._requests(pool.store, found, wanted)
        if not wanted.dry_run:
            await self._requests_that_ended.finish(pool.store)
        await self._worktrees(pool, found, dry_run=wanted.dry_run)
        await self._claims(pool.store, found, dry_run=wanted.dry_run)

    async def _requests(self, store: Store, found: _Found, wanted: Reconcile) -> None:
        for ref in sorted(await store.refs(ids.OPEN)):
            request = await records.read(store, ref, OpenRequest)
            if request is None:
                continue  # it has ended meanwhile
            stands = await workflow_status(self._client, request.id)
            if stands is WorkflowExecutionStatus.RUNNING:
                continue
            if stands is not None:
                if not wanted.dry_run:
                    await store.update_refs(RefUpdate(ref, None, ANY))
            elif wanted.forgotten or self._was_forgotten(request):
                if not wanted.dry_run:
                    await restart_request(self._client, request, self._starts)
                found.mended.append(f"{request.id}, which the server forgot, is started again")
            else:
                found.left.append(
                    f"{request.id} is not known to this server; if that has forgotten it, "
                    "`reconcile --forgotten` starts it again"
                )

    def _was_forgotten(self, request: OpenRequest) -> bool:
        """Say whether a request began in the time that a copy of the database does not know."""
        forgotten = self._forgotten()
        return forgotten is not None and forgotten[0] <= request.opened <= forgotten[1]

    async def _worktrees(self, pool: WorktreePool, found: _Found, *, dry_run: bool) -> None:
        for record in pool.leases():
            found.leases += 1
            owner = ids.owner_of(record.holder or "")
            if owner is None:
                held = f"{record.name} is held by {record.holder!r}, which is no workflow of ours"
                found.left.append(held)
                continue
            if await is_open(self._client, owner):
                continue
            try:
                if not dry_run:
                    await pool.release(record.name, record.epoch)
            except WorktreeBusy:
                found.left.append(f"{record.name} of {owner}, which has ended, is still in use")
                continue
            found.mended.append(f"worktree {record.name} of {owner}, which has ended, is free")

    async def _claims(self, store: Store, found: _Found, *, dry_run: bool) -> None:
        for ref in sorted(await store.refs(ids.CLAIMS)):
            found.leases += 1
            owner = (await store.get_blob(ref)).decode("utf-8", "replace")
            if await is_open(self._client, owner):
                continue
            if not dry_run:
                await store.update_refs(RefUpdate(ref, None, ANY))
            found.mended.append(f"the branch claimed by {owner}, which has ended, is free")
