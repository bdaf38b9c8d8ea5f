"""
Keeping the worker alive: it is started again whenever it ends, and ended when it stands still.
"""

import asyncio
import contextlib
import sys
from pathlib import Path

from runtime.background_task import background_task, now
from runtime.records import WorkerRecord, read_record, worker_file
from runtime.services.backoff import Backoff
from runtime.services.child_process import ChildProcess, how_ended
from runtime.services.supervisor_status import SupervisorStatus
from runtime.services.watchdog import HeartbeatPipe, until_still
from runtime.settings import PULSE, Settings

_LONGER_SECONDS = 5.0
"""How much longer than its grace a worker may take to end before it is killed."""
_PAUSE_SECONDS = 0.05


class WorkerMonitor:
    """
    The keeper of one home's worker.

    Args:
        script: run with this Python, in its own folder.
    """

    def __init__(
        self, settings: Settings, standing: SupervisorStatus, script: Path, folder: Path
    ) -> None:
        self._settings = settings
        self._standing = standing
        self._script = script
        self._folder = folder
        self._worker: ChildProcess | None = None
        self._address: str | None = None

    async def keep(self) -> None:
        """Start the worker, and again whenever it ends."""
        backoff = Backoff(now())
        while True:
            with contextlib.closing(HeartbeatPipe()) as pulse:
                worker = self._start(pulse)
                async with background_task(self._end_still(worker, pulse)):
                    await self._until_ready(worker)
                    code = await worker.wait()
            record = self._standing.record
            early = 0 if record.worker_ready else record.early_ends + 1
            self._standing.note(worker_pid=None, worker_ready=False, early_ends=early)
            delay = backoff.after_end(now())
            self._standing.starts_again("The worker", how_ended(code), delay)
            await asyncio.sleep(delay)

    def follow(self) -> None:
        """
        End a worker that was started for another address; it is started anew for the present one.
        """
        if self._worker is not None and self._address != self._standing.record.address:
            self._worker.terminate()

    async def kill(self) -> None:
        """Kill the worker, if it lives, and wait until it is gone."""
        if self._worker is not None and self._worker.alive:
            self._worker.kill()
            await self._worker.wait()

    async def end(self) -> None:
        """End the worker in order, when nothing keeps it any more."""
        if self._worker is not None:
            grace = self._settings.grace_seconds + _LONGER_SECONDS
            await self._worker.stop(grace_seconds=grace)

    def _start(self, pulse: HeartbeatPipe) -> ChildProcess:
        settings = self._settings
        worker_file(settings).unlink(missing_ok=True)
        self._address = self._standing.record.address
        self._worker = ChildProcess(
            [sys.executable, str(self._script)],
            environment={
                **settings.environment,
                "ORCHESTCODE_HOME": str(settings.home),
                PULSE: str(pulse.number),
            },
            log=settings.logs / "worker.log",
            folder=self._folder,
            inherited=(pulse.number,),
        )
        pulse.given()
        self._standing.note(worker_pid=self._worker.pid)
        return self._worker

    async def _until_ready(self, worker: ChildProcess) -> None:
        while worker.alive:
            said = read_record(worker_file(self._settings), WorkerRecord)
            if said is not None and said.pid == worker.pid:
                self._standing.note(worker_ready=True, early_ends=0)
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _end_still(self, worker: ChildProcess, pulse: HeartbeatPipe) -> None:
        """End a worker that does not move any more: stopped, or hanging."""
        seconds = self._settings.watchdog_seconds
        await until_still(pulse.heard, seconds=seconds)
        self._standing.say(f"The worker has not moved for {seconds} s (it is stopped, or hangs).")
        worker.kill()
