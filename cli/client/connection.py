"""Connect to the Temporal service; start the server, and a worker if needed, where none runs."""

import functools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from temporalio.client import Client
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from cli import hints
from cli.client.request_client import RequestClient
from cli.client.summary import RequestSummary
from cli.context import CliContext
from cli.exit_codes import ServiceUnavailable
from runtime.connect import connect
from runtime.errors import UnreachableError
from runtime.records import ServerRecord
from runtime.services.startup import RunningServices, ensure_services
from runtime.settings import Settings, load

_WORKER_SECONDS = 20.0


@dataclass(frozen=True)
class Service:
    """A connected Temporal service.

    Attributes:
        ui_url: the web UI's address; None when unknown.
    """

    requests: RequestClient
    ui_url: str | None

    def link(self, request: RequestSummary) -> str:
        """Return the address of a request's page in the web UI, "" when there is none."""
        return hints.deep_link(
            self.ui_url, request.id, run_id=request.run_id, namespace=self.requests.namespace
        )


@functools.cache
def _quiet_runtime() -> Runtime:
    """Return an SDK runtime that logs no retries into the view; one per process."""
    errors_only = TelemetryFilter(core_level="ERROR", other_level="ERROR")
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=errors_only)))


@asynccontextmanager
async def connected(context: CliContext, *, worker: bool) -> AsyncIterator[Service]:
    """Connect to the service, and to a worker if needed, for as long as the block lasts.

    A worker is needed by what acts; a command that only looks starts nothing that does. A worker
    that was started goes on after the block, until nothing is open.

    Raises:
        SetupError: the service cannot be found or started.
    """
    settings = load(context.environ)
    async with AsyncExitStack() as stack:
        up, client = await _reach(stack, settings, context, worker=worker)
        worker_seconds = _WORKER_SECONDS if up.worker_starts else 0.0
        relocate = functools.partial(_relocate, settings)
        requests = RequestClient(client, worker_seconds=worker_seconds, relocate=relocate)
        yield Service(requests, up.ui_url)


async def open_requests(settings: Settings, address: str | None) -> list[RequestSummary] | None:
    """Return the open requests of a service that runs, None when it does not answer.

    Starts nothing.
    """
    if address is None:
        return None
    try:
        client = await connect(settings, address=address, runtime=_quiet_runtime())
        return await RequestClient(client).open()
    except (UnreachableError, ServiceUnavailable):
        return None


async def _relocate(settings: Settings, client: Client) -> Client | None:
    """Return a client of the embedded server; None when the given one has its address."""
    record = None if settings.temporal_address else ServerRecord.running(settings)
    if record is None or record.address == client.service_client.config.target_host:
        return None
    try:
        return await connect(settings, address=record.address, runtime=_quiet_runtime())
    except UnreachableError:
        return None


async def _reach(
    stack: AsyncExitStack,
    settings: Settings,
    context: CliContext,
    *,
    worker: bool,
    retry: bool = True,
) -> tuple[RunningServices, Client]:
    """Connect, once more when the embedded server that was found ended in the same moment."""
    services = ensure_services(settings, worker=worker, announce=context.print_err)
    up = await stack.enter_async_context(services)
    try:
        return up, await connect(settings, address=up.address, runtime=_quiet_runtime())
    except UnreachableError:
        if settings.temporal_address or not retry:
            raise
    await stack.aclose()
    return await _reach(stack, settings, context, worker=worker, retry=False)
