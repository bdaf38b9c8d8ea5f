"""The supervisor, as a real process over a real server and a small real worker."""

import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.connect import connect
from runtime.errors import BringUpError
from runtime.records import SupervisorRecord, running_supervisor, server_file
from runtime.services.backup import copy_of, has_copy
from runtime.services.bringup import server_only
from runtime.services.child_process import ChildProcess
from runtime.services.server import EmbeddedServer
from runtime.settings import Settings, load
from tests.runtime.processes import eventually, of_home

pytestmark = pytest.mark.system

STARTER = Path(__file__).parents[1] / "scripts" / "starter.py"


def up(settings: Settings, *arguments: str, log: str = "up.log") -> ChildProcess:
    """Start a supervisor."""
    return ChildProcess(
        [sys.executable, str(STARTER), "up", *arguments],
        environment=settings.environment,
        log=settings.logs / log,
    )


def told(settings: Settings, log: str = "up.log") -> list[str]:
    """Return the lines that a supervisor told."""
    return (settings.logs / log).read_text().splitlines()


async def ready(settings: Settings, *, besides: SupervisorRecord | None = None) -> SupervisorRecord:
    """Wait until all is up, with another worker and another server than before where so asked."""
    found: list[SupervisorRecord] = []

    def is_up() -> bool:
        record = running_supervisor(settings)
        if record is None or not record.ready or record == besides:
            return False
        found.append(record)
        return True

    await eventually(is_up, seconds=30)
    return found[-1]


@pytest.fixture
async def home_of_its_own(settings: Settings) -> AsyncIterator[Settings]:
    """Settings whose processes are all gone at the end, by themselves."""
    settings.ensure_home()
    yield settings
    await eventually(lambda: of_home(settings.home) == {})


async def test_restarts(home_of_its_own: Settings) -> None:
    """
    Whichever of the two dies is started again, at the same address, and the person is told; a
    second supervisor says who runs; SIGTERM ends both, the worker in good order.
    """
    settings = home_of_its_own
    supervisor = up(settings)
    first = await ready(settings)
    assert first.worker_pid is not None
    assert first.server_pid is not None
    assert f"Ready: Temporal at {first.address}, web UI at {first.ui_url}." in told(settings)

    os.kill(first.worker_pid, signal.SIGKILL)
    second = await ready(settings, besides=first)
    assert second.worker_pid != first.worker_pid
    assert second.server_pid == first.server_pid

    os.kill(first.server_pid, signal.SIGKILL)
    await eventually(lambda: not (running_supervisor(settings) or first).server_ready)
    third = await ready(settings)
    assert third.server_pid != first.server_pid
    assert third.worker_pid == second.worker_pid
    assert third.address == first.address
    assert third.worker_pid is not None
    assert await (await connect(settings)).service_client.check_health()

    os.kill(third.worker_pid, signal.SIGKILL)
    await ready(settings, besides=third)

    assert await up(settings, log="second.log").wait() == 1
    assert str(supervisor.pid) in told(settings, "second.log")[0]
    assert await up(settings, "--until-unused", log="quiet.log").wait() == 0
    assert told(settings, "quiet.log") == []

    assert await supervisor.stop(grace_seconds=20) == 0
    assert "The worker ended (signal SIGKILL); it starts again in 0.2 s." in told(settings)
    assert "The worker ended (signal SIGKILL); it starts again in 0.4 s." in told(settings)
    assert "The Temporal server ended (signal SIGKILL); it starts again in 0.2 s." in told(settings)
    assert "ended in good order" in told(settings, "worker.log")
    assert [file.suffix for file in settings.run.iterdir() if file.suffix != ".lock"] == [".json"]
    assert server_file(settings).exists()


