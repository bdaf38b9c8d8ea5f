"""What tasks have cost here before: noted when a request ends, read when another has its plan."""

import time
from collections.abc import Callable, Sequence

from temporalio import activity
from typing_extensions import override

from activities.failures import translated_failures
from contracts.budget import CostEstimate, EstimateCost, PastRequest
from contracts.model_choice import ModelChoice
from contracts.ports import EstimateActivities
from contracts.request import RequestStatus
from contracts.spending import Spending
from domain import ids, limits
from domain.scheduling import estimates
from infra.store import ANY, RefUpdate, Store, records
from infra.store.open_stores import OpenStores


class PastEstimates(EstimateActivities):
    """Estimates by the kept spending of a repository's earlier requests. Safe to repeat.

    Args:
        coder_model: the model of a coder that starts now, by its request's choice.
    """

    def __init__(self, stores: OpenStores, *, coder_model: Callable[[ModelChoice], str]) -> None:
        self._stores = stores
        self._coder_model = coder_model

    @override
    @activity.defn
    async def estimate_cost(self, request: EstimateCost) -> CostEstimate:
        """Estimate a plan; nothing that is missing or cannot be read is made up."""
        async with translated_failures("estimating a plan"):
            store = await self._stores.get(request.repository.key)
            return estimates.estimate(
                request.sizes,
                await _past(store),
                model=estimates.named_as(self._coder_model(request.models), request.answered),
                turns_beside=limits.REQUEST.turns_beside,
                most=limits.ESTIMATED_BY,
            )


async def _past(store: Store) -> list[PastRequest]:
    found = await store.refs(ids.spent_refs())
    return [PastRequest.model_validate_json(await store.get_blob(oid)) for oid in found.values()]


async def note_spending(
    store: Store, request_key: str, status: RequestStatus, spent: Sequence[Spending]
) -> None:
    """Keep what the tasks of a request that has ended have cost, in all its attempts."""
    past = estimates.past(status, spent, at=time.time())
    if past.tasks:
        ref = ids.spent_ref(request_key)
        await store.update_refs(RefUpdate(ref, await records.write(store, past), ANY))
