"""Findings about this machine: what a request needs, whether it works, how to mend it."""

import asyncio
import dataclasses
import importlib.metadata
import json
import os
import platform
import pwd
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cli import hints
from cli.client.connection import open_requests
from cli.context import CliContext
from cli.disk_budget import beyond_budget
from cli.formatting import plural
from cli.worker_check import NO_KEY
from cli.wrapping import labelled, prose
from infra.probes import (
    LEAST_BYTES,
    ProbeFailed,
    free_bytes,
    git_version,
    model_answer,
    try_sandbox,
)
from runtime.errors import ServerError, SettingsError
from runtime.home_owner import refuse_foreign_home
from runtime.other_users import other_logins
from runtime.records import ServerRecord, SupervisorRecord
from runtime.services.binary import find_binary
from runtime.settings import ROLES, Settings, load
from runtime.tcp_ports import free_port
from runtime.version import ROOT, code_version
from runtime.worker_settings import CREDENTIALS, compare_with_worker

_LITTLE_BYTES = 2_000_000_000
"""Less is soon used up: a command may write 10 GB, or half of what is free."""
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)
_LABEL_WIDTH = 23
_NARROW = 60
"""Columns below which a remedy stands at the left."""
_SANDBOX_REMEDY = "until then no command of an agent and no check runs; docs/security.md says more"


@dataclass(frozen=True)
class Probe:
    """What one probe found.

    Attributes:
        state: `advice` does not keep a request from working, `problem` does.
        remedy: what to do; "" where nothing is to be done, or where the text says it.
    """

    name: str
    state: Literal["ok", "advice", "problem"]
    text: str
    remedy: str = ""


async def examine(context: CliContext, *, online: bool) -> list[Probe]:
    """Return the findings of all probes; after a wrong setting there are no others.

    `online` asks the model's service too, with the credentials.
    """
    try:
        settings = load(context.environ)
    except SettingsError as error:
        return [_versions(), Probe("settings", "problem", str(error))]
    return [finding async for finding in _probes(settings, context, online=online)]


async def _probes(settings: Settings, context: CliContext, *, online: bool) -> AsyncIterator[Probe]:
    yield _versions()
    yield await asyncio.to_thread(_git)
    yield _other_users(settings)
    home = _home(settings)
    yield home
    if home.state == "problem":
        yield Probe("the rest", "advice", "was not tried: it needs the home")
        return
    yield _disk(settings)
    yield await _server(settings, context)
    yield _worker(settings, context)
    yield await _sandbox(settings)
    yield await _credentials(settings, online=online)


def as_document(findings: Sequence[Probe]) -> list[str]:
    """Return the findings as one JSON document."""
    rows = [dataclasses.asdict(finding) for finding in findings]
    return [json.dumps({"healthy": not _problems(findings), "findings": rows}, indent=2)]


def shown(findings: Sequence[Probe], *, width: int, program: str) -> list[str]:
    """Return the findings as lines within a width (0: any), the remedy below each.

    `program`: as commands in remedies begin, which stay whole.
    """
    problems = _problems(findings)
    end = f"{plural(problems, 'problem')} found." if problems else "Requests can work here."
    return [*(line for each in findings for line in _lines(each, width, program)), end]


def _problems(findings: Sequence[Probe]) -> int:
    return sum(finding.state == "problem" for finding in findings)


def _lines(finding: Probe, width: int, program: str) -> Iterator[str]:
    yield from labelled(f"{finding.state:<9}{finding.name:<13} ", finding.text, width)
    if finding.remedy:
        indent = "" if 0 < width < _NARROW else " " * _LABEL_WIDTH
        yield from prose([f"{indent}-> {finding.remedy}"], width, commands=(program,))


def _versions() -> Probe:
    """Compare the installed packages with the pinned ones."""
    pins = dict(_PIN.findall((ROOT / "requirements" / "app.txt").read_text(encoding="utf-8")))
    other = [f"{name} {found}, not {pin}" for name, pin in pins.items()
             if (found := _installed(name)) not in (None, pin)]  # fmt: skip
    text = f"orchestcode {code_version(ROOT)}, Python {platform.python_version()}"
    if other:
        text += f"; installed are {', '.join(other)}"
        return Probe("versions", "problem", text, f"run `make clean setup` in {ROOT}")
    return Probe("versions", "ok", text)


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _home(settings: Settings) -> Probe:
    """Look whose the home is, and whether it can be written or made."""
    try:
        refuse_foreign_home(settings.home)
    except SettingsError as error:
        return Probe("home", "problem", str(error))
    place = _existing(settings.home)
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        remedy = "set ORCHESTCODE_HOME to a folder of your own"
        return Probe("home", "problem", f"{place} cannot be written by you", remedy)
    missing = "" if settings.home.exists() else " (not made yet)"
    return Probe("home", "ok", f"{settings.home}{missing}, yours alone")


def _disk(settings: Settings) -> Probe:
    place = _existing(settings.home)
    free = free_bytes(place)
    if free is None:
        return Probe("disk", "advice", f"how much is free at {place} cannot be read")
    text = f"{free / 1e9:.1f} GB are free at {place}"
    remedy = "make room there, or move ORCHESTCODE_HOME to another disk"
    if free < LEAST_BYTES:
        least = f"{LEAST_BYTES // 1_000_000} MB"
        return Probe("disk", "problem", f"{text}; nothing starts below {least}", remedy)
    if free < _LITTLE_BYTES:
        return Probe("disk", "advice", f"{text}; that is little for worktrees and builds", remedy)
    if problem := beyond_budget(settings):
        remedy = (
            "`gc` shows which finished requests can go; ORCHESTCODE_DISK_BUDGET_MB is the budget"
        )
        return Probe("disk", "advice", f"{text}; {problem}", remedy)
    return Probe("disk", "ok", text)


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(each for each in (folder, *folder.parents) if _is_there(each))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # in a folder that may not be looked into
        return False


