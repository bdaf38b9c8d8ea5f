"""Bring-up: what the starter finds running or has started, and what is left afterwards."""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.worker import Worker

from contracts.task_queue import TaskQueue
from runtime.connect import connect
from runtime.errors import BringUpError, UnreachableError
from runtime.records import running_supervisor
from runtime.services.bringup import Services, server_only, services
from runtime.services.server import EmbeddedServer
from runtime.settings import Settings, load
from runtime.tcp_ports import free_port
from runtime.workflow_sandbox import workflow_runner
from tests.runtime.flows.talkative import TalkativeWorkflow
from tests.runtime.processes import eventually, of_home

pytestmark = pytest.mark.system

STARTER = Path(__file__).parents[1] / "scripts" / "starter.py"


@pytest.fixture
async def clean(settings: Settings) -> AsyncIterator[Settings]:
    """Settings whose processes are all gone soon after the test, by themselves."""
    yield settings
    await eventually(lambda: of_home(settings.home) == {})


async def test_two_at_once(clean: Settings) -> None:
    """Two that come at once share one supervisor, which answers both and leaves after the last."""
    lines: list[str] = []

    async def use() -> Services:
        async with services(clean, announce=lines.append, starter=STARTER) as found:
            client = await connect(clean)
            assert await client.service_client.check_health()
            record = running_supervisor(clean)
            assert record is not None
            assert record.ready
            return found

    first, second = await asyncio.gather(use(), use())

    assert first.address == second.address
    assert first.ui_url == second.ui_url
    assert lines
    await eventually(lambda: running_supervisor(clean) is None)


async def test_found_running(clean: Settings) -> None:
    """What already runs is used at once, nothing is said, and it stays while one user does."""
    lines: list[str] = []
    async with server_only(clean, announce=lines.append, starter=STARTER) as outer:
        begun = time.monotonic()
        async with server_only(clean, announce=lines.append, starter=STARTER) as inner:
            assert time.monotonic() - begun < 0.2
        # Longer than a supervisor without users stays.
        await asyncio.sleep(1.6)
        assert running_supervisor(clean) is not None

    assert outer.started
    assert not inner.started
    assert inner.address == outer.address
    assert len(lines) == 1


async def test_killed_worker(clean: Settings) -> None:
    """Who uses the services is told, once, what the supervisor starts again."""
    lines: list[str] = []
    async with services(clean, announce=lines.append, starter=STARTER):
        record = running_supervisor(clean)
        assert record is not None
        assert record.worker_pid is not None
        os.kill(record.worker_pid, signal.SIGKILL)
        await eventually(lambda: len(lines) > 1, seconds=30)
        await asyncio.sleep(1)

    assert lines[1:] == ["The worker ended (signal SIGKILL); it starts again in 0.2 s."]


async def test_killed_supervisor(clean: Settings) -> None:
    """A supervisor that is killed is replaced while somebody needs it, at the same address."""
    lines: list[str] = []
    async with services(clean, announce=lines.append, starter=STARTER) as found:
        killed = running_supervisor(clean)
        assert killed is not None
        os.kill(killed.pid, signal.SIGKILL)

        def again() -> bool:
            record = running_supervisor(clean)
            return record is not None and record.pid != killed.pid and record.ready

        await eventually(again, seconds=30)
        client = await connect(clean)
        assert await client.service_client.check_health()
        record = running_supervisor(clean)
        assert record is not None
        assert record.address == found.address
    assert "The supervisor ended; everything starts again in 0.2 s." in lines


async def test_supervisor_that_is_ended(clean: Settings) -> None:
    """A supervisor that a person ends is not brought back by those who used it."""
    async with server_only(clean, announce=lambda _: None, starter=STARTER):
        ended = running_supervisor(clean)
        assert ended is not None
        os.kill(ended.pid, signal.SIGTERM)
        await eventually(lambda: of_home(clean.home) == {})
        await asyncio.sleep(1.2)
        assert of_home(clean.home) == {}


async def test_worker_that_fails(clean: Settings) -> None:
    """A worker that cannot start is an error with its last words, long before the time is up."""
    (clean.ensure_home() / "worker-fails").touch()
    begun = time.monotonic()

    with pytest.raises(BringUpError, match="this worker cannot start"):
        async with services(clean, announce=lambda _: None, starter=STARTER):
            pass

    assert time.monotonic() - begun < 15


async def test_supervisor_that_fails(clean: Settings, tmp_path: Path) -> None:
    """A supervisor that ends with an error is not tried again; its last words are told."""
    broken = tmp_path / "starter.py"
    broken.write_text("raise SystemExit('no such thing as a supervisor')\n")

    with pytest.raises(BringUpError, match="no such thing as a supervisor"):
        async with services(clean, announce=lambda _: None, starter=broken):
            pass


async def test_service_of_others(settings: Settings, temporal_server: EmbeddedServer) -> None:
    """With TEMPORAL_ADDRESS and a worker on its queue nothing is started at all."""
    named = load({**settings.environment, "TEMPORAL_ADDRESS": temporal_server.address})
    client = await connect(named)
    async with Worker(
        client,
        task_queue=TaskQueue.WORKFLOWS,
        workflows=[TalkativeWorkflow],
        workflow_runner=workflow_runner(),
    ):
        # A worker that has worked has polled.
        await client.execute_workflow(
            TalkativeWorkflow.run, 0, id=uuid.uuid4().hex, task_queue=TaskQueue.WORKFLOWS
        )
        async with services(named, announce=pytest.fail, starter=STARTER) as found:
            pass
        async with server_only(named, announce=pytest.fail, starter=STARTER) as same:
            pass
        assert of_home(settings.home) == {}

    assert found == same
    assert found == Services(address=temporal_server.address, ui_url=None, started=False)


async def test_service_that_is_not_there(settings: Settings) -> None:
    """With TEMPORAL_ADDRESS where nobody answers the error says so at once."""
    address = f"127.0.0.1:{free_port([])}"
    named = load({**settings.environment, "TEMPORAL_ADDRESS": address})

    with pytest.raises(UnreachableError, match=address):
        async with services(named, announce=pytest.fail, starter=STARTER):
            pass
