"""The supervisor: the one process of a home that keeps the Temporal server and the worker running.

It does not know what the worker does, only whether it runs and reports that it is ready.
"""

import asyncio
import contextlib
import datetime as dt
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from runtime.background_task import loop_time
from runtime.errors import SetupError
from runtime.locks import releasing, try_lock
from runtime.records import SupervisorRecord, WorkerRecord, users_lock
from runtime.services.embedded_server import EmbeddedServer
from runtime.services.server_monitor import ServerMonitor
from runtime.services.supervisor_status import Announce, SupervisorStatus, web_ui
from runtime.services.worker_monitor import WorkerMonitor
from runtime.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
"""The repository's root: the folder of the entry scripts."""
WORKER = ROOT / "worker.py"

_FIRST_USER_SECONDS = 10.0
_UNUSED_SECONDS = 1.0
_POLL_SECONDS = 0.25
_PAUSE_SECONDS = 0.05
_LOCK_SECONDS = 0.5
_CONNECT_TIMEOUT = dt.timedelta(seconds=10)
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def supervise(
    settings: Settings, *, until_unused: bool, announce: Announce, worker: Path = WORKER
) -> int:
    """Keep server and worker running until a signal stops the supervisor; return the exit code.

    With a TEMPORAL_ADDRESS no server is started. The supervisor stops on SIGTERM, SIGINT and
    SIGHUP, the worker first; with `until_unused` also once no process has shared the users' lock
    for a second, and silently when another supervisor already runs.
    """
    settings.ensure_home()
    if until_unused:
        # A background process must not keep the caller's folder from being unmounted or removed.
        os.chdir(ROOT)
    lock = await _take_supervisor_lock(settings)
    if lock is None:
        return 0 if until_unused else _already_runs(settings, announce)
    with releasing(lock), _stop_on_signals() as stop:
        # The record of a supervisor that was killed must not be taken for this one's.
        SupervisorRecord.file(settings).unlink(missing_ok=True)
        supervisor = _Supervisor(settings, announce=announce, worker=worker, stop=stop)
        return await supervisor.run(until_unused=until_unused)


class _Supervisor:
    """One run of the supervisor, from its start until all that it started has ended."""

    def __init__(
        self, settings: Settings, *, announce: Announce, worker: Path, stop: asyncio.Event
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._exit_code = 0
        own = not settings.temporal_address
        self._status = SupervisorStatus(settings, own_server=own, announce=announce)
        self._worker = WorkerMonitor(settings, self._status, worker, ROOT)
        self._server: ServerMonitor | None = None
        if own:
            self._server = ServerMonitor(
                settings,
                self._status,
                EmbeddedServer(settings, on_restore=self._kill_worker_before_restore),
                on_ready=self._worker.terminate_if_address_changed,
            )
        self._closing_lock: int | None = None

    async def run(self, *, until_unused: bool) -> int:
        """Run until the stop event, stop what was started, and return the exit code."""
        self._status.update()
        try:
            if self._server is not None:
                await self._server.spawn()
            await self._run_all(until_unused=until_unused)
        except SetupError as problem:
            self._fail(problem)
        finally:
            await self._shut_down()
        return self._exit_code

    async def _run_all(self, *, until_unused: bool) -> None:
        async with asyncio.TaskGroup() as group:
            # The worker starts while the server comes up, and waits for it by itself.
            jobs = [
                group.create_task(self._worker.run()),
                group.create_task(self._status.watch_disk()),
                group.create_task(self._run_service()),
            ]
            if until_unused:
                jobs.append(group.create_task(self._stop_when_unused()))
            await self._stop.wait()
            for job in jobs:
                job.cancel()

    async def _run_service(self) -> None:
        """Run the embedded server, or connect to the service at TEMPORAL_ADDRESS."""
        try:
            if self._server is not None:
                await self._server.run()
                return
            # Loaded only after the worker was started.
            from runtime.connect import connect  # noqa: PLC0415

            await connect(self._settings, retry_for=_CONNECT_TIMEOUT)
            self._status.update(server_ready=True)
        except SetupError as problem:
            self._fail(problem)

    async def _kill_worker_before_restore(self, notice: str) -> None:
        """Announce that the database was restored, and kill the worker before the server starts.

        The worker's results belong to tasks that the restored database does not have.
        """
        self._status.announce(notice)
        await self._worker.kill()

    async def _stop_when_unused(self) -> None:
        """Set the stop event once no process has needed the services for a while.

        The users' lock is then held to the end: a process that comes meanwhile waits for a new
        supervisor instead of using one that stops.
        """
        allowed, since = _FIRST_USER_SECONDS, loop_time()
        while True:
            lock = try_lock(users_lock(self._settings))
            if lock is None:
                allowed, since = _UNUSED_SECONDS, loop_time()
            elif loop_time() - since >= allowed:
                self._closing_lock = lock
                self._stop.set()
                return
            else:
                os.close(lock)
            await asyncio.sleep(_POLL_SECONDS)

    async def _shut_down(self) -> None:
        # No process may take a stopping supervisor for a ready one.
        SupervisorRecord.file(self._settings).unlink(missing_ok=True)
        await self._worker.stop()
        if self._server is not None:
            await self._server.stop()
        WorkerRecord.file(self._settings).unlink(missing_ok=True)
        if self._closing_lock is not None:
            os.close(self._closing_lock)

    def _fail(self, problem: SetupError) -> None:
        self._status.announce(str(problem))
        self._exit_code = 1
        self._stop.set()


async def _take_supervisor_lock(settings: Settings) -> int | None:
    """Take the supervisor's lock; a process that only tests it holds it for a moment."""
    end = loop_time() + _LOCK_SECONDS
    while True:
        lock = try_lock(SupervisorRecord.lock(settings))
        if lock is not None or loop_time() >= end:
            return lock
        await asyncio.sleep(_PAUSE_SECONDS)


def _already_runs(settings: Settings, announce: Announce) -> int:
    record = SupervisorRecord.running(settings)
    details = f" (process {record.pid}{web_ui(record)})" if record else ""
    announce(f"OrchestCode already runs on {settings.home}{details}.")
    return 1


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[asyncio.Event]:
    """Yield an event that is set by a signal to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # A signal that the caller ignores stays ignored, as nohup expects.
    handled = [number for number in _STOP_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    for number in handled:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
