"""
The one process of a home that keeps the Temporal server and the worker alive.

It does not know what the worker does; only whether it lives and says that it is ready.
"""

import asyncio
import contextlib
import datetime as dt
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path

from runtime.backoff import Backoff
from runtime.backup import BackupError, DamagedError, back_up, has_copy
from runtime.errors import ServerError, SetupError
from runtime.locks import given_back, try_lock
from runtime.process import ChildProcess
from runtime.records import (
    SupervisorRecord,
    WorkerRecord,
    read_record,
    running_supervisor,
    supervisor_file,
    supervisor_lock,
    users_lock,
    worker_file,
    write_record,
)
from runtime.server import EmbeddedServer
from runtime.settings import PULSE, Settings
from runtime.watchdog import Pulse, until_silent, until_still

ROOT = Path(__file__).resolve().parent.parent
"""The repository's root: the folder of the entry scripts."""
WORKER = ROOT / "worker.py"

Announce = Callable[[str], None]
"""Tells a person one line."""

_LONGER_SECONDS = 5.0
"""How much longer than its grace a worker may take to end before it is killed."""
_FIRST_USER_SECONDS = 10.0
_UNUSED_SECONDS = 1.0
_LOOK_SECONDS = 0.25
_PAUSE_SECONDS = 0.05
_LOCK_SECONDS = 0.5
_DISK_SECONDS = 2.0
_COPY_SHARE = 50
"""A copy is made at most so seldom that it takes a fiftieth of the time."""
_LEAST_BYTES = 50_000_000
"""Room under which no activity begins."""
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
    """
    Say that this process polls its queues; a worker calls it once its workers run.
    """
    settings.ensure_home()
    write_record(worker_file(settings), WorkerRecord(pid=os.getpid()))


