"""
Keeping the embedded server alive and its database copied.

It is started again whenever it ends, and ended when it does not answer or its database is damaged.
"""

import asyncio
import contextlib
from collections.abc import Callable

from runtime.background_task import background_task, now
from runtime.errors import ServerError, SetupError
from runtime.services.backoff import Backoff
from runtime.services.backup import BackupError, DamagedError, back_up, has_copy
from runtime.services.child_process import how_ended
from runtime.services.server import EmbeddedServer
from runtime.services.supervisor_status import SupervisorStatus
from runtime.services.watchdog import until_silent
from runtime.settings import Settings

_COPY_SHARE = 50
"""A copy is made at most so seldom that it takes a fiftieth of the time."""


class ServerMonitor:
    """
    The keeper of one home's Temporal server.

    Args:
        up: called each time that the server has come up, perhaps at another address.
    """

    def __init__(
        self,
        settings: Settings,
        standing: SupervisorStatus,
        server: EmbeddedServer,
        *,
        up: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._standing = standing
        self._server = server
        self._up = up

    async def begin(self) -> None:
        """Start the server without waiting until it answers."""
        await self._server.spawn()
        self._note(ready=False)

    async def keep(self) -> None:
        """
        Finish the first start, then start the server again whenever it ends.

        Raises:
            SetupError: it cannot be started at all.
        """
        await self._first_ready()
        backoff = Backoff(now())
        while True:
            self._note(ready=True)
            self._up()
            async with background_task(self._end_silent()), background_task(self._keep_copy()):
                code = await self._server.wait()
            self._standing.note(server_ready=False, server_pid=None)
            await self._again(backoff, reason=how_ended(code))

    async def end(self) -> None:
        """Stop the server, when nothing keeps it any more."""
        await self._server.stop()

    async def _first_ready(self) -> None:
        try:
            await self._server.ready()
        except ServerError:
            await self._server.stop()
            await self._server.start()

    async def _again(self, backoff: Backoff, *, reason: str) -> None:
        """Start the server until it is up."""
        while True:
            delay = backoff.after_end(now())
            self._standing.starts_again("The Temporal server", reason, delay)
            await asyncio.sleep(delay)
            try:
                await self._server.start()
            except (SetupError, OSError) as problem:
                # Without room on the disk not even a record can be written; it is tried again.
                await self._server.stop()
                reason = str(problem)
            else:
                return

    async def _end_silent(self) -> None:
        """End a server that lives but does not answer any more."""
        seconds = self._settings.watchdog_seconds
        await until_silent(self._server.health, seconds=seconds)
        self._standing.say(f"The Temporal server has not answered for {seconds} s.")
        self._server.kill()

    async def _keep_copy(self) -> None:
        """Copy the server's database again and again; end the server once it cannot be read."""
        seconds, database, told = self._settings.backup_seconds, self._settings.database, ""
        took = 0.0
        while seconds:
            await asyncio.sleep(max(seconds, _COPY_SHARE * took))
            began, problem = now(), ""
            try:
                await asyncio.to_thread(back_up, database)
            except BackupError as error:
                problem = str(error)
            except DamagedError as damage:
                problem = f"The Temporal database is damaged ({damage})."
                with contextlib.suppress(BackupError):
                    if await asyncio.to_thread(has_copy, database):
                        self._standing.say(f"{problem} The server is ended.")
                        self._server.condemn(str(damage))
                        self._server.kill()
                        return
            if problem != told:
                self._standing.say(problem or "The Temporal database can be copied again.")
                told = problem
            took = now() - began

    def _note(self, *, ready: bool) -> None:
        server = self._server
        self._standing.note(
            address=server.address, ui_url=server.ui_url, server_pid=server.pid, server_ready=ready
        )
