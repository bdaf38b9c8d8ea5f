"""Records of running processes: small JSON files in the run folder, written atomically.

A record describes a process; the lock of the same name tells whether it still runs.
"""

import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import ClassVar, Self

from runtime.locks import is_held
from runtime.settings import Settings


@dataclass(frozen=True)
class ProcessRecord:
    """An immutable record of a process; unknown keys, written by another release, are ignored."""

    name: ClassVar[str]
    pid: int

    @classmethod
    def lock(cls, settings: Settings) -> Path:
        """Return the lock that the one process of this kind holds while it runs."""
        return settings.run / f"{cls.name}.lock"

    @classmethod
    def file(cls, settings: Settings) -> Path:
        """Return the file of the record."""
        return settings.run / f"{cls.name}.json"

    def write(self, settings: Settings) -> None:
        """Write the record atomically, for its owner alone."""
        path = self.file(settings)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(asdict(self), file)
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    @classmethod
    def read(cls, settings: Settings) -> Self | None:
        """Return the record, None when there is none or it is not valid."""
        try:
            found = json.loads(cls.file(settings).read_bytes())
            known = {each.name: found[each.name] for each in fields(cls) if each.name in found}
            record = cls(**known)
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return record if isinstance(record.pid, int) else None

    @classmethod
    def running(cls, settings: Settings) -> Self | None:
        """Return the record of the process that holds the lock, None when none runs."""
        record = cls.read(settings) if is_held(cls.lock(settings)) else None
        # A process that has just taken the lock has not yet replaced its predecessor's record.
        return record if record and Path(f"/proc/{record.pid}").exists() else None


@dataclass(frozen=True)
class ServerRecord(ProcessRecord):
    """The embedded server; the record stays after its end, so that the next uses the same ports.

    Attributes:
        port, ui_port: of the loopback interface; ui_port is None without a web UI.
        own_user: processes of other users, but root's, are not served.
    """

    name: ClassVar[str] = "server"
    port: int
    ui_port: int | None
    own_user: bool = False

    @property
    def address(self) -> str:
        """Where clients connect, as host:port."""
        return f"127.0.0.1:{self.port}"

    @property
    def ui_url(self) -> str | None:
        """The web UI's address for a browser."""
        return None if self.ui_port is None else f"http://127.0.0.1:{self.ui_port}"


@dataclass(frozen=True)
class SupervisorRecord(ProcessRecord):
    """The supervisor, its server and its worker.

    Attributes:
        address, ui_url: of the Temporal service; ui_url is None for one at TEMPORAL_ADDRESS.
        own_server: whether the service is the embedded server.
        server_pid, worker_pid: None while the embedded server, the worker is down.
        server_ready, worker_ready: the service answers; the worker polls its queues.
        early_ends: how often in a row the worker ended before it was ready.
        with_worker: it keeps a worker running; without one it only serves commands that look.
        background: it is no command of a person's, and ends by itself when it is not needed.
        since: when it started, seconds since 1970.
        version: of the code that it runs.
        idle_seconds: how long one in the background goes on once nothing is open.
        ends_at: when it will end, seconds since 1970; None while it is needed or never ends.
    """

    name: ClassVar[str] = "supervisor"
    address: str | None = None
    ui_url: str | None = None
    own_server: bool = True
    server_pid: int | None = None
    worker_pid: int | None = None
    server_ready: bool = False
    worker_ready: bool = False
    early_ends: int = 0
    with_worker: bool = True
    background: bool = False
    since: float = 0.0
    version: str = ""
    idle_seconds: int = 0
    ends_at: float | None = None

    @property
    def ready(self) -> bool:
        """Whether server and worker are both ready."""
        return self.server_ready and self.worker_ready


@dataclass(frozen=True)
class KeeperRecord(ProcessRecord):
    """The process that starts a killed background supervisor again; only its lock is used."""

    name: ClassVar[str] = "keeper"


@dataclass(frozen=True)
class WorkerRecord(ProcessRecord):
    """A worker that polls its queues; it holds no lock.

    Attributes:
        settings: digests of the settings by which it works, by name; None when it does not say.
    """

    name: ClassVar[str] = "worker"
    settings: dict[str, str] | None = None

    @property
    def alive(self) -> bool:
        """Whether its process has not ended."""
        return Path(f"/proc/{self.pid}").exists()


@dataclass(frozen=True)
class DiskUse(ProcessRecord):
    """The disk that the stores took when a worker looked last.

    Attributes:
        stores_bytes: of all stores.
        at: when, seconds since 1970.
    """

    name: ClassVar[str] = "disk-use"
    stores_bytes: int = 0
    at: float = 0.0


def users_lock(settings: Settings) -> Path:
    """Return the lock that every process that needs the services shares."""
    return settings.run / "users.lock"