class _Supervisor:
    """
    One supervisor at work; `_record` is what others may know of it.
    """

    def __init__(
        self, settings: Settings, *, announce: Announce, worker: Path, stop: asyncio.Event
    ) -> None:
        self._settings = settings
        self._announce = announce
        self._script = worker
        self._stop = stop
        self._exit_code = 0
        own = not settings.temporal_address
        self._server = EmbeddedServer(settings, restored=self._restored) if own else None
        self._worker: ChildProcess | None = None
        self._worker_address: str | None = None
        self._record = SupervisorRecord(
            pid=os.getpid(),
            address=settings.temporal_address,
            own_server=self._server is not None,
        )
        self._was_ready = False
        self._written = True
        self._closing_lock: int | None = None

    async def run(self, *, until_unused: bool) -> int:
        """
        Run until the stop event, end what was started, and return the exit code.
        """
        self._note()
        try:
            if self._server is not None:
                await self._server.spawn()
                self._note_server(self._server, ready=False)
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
                group.create_task(self._keep_worker()),
                group.create_task(self._watch_disk()),
            ]
            if self._server is None:
                jobs.append(group.create_task(self._find_service()))
            else:
                jobs.append(group.create_task(self._keep_server(self._server)))
            if until_unused:
                jobs.append(group.create_task(self._stop_when_unused()))
            await self._stop.wait()
            for job in jobs:
                job.cancel()

    async def _find_service(self) -> None:
        # Loaded only after the worker was started.
        from runtime.connect import connect  # noqa: PLC0415

        try:
            await connect(self._settings, patience=_SERVICE_PATIENCE)
        except SetupError as problem:
            self._give_up(problem)
        else:
            self._note(server_ready=True)

    async def _keep_server(self, server: EmbeddedServer) -> None:
        """
        Finish the first start, then start the server again whenever it ends.
        """
        try:
            await self._first_ready(server)
        except SetupError as problem:
            self._give_up(problem)
            return
        backoff = Backoff(_now())
        while True:
            self._note_server(server, ready=True)
            self._move_worker()
            async with _beside(self._end_silent(server)), _beside(self._keep_copy(server)):
                code = await server.wait()
            self._note(server_ready=False, server_pid=None)
            await self._again(server, backoff, reason=_how(code))

    async def _first_ready(self, server: EmbeddedServer) -> None:
        try:
            await server.ready()
        except ServerError:
            await server.stop()
            await server.start()

    async def _again(self, server: EmbeddedServer, backoff: Backoff, *, reason: str) -> None:
        """
        Start the server until it is up.
        """
        while True:
            delay = backoff.after_end(_now())
            full = self._full_disk()
            self._announce(
                f"The Temporal server ended ({reason}); it starts again in {delay} s.{full}"
            )
            await asyncio.sleep(delay)
            try:
                await server.start()
            except (SetupError, OSError) as problem:
                # Without room on the disk not even a record can be written; it is tried again.
                await server.stop()
                reason = str(problem)
            else:
                return

    def _move_worker(self) -> None:
        """
        End a worker that was started for another address; its keeper starts it anew.
        """
        if self._worker is not None and self._worker_address != self._record.address:
            self._worker.terminate()

    async def _keep_worker(self) -> None:
        """
        Start the worker, and again whenever it ends.
        """
        backoff = Backoff(_now())
        while True:
            with contextlib.closing(Pulse()) as pulse:
                worker = self._start_worker(pulse)
                async with _beside(self._end_still(worker, pulse)):
                    await self._until_ready(worker)
                    code = await worker.wait()
            early = 0 if self._record.worker_ready else self._record.early_ends + 1
            self._note(worker_pid=None, worker_ready=False, early_ends=early)
            delay = backoff.after_end(_now())
            full = self._full_disk()
            self._announce(f"The worker ended ({_how(code)}); it starts again in {delay} s.{full}")
            await asyncio.sleep(delay)

    async def _end_still(self, worker: ChildProcess, pulse: Pulse) -> None:
        """
        End a worker that does not move any more: stopped, or hanging.
        """
        seconds = self._settings.watchdog_seconds
        await until_still(pulse.heard, seconds=seconds)
        self._announce(f"The worker has not moved for {seconds} s (it is stopped, or hangs).")
        worker.kill()

    async def _end_silent(self, server: EmbeddedServer) -> None:
        """
        End a server that lives but does not answer any more.
        """
        seconds = self._settings.watchdog_seconds
        await until_silent(server.health, seconds=seconds)
        self._announce(f"The Temporal server has not answered for {seconds} s.")
        server.kill()

    async def _keep_copy(self, server: EmbeddedServer) -> None:
        """
        Copy the server's database again and again; end the server once it cannot be read.
        """
        seconds, database, told = self._settings.backup_seconds, self._settings.database, ""
        took = 0.0
        while seconds:
            await asyncio.sleep(max(seconds, _COPY_SHARE * took))
            began, problem = _now(), ""
            try:
                await asyncio.to_thread(back_up, database)
            except BackupError as error:
                problem = str(error)
            except DamagedError as damage:
                problem = f"The Temporal database is damaged ({damage})."
                with contextlib.suppress(BackupError):
                    if await asyncio.to_thread(has_copy, database):
                        self._announce(f"{problem} The server is ended.")
                        server.condemn(str(damage))
                        server.kill()
                        return
            if problem != told:
                self._announce(problem or "The Temporal database can be copied again.")
                told = problem
            took = _now() - began

    async def _restored(self, said: str) -> None:
        """
        End the worker before the copy goes on: its answers are to questions of the lost time.
        """
        self._announce(said)
        if self._worker is not None and self._worker.alive:
            self._worker.kill()
            await self._worker.wait()

    def _start_worker(self, pulse: Pulse) -> ChildProcess:
        settings = self._settings
        worker_file(settings).unlink(missing_ok=True)
        self._worker_address = self._record.address
        self._worker = ChildProcess(
            [sys.executable, str(self._script)],
            environment={
                **settings.environment,
                "ORCHESTCODE_HOME": str(settings.home),
                PULSE: str(pulse.number),
            },
            log=settings.logs / "worker.log",
            folder=ROOT,
            inherited=(pulse.number,),
        )
        pulse.given()
        self._note(worker_pid=self._worker.pid)
        return self._worker

    async def _until_ready(self, worker: ChildProcess) -> None:
        while worker.alive:
            said = read_record(worker_file(self._settings), WorkerRecord)
            if said is not None and said.pid == worker.pid:
                self._note(worker_ready=True, early_ends=0)
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _stop_when_unused(self) -> None:
        """
        Set the stop event when nobody has needed the services for a while.

        The lock is then kept to the end: whoever comes meanwhile waits for a new supervisor
        instead of using one that leaves.
        """
        loop = asyncio.get_running_loop()
        allowed, since = _FIRST_USER_SECONDS, loop.time()
        while True:
            lock = try_lock(users_lock(self._settings))
            if lock is None:
                allowed, since = _UNUSED_SECONDS, loop.time()
            elif loop.time() - since >= allowed:
                self._closing_lock = lock
                self._stop.set()
                return
            else:
                os.close(lock)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _end(self) -> None:
        # Without its record nobody takes an ending supervisor for a ready one.
        supervisor_file(self._settings).unlink(missing_ok=True)
        if self._worker is not None:
            grace = self._settings.grace_seconds + _LONGER_SECONDS
            await self._worker.stop(grace_seconds=grace)
        if self._server is not None:
            await self._server.stop()
        worker_file(self._settings).unlink(missing_ok=True)
        if self._closing_lock is not None:
            os.close(self._closing_lock)

    def _give_up(self, problem: SetupError) -> None:
        self._announce(str(problem))
        self._exit_code = 1
        self._stop.set()

    def _note_server(self, server: EmbeddedServer, *, ready: bool) -> None:
        self._note(
            address=server.address, ui_url=server.ui_url, server_pid=server.pid, server_ready=ready
        )

    def _note(self, **changes: object) -> None:
        """
        Change the record, and say once when all is ready.
        """
        self._record = self._record.model_copy(update=changes)
        self._write()
        if self._record.ready and not self._was_ready:
            self._was_ready = True
            self._announce(f"Ready: Temporal at {self._record.address}{_ui(self._record)}.")

    def _write(self) -> None:
        """
        Write the record; without room on the disk it is kept and written once there is some.
        """
        try:
            write_record(supervisor_file(self._settings), self._record)
        except OSError as problem:
            if self._written:
                self._announce(f"Nothing can be written to {self._settings.run}: {problem}.")
            self._written = False
        else:
            self._written = True

    async def _watch_disk(self) -> None:
        """
        Tell a person when the home's disk is full and when it no longer is.
        """
        told = ""
        while True:
            full = self._full_disk()
            if bool(full) != bool(told):
                home = self._settings.home
                self._announce(full.strip() or f"The disk of {home} has room again.")
                told = full
            if not self._written:
                self._write()
            await asyncio.sleep(_DISK_SECONDS)

    def _full_disk(self) -> str:
        """
        Return a sentence when the home's disk is full, else "".
        """
        home = self._settings.home
        try:
            free = shutil.disk_usage(home).free
        except OSError:
            return ""
        if free >= _LEAST_BYTES:
            return ""
        return (
            f" The disk of {home} is full: {free // 1_000_000} MB are free, at least "
            f"{_LEAST_BYTES // 1_000_000} MB are needed; all goes on by itself once there is room."
        )


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """
    Let something run as long as a block does.
    """
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _now() -> float:
    return asyncio.get_running_loop().time()


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


async def _supervisor_lock(settings: Settings) -> int | None:
    """
    Take the supervisor's lock; another process that only looks holds it for a moment.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + _LOCK_SECONDS
    while True:
        lock = try_lock(supervisor_lock(settings))
        if lock is not None or loop.time() >= end:
            return lock
        await asyncio.sleep(_PAUSE_SECONDS)


def _already_runs(settings: Settings, announce: Announce) -> int:
    record = running_supervisor(settings)
    who = f" (process {record.pid}{_ui(record)})" if record else ""
    announce(f"OrchestCode already runs on {settings.home}{who}.")
    return 1


def _ui(record: SupervisorRecord) -> str:
    return f", web UI at {record.ui_url}" if record.ui_url else ""


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[asyncio.Event]:
    """
    Give an event that is set when the process is asked to end.
    """
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
