"""Connections to the Temporal service."""

import asyncio
import datetime as dt

import pytest
from temporalio.api.failure.v1 import Failure
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.exceptions import ApplicationError

from contracts.failures import FailureKind
from runtime.connect import connect, converter
from runtime.errors import UnreachableError
from runtime.services.embedded_server import EmbeddedServer
from runtime.settings import Settings, load
from runtime.tcp_ports import free_port
from tests.runtime.processes import of_home


async def test_without_a_server_the_error_names_the_command(settings: Settings) -> None:
    """The error says how to start one."""
    with pytest.raises(UnreachableError, match=r"up --detach"):
        await connect(settings)


async def test_an_address_without_a_service_is_named(settings: Settings) -> None:
    """The error is one sentence with the address."""
    address = f"127.0.0.1:{free_port([])}"
    named = load({**settings.environment, "TEMPORAL_ADDRESS": address})

    with pytest.raises(UnreachableError, match=address):
        await connect(named)


@pytest.mark.system
async def test_temporal_address_decides(
    settings: Settings, temporal_server: EmbeddedServer
) -> None:
    """The client connects to TEMPORAL_ADDRESS."""
    named = load({**settings.environment, "TEMPORAL_ADDRESS": temporal_server.address})

    client = await connect(named)

    assert client.service_client.config.target_host == temporal_server.address


@pytest.mark.system
async def test_a_profile_gives_address_and_namespace(
    settings: Settings, temporal_server: EmbeddedServer
) -> None:
    """As for Temporal's own command line."""
    file = settings.ensure_home() / "temporal.toml"
    file.write_text(
        f'[profile.here]\naddress = "{temporal_server.address}"\nnamespace = "elsewhere"\n'
    )
    profile = {"TEMPORAL_CONFIG_FILE": str(file), "TEMPORAL_PROFILE": "here"}

    client = await connect(load({**settings.environment, **profile}))

    assert client.namespace == "elsewhere"


@pytest.mark.system
async def test_tls_is_required_when_set(
    settings: Settings, temporal_server: EmbeddedServer
) -> None:
    """With TEMPORAL_TLS a server without TLS is an error."""
    secured = load(
        {
            **settings.environment,
            "TEMPORAL_ADDRESS": temporal_server.address,
            "TEMPORAL_TLS": "true",
        }
    )

    with pytest.raises(UnreachableError):
        await connect(secured)


@pytest.mark.system
async def test_connecting_retries_until_the_server_is_up(settings: Settings) -> None:
    """The server that starts later also has the namespace of the settings."""
    named = load({**settings.environment, "TEMPORAL_NAMESPACE": "mine"})
    server = EmbeddedServer(named, headless=True, free_ports=True)
    waiting = asyncio.create_task(connect(named, retry_for=dt.timedelta(seconds=20)))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await server.start()
    try:
        client = await waiting
        shown = await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace="mine")
        )
        assert shown.config.workflow_execution_retention_ttl.ToTimedelta().days == 30
    finally:
        await server.stop()
    assert of_home(settings.home) == {}


async def _as_recorded(kind: str) -> Failure:
    failure = Failure()
    error = ApplicationError("the tree has changed", type=kind)
    error.__cause__ = OSError("cause")
    try:
        raise error
    except ApplicationError as raised:
        await converter().encode_failure(raised, failure)
    return failure


async def test_a_failure_with_a_kind_has_no_stack_trace() -> None:
    """The web UI shows a refusal as its sentence; a bug keeps its stack trace."""
    failures = [
        await _as_recorded(kind) for kind in (FailureKind.REFUSED, FailureKind.BUG, "unknown")
    ]

    assert [bool(failure.stack_trace) for failure in failures] == [False, True, True]
    assert {failure.message for failure in failures} == {"the tree has changed"}
    assert {failure.cause.message for failure in failures} == {"cause"}
    assert failures[0].application_failure_info.type == "Refused"


async def test_no_cause_of_a_failure_holds_a_secret() -> None:
    """What an error quotes of a key stands in no message, detail or trace of the whole chain."""
    key = 'sk-local\n"half'
    failure = Failure()
    lost = ValueError(f"Illegal header value {key.encode()!r}")
    middle = ApplicationError(f"no answer: {lost!r}", {"asked with": key})
    middle.__cause__ = lost
    outer = RuntimeError(f"cannot go on with {key}")
    outer.__cause__ = middle

    await converter((key,)).encode_failure(outer, failure)

    recorded = failure.SerializeToString().decode("utf-8", "replace")
    assert failure.cause.cause.message == "Illegal header value b'[redacted]'"
    assert "[redacted]" in failure.cause.application_failure_info.details.payloads[0].data.decode()
    assert "half" not in recorded


async def test_a_failure_that_was_received_is_cleaned_again() -> None:
    """One that an older release recorded is not passed on with what it holds."""
    failure, again = Failure(message="with sk-local-key"), Failure()
    failure.cause.message = "because of sk-local-key"
    error = await converter().decode_failure(failure)

    await converter(("sk-local-key",)).encode_failure(error, again)

    assert (again.message, again.cause.message) == ("with [redacted]", "because of [redacted]")
