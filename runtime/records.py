"""Records of running processes: small JSON files in the run folder, written atomically.

A record describes a process; the lock of the same name tells whether it still runs.
"""

import os
import secrets
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from runtime.locks import is_held
from runtime.settings import Settings


class ProcessRecord(BaseModel):
    """An immutable record of a process; unknown keys, written by another release, are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    pid: int


class ServerRecord(ProcessRecord):
    """The embedded server; the record stays after its end, so that the next uses the same ports.

    Attributes:
        port, ui_port: of the loopback interface; ui_port is None without a web UI.
    """

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
        server_pid: of the embedded server; None while it is down.
        worker_pid: None while it is down.
        server_ready: the service answers.
        worker_ready: the worker polls its queues.
        early_ends: how often in a row the worker ended before it was ready.
    """

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


_AnyRecord = TypeVar("_AnyRecord", bound=ProcessRecord)


def write_record(path: Path, record: ProcessRecord) -> None:
    """Write a record atomically."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        draft.write_text(record.model_dump_json(), encoding="utf-8")
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def read_record(path: Path, kind: type[_AnyRecord]) -> _AnyRecord | None:
    """Return the record in a file, None when there is none or it is not valid."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def server_lock(settings: Settings) -> Path:
    """Return the lock that the embedded server holds while it runs."""
    return settings.run / "server.lock"


def server_file(settings: Settings) -> Path:
    """Return the file of the server's record."""
    return settings.run / "server.json"


def running_server(settings: Settings) -> ServerRecord | None:
    """Return the record of the embedded server, None when none runs."""
    return _running(server_lock(settings), server_file(settings), ServerRecord)


def supervisor_lock(settings: Settings) -> Path:
    """Return the lock that the one supervisor of a home holds while it runs."""
    return settings.run / "supervisor.lock"


def supervisor_file(settings: Settings) -> Path:
    """Return the file of the supervisor's record."""
    return settings.run / "supervisor.json"


def running_supervisor(settings: Settings) -> SupervisorRecord | None:
    """Return the record of the supervisor, None when none runs."""
    return _running(supervisor_lock(settings), supervisor_file(settings), SupervisorRecord)


def users_lock(settings: Settings) -> Path:
    """Return the lock that every process that needs the services shares."""
    return settings.run / "users.lock"


def worker_file(settings: Settings) -> Path:
    """Return the file in which a worker records that it polls its queues."""
    return settings.run / "worker.json"


def _running(lock: Path, file: Path, kind: type[_AnyRecord]) -> _AnyRecord | None:
    if not is_held(lock):
        return None
    record = read_record(file, kind)
    # A process that has just taken the lock has not yet replaced its predecessor's record.
    return record if record and Path(f"/proc/{record.pid}").exists() else None
