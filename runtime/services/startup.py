"""The services that a command needs: used when they run, else started for it.

A command starts only the supervisor, which keeps server and worker running and stops after its
last user.
"""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.background_task import loop_time
from runtime.errors import StartupError
from runtime.locks import is_held, try_lock
from runtime.records import SupervisorRecord, users_lock
from runtime.services.backoff import Backoff
from runtime.services.child_process import log_tail, open_log
from runtime.services.process_supervisor import ROOT
from runtime.services.supervisor_status import Announce
from runtime.settings import Settings

STARTER = ROOT / "starter.py"
_STARTUP_SECONDS = 60.0
_PAUSE_SECONDS = 0.05
_POLL_SECONDS = 0.5
_MAX_EARLY_ENDS = 3
_ANNOUNCEMENT = re.compile(r"The (worker|Temporal server|Temporal database|disk) ")
"""How the supervisor's lines begin that a person must read; the line "Ready" is not one of them."""


@dataclass(frozen=True)
class RunningServices:
    """Services that answer.

    Attributes:
        address: of the Temporal service, as host:port.
        ui_url: of its web UI; None for a service at TEMPORAL_ADDRESS.
        started: whether they were started just now.
    """

    address: str
    ui_url: str | None
    started: bool


@contextlib.asynccontextmanager
async def ensure_services(
    settings: Settings, *, announce: Announce, worker: bool = True, starter: Path = STARTER
) -> AsyncIterator[RunningServices]:
    """Have the server ready, and the worker if it is needed, for as long as the block lasts.

    Uses those that run, else starts a supervisor, which stops a second after its last user. For
    the service at a TEMPORAL_ADDRESS a supervisor is started only when no worker polls it.
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
        following = asyncio.create_task(_follow_supervisor(settings, announce, starter))
        try:
            yield running
        finally:
            following.cancel()


async def _follow_supervisor(settings: Settings, announce: Announce, starter: Path) -> None:
    """Announce what the background supervisor announces, and start it again when it was killed.

    Server and worker die with a killed supervisor.
    """
    backoff = Backoff(loop_time())
    log = LogTail(settings.logs / "supervisor.log")
    spawned: _DetachedProcess | None = None
    while True:
        await asyncio.sleep(_POLL_SECONDS)
        for line in log.announcements():
            announce(line)
        # A supervisor that stops in order, as when a person ends `up`, first removes its record.
        if SupervisorRecord.file(settings).exists() and not _supervisor_lives(settings, spawned):
            delay = backoff.after_end(loop_time())
            announce(f"The supervisor ended; everything starts again in {delay} s.")
            await asyncio.sleep(delay)
            spawned = _spawn_supervisor(settings, starter)


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
    spawned: _DetachedProcess | None = None
    started = False
    while loop_time() < end:
        record = SupervisorRecord.running(settings)
        if record is not None and (record.ready if worker else record.server_ready):
            return _running_services(record, settings, started=started)
        if _cannot_start(record, spawned):
            break
        if not _supervisor_lives(settings, spawned):
            if not started:
                announce("Starting Temporal and the worker.")
            started, spawned = True, _spawn_supervisor(settings, starter)
        await asyncio.sleep(_PAUSE_SECONDS)
    raise StartupError(_failure_message(settings, worker=worker))


def _supervisor_lives(settings: Settings, spawned: "_DetachedProcess | None") -> bool:
    starting = spawned is not None and spawned.exit_code() is None
    return starting or is_held(SupervisorRecord.lock(settings))


def _running_services(
    record: SupervisorRecord, settings: Settings, *, started: bool
) -> RunningServices:
    wanted = settings.temporal_address
    if (record.own_server, record.address) != (wanted is None, wanted or record.address):
        raise StartupError(
            f"The processes of {settings.home} work for {record.address}, another Temporal service "
            "than TEMPORAL_ADDRESS says; end them or choose another ORCHESTCODE_HOME."
        )
    return RunningServices(address=record.address or "", ui_url=record.ui_url, started=started)


def _cannot_start(record: SupervisorRecord | None, spawned: "_DetachedProcess | None") -> bool:
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


class _DetachedProcess:
    """A process in its own session that outlives this one; only its exit code is of interest."""

    def __init__(self, command: list[str], *, environment: Mapping[str, str], log: Path) -> None:
        with open_log(log) as output, Path(os.devnull).open("rb") as nothing:
            self._pid = os.posix_spawn(
                command[0],
                command,
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, nothing.fileno(), 0),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
                ],
                setsid=True,
            )
        self._exit_code: int | None = None

    def exit_code(self) -> int | None:
        """Return its exit code, None while it runs."""
        if self._exit_code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._exit_code = os.waitstatus_to_exitcode(status) if pid else None
        return self._exit_code


def _spawn_supervisor(settings: Settings, starter: Path) -> _DetachedProcess:
    return _DetachedProcess(
        [sys.executable, str(starter), "up", "--until-unused"],
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
