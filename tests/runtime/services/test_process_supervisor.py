"""The supervisor as a real process, with a real server and a small real worker."""

import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.connect import connect
from runtime.errors import StartupError
from runtime.records import ServerRecord, SupervisorRecord
from runtime.services.backup import backup_path, has_sound_backup
from runtime.services.child_process import ChildProcess
from runtime.services.embedded_server import EmbeddedServer
from runtime.services.startup import ensure_services
from runtime.settings import Settings, load
from tests.runtime.processes import eventually, of_home

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("usual ports")]

STARTER = Path(__file__).parents[1] / "scripts" / "starter.py"


def up(settings: Settings, *arguments: str, log: str = "up.log") -> ChildProcess:
    """Start a supervisor."""
    return ChildProcess(
        [sys.executable, str(STARTER), "up", *arguments],
        environment=settings.environment,
        log=settings.logs / log,
    )


def announced(settings: Settings, log: str = "up.log") -> list[str]:
    """Return the lines that a supervisor announced."""
    return (settings.logs / log).read_text().splitlines()


async def ready(settings: Settings, *, besides: SupervisorRecord | None = None) -> SupervisorRecord:
    """Wait until all is ready, with another record than `besides`, and return the record."""
    found: list[SupervisorRecord] = []

    def is_up() -> bool:
        record = SupervisorRecord.running(settings)
        if record is None or not record.ready or record == besides:
            return False
        found.append(record)
        return True

    await eventually(is_up, seconds=30)
    return found[-1]


@pytest.fixture
async def own_home(settings: Settings) -> AsyncIterator[Settings]:
    """Settings of a home; all its processes must have ended by themselves after the test."""
    settings.ensure_home()
    yield settings
    await eventually(lambda: of_home(settings.home) == {})


async def test_a_killed_worker_or_server_is_restarted(own_home: Settings) -> None:
    """Each restart keeps the address and is announced. A second supervisor names the first one and
    ends; SIGTERM stops server and worker, the worker gracefully.
    """
    settings = own_home
    supervisor = up(settings)
    first = await ready(settings)
    assert first.worker_pid is not None
    assert first.server_pid is not None
    said = f"Ready: Temporal at {first.address}, web UI at {first.ui_url}."
    await eventually(lambda: said in announced(settings))  # written just after the record

    os.kill(first.worker_pid, signal.SIGKILL)
    second = await ready(settings, besides=first)
    assert second.worker_pid != first.worker_pid
    assert second.server_pid == first.server_pid

    os.kill(first.server_pid, signal.SIGKILL)
    await eventually(lambda: not (SupervisorRecord.running(settings) or first).server_ready)
    third = await ready(settings)
    assert third.server_pid != first.server_pid
    assert third.worker_pid == second.worker_pid
    assert third.address == first.address
    assert third.worker_pid is not None
    assert await (await connect(settings)).service_client.check_health()

    os.kill(third.worker_pid, signal.SIGKILL)
    await ready(settings, besides=third)

    assert await up(settings, log="second.log").wait() == 1
    assert str(supervisor.pid) in announced(settings, "second.log")[0]
    assert await up(settings, "--until-idle", log="quiet.log").wait() == 0
    assert announced(settings, "quiet.log") == []

    assert await supervisor.stop(grace_seconds=20) == 0
    assert "The worker ended (signal SIGKILL); it starts again in 0.2 s." in announced(settings)
    assert "The worker ended (signal SIGKILL); it starts again in 0.4 s." in announced(settings)
    assert "The Temporal server ended (signal SIGKILL); it starts again in 0.2 s." in announced(
        settings
    )
    assert "stopped gracefully" in announced(settings, "worker.log")
    assert [file.suffix for file in settings.run.iterdir() if file.suffix != ".lock"] == [".json"]
    assert ServerRecord.file(settings).exists()


