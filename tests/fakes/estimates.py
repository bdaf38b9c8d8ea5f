"""Estimates of a plan's cost: no past, unless a test sets one."""

from temporalio import activity
from typing_extensions import override

from contracts.budget import CostEstimate, EstimateCost, PastRequest
from contracts.ports import EstimateActivities
from domain.scheduling import estimates
from tests.fakes.calls import Before, Fake
from tests.fakes.model import MODEL
from tests.fakes.store import MemoryStore


class FakeEstimates(Fake, EstimateActivities):
    """Estimates by what a test sets.

    Attributes:
        past: earlier requests of the repository.
    """

    def __init__(self, store: MemoryStore, before: Before) -> None:
        super().__init__(store, before)
        self.past: list[PastRequest] = []

    @override
    @activity.defn
    async def estimate_cost(self, request: EstimateCost) -> CostEstimate:
        await self._before("estimate_cost", request)
        return estimates.estimate(request.sizes, self.past, model=MODEL, turns_beside=15, most=40)