def _git() -> Probe:
    try:
        return Probe("git", "ok", f"git {git_version()}")
    except ProbeFailed as error:
        return Probe("git", "problem", str(error))


async def _server(settings: Settings, context: CliContext) -> Probe:
    """Ask the Temporal service that commands would use; where none runs, look for the program."""
    record = ServerRecord.running(settings)
    address = settings.temporal_address or (record.address if record else None)
    if address is None:
        return _no_server(settings)
    left = await open_requests(settings, address)
    if left is not None:
        return Probe("server", "ok", f"Temporal answers at {address}; open: {len(left)}")
    remedy = f"see {settings.logs / 'server.log'}; start it again: {_restart(context)}"
    if settings.temporal_address:
        remedy = "start that service, or unset TEMPORAL_ADDRESS to use the embedded one"
    return Probe("server", "problem", f"no Temporal service answers at {address}", remedy)


def _no_server(settings: Settings) -> Probe:
    try:
        binary = find_binary(settings)
    except ServerError as error:
        return Probe("server", "problem", str(error))
    ports = {
        "ORCHESTCODE_TEMPORAL_PORT": settings.temporal_port,
        "ORCHESTCODE_UI_PORT": settings.ui_port,
    }
    for name, port in ports.items():
        if port is not None and free_port((port,)) != port:
            text = f"port {port} ({name}) is taken by another program"
            return Probe("server", "problem", text, f"end that program, or unset {name}")
    return Probe("server", "ok", f"none runs, `run` starts one: {binary}")


def _worker(settings: Settings, context: CliContext) -> Probe:
    record = SupervisorRecord.running(settings)
    if record is None or not record.with_worker:
        where = " here; others of that service may" if settings.temporal_address else ""
        return Probe("worker", "ok", f"none runs{where}, `run` starts one")
    if not record.worker_ready:
        state: Literal["advice", "problem"] = "problem" if record.early_ends else "advice"
        ended = f"; it ended {plural(record.early_ends, 'time')} before it was ready"
        text = f"it starts{ended * bool(record.early_ends)}"
        return Probe("worker", state, text, f"see {settings.logs / 'worker.log'}")
    if record.version != code_version(ROOT):
        text = f"process {record.worker_pid} runs other code: {record.version}"
        return Probe("worker", "advice", text, _restart(context))
    difference = compare_with_worker(settings)
    if difference is not None and difference.ignored:
        ignored = ", ".join(difference.ignored)
        text = f"process {record.worker_pid} works by other settings than this shell's: {ignored}"
        return Probe("worker", "advice", text, f"{_restart(context)}; or unset them here")
    return Probe("worker", "ok", f"process {record.worker_pid} runs, with the settings of here")


def _restart(context: CliContext) -> str:
    """Return the command line that starts server and worker again; what is open goes on."""
    stop = hints.command_line(context.program, "stop")
    return f"{stop} && {hints.start_command(context.program)}"


async def _sandbox(settings: Settings) -> Probe:
    try:
        reason = await try_sandbox(settings.home, show=settings.visible_paths)
    except ProbeFailed as error:
        return Probe("sandbox", "problem", str(error), _SANDBOX_REMEDY)
    except OSError as error:
        text = f"it cannot be tried: {error}"
        return Probe("sandbox", "problem", text, "see the findings on home and disk")
    return Probe("sandbox", "ok", reason)


async def _credentials(settings: Settings, *, online: bool) -> Probe:
    """Say which credentials are set, never a value; `online` has the service judge them."""
    named = [name for name in CREDENTIALS if settings.environment.get(name)]
    if not named:
        worker = compare_with_worker(settings)
        if worker is not None and worker.has_model_access:
            return Probe("credentials", "ok", "none in this shell; the running worker has some")
        return Probe("credentials", "problem", "none are set", NO_KEY)
    text = f"set: {', '.join(named)}"
    if not online:
        return Probe("credentials", "ok", f"{text}; not tried (--online asks the service)")
    try:
        answer = await model_answer(
            {
                *(settings.model_for(role) for role in ROLES),
                *([settings.fallback_model] if settings.fallback_model else []),
            },
            api_key=settings.model_key.get_secret_value() if settings.model_key else None,
            auth_token=settings.model_token.get_secret_value() if settings.model_token else None,
            base_url=settings.model_base_url,
        )
    except ProbeFailed as error:
        remedy = "set credentials, address or proxy that work, then run `doctor --online` again"
        return Probe("credentials", "problem", f"{text}; {error}", remedy)
    return Probe("credentials", "ok", f"{text}; {answer}")


def _other_users(settings: Settings) -> Probe:
    names = other_logins(pwd.getpwall(), os.geteuid())
    if not names:
        return Probe("other users", "ok", "nobody else can log in")
    text = f"{len(names)} can log in: {', '.join(names[:3])}{' …' if len(names) > 3 else ''}"
    if settings.temporal_address:
        return Probe("other users", "ok", text)
    if settings.shared_host:
        return Probe("other users", "ok", f"{text}; the server is closed to them")
    remedy = "ORCHESTCODE_SHARED_HOST=yes in your shell's profile closes the server to them"
    return Probe("other users", "advice", f"{text}; they can reach the Temporal server", remedy)
