"""Monitoring of the embedded server, and regular backups of its database.

The server is restarted whenever it ends, and killed when it does not answer or its database is
damaged.
"""

import asyncio
import contextlib
from collections.abc import Callable

from runtime.background_task import background_task, loop_time
from runtime.errors import ServerError, SetupError
from runtime.other_users import notice_once
from runtime.services.backoff import Backoff
from runtime.services.backup import BackupError, DamagedError, back_up, has_sound_backup
from runtime.services.child_process import describe_exit
from runtime.services.embedded_server import EmbeddedServer
from runtime.services.supervisor_status import SupervisorStatus
from runtime.services.watchdog import wait_for_failed_probes
from runtime.settings import Settings

_BACKUP_PAUSE_FACTOR = 50
"""The pause after a backup is at least this many times what the backup took."""


class ServerMonitor:
    """Starts the Temporal server of one home, restarts it and backs up its database.

    Args:
        on_ready: called each time the server has come up, perhaps at another address.
    """

    def __init__(
        self,
        settings: Settings,
        status: SupervisorStatus,
        server: EmbeddedServer,
        *,
        on_ready: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._status = status
        self._server = server
        self._on_ready = on_ready
        self._warned = False

    async def spawn(self) -> None:
        """Start the server without waiting until it answers."""
        await self._server.spawn()
        self._update_status(ready=False)

    async def run(self) -> None:
        """Finish the first start, then restart the server whenever it ends, until cancelled.

        Raises:
            SetupError: it cannot be started at all.
        """
        await self._finish_first_start()
        backoff = Backoff(loop_time())
        while True:
            self._update_status(ready=True)
            self._warn_once()
            self._on_ready()
            async with (
                background_task(self._kill_when_unresponsive()),
                background_task(self._back_up_regularly()),
            ):
                code = await self._server.wait()
            self._status.update(server_ready=False, server_pid=None)
            await self._restart(backoff, reason=describe_exit(code))

    async def stop(self) -> None:
        """Stop the server; call it once `run` is cancelled."""
        await self._server.stop()

    def _warn_once(self) -> None:
        """Announce what a person should know of this machine."""
        if self._warned:
            return
        self._warned = True
        for notice in (self._server.warning, notice_once(self._settings)):
            if notice:
                self._status.announce(notice)

    async def _finish_first_start(self) -> None:
        try:
            await self._server.wait_until_ready()
        except ServerError:
            await self._server.stop()
            await self._server.start()

    async def _restart(self, backoff: Backoff, *, reason: str) -> None:
        """Start the server, as often as it takes."""
        while True:
            delay = backoff.after_end(loop_time())
            self._status.announce_restart("The Temporal server", reason, delay)
            await asyncio.sleep(delay)
            try:
                await self._server.start()
            except (SetupError, OSError) as problem:
                # On a full disk not even a record can be written; it is tried again.
                await self._server.stop()
                reason = str(problem)
            else:
                return

    async def _kill_when_unresponsive(self) -> None:
        """Kill a server that runs but does not answer any more."""
        seconds = self._settings.watchdog_seconds
        await wait_for_failed_probes(self._server.health, seconds=seconds)
        self._status.announce(f"The Temporal server has not answered for {seconds} s.")
        self._server.kill()

    async def _back_up_regularly(self) -> None:
        """Back up the server's database at intervals; kill the server once it is damaged."""
        seconds, database = self._settings.backup_seconds, self._settings.database
        took, announced = 0.0, ""
        while seconds:
            await asyncio.sleep(max(seconds, _BACKUP_PAUSE_FACTOR * took))
            began, problem = loop_time(), ""
            try:
                await asyncio.to_thread(back_up, database)
            except BackupError as error:
                problem = str(error)
            except DamagedError as damage:
                problem = f"The Temporal database is damaged ({damage})."
                with contextlib.suppress(BackupError):
                    if await asyncio.to_thread(has_sound_backup, database):
                        self._status.announce(f"{problem} The server is ended.")
                        self._server.mark_damaged(str(damage))
                        self._server.kill()
                        return
            if problem != announced:
                self._status.announce(problem or "The Temporal database can be backed up again.")
                announced = problem
            took = loop_time() - began

    def _update_status(self, *, ready: bool) -> None:
        server = self._server
        self._status.update(
            address=server.address, ui_url=server.ui_url, server_pid=server.pid, server_ready=ready
        )
