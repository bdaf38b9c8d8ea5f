"""
What the starter needs before it can do its work: the services, running or brought up for it.

It keeps nothing alive but the supervisor, which keeps the rest and leaves when its last user has.
"""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import BringUpError
from runtime.locks import is_held, try_lock
from runtime.records import (
    SupervisorRecord,
    running_supervisor,
    supervisor_file,
    supervisor_lock,
    users_lock,
)
from runtime.services.backoff import Backoff
from runtime.services.child_process import log_tail, open_log
from runtime.services.process_supervisor import ROOT
from runtime.services.supervisor_status import Announce
from runtime.settings import Settings

STARTER = ROOT / "starter.py"
_BRING_UP_SECONDS = 60.0
_PAUSE_SECONDS = 0.05
_LOOK_SECONDS = 0.5
_HOPELESS_ENDS = 3
_TOLD = re.compile(r"The (worker|Temporal server|Temporal database|disk) ").match
"""How the supervisor's sentences begin that a person must hear; that all is ready is none."""


@dataclass(frozen=True)
class Services:
    """
    Services that answer.

    Attributes:
        address: of the Temporal service, as host:port.
        ui_url: of its web UI; None when it is run by others.
        started: whether they had to be brought up just now.
    """

    address: str
    ui_url: str | None
    started: bool


@contextlib.asynccontextmanager
async def services(
    settings: Settings, *, announce: Announce, starter: Path = STARTER
) -> AsyncIterator[Services]:
    """
    Have server and worker ready for as long as the block lasts.

    Uses what runs, else starts a supervisor that leaves a second after its last user. With
    another's Temporal service whose queue is polled, nothing is started.

    Args:
        settings: the home, or the address of another's service.
        announce: told when something is started.
        starter: the script whose `up --until-unused` is the supervisor.

    Raises:
        BringUpError: they did not come up; the text ends with the last log lines.
    """
    if settings.temporal_address and await _polled_elsewhere(settings):
        yield Services(address=settings.temporal_address, ui_url=None, started=False)
        return
    async with _used(settings, announce=announce, starter=starter, worker=True) as found:
        yield found


@contextlib.asynccontextmanager
async def server_only(
    settings: Settings, *, announce: Announce, starter: Path = STARTER
) -> AsyncIterator[Services]:
    """
    Have the server ready for as long as the block lasts, without waiting for a worker.

    Enough to list, describe and signal. Queries and updates wait for the worker by themselves:
    it comes up behind a server of ours.

    Raises:
        BringUpError: it did not come up; the text ends with the last log lines.
    """
    if settings.temporal_address:
        yield Services(address=settings.temporal_address, ui_url=None, started=False)
        return
    async with _used(settings, announce=announce, starter=starter, worker=False) as found:
        yield found


@contextlib.asynccontextmanager
async def _used(
    settings: Settings, *, announce: Announce, starter: Path, worker: bool
) -> AsyncIterator[Services]:
    settings.ensure_home()
    async with _shared_lock(settings):
        found = await _bring_up(settings, announce=announce, starter=starter, worker=worker)
        keeping = asyncio.create_task(_keep_supervised(settings, announce, starter))
        try:
            yield found
        finally:
            keeping.cancel()


async def _keep_supervised(settings: Settings, announce: Announce, starter: Path) -> None:
    """
    Pass on what the supervisor in the background tells, and start it again when it was killed.

    Server and worker died with it.
    """
    backoff = Backoff(_now())
    news = LogTail(settings.logs / "supervisor.log")
    spawned: _Detached | None = None
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        for line in news.lines():
            announce(line)
        # One that ends in order, as when a person ends `up`, takes its record away first.
        if supervisor_file(settings).exists() and _nobody_there(settings, spawned):
            delay = backoff.after_end(_now())
            announce(f"The supervisor ended; everything starts again in {delay} s.")
            await asyncio.sleep(delay)
            spawned = _spawn_supervisor(settings, starter)


def _now() -> float:
    return asyncio.get_running_loop().time()


