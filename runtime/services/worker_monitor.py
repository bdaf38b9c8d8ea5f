"""Monitoring of the worker: restarted whenever it ends, killed when it sends no heartbeats."""

import asyncio
import contextlib
import sys
from pathlib import Path

from runtime.background_task import background_task, loop_time
from runtime.records import WorkerRecord
from runtime.services.backoff import Backoff
from runtime.services.child_process import ChildProcess, describe_exit
from runtime.services.supervisor_status import SupervisorStatus
from runtime.services.watchdog import HeartbeatPipe, wait_for_missed_heartbeats
from runtime.settings import HEARTBEAT_FD, Settings

_EXTRA_GRACE_SECONDS = 5.0
"""How much longer than its own grace a worker may take to stop before it is killed."""
_PAUSE_SECONDS = 0.05


class WorkerMonitor:
    """Starts the worker of one home, a script in a working directory, and restarts it."""

    def __init__(
        self, settings: Settings, status: SupervisorStatus, script: Path, folder: Path
    ) -> None:
        self._settings = settings
        self._status = status
        self._script = script
        self._folder = folder
        self._worker: ChildProcess | None = None
        self._address: str | None = None

    async def run(self) -> None:
        """Start the worker, and restart it whenever it ends, until cancelled."""
        backoff = Backoff(loop_time())
        while True:
            with contextlib.closing(HeartbeatPipe()) as heartbeats:
                worker = self._start(heartbeats)
                async with background_task(self._kill_when_frozen(worker, heartbeats)):
                    await self._report_ready(worker)
                    code = await worker.wait()
            record = self._status.record
            early = 0 if record.worker_ready else record.early_ends + 1
            self._status.update(worker_pid=None, worker_ready=False, early_ends=early)
            delay = backoff.after_end(loop_time())
            self._status.announce_restart("The worker", describe_exit(code), delay)
            await asyncio.sleep(delay)

    def terminate_if_address_changed(self) -> None:
        """Terminate a worker that was started for another address; `run` starts the next one."""
        if self._worker is not None and self._address != self._status.record.address:
            self._worker.terminate()

    async def kill(self) -> None:
        """Kill the worker, if it runs, and wait for its end."""
        if self._worker is not None and self._worker.alive:
            self._worker.kill()
            await self._worker.wait()

    async def stop(self) -> None:
        """Stop the worker gracefully; call it once `run` is cancelled."""
        if self._worker is not None:
            grace = self._settings.reply_grace_seconds + _EXTRA_GRACE_SECONDS
            await self._worker.stop(grace_seconds=grace)

    def _start(self, heartbeats: HeartbeatPipe) -> ChildProcess:
        settings = self._settings
        WorkerRecord.file(settings).unlink(missing_ok=True)
        self._address = self._status.record.address
        self._worker = ChildProcess(
            [sys.executable, str(self._script)],
            environment={
                **settings.environment,
                "ORCHESTCODE_HOME": str(settings.home),
                HEARTBEAT_FD: str(heartbeats.child_fd),
            },
            log=settings.logs / "worker.log",
            folder=self._folder,
            inherited=(heartbeats.child_fd,),
        )
        heartbeats.close_child_end()
        self._status.update(worker_pid=self._worker.pid)
        return self._worker

    async def _report_ready(self, worker: ChildProcess) -> None:
        """Wait until the worker polls its queues, or ends, and report that it is ready."""
        while worker.alive:
            record = WorkerRecord.read(self._settings)
            if record is not None and record.pid == worker.pid:
                self._status.update(worker_ready=True, early_ends=0)
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _kill_when_frozen(self, worker: ChildProcess, heartbeats: HeartbeatPipe) -> None:
        """Kill a worker that sends no heartbeats any more: it is stopped, or hangs."""
        seconds = self._settings.watchdog_seconds
        await wait_for_missed_heartbeats(heartbeats.received, seconds=seconds)
        self._status.announce(
            f"The worker has not moved for {seconds} s (it is stopped, or hangs)."
        )
        worker.kill()
