"""
The embedded Temporal server: found, started, finished at its first start, kept on its ports.

It does not know who keeps it alive: that is the supervisor's, or a test's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from runtime.errors import ServerError
from runtime.locks import given_back, try_lock
from runtime.records import (
    ServerRecord,
    read_record,
    running_server,
    server_file,
    server_lock,
    write_record,
)
from runtime.services.backup import BackupError, lost, put_back
from runtime.services.binary import find_binary
from runtime.services.child_process import ChildProcess, log_tail
from runtime.services.database import SEARCH_ATTRIBUTES, read_marker, set_half_made_aside
from runtime.settings import DEFAULT_NAMESPACE, Settings
from runtime.tcp_ports import free_port, listens

DYNAMIC_CONFIG: Mapping[str, str] = {
    # With the default of 20 loads a second every task waits a fixed 50 ms.
    "history.transferProcessorMaxPollRPS": "10000",
    "history.timerProcessorMaxPollRPS": "10000",
    # With the default of a second every timer, retry and time-out is that much late; the margin
    # is for clocks of several hosts, and here is one.
    "history.timerProcessorMaxTimeShift": '"1ms"',
    # A frozen worker takes tasks as long as its connection lives: with the default, a minute. The
    # answer to a ping comes from threads that no work of ours holds up.
    "frontend.keepAliveTime": '"1s"',
    "frontend.keepAliveTimeout": '"2s"',
    "matching.enableFairness": "true",
    # One partition each: priority and fairness are then exact.
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    # A run whose workflow task failed twice in a row can be found by a query.
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute": "2",
}
"""Dynamic configuration key to JSON value, for every start."""

_PRAGMAS = ("journal_mode=wal", "synchronous=FULL")
_USUAL_PORT, _USUAL_UI_PORT = 7233, 8233
_PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")
_READY_SECONDS = 30.0
_LOCK_SECONDS = 10.0
_GRACE_SECONDS = 30.0
_TRIES = 3
_PAUSE_SECONDS = 0.05


class EmbeddedServer:
    """
    One Temporal server on this home's database, or the one that already runs there.

    Lifecycle: `start()` adopts a healthy server of this home or starts one and returns when it
    answers; `stop()` ends it, an adopted one excepted. `spawn()` and `ready()` are the two
    halves of a start, for a caller with something to do meanwhile.

    Args:
        settings: home, namespace, ports that must be used.
        headless: no web UI.
        free_ports: take any free ports at the first start instead of the usual ones.
        dynamic_config: further configuration, key to JSON value.
        restored: told what a person must know when the database was lost and its copy took its
            place; the server starts once it returns.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        headless: bool = False,
        free_ports: bool = False,
        dynamic_config: Mapping[str, str] | None = None,
        restored: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._settings = settings
        self._headless = headless
        self._free_ports = free_ports
        self._config = {**DYNAMIC_CONFIG, **(dynamic_config or {})}
        self._restored = restored
        self._damage: str | None = None
        self._came_up = True
        self._process: ChildProcess | None = None
        self._record: ServerRecord | None = None

    @property
    def address(self) -> str:
        """Where clients connect, as host:port; known from `spawn()` on."""
        return self._known.address

    @property
    def ui_url(self) -> str | None:
        """The web UI's address for a browser; None when headless."""
        return self._known.ui_url

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._known.pid

    @property
    def owned(self) -> bool:
        """Whether this object started the server, instead of adopting it."""
        return self._process is not None

    async def start(self) -> None:
        """
        Start the server, or adopt the one of this home, and return when it answers.

        Raises:
            ServerError: no binary, or it does not come up; the text ends with its last lines.
        """
        for left in reversed(range(_TRIES)):
            await self.spawn()
            try:
                await self.ready()
            except ServerError:
                await self.stop()
                # A lost port is chosen anew, a half-made first database set aside.
                if not left:
                    raise
            else:
                return

    async def spawn(self) -> None:
        """
        Start the process, or adopt the running one; the address is known, nothing answers yet.

        Raises:
            ServerError: no binary, or a server of this home neither answers nor ends.
        """
        settings = self._settings
        settings.ensure_home()
        lock = await self._lock_or_adopt()
        if lock is None:
            return
        with given_back(lock):
            binary = find_binary(settings)
            set_half_made_aside(settings.database)
            await self._mend_database()
            port, ui_port = self._choose_ports()
            self._process = ChildProcess(
                self._command(binary, port=port, ui_port=ui_port),
                environment={k: v for k, v in settings.environment.items() if k in _PASSED_ON},
                log=settings.logs / "server.log",
                # The server itself holds the lock: it is free exactly when the server is gone.
                inherited=(lock,),
            )
            self._record = ServerRecord(pid=self._process.pid, port=port, ui_port=ui_port)
            write_record(server_file(settings), self._record)

    async def ready(self) -> None:
        """
        Wait until the server answers; after its first start also finish the database.

        Raises:
            ServerError: it ended before, or 30 s were not enough.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + _READY_SECONDS
        while loop.time() < end and self.alive:
            if await self._answers():
                from runtime.services.health import finish  # noqa: PLC0415

                await finish(self._settings, address=self.address)
                return
            await asyncio.sleep(_PAUSE_SECONDS)
        self._came_up = False
        raise ServerError(self._why_not())

    def condemn(self, damage: str) -> None:
        """
        Have the database replaced by its copy before the next start, whatever it looks like then.

        After the server's end SQLite takes a damaged log for one that ends there.
        """
        self._damage = f"is damaged ({damage})"

    async def health(self) -> bool:
        """Say whether the server answers and serves the namespace."""
        return self._record is not None and self.alive and await self._answers()

    @property
    def alive(self) -> bool:
        """Whether the server's process has not ended."""
        if self._process is not None:
            return self._process.alive
        return running_server(self._settings) is not None

    async def wait(self) -> int:
        """
        Wait for the server's end and return its exit code; an adopted one's is unknown, 0 is told.
        """
        if self._process is not None:
            return await self._process.wait()
        while self.alive:  # noqa: ASYNC110 - another process's end gives this one no event
            await asyncio.sleep(0.5)
        return 0

    def kill(self) -> None:
        """Kill the server, without waiting; an adopted one goes on."""
        if self._process is not None:
            self._process.kill()

    async def stop(self) -> None:
        """End the server: SIGTERM, after 30 s SIGKILL; an adopted one goes on."""
        if self._process is not None:
            await self._process.stop(grace_seconds=_GRACE_SECONDS)
            self._process = None

    @property
    def _known(self) -> ServerRecord:
        if self._record is None:
            raise ServerError("The embedded server has not been started.")
        return self._record

    async def _lock_or_adopt(self) -> int | None:
        """Return the lock's descriptor, or None after adopting the healthy server that holds it."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _LOCK_SECONDS
        while True:
            lock = try_lock(server_lock(self._settings))
            if lock is not None:
                return lock
            self._record = running_server(self._settings)
            if self._record is not None and await self._answers():
                return None
            if loop.time() >= end:
                raise ServerError(
                    f"Another server uses {self._settings.database} but does not answer; "
                    "end it, then try again."
                )
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _mend_database(self) -> None:
        """Put the copy of a database that is gone or damaged in its place."""
        database = self._settings.database
        why = self._damage or await asyncio.to_thread(lost, database, thoroughly=not self._came_up)
        try:
            said = await asyncio.to_thread(put_back, database, why) if why else None
        except (BackupError, OSError) as problem:
            raise ServerError(
                f"The Temporal database {database} {why}; its copy cannot take its place: {problem}"
            ) from problem
        if why and said is None:
            raise ServerError(
                f"The Temporal database {database} {why}, and there is no sound copy of it. Mend "
                "it, or move it away: a new one then begins, and open requests are started again."
            )
        self._damage, self._came_up = None, True
        if said and self._restored:
            await self._restored(said)

    def _choose_ports(self) -> tuple[int, int | None]:
        settings = self._settings
        last = read_record(server_file(settings), ServerRecord)
        wished = [last.port if last else None, None if self._free_ports else _USUAL_PORT]
        port = _given(settings.temporal_port) or free_port(wished)
        if self._headless:
            return port, None
        wished = [last.ui_port if last else None, None if self._free_ports else _USUAL_UI_PORT]
        return port, _given(settings.ui_port) or free_port(wished, but=port)

    def _command(self, binary: Path, *, port: int, ui_port: int | None) -> list[str]:
        settings = self._settings
        command = [str(binary), "server", "start-dev"]
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

    async def _answers(self) -> bool:
        """Say whether our own server answers, not another one on the same port."""
        record = self._known
        if not await asyncio.to_thread(listens, record.pid, record.port):
            return False
        # Loaded while the server comes up: its import takes as long as that does.
        from runtime.services.health import answers  # noqa: PLC0415

        return await answers(self._settings, address=record.address)

    def _why_not(self) -> str:
        settings = self._settings
        made_by = read_marker(settings.database).get("server")
        origin = f" (its database was made by server {made_by})" if made_by else ""
        tail = log_tail(settings.logs / "server.log")
        return f"The embedded Temporal server did not come up{origin}; its last lines:{tail}"


def _given(port: int | None) -> int | None:
    """Return a port that the settings insist on."""
    if port is not None and free_port([port]) != port:
        raise ServerError(f"The embedded Temporal server's port {port} is taken by another.")
    return port
