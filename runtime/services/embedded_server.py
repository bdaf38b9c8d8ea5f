"""The embedded Temporal server: its start, the set-up of a new database, its ports.

It runs behind a gateway (`runtime.gateway`), which alone can be reached from outside. Restarting it
is the supervisor's task (`server_monitor`), or a test's.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from runtime.background_task import loop_time
from runtime.errors import ServerError
from runtime.gateway import NO_NETWORK
from runtime.locks import releasing, try_lock
from runtime.records import ServerRecord
from runtime.services.backup import BackupError, find_loss, restore_backup
from runtime.services.binary import find_binary
from runtime.services.child_process import ChildProcess, log_tail
from runtime.services.database import SEARCH_ATTRIBUTES, move_unfinished_aside, read_marker
from runtime.settings import DEFAULT_NAMESPACE, Settings
from runtime.tcp_ports import free_port, is_listening

DYNAMIC_CONFIG: Mapping[str, str] = {
    # With the default of 20 loads a second every task waits a fixed 50 ms.
    "history.transferProcessorMaxPollRPS": "10000",
    "history.timerProcessorMaxPollRPS": "10000",
    # With the default of a second every timer, retry and time-out is that much late; the margin
    # is for clocks of several hosts, and here is one.
    "history.timerProcessorMaxTimeShift": '"1ms"',
    # A frozen worker gets tasks as long as its connection lives: with the default, a minute. Pings
    # are answered by threads that none of our code blocks.
    "frontend.keepAliveTime": '"1s"',
    "frontend.keepAliveTimeout": '"2s"',
    # A name that no browser can send: nothing of ours uses the HTTP API, and no web page may.
    "frontend.httpAllowedHosts": '["none.invalid"]',
    # An execution is deleted once these two queues have noted that its end is dealt with: with the
    # default of half a minute, what a person has forgotten is listed that much longer.
    "history.transferProcessorUpdateAckInterval": '"1s"',
    "history.visibilityProcessorUpdateAckInterval": '"1s"',
    "matching.enableFairness": "true",
    # One partition each: priority and fairness are then exact.
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    # A run whose workflow task failed twice in a row can be found by a query.
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute": "2",
}
"""Dynamic configuration key to JSON value, for every start."""

_ROOT = Path(__file__).resolve().parents[2]
_PRAGMAS = ("journal_mode=wal", "synchronous=FULL")
_DEFAULT_PORT, _DEFAULT_UI_PORT = 7233, 8233
_PASSED_VARIABLES = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")
_READY_SECONDS = 30.0
_LOCK_SECONDS = 10.0
_GRACE_SECONDS = 30.0
_MAX_STARTS = 3
_PAUSE_SECONDS = 0.05
_PORT_SECONDS = 10.0
_EXPOSED = (
    "The Temporal server has no web UI here: this machine gives it no network of its own, and "
    "without one any web page could use the UI; allow user namespaces, as by "
    "`sysctl kernel.apparmor_restrict_unprivileged_userns=0`."
)


_NOT_PRIVATE = (
    "ORCHESTCODE_SHARED_HOST cannot be kept: this machine gives the Temporal server no network of "
    "its own, so that every user of it could reach the server; allow user namespaces, as by "
    "`sysctl kernel.apparmor_restrict_unprivileged_userns=0`."
)


class EmbeddedServer:
    """One Temporal server on this home's database, or the one that already runs there.

    `start()` adopts a healthy server of this home or starts one, and returns when it answers.
    `stop()` stops it; an adopted server keeps running. `spawn()` and `wait_until_ready()` are the
    two halves of `start()`, for a caller with something to do meanwhile.

    Args:
        headless: no web UI.
        free_ports: use any free ports at the first start instead of 7233 and 8233.
        dynamic_config: further configuration, key to JSON value.
        on_restore: called with a notice for a person when a lost database was replaced by its
            backup; the server starts once it returns.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        headless: bool = False,
        free_ports: bool = False,
        dynamic_config: Mapping[str, str] | None = None,
        on_restore: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._settings = settings
        self._headless = headless
        self._free_ports = free_ports
        self._config = {**DYNAMIC_CONFIG, **(dynamic_config or {})}
        self._on_restore = on_restore
        self._gateway = True
        self._damage: str | None = None
        self._last_start_succeeded = True
        self._process: ChildProcess | None = None
        self._record: ServerRecord | None = None

    @property
    def address(self) -> str:
        """Where clients connect, as host:port; known after `spawn()`."""
        return self._known_record.address

    @property
    def ui_url(self) -> str | None:
        """The web UI's address for a browser; None when headless."""
        return self._known_record.ui_url

    @property
    def warning(self) -> str:
        """What a person should know of how it runs, "" when all is as it should be."""
        return "" if self._gateway or self._headless else _EXPOSED

    @property
    def pid(self) -> int:
        """The process id of the server's gateway, with which it ends."""
        return self._known_record.pid

    async def start(self) -> None:
        """Start the server, or adopt the one of this home, and return when it answers.

        Raises:
            ServerError: no binary, or it does not come up; the text ends with its last lines.
        """
        for left in reversed(range(_MAX_STARTS)):
            await self.spawn()
            try:
                await self.wait_until_ready()
            except ServerError:
                await self.stop()
                # The next start chooses other ports and moves an unfinished database aside.
                if not left:
                    raise
            else:
                return

    async def spawn(self) -> None:
        """Start the process, or adopt the running one; the address is known, nothing answers yet.

        Raises:
            ServerError: no binary, or a server of this home neither answers nor ends.
        """
        settings = self._settings
        settings.ensure_home()
        if settings.shared_host and not self._gateway:
            raise ServerError(_NOT_PRIVATE)
        lock = await self._lock_or_adopt()
        if lock is None:
            return
        with releasing(lock):
            binary = find_binary(settings)
            move_unfinished_aside(settings.database)
            await self._restore_lost_database()
            port, ui_port = await self._choose_ports()
            self._process = ChildProcess(
                self._command(binary, port=port, ui_port=ui_port),
                folder=_ROOT,
                environment={
                    # It does not start without one, and in a container a user often has no name.
                    "USER": "orchestcode",
                    **{k: v for k, v in settings.environment.items() if k in _PASSED_VARIABLES},
                },
                log=settings.logs / "server.log",
                # The server itself holds the lock: it is free exactly when the server is gone.
                inherited=(lock,),
            )
            self._record = ServerRecord(
                pid=self._process.pid, port=port, ui_port=ui_port, own_user=settings.shared_host
            )
            self._record.write(settings)

    async def wait_until_ready(self) -> None:
        """Wait until the server answers; after its first start also finish the database's set-up.

        Raises:
            ServerError: it ended before, or 30 s were not enough.
        """
        end = loop_time() + _READY_SECONDS
        while loop_time() < end and self.alive:
            if await self._answers():
                from runtime.services.health import finish_set_up  # noqa: PLC0415

                await finish_set_up(self._settings, address=self.address)
                return
            await asyncio.sleep(_PAUSE_SECONDS)
        if self._process is not None and not self.alive:
            self._gateway = self._gateway and await self.wait() != NO_NETWORK
        self._last_start_succeeded = False
        raise ServerError(self._failure_message())

    def mark_damaged(self, damage: str) -> None:
        """Have the next start replace the database by its backup, even if it looks sound by then.

        Once the server has ended, SQLite reads a damaged log as one that ends at the damage.
        """
        self._damage = f"is damaged ({damage})"

    async def health(self) -> bool:
        """Return whether the server answers and serves the namespace."""
        return self._record is not None and self.alive and await self._answers()

    @property
    def alive(self) -> bool:
        """Whether the server's process has not ended."""
        if self._process is not None:
            return self._process.alive
        return ServerRecord.running(self._settings) is not None

    async def wait(self) -> int:
        """Wait for the server's end and return its exit code; 0 for an adopted server."""
        if self._process is not None:
            return await self._process.wait()
        while self.alive:  # noqa: ASYNC110 - another process's end gives this one no event
            await asyncio.sleep(0.5)
        return 0

    def kill(self) -> None:
        """Kill the server without waiting; an adopted server keeps running."""
        if self._process is not None:
            self._process.kill()

    async def stop(self) -> None:
        """Stop the server by SIGTERM, after 30 s by SIGKILL; an adopted server keeps running."""
        if self._process is not None:
            await self._process.stop(grace_seconds=_GRACE_SECONDS)
            self._process = None

    @property
    def _known_record(self) -> ServerRecord:
        if self._record is None:
            raise ServerError("The embedded server has not been started.")
        return self._record

    async def _lock_or_adopt(self) -> int | None:
        """Return the lock's descriptor, or None after adopting the healthy server that holds it."""
        end = loop_time() + _LOCK_SECONDS
        while True:
            lock = try_lock(ServerRecord.lock(self._settings))
            if lock is not None:
                return lock
            self._record = ServerRecord.running(self._settings)
            if self._record is not None and await self._answers():
                return None
            if loop_time() >= end:
                raise ServerError(
                    f"Another server uses {self._settings.database} but does not answer; "
                    "end it, then try again."
                )
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _restore_lost_database(self) -> None:
        """Replace a database that is gone or damaged by its backup."""
        database = self._settings.database
        why = self._damage or await asyncio.to_thread(
            find_loss, database, thoroughly=not self._last_start_succeeded
        )
        try:
            notice = await asyncio.to_thread(restore_backup, database, why) if why else None
        except (BackupError, OSError) as problem:
            raise ServerError(
                f"The Temporal database {database} {why}, and its backup cannot replace it: "
                f"{problem}"
            ) from problem
        if why and notice is None:
            raise ServerError(
                f"The Temporal database {database} {why}, and it has no sound backup. Repair it, "
                "or move it away: a new one is then made, and open requests are started again."
            )
        self._damage, self._last_start_succeeded = None, True
        if notice and self._on_restore:
            await self._on_restore(notice)

    async def _choose_ports(self) -> tuple[int, int | None]:
        settings = self._settings
        last = ServerRecord.read(settings)
        if last:
            await _wait_until_free(last.port)
            await _wait_until_free(last.ui_port)
        preferred = [last.port if last else None, None if self._free_ports else _DEFAULT_PORT]
        port = _required_port(settings.temporal_port) or free_port(preferred)
        if self._headless or not self._gateway:
            return port, None
        preferred = [last.ui_port if last else None, None if self._free_ports else _DEFAULT_UI_PORT]
        return port, _required_port(settings.ui_port) or free_port(preferred, exclude=port)

    def _command(self, binary: Path, *, port: int, ui_port: int | None) -> list[str]:
        settings = self._settings
        command = self._gateway_command(port, ui_port) if self._gateway else []
        command += [str(binary), "server", "start-dev"]
        # A person's own CLI profile must not change our server.
        command += ["--disable-config-file", "--disable-config-env", "--log-level", "warn"]
        command += ["--db-filename", str(settings.database), "--ip", "127.0.0.1"]
        command += ["--port", str(port), "--ui-disable-news-fetch"]
        command += ["--headless"] if ui_port is None else ["--ui-port", str(ui_port)]
        if settings.temporal_namespace != DEFAULT_NAMESPACE:
            command += ["--namespace", settings.temporal_namespace]
        for pragma in _PRAGMAS:
            command += ["--sqlite-pragma", pragma]
        for name, kind in SEARCH_ATTRIBUTES.items():
            command += ["--search-attribute", f"{name}={kind}"]
        for key, value in self._config.items():
            command += ["--dynamic-config-value", f"{key}={value}"]
        return command

    def _gateway_command(self, port: int, ui_port: int | None) -> list[str]:
        """Return what stands before the server's own command; the ports are the same inside."""
        ui = [] if ui_port is None else ["--ui-port", str(ui_port)]
        own = ["--own-user"] if self._settings.shared_host else []
        return [sys.executable, "-m", "runtime.gateway", "--port", str(port), *ui, *own, "--"]

    async def _answers(self) -> bool:
        """Return whether our own server answers, not another process on the same port."""
        record = self._known_record
        if not await asyncio.to_thread(is_listening, record.pid, record.port):
            return False
        # Loaded while the server comes up: the import takes as long as that does.
        from runtime.services.health import is_serving  # noqa: PLC0415

        return await is_serving(self._settings, address=record.address)

    def _failure_message(self) -> str:
        settings = self._settings
        made_by = read_marker(settings.database).get("server")
        origin = f" (its database was made by server {made_by})" if made_by else ""
        tail = log_tail(settings.logs / "server.log")
        return f"The embedded Temporal server did not come up{origin}; its last lines:{tail}"


async def _wait_until_free(port: int | None) -> None:
    """Wait a moment for the port of a server that just ended: its lock can go before its socket."""
    end = loop_time() + _PORT_SECONDS
    while port is not None and free_port([port]) != port and loop_time() < end:  # noqa: ASYNC110
        await asyncio.sleep(_PAUSE_SECONDS)


def _required_port(port: int | None) -> int | None:
    """Return a port that the settings require; a `ServerError` when another process has it."""
    if port is not None and free_port([port]) != port:
        raise ServerError(f"The embedded Temporal server's port {port} is used by another process.")
    return port
