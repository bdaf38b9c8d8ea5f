"""Connect to the Temporal service; start server and worker where none runs."""

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from cli import hints
from cli.client.request_client import RequestClient
from cli.client.summary import RequestSummary
from cli.context import CliContext
from runtime.connect import connect
from runtime.services.startup import ensure_services
from runtime.settings import load

_WORKER_SECONDS = 20.0


@dataclass(frozen=True)
class Service:
    """
    A connected Temporal service.

    Attributes:
        requests: its requests.
        ui_url: the web UI's address; None when unknown.
        started: server or worker were started for this command and end with it.
    """

    requests: RequestClient
    ui_url: str | None
    started: bool

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
    """
    Connect to the service for as long as the block lasts.

    Args:
        context: the process around the command.
        worker: a worker is needed too.

    Raises:
        SetupError: the service cannot be found or started.
    """
    settings = load(context.environ)
    async with ensure_services(settings, worker=worker, announce=context.print_err) as up:
        client = await connect(settings, address=up.address, runtime=_quiet_runtime())
        # A server that was started just now has a worker starting behind it.
        worker_seconds = _WORKER_SECONDS if up.started and not worker else 0.0
        yield Service(RequestClient(client, worker_seconds=worker_seconds), up.ui_url, up.started)
