"""Deleting finished requests: of the stores, the worktrees and the Temporal service.

An open request is never touched. What a person's repository was given stays. Killed anywhere, the
same order goes on where it was: what Temporal knows of a request is deleted after all else.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from temporalio.api.common.v1 import WorkflowExecution as Execution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.unused_layers import HostLayers
from contracts.clean_up import CleanUp, CleanUpReport, GoneRequest
from contracts.repository import RepositoryOpened
from contracts.visibility import OC_KEPT
from domain import ids
from domain.clean_up import FinishedRequest, leaving
from infra.finished_requests import (
    KeptSummary,
    has_open,
    kept_requests,
    request_refs,
    stored_bytes,
    take_away,
)
from infra.layers import Layers
from infra.memory.recall import discard
from infra.store import ANY, RefUpdate, Store, StoreError, packing, records
from infra.store.open_stores import OpenStores
from infra.worktrees.errors import WorktreeBusy
from infra.worktrees.open_pools import OpenPools
from infra.worktrees.pool import WorktreePool

_REQUESTS = 'WorkflowType="RequestWorkflow"'


@dataclass(frozen=True)
class _Known:
    """A request as the Temporal service knows it."""

    id: str
    running: bool
    ended: float


@dataclass
class _Finished:
    """A finished request, where it is kept."""

    pool: WorktreePool
    summary: KeptSummary
    known: _Known | None

    @property
    def id(self) -> str:
        """The workflow id; the key where nobody knows that any more."""
        return (self.known.id if self.known else "") or self.summary.id or self.summary.key


class FinishedRequests:
    """The requests of this host's stores that have ended, deleted on order.

    Args:
        layers: what setups have installed for them.
        client: of the service that ran them.
        recall: the folder of the search's indexes.
    """

    def __init__(
        self,
        stores: OpenStores,
        pools: OpenPools,
        layers: Layers,
        client: Client,
        *,
        recall: Path,
    ) -> None:
        self._layers = layers
        self._recall = recall
        self._stores = stores
        self._pools = pools
        self._client = client

    async def used_bytes(self) -> int:
        """Return the disk that all stores and layers take."""
        layers = await asyncio.to_thread(self._layers.all)
        return await self._store_bytes() + sum(each.bytes for each in layers)

    async def _store_bytes(self) -> int:
        paths = [self._stores.path(key) for key in await asyncio.to_thread(self._stores.keys)]
        return sum([await asyncio.to_thread(packing.disk_bytes, path) for path in paths])

    async def clean_up(self, order: CleanUp) -> CleanUpReport:
        """Delete what an order names; safe to repeat."""
        keys = await asyncio.to_thread(self._stores.keys)
        stores_bytes, left = await self._store_bytes(), list[str]()
        known = await self._known()
        finished: dict[str, _Finished] = {}
        layers = await HostLayers.of(self._layers)
        for key in keys:
            try:
                finished |= await self._finished(key, known, layers)
            except StoreError as error:
                layers.keep_all()
                left.append(f"the store {key} cannot be opened: {error}"[:1_000])
        going = await self._chosen(finished, order, used=stores_bytes, layers=layers)
        if order.request_id and not going:
            going = await self._only_known(order, known, left)
        gone = [await self._described(finished.get(key), each, why) for key, each, why in going]
        # One that is forgotten leaves its layer to the next time: others may be about to use it.
        unused = [] if order.request_id else layers.unused({key for key, _, _ in going})
        freed = 0
        if not order.dry_run:
            for key, each, _ in going:
                await self._delete(finished.get(key), each, left)
            freed = await self._prune(known, left) + await layers.remove(unused)
        return CleanUpReport(
            gone=tuple(gone[:200]),
            left=tuple(left[:200]),
            stores=len(keys),
            used_bytes=stores_bytes,
            freed_bytes=freed,
            layers=tuple(unused[:200]),
            layer_count=len(layers),
            layer_bytes=layers.bytes,
        )

    async def _chosen(
        self, finished: Mapping[str, _Finished], order: CleanUp, *, used: int, layers: HostLayers
    ) -> list[tuple[str, _Known | None, str]]:
        if order.request_id:
            asked = [key for key, each in finished.items() if each.id == order.request_id]
            return [(key, finished[key].known, "it was asked for") for key in asked]
        used += layers.bytes
        # Measuring takes a while, and only a budget needs it of all.
        measured = bool(order.budget_bytes) and used > order.budget_bytes
        facts = [
            FinishedRequest(key, each.summary.ended, await _size(each) if measured else 0)
            for key, each in finished.items()
        ]
        installed = layers.installed
        chosen = leaving(facts, order, used_bytes=used, now=time.time(), layers=installed)
        return [(each.key, finished[each.key].known, why) for each, why in chosen]

    async def _only_known(
        self, order: CleanUp, known: Mapping[str, _Known], left: list[str]
    ) -> list[tuple[str, _Known | None, str]]:
        """Return a request of which no store of this host has anything."""
        for key, each in known.items():
            if each.id == order.request_id:
                if not each.running:
                    return [(key, each, "it was asked for")]
                left.append(f"{each.id} is open: cancel it first")
        return []

    async def _known(self) -> dict[str, _Known]:
        """Return every request that the service knows, by the key of its references.

        One that was retried has a run for each attempt; while one of them runs it is open.
        """
        found: dict[str, _Known] = {}
        running: set[str] = set()
        async for each in self._client.list_workflows(_REQUESTS):
            if each.status is WorkflowExecutionStatus.RUNNING:
                running.add(each.id)
            ended = each.close_time.timestamp() if each.close_time else 0.0
            key = await _key(each)
            last = max(ended, found[key].ended if key in found else 0.0)
            found[key] = _Known(id=each.id, running=False, ended=last)
        return {key: replace(each, running=each.id in running) for key, each in found.items()}

    async def _finished(
        self, key: str, known: Mapping[str, _Known], layers: HostLayers
    ) -> dict[str, _Finished]:
        """Return the requests of a store that have ended; of every one note what it uses."""
        pool = await self._pools.get(key)
        found = {}
        running = {each.id for each in known.values() if each.running}
        for summary in await kept_requests(pool.store):
            await layers.note_user(pool.store, summary.key)
            there = known.get(summary.key)
            if summary.open or (there and there.running) or summary.id in running:
                continue
            ended = (there.ended if there else 0.0) or summary.ended
            found[summary.key] = _Finished(pool, replace(summary, ended=ended), there)
        return found

    async def _described(
        self, kept: _Finished | None, known: _Known | None, why: str
    ) -> GoneRequest:
        name = kept.id if kept else (known.id if known else "")
        executions = await self._executions(await _histories(name, kept) if known else "")
        if kept is None:
            ended = known.ended if known else 0.0
            return GoneRequest(id=name, ended=ended, why=why, executions=len(executions))
        refs = await request_refs(kept.pool.store, kept.summary.key)
        return GoneRequest(
            id=name,
            repository=kept.summary.repository,
            ended=kept.summary.ended,
            why=why,
            stored_bytes=await stored_bytes(kept.pool.store, refs),
            refs=len(refs),
            conversations=refs.conversations,
            executions=len(executions),
            branch=kept.summary.branch,
        )

    async def _delete(self, kept: _Finished | None, known: _Known | None, left: list[str]) -> None:
        name = kept.id if kept else (known.id if known else "")
        query = await _histories(name, kept) if known else ""
        if kept is not None:
            try:
                await self._release(kept.pool, name)
            except WorktreeBusy:
                left.append(f"a worktree of {name} is still in use: try again"[:1_000])
                return
            await asyncio.to_thread(packing.note_unpruned, kept.pool.store.path)
            # After a kill the next reconciliation goes on by it.
            await records.write_text(kept.pool.store, ids.leaving_ref(kept.summary.key), query)
            await self._take_away(kept.pool.store, kept.summary.key, query)
        else:
            await self._forget_all(query)

    async def finish(self, store: Store) -> None:
        """Delete the rest of what a killed process has begun to delete."""
        for ref in await store.refs(ids.LEAVING.rstrip("/")):
            query = await records.read_text(store, ref) or ""
            await self._take_away(store, ref.removeprefix(ids.LEAVING), query)

    async def _take_away(self, store: Store, key: str, query: str) -> None:
        """Delete the references of a request, then its histories; safe to repeat."""
        # Looked up only now: releasing a worktree pins what no checkpoint holds.
        await take_away(store, await request_refs(store, key))
        # It holds texts of the conversations; what is left is read again once it is needed.
        await asyncio.to_thread(discard, self._recall, store.path.name.removesuffix(".git"))
        await self._forget_all(query)
        await store.update_refs(RefUpdate(ids.leaving_ref(key), None, ANY))

    async def _forget_all(self, query: str) -> None:
        # The request itself goes last: while it is known, the same order finds it again.
        for each in sorted(await self._executions(query), key=lambda one: one.id.count("/") == 1):
            await self._forget(each)

    async def _release(self, pool: WorktreePool, request_id: str) -> None:
        for record in pool.leases():
            owner = ids.owner_of(record.holder or "") or ""
            if owner == request_id or owner.startswith(f"{request_id}/"):
                await pool.release(record.name, record.epoch)

    async def _executions(self, query: str) -> list[WorkflowExecution]:
        """Return the closed executions that a query names; "" names none."""
        found = [each async for each in self._client.list_workflows(query)] if query else []
        return [each for each in found if each.status is not WorkflowExecutionStatus.RUNNING]

    async def _forget(self, execution: WorkflowExecution) -> None:
        """Have the service delete an execution that has ended."""
        try:
            await self._client.workflow_service.delete_workflow_execution(
                DeleteWorkflowExecutionRequest(
                    namespace=self._client.namespace,
                    workflow_execution=Execution(workflow_id=execution.id, run_id=execution.run_id),
                )
            )
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def prune(self) -> int:
        """Remove what was deleted over an hour ago and could not go then; return bytes freed."""
        paths = [self._stores.path(key) for key in await asyncio.to_thread(self._stores.keys)]
        if not any(packing.is_unpruned(path, for_long=True) for path in paths):
            return 0
        return await self._prune(await self._known(), [])

    async def _prune(self, known: Mapping[str, _Known], left: list[str]) -> int:
        """Remove the objects that nothing reaches any more, of stores without an open request."""
        freed = 0
        running = [key for key, each in known.items() if each.running]
        for key in await asyncio.to_thread(self._stores.keys):
            if not packing.is_unpruned(self._stores.path(key)):
                continue
            pool = await self._pools.get(key)
            async with packing.pruning(pool.store.path):
                if await has_open(pool.store, running) or pool.leases():
                    left.append(
                        f"the disk of {key} is freed once no request of that repository is open"
                    )
                    continue
                freed += await packing.prune(pool.store, pool.commits())
            if packing.is_unpruned(pool.store.path):
                left.append(f"what was written to {key} within the last hour is freed after it")
        return freed


async def _histories(request_id: str, kept: _Finished | None) -> str:
    """Return the query for the executions of a request, its tasks, agents and merge queue."""
    if not request_id or set(request_id) & set("\"'\\"):
        return ""
    names = [f'WorkflowId="{request_id}"', f'WorkflowId STARTS_WITH "{request_id}/"']
    if kept is not None:
        record = ids.opened_ref(kept.summary.key)
        opened = await records.read(kept.pool.store, record, RepositoryOpened)
        if opened is not None:
            queue = ids.queue_id(opened.repository.key, opened.repository.target)
            names.append(f'WorkflowId="{queue}"')
    return " OR ".join(names)


async def _size(kept: _Finished) -> int:
    store = kept.pool.store
    return await stored_bytes(store, await request_refs(store, kept.summary.key))


async def _key(execution: WorkflowExecution) -> str:
    memo = await execution.memo()
    kept = str(memo.get(OC_KEPT, "")).rpartition("refs/oc/")[2].rstrip("/")
    first = execution.raw_info.first_run_id or execution.run_id
    return kept or ids.request_key(execution.id, first)
