"""Records of running processes: small JSON files in the run folder, written atomically.

A record describes a process; the lock of the same name tells whether it still runs.
"""

import os
import secrets
from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from runtime.locks import is_held
from runtime.settings import Settings


class ProcessRecord(BaseModel):
    """An immutable record of a process; unknown keys, written by another release, are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")
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
        """Write the record atomically."""
        path = self.file(settings)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            draft.write_text(self.model_dump_json(), encoding="utf-8")
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    @classmethod
    def read(cls, settings: Settings) -> Self | None:
        """Return the record, None when there is none or it is not valid."""
        try:
            return cls.model_validate_json(cls.file(settings).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    @classmethod
    def running(cls, settings: Settings) -> Self | None:
        """Return the record of the process that holds the lock, None when none runs."""
        record = cls.read(settings) if is_held(cls.lock(settings)) else None
        # A process that has just taken the lock has not yet replaced its predecessor's record.
        return record if record and Path(f"/proc/{record.pid}").exists() else None


class ServerRecord(ProcessRecord):
    """The embedded server; the record stays after its end, so that the next uses the same ports.

    Attributes:
        port, ui_port: of the loopback interface; ui_port is None without a web UI.
    """

    name = "server"
    port: int
    ui_port: int | None

    @property
    def address(self) -> str:
        """Where clients connect, as host:port."""
        return f"127.0.0.1:{self.port}"

    @property
    def ui_url(self) -> str | None:
        """The web UI's address for a browser."""
        return None if self.ui_port is None else f"http://127.0.0.1:{self.ui_port}"


class SupervisorRecord(ProcessRecord):
    """The supervisor, its server and its worker.

    Attributes:
        address, ui_url: of the Temporal service; ui_url is None for one at TEMPORAL_ADDRESS.
        own_server: whether the service is the embedded server.
        server_pid, worker_pid: None while the embedded server, the worker is down.
        server_ready, worker_ready: the service answers; the worker polls its queues.
        early_ends: how often in a row the worker ended before it was ready.
    """

    name = "supervisor"
    address: str | None = None
    ui_url: str | None = None
    own_server: bool = True
    server_pid: int | None = None
    worker_pid: int | None = None
    server_ready: bool = False
    worker_ready: bool = False
    early_ends: int = 0

    @property
    def ready(self) -> bool:
        """Whether server and worker are both ready."""
        return self.server_ready and self.worker_ready


class WorkerRecord(ProcessRecord):
    """A worker that polls its queues; it holds no lock."""

    name = "worker"


def users_lock(settings: Settings) -> Path:
    """Return the lock that every process that needs the services shares."""
    return settings.run / "users.lock"
