"""The SDK runtime of this process: forwards the Rust core's logs and serves metrics."""

import logging
from collections.abc import Mapping, Sequence

from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from runtime.logging import CORE_LOGGER
from runtime.settings import Settings

_LONG_CALLS_SECONDS = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
_HISTOGRAM_BUCKETS: Mapping[str, Sequence[float]] = {
    # Upper bounds; the SDK's defaults end at one minute, a model call may take longer.
    "activity_execution_latency": _LONG_CALLS_SECONDS,
    "activity_succeed_endtoend_latency": _LONG_CALLS_SECONDS,
}


def telemetry_runtime(settings: Settings) -> Runtime:
    """Create the SDK runtime; call it once per process and pass it to `connect`.

    Metrics are served only when the settings hold an address for the Prometheus endpoint.
    """
    core_log = LoggingConfig(
        filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
        forwarding=LogForwardingConfig(
            logger=logging.getLogger(CORE_LOGGER), append_log_fields_to_message=False
        ),
    )
    return Runtime(telemetry=TelemetryConfig(logging=core_log, metrics=_metrics(settings)))


def _metrics(settings: Settings) -> PrometheusConfig | None:
    if settings.metrics_address is None:
        return None
    return PrometheusConfig(
        bind_address=settings.metrics_address,
        durations_as_seconds=True,
        unit_suffix=True,
        counters_total_suffix=True,
        histogram_bucket_overrides=_HISTOGRAM_BUCKETS,
    )
