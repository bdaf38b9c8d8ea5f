"""The supervisor: the one process of a home that keeps the Temporal server and the worker running.

It does not know what the worker does, only whether it runs and reports that it is ready.
"""

import asyncio
import contextlib
import datetime as dt
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from runtime.background_task import loop_time
from runtime.errors import SetupError
from runtime.locks import releasing, try_lock
from runtime.records import SupervisorRecord, WorkerRecord
from runtime.services.embedded_server import EmbeddedServer
from runtime.services.keeper import ensure_keeper
from runtime.services.server_monitor import ServerMonitor
from runtime.services.supervisor_status import Announce, SupervisorStatus, web_ui
from runtime.services.worker_monitor import WorkerMonitor
from runtime.settings import Settings
from runtime.version import ROOT, code_version

WORKER = ROOT / "worker.py"

_PAUSE_SECONDS = 0.05
_LOCK_SECONDS = 0.5
_TAKEOVER_SECONDS = 40.0
_CONNECT_TIMEOUT = dt.timedelta(seconds=10)
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def supervise(
    settings: Settings,
    *,
    announce: Announce,
    background: bool = False,
    with_worker: bool = True,
    worker: Path = WORKER,
) -> int:
    """Keep server and worker running until a signal stops the supervisor; return the exit code.

    With a TEMPORAL_ADDRESS no server is started. The supervisor stops on SIGTERM and SIGINT, the
    worker first. One of a person's stops on SIGHUP too. A `background` one does not; it stops by
    itself when it is not needed (`IdleWatch`), silently when another supervisor already runs, and
    is started again when it is killed (`keeper`). One with a worker takes the place of one without.
    """
    settings.ensure_home()
    command = _own_command()
    if background:
        # A background process must not keep the caller's folder from being unmounted or removed.
        os.chdir(ROOT)
    lock = await _take_supervisor_lock(settings, with_worker=with_worker)
    if lock is None:
        return 0 if background else _already_runs(settings, announce)
    with releasing(lock), _stop_on_signals(background=background) as stop:
        # The record of a supervisor that was killed must not be taken for this one's.
        SupervisorRecord.file(settings).unlink(missing_ok=True)
        status = SupervisorStatus(
            settings,
            SupervisorRecord(
                pid=os.getpid(),
                address=settings.temporal_address,
                own_server=not settings.temporal_address,
                with_worker=with_worker,
                background=background,
                since=time.time(),
                idle_seconds=settings.idle_seconds,
                version=code_version(ROOT),
            ),
            announce=announce,
        )
        return await _Supervisor(settings, status, worker=worker, stop=stop).run(command)


class _Supervisor:
    """One run of the supervisor, from its start until all that it started has ended."""

    def __init__(
        self, settings: Settings, status: SupervisorStatus, *, worker: Path, stop: asyncio.Event
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._exit_code = 0
        self._status = status
        self._worker = WorkerMonitor(settings, self._status, worker, ROOT)
        self._server: ServerMonitor | None = None
        if status.record.own_server:
            self._server = ServerMonitor(
                settings,
                self._status,
                EmbeddedServer(settings, on_restore=self._kill_worker_before_restore),
                on_ready=self._worker.terminate_if_address_changed,
            )
        self._closing_lock: int | None = None

    async def run(self, command: Sequence[str]) -> int:
        """Run until the stop event, stop what was started, and return the exit code.

        `command` is the command line with which a background supervisor is started again.
        """
        self._status.update()
        failed = False
        try:
            if self._server is not None:
                await self._server.spawn()
            await self._run_all(command)
        except SetupError as problem:
            self._fail(problem)
        except Exception as error:
            self._status.announce(f"The supervisor failed: {_first_of(error)!r}.")
            failed = self._status.record.background
            raise
        finally:
            try:
                await self._shut_down()
            finally:
                if failed:
                    # Left as a killed one leaves it: the keeper starts the next.
                    self._status.update(server_ready=False, worker_ready=False)
        return self._exit_code

    async def _run_all(self, command: Sequence[str]) -> None:
        record = self._status.record
        work = [self._status.watch_disk(), self._run_service()]
        if record.with_worker:
            # The worker starts while the server comes up, and waits for it by itself.
            work.insert(0, self._worker.run())
        if record.background:
            work.append(self._stop_when_idle())
        if record.background and record.with_worker:
            work.append(ensure_keeper(self._settings, command, in_order=self._stop.is_set))
        async with asyncio.TaskGroup() as group:
            jobs = [group.create_task(each) for each in work]
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

    async def _stop_when_idle(self) -> None:
        """Set the stop event once the services have not been needed for long enough."""
        # Loaded only after the worker was started.
        from runtime.services.idle import IdleWatch  # noqa: PLC0415

        self._closing_lock = await IdleWatch(self._settings, self._status).wait_until_idle()
        self._stop.set()

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


def _first_of(error: BaseException) -> BaseException:
    """Return the first cause of a group of errors, else the error itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _own_command() -> list[str]:
    """Return the command line of this process, for any working directory."""
    return [sys.executable, str(Path(sys.argv[0]).resolve()), *sys.argv[1:]]


async def _take_supervisor_lock(settings: Settings, *, with_worker: bool) -> int | None:
    """Take the supervisor's lock, from one without a worker too where this one has a worker.

    A process that only tests the lock holds it for a moment.
    """
    end = loop_time() + _LOCK_SECONDS
    while (lock := try_lock(SupervisorRecord.lock(settings))) is None and loop_time() < end:
        record = SupervisorRecord.running(settings)
        if with_worker and record is not None and not record.with_worker:
            end = loop_time() + _TAKEOVER_SECONDS
            with contextlib.suppress(ProcessLookupError):
                os.kill(record.pid, signal.SIGTERM)
        await asyncio.sleep(_PAUSE_SECONDS)
    return lock


def _already_runs(settings: Settings, announce: Announce) -> int:
    record = SupervisorRecord.running(settings)
    details = f" (process {record.pid}{web_ui(record)})" if record else ""
    where = " in the background" if record and record.background else ""
    announce(
        f"OrchestCode already runs{where} on {settings.home}{details}; `stop` ends it, "
        "`service status` shows it."
    )
    return 1


@contextlib.contextmanager
def _stop_on_signals(*, background: bool) -> Iterator[asyncio.Event]:
    """Yield an event that is set by a signal to stop; in the background SIGHUP is none."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # A signal that the caller ignores stays ignored, as nohup expects.
    handled = [number for number in _STOP_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    for number in handled:
        # A handler and no SIG_IGN, which every child would inherit.
        hangs_up = background and number == signal.SIGHUP
        loop.add_signal_handler(number, _do_nothing if hangs_up else stop.set)
    try:
        yield stop
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


def _do_nothing() -> None:
    """Handle a signal that means nothing to this process."""
