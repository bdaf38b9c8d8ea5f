"""Connections to the Temporal service: one converter, namespace and TLS for every process."""

import asyncio
import datetime as dt
import functools
import json
from typing import Any

from pydantic import ValidationError
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
from runtime.background_task import loop_time
from runtime.errors import UnreachableError
from runtime.records import ServerRecord
from runtime.redaction import redactor
from runtime.settings import Settings

_PAUSE_SECONDS = 0.1
_CONNECT_TIMEOUT = dt.timedelta(seconds=5)
_NO_RETRY = dt.timedelta(0)


class _PydanticJson(PydanticJSONPlainPayloadConverter):
    """Pydantic values as JSON without fields that hold their default, which keeps histories small.

    A field's default is therefore part of every recorded history and must never change.
    """

    @override
    def to_payload(self, value: Any) -> Payload:
        data = _SERIALIZER.to_json(value, exclude_defaults=True)
        return Payload(metadata={"encoding": self.encoding.encode()}, data=data)

    @override
    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        try:
            return super().from_payload(payload, type_hint)
        except ValidationError:
            if type_hint is not None and type_hint is not Any:
                raise
            return _as_it_came(payload.data)


def _as_it_came(data: bytes) -> Any:
    """Return what a person sent that is no JSON for pydantic: for the workflow to refuse aloud.

    With lone surrogates, or bytes that are not UTF-8, as surrogates; what is no JSON at all is a
    text. An error here would drop a signal unsaid, and leave a request that never ends.
    """
    text = data.decode("utf-8", "surrogateescape")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


class _PayloadConverter(CompositePayloadConverter):
    """The SDK's converters, with `_PydanticJson` for JSON."""

    def __init__(self) -> None:
        defaults = DefaultPayloadConverter.default_encoding_payload_converters
        pydantic_json = _PydanticJson()
        super().__init__(
            *(
                pydantic_json if isinstance(each, JSONPlainPayloadConverter) else each
                for each in defaults
            )
        )


class _FailureConverter(DefaultFailureConverter):
    """The SDK's failures without secrets; a kind of ours other than BUG has no stack trace.

    A person reads their sentence in the web UI, and it suffices. Their cause keeps its stack trace.
    """

    _redact = staticmethod(redactor(()))

    @override
    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        super().to_failure(exception, payload_converter, failure)
        if isinstance(exception, ApplicationError) and exception.type in _WITHOUT_STACK_TRACE:
            failure.stack_trace = ""
        self._redact_chain(failure)

    def _redact_chain(self, failure: Failure) -> None:
        failure.message = self._redact(failure.message)
        failure.stack_trace = self._redact(failure.stack_trace)
        for payload in failure.application_failure_info.details.payloads:
            payload.data = self._redact(payload.data.decode("latin-1")).encode("latin-1")
        if failure.HasField("cause"):
            self._redact_chain(failure.cause)


_WITHOUT_STACK_TRACE = frozenset(FailureKind) - {FailureKind.BUG}
_SERIALIZER = SchemaSerializer(any_schema())


@functools.cache
def converter(secrets: tuple[str, ...] = ()) -> DataConverter:
    """Return the data converter of clients, workers, replayers and tests.

    No failure that it writes holds one of the secrets, in whatever of its causes.
    """
    # The SDK makes its instances itself, some of them in the workflows' sandbox.
    redact = staticmethod(redactor(secrets))
    return DataConverter(
        payload_converter_class=_PayloadConverter,
        failure_converter_class=type("_Redacting", (_FailureConverter,), {"_redact": redact}),
    )


async def connect(
    settings: Settings,
    *,
    address: str | None = None,
    runtime: Runtime | None = None,
    retry_for: dt.timedelta = _NO_RETRY,
) -> Client:
    """Connect to the Temporal service and return a client.

    The address is by default that of the settings, else of the embedded server. `retry_for` is
    for a worker that starts together with its server.

    Raises:
        UnreachableError: nothing answered in that time.
    """
    end = loop_time() + retry_for.total_seconds()
    while True:
        try:
            return await _connect_once(settings, address=address, runtime=runtime)
        except UnreachableError:
            if loop_time() >= end:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)


async def _connect_once(
    settings: Settings, *, address: str | None, runtime: Runtime | None
) -> Client:
    target = address or settings.temporal_address or _embedded_address(settings)
    options = _options(settings) if settings.temporal_address else ClientConnectConfig()
    # The caller's or the settings' address overrides the profile's.
    options["target_host"] = target
    options["namespace"] = settings.temporal_namespace
    try:
        return await Client.connect(
            **options,
            data_converter=converter(settings.secrets()),
            runtime=runtime,
            connect_timeout=_CONNECT_TIMEOUT,
        )
    except RuntimeError as problem:
        raise UnreachableError(
            f"No Temporal service answers at {target}; is it running, and is the address right?"
        ) from problem


def _embedded_address(settings: Settings) -> str:
    record = ServerRecord.running(settings)
    if record is None:
        raise UnreachableError(
            "The embedded Temporal server is not running; `up --detach` starts it, or set "
            "TEMPORAL_ADDRESS to use another service."
        )
    return record.address


def _options(settings: Settings) -> ClientConnectConfig:
    named = {"TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE"} & settings.temporal_environment.keys()
    return ClientConfig.load_client_connect_config(
        # A profile file must not change the address unless a variable names it.
        disable_file=not named,
        override_env_vars=settings.temporal_environment,
    )
