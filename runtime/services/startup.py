"""The services that a command needs: used when they run, else started in the background.

A command starts only the supervisor, which keeps server and worker running and lives on without
the command, until nothing is open. For a command that only looks it keeps no worker, and ends soon
after it.
"""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from runtime.background_task import loop_time
from runtime.errors import StartupError
from runtime.locks import is_held, try_lock
from runtime.records import KeeperRecord, ServerRecord, SupervisorRecord, users_lock
from runtime.services.backoff import Backoff
from runtime.services.child_process import log_tail
from runtime.services.detached import DetachedProcess
from runtime.services.stop import stop_services
from runtime.services.supervisor_status import Announce
from runtime.settings import Settings
from runtime.version import ROOT

STARTER = ROOT / "starter.py"
_STARTUP_SECONDS = 60.0
_PAUSE_SECONDS = 0.05
_POLL_SECONDS = 0.5
_MAX_EARLY_ENDS = 3
_ANNOUNCEMENT = re.compile(r"The (worker|supervisor|Temporal server|Temporal database|disk) ")
"""How the supervisor's lines begin that a person must read; the line "Ready" is not one of them."""


@dataclass(frozen=True)
class RunningServices:
    """Services that answer.

    Attributes:
        address: of the Temporal service, as host:port.
        ui_url: of its web UI; None for a service at TEMPORAL_ADDRESS.
        started: whether they were started just now.
        worker_starts: whether a worker comes up that was not asked for here.
    """

    address: str
    ui_url: str | None
    started: bool
    worker_starts: bool = False


@contextlib.asynccontextmanager
async def ensure_services(
    settings: Settings, *, announce: Announce, worker: bool = True, starter: Path = STARTER
) -> AsyncIterator[RunningServices]:
    """Have the server ready, and the worker if it is needed, for as long as the block lasts.

    Uses those that run, else starts a supervisor. One with a worker lives on after the block until
    nothing is open; without a worker only the server is started, for as long as commands use it.
    For the service at a TEMPORAL_ADDRESS a supervisor is started only when no worker polls it.
    Listing, describing and signalling work without a worker; queries and updates wait for it.

    Raises:
        StartupError: they did not come up; the text ends with the last log lines.
    """
    if settings.temporal_address and (not worker or await _has_live_worker(settings)):
        yield RunningServices(address=settings.temporal_address, ui_url=None, started=False)
        return
    settings.ensure_home()
    async with _shared_users_lock(settings):
        running = await _start(settings, announce=announce, starter=starter, worker=worker)
        following = asyncio.create_task(
            _follow_supervisor(settings, announce, starter, worker=worker)
        )
        try:
            yield running
        finally:
            following.cancel()


async def _follow_supervisor(
    settings: Settings, announce: Announce, starter: Path, *, worker: bool
) -> None:
    """Announce what the background supervisor announces, and start it again when it was killed.

    Server and worker die with a killed supervisor. One that has a keeper is started by that; one
    with a worker never by a command that needs none, which may have other settings.
    """
    backoff = Backoff(loop_time())
    log = LogTail(settings.logs / "supervisor.log")
    spawned: DetachedProcess | None = None
    while True:
        await asyncio.sleep(_POLL_SECONDS)
        for line in log.announcements():
            announce(line)
        if _was_killed(settings, spawned) and not is_held(KeeperRecord.lock(settings)):
            delay = backoff.after_end(loop_time())
            announce(f"The supervisor ended; everything starts again in {delay} s.")
            await asyncio.sleep(delay)
            spawned = _spawn_supervisor(settings, starter, worker=worker)


def _was_killed(settings: Settings, spawned: DetachedProcess | None) -> bool:
    """Whether the supervisor ended without a word: one that stops in order removes its record."""
    left = SupervisorRecord.file(settings).exists()
    return left and not _supervisor_lives(settings, spawned)


@contextlib.asynccontextmanager
async def _shared_users_lock(settings: Settings) -> AsyncIterator[None]:
    """Share the users' lock; a supervisor that stops holds it alone until it has ended."""
    end = loop_time() + _STARTUP_SECONDS
    while (lock := try_lock(users_lock(settings), shared=True)) is None:
        if loop_time() >= end:
            raise StartupError(f"The processes of {settings.home} do not end; see {settings.logs}.")
        await asyncio.sleep(_PAUSE_SECONDS)
    try:
        yield
    finally:
        os.close(lock)


