"""What the stores of this host keep of requests, for commands that show it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from cli.client import RequestClient, RequestSummary
from cli.context import CliContext
from cli.exit_codes import UsageError
from cli.formatting import clean, name
from cli.snapshot import Snapshot, take_snapshot, with_agents_spending
from contracts.request import RequestStatus
from contracts.spending import Spending
from contracts.visibility import RunState
from domain.spending import with_spending
from infra.kept.request import KeptRequest, KeptRequests, ObjectMissing, StoreError
from runtime.settings import load


class KeptOnHost:
    """Requests by what the stores of this host keep of them.

    Every method raises UsageError when a store cannot be read.
    """

    def __init__(self, requests: KeptRequests) -> None:
        self._requests = requests

    async def find(self, request: RequestSummary) -> KeptRequest | None:
        """Return a request; None while no store of this host has it."""
        with readable(request):
            return await self._requests.find(request.key)

    async def require(self, request: RequestSummary) -> KeptRequest:
        """Return a request that a store of this host has."""
        found = await self.find(request)
        if found is None:
            raise UsageError(
                f"Nothing of {name(request.id)} is kept on this host: its repository was never "
                "opened, or its worker runs on another host or with another ORCHESTCODE_HOME; ask "
                "there."
            )
        return found

    async def spending(self, request: RequestSummary) -> tuple[Spending, ...]:
        """Return what a request has spent; nothing where no store of this host has it."""
        found = await self.find(request)
        with readable(request):
            return await found.spending() if found else ()

    async def status(
        self, client: RequestClient, request: RequestSummary
    ) -> tuple[RequestStatus, bool]:
        """Return a request's last status without waiting for a worker, and whether it told it."""
        if request.closed and (status := await self.ended(request, request.state)):
            return status, True
        status, told = await client.known_status(request)
        return with_spending(status, await self.spending(request)), told

    async def ended(self, request: RequestSummary, state: RunState) -> RequestStatus | None:
        """Return the status with which a request ended so; None when the store does not have it."""
        found = await self.find(request)
        with readable(request):
            ended = await found.ended() if found else None
        same = ended and (ended.status.state, ended.status.attempt) == (state, request.attempt)
        return ended.status if ended and same else None

    async def snapshot(
        self, client: RequestClient, request: RequestSummary, status: RequestStatus
    ) -> Snapshot:
        """Return a snapshot of an open request that counts what its agents at work have spent.

        By what they tell where the store lies on another host.
        """
        if await self.find(request) is None:
            return with_agents_spending(await take_snapshot(client, status))
        counted = with_spending(status, await self.spending(request))
        return await take_snapshot(client, counted)


@asynccontextmanager
async def kept_on_host(context: CliContext) -> AsyncIterator[KeptOnHost]:
    """Read the stores of this host for as long as the block lasts."""
    requests = KeptRequests(load(context.environ).stores)
    try:
        yield KeptOnHost(requests)
    finally:
        await requests.close()


@contextmanager
def readable(request: RequestSummary) -> Iterator[None]:
    """Say in a sentence what keeps the store of a request from being read."""
    try:
        yield
    except (StoreError, ObjectMissing) as error:
        why = clean(str(error), 500)
        raise UsageError(f"The store of {name(request.id)} cannot be read: {why}") from error
