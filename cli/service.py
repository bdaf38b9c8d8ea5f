"""
The way to the Temporal service: finds or brings up what a command needs, for as long as it lasts.
"""

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from cli import hints
from cli.client import RequestClient, RequestSummary
from cli.context import CliContext
from runtime.connect import connect
from runtime.services.startup import ensure_services
from runtime.settings import load

_WORKER_SECONDS = 20.0


@dataclass(frozen=True)
class Service:
    """
    A Temporal service within reach.

    Attributes:
        requests: the requests there.
        ui_url: the web UI's address, None when it has none that we know.
        started: it was brought up for this command and ends with it.
    """

    requests: RequestClient
    ui_url: str | None
    started: bool

    def link(self, found: RequestSummary) -> str:
        """Return the address of a request's card in the web UI, "" when there is none."""
        return hints.deep_link(
            self.ui_url, found.id, run_id=found.run_id, namespace=self.requests.namespace
        )


@functools.cache
def _quiet() -> Runtime:
    """Return an SDK runtime that does not write its retries into the picture; one per process."""
    quiet = TelemetryFilter(core_level="ERROR", other_level="ERROR")
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=quiet)))


@asynccontextmanager
async def reach(around: CliContext, *, worker: bool) -> AsyncIterator[Service]:
    """
    Reach the service, with a worker when one is needed.

    Raises:
        SetupError: it cannot be found or brought up.
    """
    settings = load(around.environ)
    async with ensure_services(settings, worker=worker, announce=around.tell) as up:
        client = await connect(settings, address=up.address, runtime=_quiet())
        # A server that was started just now has a worker coming up behind it.
        patience = _WORKER_SECONDS if up.started and not worker else 0.0
        yield Service(RequestClient(client, patience_seconds=patience), up.ui_url, up.started)