async def _start(
    settings: Settings, *, announce: Announce, starter: Path, worker: bool
) -> RunningServices:
    """Wait until the services are ready; start a supervisor when none lives."""
    end = loop_time() + _STARTUP_SECONDS
    spawned: DetachedProcess | None = None
    started = False
    while loop_time() < end:
        record = SupervisorRecord.running(settings)
        if record is not None and (record.ready if worker else record.server_ready):
            return _running_services(record, settings, started=started)
        if _cannot_start(record, spawned):
            break
        # One without a worker ends when one with a worker starts.
        useless = worker and record is not None and not record.with_worker
        if not _is_starting(spawned) and (useless or not _supervisor_lives(settings, spawned)):
            if not started:
                announce(f"Starting Temporal{' and the worker' if worker else ''}.")
            started, spawned = True, _spawn_supervisor(settings, starter, worker=worker)
        await asyncio.sleep(_PAUSE_SECONDS)
    message = _failure_message(settings, worker=worker)
    if started:
        # It would try on in the background, with settings that may be what is wrong.
        await stop_services(settings)
    raise StartupError(message)


def _is_starting(spawned: DetachedProcess | None) -> bool:
    return spawned is not None and spawned.exit_code() is None


def _supervisor_lives(settings: Settings, spawned: DetachedProcess | None) -> bool:
    return _is_starting(spawned) or is_held(SupervisorRecord.lock(settings))


def _running_services(
    record: SupervisorRecord, settings: Settings, *, started: bool
) -> RunningServices:
    wanted = settings.temporal_address
    if (record.own_server, record.address) != (wanted is None, wanted or record.address):
        raise StartupError(
            f"The processes of {settings.home} work for {record.address}, another Temporal service "
            "than TEMPORAL_ADDRESS says; end them with `stop` or choose another ORCHESTCODE_HOME."
        )
    if settings.shared_host and record.own_server and not _serves_own_user(settings):
        raise StartupError(
            f"The Temporal server of {settings.home} was started without ORCHESTCODE_SHARED_HOST, "
            "so that every user of this machine reaches it; end it with `stop`, then try again."
        )
    return RunningServices(
        address=record.address or "",
        ui_url=record.ui_url,
        started=started,
        worker_starts=record.with_worker and not record.worker_ready,
    )


def _serves_own_user(settings: Settings) -> bool:
    server = ServerRecord.read(settings)
    return server is not None and server.own_user


def _cannot_start(record: SupervisorRecord | None, spawned: DetachedProcess | None) -> bool:
    """Return whether waiting is futile: our supervisor failed, or the worker cannot start."""
    if record is not None and record.early_ends >= _MAX_EARLY_ENDS:
        return True
    # Exit code 0: another supervisor was first, or ours was not needed any more.
    return spawned is not None and spawned.exit_code() not in (None, 0)


class LogTail:
    """Reads what a background supervisor has appended to its log."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read = log.stat().st_size if log.exists() else 0

    def announcements(self) -> list[str]:
        """Return the new lines about what ended or is missing."""
        if not self._log.exists():
            return []
        with self._log.open("rb") as file:
            if file.seek(0, os.SEEK_END) < self._read:
                self._read = 0  # the log was rotated
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        lines = whole.decode(errors="replace").splitlines()
        return [line for line in lines if _ANNOUNCEMENT.match(line)]


def _spawn_supervisor(settings: Settings, starter: Path, *, worker: bool) -> DetachedProcess:
    mode = "--until-idle" if worker else "--server-only"
    return DetachedProcess(
        [sys.executable, str(starter), "up", mode],
        environment={**settings.environment, "ORCHESTCODE_HOME": str(settings.home)},
        log=settings.logs / "supervisor.log",
    )


def _failure_message(settings: Settings, *, worker: bool) -> str:
    what = "The services" if worker else "The Temporal server"
    names = ("supervisor.log", "server.log", "worker.log")[: 3 if worker else 2]
    tails = [f"\n{name}:{tail}" for name in names if (tail := log_tail(settings.logs / name))]
    return f"{what} did not come up; the logs are in {settings.logs}.{''.join(tails)}"


async def _has_live_worker(settings: Settings) -> bool:
    # Only with a TEMPORAL_ADDRESS does a command pay for loading the SDK here.
    from runtime.services.pollers import has_live_poller  # noqa: PLC0415

    return await has_live_poller(settings)