@contextlib.asynccontextmanager
async def _shared_lock(settings: Settings) -> AsyncIterator[None]:
    """Share the users' lock; a supervisor that is about to leave holds it until it has left."""
    end = asyncio.get_running_loop().time() + _BRING_UP_SECONDS
    while (lock := try_lock(users_lock(settings), shared=True)) is None:
        if asyncio.get_running_loop().time() >= end:
            raise BringUpError(f"The processes of {settings.home} do not end; see {settings.logs}.")
        await asyncio.sleep(_PAUSE_SECONDS)
    try:
        yield
    finally:
        os.close(lock)


async def _bring_up(
    settings: Settings, *, announce: Announce, starter: Path, worker: bool
) -> Services:
    loop = asyncio.get_running_loop()
    end = loop.time() + _BRING_UP_SECONDS
    spawned: _Detached | None = None
    started = False
    while loop.time() < end:
        record = running_supervisor(settings)
        if record is not None and (record.ready if worker else record.server_ready):
            return _found(record, settings, started=started)
        if _hopeless(record, spawned):
            break
        if _nobody_there(settings, spawned):
            if not started:
                announce("Starting Temporal and the worker.")
            started, spawned = True, _spawn_supervisor(settings, starter)
        await asyncio.sleep(_PAUSE_SECONDS)
    raise BringUpError(_why_not(settings, worker=worker))


def _nobody_there(settings: Settings, spawned: "_Detached | None") -> bool:
    starting = spawned is not None and spawned.exit_code() is None
    return not starting and not is_held(supervisor_lock(settings))


def _found(record: SupervisorRecord, settings: Settings, *, started: bool) -> Services:
    wished = settings.temporal_address
    if (record.own_server, record.address) != (wished is None, wished or record.address):
        raise BringUpError(
            f"The processes of {settings.home} work for {record.address}, another Temporal service "
            "than TEMPORAL_ADDRESS says; end them or choose another ORCHESTCODE_HOME."
        )
    return Services(address=record.address or "", ui_url=record.ui_url, started=started)


def _hopeless(record: SupervisorRecord | None, spawned: "_Detached | None") -> bool:
    """Say whether more waiting is in vain: our supervisor failed, or the worker cannot start."""
    if record is not None and record.early_ends >= _HOPELESS_ENDS:
        return True
    # Zero: another one was there first, or ours was not needed any more.
    return spawned is not None and spawned.exit_code() not in (None, 0)


class LogTail:
    """What a supervisor in the background has told since; one in a terminal tells it there."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read = log.stat().st_size if log.exists() else 0

    def lines(self) -> list[str]:
        """Return the new sentences about what ended or is missing."""
        if not self._log.exists():
            return []
        with self._log.open("rb") as file:
            if file.seek(0, os.SEEK_END) < self._read:
                self._read = 0  # a long log was set aside
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        return [line for line in whole.decode(errors="replace").splitlines() if _TOLD(line)]


class _Detached:
    """A process in its own session that outlives this one; asked only whether it has ended."""

    def __init__(self, command: list[str], *, environment: Mapping[str, str], log: Path) -> None:
        with open_log(log) as output, Path(os.devnull).open("rb") as nothing:
            self._pid = os.posix_spawn(
                command[0],
                command,
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, nothing.fileno(), 0),
                    (os.POSIX_SPAWN_DUP2, output, 1),
                    (os.POSIX_SPAWN_DUP2, output, 2),
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


def _spawn_supervisor(settings: Settings, starter: Path) -> _Detached:
    return _Detached(
        [sys.executable, str(starter), "up", "--until-unused"],
        environment={**settings.environment, "ORCHESTCODE_HOME": str(settings.home)},
        log=settings.logs / "supervisor.log",
    )


def _why_not(settings: Settings, *, worker: bool) -> str:
    what = "The services" if worker else "The Temporal server"
    names = ("supervisor.log", "server.log", "worker.log")[: 3 if worker else 2]
    tails = [f"\n{name}:{tail}" for name in names if (tail := log_tail(settings.logs / name))]
    return f"{what} did not come up; the logs are in {settings.logs}.{''.join(tails)}"


async def _polled_elsewhere(settings: Settings) -> bool:
    # Only a service run by others pays for loading the SDK here.
    from runtime.services.pollers import polled  # noqa: PLC0415

    return await polled(settings)
