"""The one way to a client."""

import asyncio
import datetime as dt

import pytest
from temporalio.api.failure.v1 import Failure
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.exceptions import ApplicationError

from contracts.failures import FailureKind
from runtime.connect import connect, converter
from runtime.errors import UnreachableError
from runtime.services.server import EmbeddedServer
from runtime.settings import Settings, load
from runtime.tcp_ports import free_port
from tests.runtime.processes import of_home


async def test_nothing_there(settings: Settings) -> None:
    """Without any server the error says how to get one."""
    with pytest.raises(UnreachableError, match=r"starter\.py up"):
        await connect(settings)


async def test_nobody_answers(settings: Settings) -> None:
    """An address where nothing answers is one sentence that names it."""
    address = f"127.0.0.1:{free_port([])}"
    named = load({**settings.environment, "TEMPORAL_ADDRESS": address})

    with pytest.raises(UnreachableError, match=address):
        await connect(named)


@pytest.mark.system
async def test_address_of_the_person(settings: Settings, temporal_server: EmbeddedServer) -> None:
    """TEMPORAL_ADDRESS decides where to connect."""
    named = load({**settings.environment, "TEMPORAL_ADDRESS": temporal_server.address})

    client = await connect(named)

    assert client.service_client.config.target_host == temporal_server.address


@pytest.mark.system
async def test_profile(settings: Settings, temporal_server: EmbeddedServer) -> None:
    """A named profile decides address and namespace, as for Temporal's own command line."""
    file = settings.ensure_home() / "temporal.toml"
    file.write_text(
        f'[profile.here]\naddress = "{temporal_server.address}"\nnamespace = "elsewhere"\n'
    )
    profile = {"TEMPORAL_CONFIG_FILE": str(file), "TEMPORAL_PROFILE": "here"}

    client = await connect(load({**settings.environment, **profile}))

    assert client.namespace == "elsewhere"


@pytest.mark.system
async def test_tls(settings: Settings, temporal_server: EmbeddedServer) -> None:
    """TEMPORAL_TLS is honoured: a server that speaks in clear then counts as no answer."""
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
async def test_patience(settings: Settings) -> None:
    """A patient client gets a server that comes up after it, with the namespace of its choice."""
    named = load({**settings.environment, "TEMPORAL_NAMESPACE": "mine"})
    server = EmbeddedServer(named, headless=True, free_ports=True)
    waiting = asyncio.create_task(connect(named, patience=dt.timedelta(seconds=20)))
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


async def test_a_classed_failure_shows_a_sentence_not_a_stack() -> None:
    """A person who reads a refusal in the web UI is spared our code; an error of ours is not."""
    failures = [
        await _as_recorded(kind) for kind in (FailureKind.REFUSED, FailureKind.BUG, "unknown")
    ]

    assert [bool(failure.stack_trace) for failure in failures] == [False, True, True]
    assert {failure.message for failure in failures} == {"the tree has changed"}
    assert {failure.cause.message for failure in failures} == {"cause"}
    assert failures[0].application_failure_info.type == "Refused"
