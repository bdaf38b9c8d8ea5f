"""
The one process of a home that keeps the Temporal server and the worker alive.

It does not know what the worker does; only whether it lives and says that it is ready.
"""

import asyncio
import contextlib
import datetime as dt
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from runtime.background_task import now
from runtime.errors import SetupError
from runtime.locks import given_back, try_lock
from runtime.records import (
    WorkerRecord,
    running_supervisor,
    supervisor_file,
    supervisor_lock,
    users_lock,
    worker_file,
    write_record,
)
from runtime.services.server import EmbeddedServer
from runtime.services.server_monitor import ServerMonitor
from runtime.services.supervisor_status import Announce, SupervisorStatus, web_ui
from runtime.services.worker_monitor import WorkerMonitor
from runtime.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
"""The repository's root: the folder of the entry scripts."""
WORKER = ROOT / "worker.py"

_FIRST_USER_SECONDS = 10.0
_UNUSED_SECONDS = 1.0
_LOOK_SECONDS = 0.25
_PAUSE_SECONDS = 0.05
_LOCK_SECONDS = 0.5
_SERVICE_PATIENCE = dt.timedelta(seconds=10)
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def supervise(
    settings: Settings, *, until_unused: bool, announce: Announce, worker: Path = WORKER
) -> int:
    """
    Keep server and worker alive until told to end, and return the exit code.

    Ends on SIGTERM, SIGINT and SIGHUP; the worker is ended first.

    Args:
        settings: the home; an address of another's Temporal service means no server of ours.
        until_unused: end as well when nobody has shared the users' lock for a second; leave
            quietly when another supervisor already runs.
        announce: told when all is ready, and each time that something has to be restarted.
        worker: the script to run with this Python.
    """
    settings.ensure_home()
    if until_unused:
        # In the background nobody's folder may be held.
        os.chdir(ROOT)
    lock = await _supervisor_lock(settings)
    if lock is None:
        return 0 if until_unused else _already_runs(settings, announce)
    with given_back(lock), _ended_by_signals() as stop:
        # Of one that was killed; nobody may take it for ours.
        supervisor_file(settings).unlink(missing_ok=True)
        supervisor = _Supervisor(settings, announce=announce, worker=worker, stop=stop)
        return await supervisor.run(until_unused=until_unused)


def worker_ready(settings: Settings) -> None:
    """Say that this process polls its queues; a worker calls it once its workers run."""
    settings.ensure_home()
    write_record(worker_file(settings), WorkerRecord(pid=os.getpid()))


class _Supervisor:
    """One supervisor at work."""

    def __init__(
        self, settings: Settings, *, announce: Announce, worker: Path, stop: asyncio.Event
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._exit_code = 0
        own = not settings.temporal_address
        self._standing = SupervisorStatus(settings, own_server=own, announce=announce)
        self._worker = WorkerMonitor(settings, self._standing, worker, ROOT)
        self._server: ServerMonitor | None = None
        if own:
            server = EmbeddedServer(settings, restored=self._restored)
            self._server = ServerMonitor(settings, self._standing, server, up=self._worker.follow)
        self._closing_lock: int | None = None

    async def run(self, *, until_unused: bool) -> int:
        """Run until the stop event, end what was started, and return the exit code."""
        self._standing.note()
        try:
            if self._server is not None:
                await self._server.begin()
            await self._keep_all(until_unused=until_unused)
        except SetupError as problem:
            self._give_up(problem)
        finally:
            await self._end()
        return self._exit_code

    async def _keep_all(self, *, until_unused: bool) -> None:
        async with asyncio.TaskGroup() as group:
            # The worker starts while the server comes up, and waits for it by itself.
            jobs = [
                group.create_task(self._worker.keep()),
                group.create_task(self._standing.watch_disk()),
                group.create_task(self._keep_service()),
            ]
            if until_unused:
                jobs.append(group.create_task(self._stop_when_unused()))
            await self._stop.wait()
            for job in jobs:
                job.cancel()

    async def _keep_service(self) -> None:
        """Keep the server that is ours, or find the service that others run."""
        try:
            if self._server is not None:
                await self._server.keep()
            else:
                await self._find_service()
        except SetupError as problem:
            self._give_up(problem)

    async def _find_service(self) -> None:
        # Loaded only after the worker was started.
        from runtime.connect import connect  # noqa: PLC0415

        await connect(self._settings, patience=_SERVICE_PATIENCE)
        self._standing.note(server_ready=True)

    async def _restored(self, said: str) -> None:
        """End the worker before the copy goes on: its answers are to questions of the lost time."""
        self._standing.say(said)
        await self._worker.kill()

    async def _stop_when_unused(self) -> None:
        """
        Set the stop event when nobody has needed the services for a while.

        The lock is then kept to the end: whoever comes meanwhile waits for a new supervisor
        instead of using one that leaves.
        """
        allowed, since = _FIRST_USER_SECONDS, now()
        while True:
            lock = try_lock(users_lock(self._settings))
            if lock is None:
                allowed, since = _UNUSED_SECONDS, now()
            elif now() - since >= allowed:
                self._closing_lock = lock
                self._stop.set()
                return
            else:
                os.close(lock)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _end(self) -> None:
        self._standing.withdraw()
        await self._worker.end()
        if self._server is not None:
            await self._server.end()
        worker_file(self._settings).unlink(missing_ok=True)
        if self._closing_lock is not None:
            os.close(self._closing_lock)

    def _give_up(self, problem: SetupError) -> None:
        self._standing.say(str(problem))
        self._exit_code = 1
        self._stop.set()


async def _supervisor_lock(settings: Settings) -> int | None:
    """Take the supervisor's lock; another process that only looks holds it for a moment."""
    end = now() + _LOCK_SECONDS
    while True:
        lock = try_lock(supervisor_lock(settings))
        if lock is not None or now() >= end:
            return lock
        await asyncio.sleep(_PAUSE_SECONDS)


def _already_runs(settings: Settings, announce: Announce) -> int:
    record = running_supervisor(settings)
    who = f" (process {record.pid}{web_ui(record)})" if record else ""
    announce(f"OrchestCode already runs on {settings.home}{who}.")
    return 1


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[asyncio.Event]:
    """Give an event that is set when the process is asked to end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # What the caller ignores stays ignored: that is what nohup means.
    heard = [number for number in _ENDING if signal.getsignal(number) != signal.SIG_IGN]
    for number in heard:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in heard:
            loop.remove_signal_handler(number)