async def test_that_stands_still(home_of_its_own: Settings) -> None:
    """
    A worker that is stopped and a server that does not answer are ended and started again; the
    person is told why.
    """
    watched = {**home_of_its_own.environment, "ORCHESTCODE_WATCHDOG_SECONDS": "3"}
    settings = load(watched)
    supervisor = up(settings)
    first = await ready(settings)
    assert first.worker_pid is not None
    assert first.server_pid is not None
    os.kill(first.worker_pid, signal.SIGSTOP)
    second = await ready(settings, besides=first)
    assert second.worker_pid != first.worker_pid

    os.kill(first.server_pid, signal.SIGSTOP)
    await eventually(lambda: not (running_supervisor(settings) or first).server_ready, seconds=30)
    third = await ready(settings)
    assert third.server_pid != first.server_pid
    assert third.worker_pid == second.worker_pid

    assert await supervisor.stop(grace_seconds=20) == 0
    assert "The worker has not moved for 3 s (it is stopped, or hangs)." in told(settings)
    assert "The Temporal server has not answered for 3 s." in told(settings)


async def test_lost_database(home_of_its_own: Settings) -> None:
    """
    A database that is damaged under the running server, and one that is deleted, are replaced by
    their copy; the worker, whose answers would be taken for others, is ended, and the person told.
    """
    settings = load({**home_of_its_own.environment, "ORCHESTCODE_BACKUP_SECONDS": "1"})
    database = settings.database
    supervisor = up(settings)
    first = await ready(settings)
    client = await connect(settings)
    await client.start_workflow("Any", id="kept", task_queue="none")
    begun = time.time()
    await eventually(
        lambda: has_copy(database) and copy_of(database).stat().st_mtime > begun, seconds=10
    )

    log = database.with_name("temporal.db-wal")
    with log.open("r+b") as file:
        file.seek(log.stat().st_size // 3)
        file.write(bytes(log.stat().st_size * 2 // 3))
    await eventually(lambda: any("goes on" in line for line in told(settings)), seconds=20)
    second = await ready(settings, besides=first)
    assert (await client.get_workflow_handle("kept").describe()).id == "kept"
    assert second.worker_pid != first.worker_pid
    assert second.server_pid != first.server_pid

    for part in settings.home.glob("temporal.db*"):
        if part != copy_of(database) and part.suffix != ".ready":
            part.unlink()
    os.kill(second.server_pid or 0, signal.SIGKILL)
    await eventually(lambda: any("is gone" in line for line in told(settings)), seconds=20)
    await ready(settings, besides=second)
    assert (await client.get_workflow_handle("kept").describe()).id == "kept"

    assert await supervisor.stop(grace_seconds=20) == 0
    lines = told(settings)
    assert any("is damaged" in line and "The server is ended." in line for line in lines)
    assert any("temporal.db is damaged (" in line and "goes on" in line for line in lines)
    assert any("temporal.db is gone; its copy of 20" in line for line in lines)


async def test_killed(home_of_its_own: Settings) -> None:
    """SIGKILL of the supervisor takes server and worker with it; the next one starts anew."""
    supervisor = up(home_of_its_own)
    await ready(home_of_its_own)
    os.kill(supervisor.pid, signal.SIGKILL)
    await supervisor.wait()

    await eventually(lambda: of_home(home_of_its_own.home) == {}, seconds=5)
    assert running_supervisor(home_of_its_own) is None


async def test_service_of_others(
    home_of_its_own: Settings, temporal_server: EmbeddedServer
) -> None:
    """
    With TEMPORAL_ADDRESS only the worker is started, against that service; who then wants the
    embedded server of the same home is told so, not served by the other.
    """
    named = load({**home_of_its_own.environment, "TEMPORAL_ADDRESS": temporal_server.address})
    supervisor = up(named)
    record = await ready(named)

    assert record.address == temporal_server.address
    assert record.server_pid is None
    assert record.ui_url is None
    with pytest.raises(BringUpError, match=f"work for {temporal_server.address}"):
        async with server_only(home_of_its_own, announce=pytest.fail):
            pass
    assert await supervisor.stop(grace_seconds=20) == 0
