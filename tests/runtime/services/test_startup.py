"""Services for a command: used when they run, started when not, and stopped afterwards."""

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
from runtime.errors import StartupError, UnreachableError
from runtime.records import SupervisorRecord
from runtime.services.embedded_server import EmbeddedServer
from runtime.services.startup import RunningServices, ensure_services
from runtime.settings import Settings, load
from runtime.tcp_ports import free_port
from runtime.workflow_sandbox import workflow_runner
from tests.runtime.flows.talkative import TalkativeWorkflow
from tests.runtime.processes import alive, eventually, of_home

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("usual ports")]

STARTER = Path(__file__).parents[1] / "scripts" / "starter.py"


@pytest.fixture
async def clean(settings: Settings) -> AsyncIterator[Settings]:
    """Settings of a home; all its processes must have ended by themselves after the test."""
    soon = {**settings.environment, "ORCHESTCODE_IDLE_SECONDS": "1"}
    yield load(soon)
    await eventually(lambda: of_home(settings.home) == {})


async def test_two_commands_at_once_share_one_supervisor(clean: Settings) -> None:
    """The supervisor stops after its last user."""
    lines: list[str] = []

    async def use() -> RunningServices:
        async with ensure_services(clean, announce=lines.append, starter=STARTER) as found:
            client = await connect(clean)
            assert await client.service_client.check_health()
            record = SupervisorRecord.running(clean)
            assert record is not None
            assert record.ready
            return found

    first, second = await asyncio.gather(use(), use())

    assert first.address == second.address
    assert first.ui_url == second.ui_url
    assert lines
    await eventually(lambda: SupervisorRecord.running(clean) is None)


async def test_running_services_are_used_at_once(clean: Settings) -> None:
    """Nothing is announced for the second user, and they run until the last user ends."""
    lines: list[str] = []
    async with ensure_services(
        clean, worker=False, announce=lines.append, starter=STARTER
    ) as outer:
        begun = time.monotonic()
        async with ensure_services(
            clean, worker=False, announce=lines.append, starter=STARTER
        ) as inner:
            assert time.monotonic() - begun < 10
        # Longer than a supervisor without users runs.
        await asyncio.sleep(1.6)
        assert SupervisorRecord.running(clean) is not None

    assert outer.started
    assert not inner.started
    assert inner.address == outer.address
    # A machine where others can log in is told so beside it.
    assert [line for line in lines if line.startswith("Starting")] == lines[:1]


async def test_a_look_without_a_worker_gives_way_to_one_with_a_worker(clean: Settings) -> None:
    """A command that only looks starts no worker; one that acts meanwhile gets a supervisor with
    one, which takes over the first one's address and outlives it.
    """
    async with ensure_services(
        clean, worker=False, announce=lambda _: None, starter=STARTER
    ) as look:
        first = SupervisorRecord.running(clean)
        assert first is not None
        assert not any("worker.py" in line for line in of_home(clean.home).values())
        async with ensure_services(clean, announce=lambda _: None, starter=STARTER) as act:
            second = SupervisorRecord.running(clean)
            assert second is not None
            assert (second.ready, second.pid != first.pid) == (True, True)
    assert act.address == look.address
    assert not look.worker_starts


async def test_the_services_live_until_nothing_is_open(clean: Settings) -> None:
    """An open request keeps them alive after the last command; once it has ended they say until
    when they live, and end.
    """
    async with ensure_services(clean, announce=lambda _: None, starter=STARTER) as found:
        client = await connect(clean, address=found.address)
        handle = await client.start_workflow("RequestWorkflow", id="open", task_queue="none")
    await asyncio.sleep(3)
    record = SupervisorRecord.running(clean)
    assert record is not None
    assert (record.background, record.ends_at) == (True, None)
    await handle.terminate()

    def ends() -> bool:
        told = SupervisorRecord.running(clean)
        return told is not None and told.ends_at is not None

    await eventually(ends)
    await eventually(lambda: of_home(clean.home) == {})


