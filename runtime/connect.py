"""The one way to a Temporal client: the same converter, namespace and TLS for everyone."""

import asyncio
import datetime as dt
from typing import Any

from pydantic_core import SchemaSerializer
from pydantic_core.core_schema import any_schema
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
    PayloadConverter,
)
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.exceptions import ApplicationError
from temporalio.runtime import Runtime
from typing_extensions import override

from contracts.failures import FailureKind
from runtime.errors import UnreachableError
from runtime.records import running_server
from runtime.settings import Settings

_PAUSE_SECONDS = 0.1
_CONNECT_TIMEOUT = dt.timedelta(seconds=5)
_AT_ONCE = dt.timedelta(0)


class _Json(PydanticJSONPlainPayloadConverter):
    """
    Pydantic values as JSON without the fields that have their default: history is much smaller.

    A field's default is therefore part of every recorded history: it never changes.
    """

    @override
    def to_payload(self, value: Any) -> Payload:
        data = _SERIALIZER.to_json(value, exclude_defaults=True)
        return Payload(metadata={"encoding": self.encoding.encode()}, data=data)


class _Payloads(CompositePayloadConverter):
    """The SDK's converters, with ours for JSON."""

    def __init__(self) -> None:
        known = DefaultPayloadConverter.default_encoding_payload_converters
        ours = _Json()
        super().__init__(
            *(ours if isinstance(one, JSONPlainPayloadConverter) else one for one in known)
        )


class _Failures(DefaultFailureConverter):
    """
    The SDK's failures; those that we classed go without a stack trace.

    Their sentence says all, and a person reads it in the web UI. What caused one keeps its own.
    """

    @override
    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        super().to_failure(exception, payload_converter, failure)
        if isinstance(exception, ApplicationError) and exception.type in _CLASSED:
            failure.stack_trace = ""


_CLASSED = frozenset(FailureKind) - {FailureKind.BUG}
_SERIALIZER = SchemaSerializer(any_schema())
_CONVERTER = DataConverter(payload_converter_class=_Payloads, failure_converter_class=_Failures)


def converter() -> DataConverter:
    """Return the data converter of clients, workers, replayers and tests."""
    return _CONVERTER


async def connect(
    settings: Settings,
    *,
    address: str | None = None,
    runtime: Runtime | None = None,
    patience: dt.timedelta = _AT_ONCE,
) -> Client:
    """
    Connect to the Temporal service and return a client.

    Args:
        settings: profiles, TLS, namespace.
        address: host:port; by default that of the settings, else of the embedded server.
        runtime: the process's SDK runtime; by default the SDK's own.
        patience: how long to go on trying while nothing answers; a worker that starts beside
            its server waits for it.

    Raises:
        UnreachableError: nothing answers, after all the patience.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + patience.total_seconds()
    while True:
        try:
            return await _connect_once(settings, address=address, runtime=runtime)
        except UnreachableError:
            if loop.time() >= end:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)


async def _connect_once(
    settings: Settings, *, address: str | None, runtime: Runtime | None
) -> Client:
    target = address or settings.temporal_address or _embedded(settings)
    options = _options(settings) if settings.temporal_address else ClientConnectConfig()
    # The target that the caller or the settings chose wins over the profile's.
    options["target_host"] = target
    options["namespace"] = settings.temporal_namespace
    try:
        return await Client.connect(
            **options,
            data_converter=converter(),
            runtime=runtime,
            connect_timeout=_CONNECT_TIMEOUT,
        )
    except RuntimeError as problem:
        raise UnreachableError(
            f"No Temporal service answers at {target}; is it running, and is the address right?"
        ) from problem


def _embedded(settings: Settings) -> str:
    record = running_server(settings)
    if record is None:
        raise UnreachableError(
            "No Temporal server of ours is running; `starter.py up` starts one, or set "
            "TEMPORAL_ADDRESS to use another."
        )
    return record.address


def _options(settings: Settings) -> ClientConnectConfig:
    named = {"TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE"} & settings.temporal_environment.keys()
    return ClientConfig.load_client_connect_config(
        # A profile file that nobody named must not change where we connect.
        disable_file=not named,
        override_env_vars=settings.temporal_environment,
    )