@pytest.mark.minutes
async def test_a_frozen_worker_or_server_is_killed_and_restarted(own_home: Settings) -> None:
    """The reason is announced."""
    watched = {**own_home.environment, "ORCHESTCODE_WATCHDOG_SECONDS": "3"}
    settings = load(watched)
    supervisor = up(settings)
    first = await ready(settings)
    assert first.worker_pid is not None
    assert first.server_pid is not None
    os.kill(first.worker_pid, signal.SIGSTOP)
    second = await ready(settings, besides=first)
    assert second.worker_pid != first.worker_pid

    os.kill(first.server_pid, signal.SIGSTOP)
    await eventually(
        lambda: not (SupervisorRecord.running(settings) or first).server_ready, seconds=30
    )
    third = await ready(settings)
    assert third.server_pid != first.server_pid
    assert third.worker_pid == second.worker_pid

    assert await supervisor.stop(grace_seconds=20) == 0
    assert "The worker has not moved for 3 s (it is stopped, or hangs)." in announced(settings)
    assert "The Temporal server has not answered for 3 s." in announced(settings)


async def test_a_damaged_or_deleted_database_is_restored(own_home: Settings) -> None:
    """The backup replaces a database that is damaged under the running server, and one that is
    deleted; the worker, whose results belong to lost tasks, is killed, and the loss announced.
    """
    settings = load({**own_home.environment, "ORCHESTCODE_BACKUP_SECONDS": "1"})
    database = settings.database
    supervisor = up(settings)
    first = await ready(settings)
    client = await connect(settings)
    await client.start_workflow("Any", id="kept", task_queue="none")
    begun = time.time()
    await eventually(
        lambda: has_sound_backup(database) and backup_path(database).stat().st_mtime > begun,
        seconds=10,
    )

    log = database.with_name("temporal.db-wal")
    with log.open("r+b") as file:
        file.seek(log.stat().st_size // 3)
        file.write(bytes(log.stat().st_size * 2 // 3))
    await eventually(lambda: any("replaces it" in line for line in announced(settings)), seconds=20)
    second = await ready(settings, besides=first)
    assert (await client.get_workflow_handle("kept").describe()).id == "kept"
    assert second.worker_pid != first.worker_pid
    assert second.server_pid != first.server_pid

    for part in settings.home.glob("temporal.db*"):
        if part != backup_path(database) and part.suffix != ".ready":
            part.unlink(missing_ok=True)  # a copy may be under way
    os.kill(second.server_pid or 0, signal.SIGKILL)
    await eventually(lambda: any("is gone" in line for line in announced(settings)), seconds=20)
    await ready(settings, besides=second)
    assert (await client.get_workflow_handle("kept").describe()).id == "kept"

    assert await supervisor.stop(grace_seconds=20) == 0
    lines = announced(settings)
    assert any("is damaged" in line and "The server is ended." in line for line in lines)
    assert any("temporal.db is damaged (" in line and "replaces it" in line for line in lines)
    assert any("temporal.db is gone; its backup of 20" in line for line in lines)


async def test_server_and_worker_die_with_a_killed_supervisor(own_home: Settings) -> None:
    """SIGKILL of the supervisor leaves no process and no record that counts as running."""
    supervisor = up(own_home)
    await ready(own_home)
    os.kill(supervisor.pid, signal.SIGKILL)
    await supervisor.wait()

    await eventually(lambda: of_home(own_home.home) == {}, seconds=5)
    assert SupervisorRecord.running(own_home) is None


async def test_with_a_temporal_address_only_the_worker_is_started(
    own_home: Settings, temporal_server: EmbeddedServer
) -> None:
    """A command that then needs the embedded server of the same home gets an error, not the other
    service.
    """
    named = load({**own_home.environment, "TEMPORAL_ADDRESS": temporal_server.address})
    supervisor = up(named)
    record = await ready(named)

    assert record.address == temporal_server.address
    assert record.server_pid is None
    assert record.ui_url is None
    with pytest.raises(StartupError, match=f"work for {temporal_server.address}"):
        async with ensure_services(own_home, worker=False, announce=pytest.fail):
            pass
    assert await supervisor.stop(grace_seconds=20) == 0