async def test_services_of_a_deleted_home_end(clean: Settings) -> None:
    """Whatever is open: nothing is left to serve."""
    async with ensure_services(clean, announce=lambda _: None, starter=STARTER) as found:
        client = await connect(clean, address=found.address)
        await client.start_workflow("RequestWorkflow", id="open", task_queue="none")
    before = of_home(clean.home)
    clean.home.rename(clean.home.with_name("deleted"))
    await eventually(lambda: of_home(clean.home) == {}, seconds=30)

    assert len(before) > 1
    assert not any(alive(pid) for pid in before)


async def test_a_restart_is_announced_to_the_command_once(clean: Settings) -> None:
    """A command shows what its background supervisor restarts."""
    lines: list[str] = []
    async with ensure_services(clean, announce=lines.append, starter=STARTER):
        record = SupervisorRecord.running(clean)
        assert record is not None
        assert record.worker_pid is not None
        os.kill(record.worker_pid, signal.SIGKILL)
        await eventually(lambda: len(lines) > 1, seconds=30)
        await asyncio.sleep(1)

    assert lines[1:] == ["The worker ended (signal SIGKILL); it starts again in 0.2 s."]


async def test_a_killed_supervisor_is_started_again(clean: Settings) -> None:
    """While a command needs it, and with the same address."""
    lines: list[str] = []
    async with ensure_services(clean, announce=lines.append, starter=STARTER) as found:
        killed = SupervisorRecord.running(clean)
        assert killed is not None
        os.kill(killed.pid, signal.SIGKILL)

        def again() -> bool:
            record = SupervisorRecord.running(clean)
            return record is not None and record.pid != killed.pid and record.ready

        await eventually(again, seconds=30)
        client = await connect(clean)
        assert await client.service_client.check_health()
        record = SupervisorRecord.running(clean)
        assert record is not None
        assert record.address == found.address
    assert "The supervisor ended; everything starts again in 0.2 s." in lines


async def test_a_supervisor_that_a_person_stops_is_not_started_again(clean: Settings) -> None:
    """Not even while a command uses it."""
    async with ensure_services(clean, worker=False, announce=lambda _: None, starter=STARTER):
        ended = SupervisorRecord.running(clean)
        assert ended is not None
        os.kill(ended.pid, signal.SIGTERM)
        await eventually(lambda: of_home(clean.home) == {})
        await asyncio.sleep(1.2)
        assert of_home(clean.home) == {}


async def test_a_worker_that_cannot_start_is_an_error(clean: Settings) -> None:
    """The error shows its last log lines, long before the time-out."""
    (clean.ensure_home() / "worker-fails").touch()
    begun = time.monotonic()

    with pytest.raises(StartupError, match="this worker cannot start"):
        async with ensure_services(clean, announce=lambda _: None, starter=STARTER):
            pass

    assert time.monotonic() - begun < 50


async def test_a_supervisor_that_cannot_start_is_an_error(clean: Settings, tmp_path: Path) -> None:
    """It is not started a second time; the error shows its last log lines."""
    broken = tmp_path / "starter.py"
    broken.write_text("raise SystemExit('no such thing as a supervisor')\n")

    with pytest.raises(StartupError, match="no such thing as a supervisor"):
        async with ensure_services(clean, announce=lambda _: None, starter=broken):
            pass


async def test_nothing_is_started_for_a_service_that_a_worker_polls(
    settings: Settings, temporal_server: EmbeddedServer
) -> None:
    """With TEMPORAL_ADDRESS and a worker on its queue."""
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
        async with ensure_services(named, announce=pytest.fail, starter=STARTER) as found:
            pass
        async with ensure_services(
            named, worker=False, announce=pytest.fail, starter=STARTER
        ) as same:
            pass
        assert of_home(settings.home) == {}

    assert found == same
    assert found == RunningServices(address=temporal_server.address, ui_url=None, started=False)


async def test_an_address_without_a_service_is_an_error_at_once(settings: Settings) -> None:
    """With a TEMPORAL_ADDRESS where nothing answers."""
    address = f"127.0.0.1:{free_port([])}"
    named = load({**settings.environment, "TEMPORAL_ADDRESS": address})

    with pytest.raises(UnreachableError, match=address):
        async with ensure_services(named, announce=pytest.fail, starter=STARTER):
            pass
