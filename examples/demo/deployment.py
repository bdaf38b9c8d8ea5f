"""Where the demonstration runs: a folder, a sample repository, the rehearsal server."""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from examples.demo.rehearsed import (
    ROOT,
    RehearsalProcess,
    make_repository,
    rehearsed_environment,
)
from runtime.locks import is_held
from runtime.records import SupervisorRecord
from runtime.settings import load

HERE = Path(__file__).resolve().parent
_KEPT = "kept"
_END_SECONDS = 20.0


@dataclass(frozen=True)
class DemoDeployment:
    """A home of its own, served by the rehearsal server in the model's place.

    Attributes:
        folder: of this demonstration alone.
        environ: the environment for everything that belongs to it.
        program: how starter.py is called to reach it from another terminal.
    """

    folder: Path
    environ: dict[str, str]
    program: str


@contextlib.contextmanager
def demo_deployment(
    parent: Path, environ: Mapping[str, str], *, keep: bool
) -> Iterator[DemoDeployment]:
    """Deploy in a fresh folder; its processes are gone afterwards, and the folder unless kept."""
    _remove_leftovers(parent)
    folder = parent / secrets.token_hex(3)
    home = folder / "home"
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        stack.callback(_keep if keep else _remove, folder)
        try:
            rehearsal = RehearsalProcess(HERE / "script.json", folder)
        except RuntimeError as error:
            raise SystemExit(str(error)) from None
        stack.callback(lambda: asyncio.run(rehearsal.stop()))
        environ = rehearsed_environment(environ, home=home, address=rehearsal.address)
        stack.callback(_end_services, environ)
        program = f"ORCHESTCODE_HOME={home} {_python()} starter.py"
        yield DemoDeployment(folder, environ, program)


def _keep(folder: Path) -> None:
    (folder / _KEPT).touch()


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    # Other demonstrations may have folders there.
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def _python() -> str:
    """Return how a person in the repository's root calls this Python."""
    executable = Path(sys.executable)
    return str(executable.relative_to(ROOT)) if executable.is_relative_to(ROOT) else "python"


def _end_services(environ: Mapping[str, str]) -> None:
    """End the supervisor with its server and worker, and wait until they are gone."""
    settings = load(environ)
    if not settings.run.is_dir():
        return
    record = SupervisorRecord.running(settings)
    if record is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, signal.SIGTERM)
    end = time.monotonic() + _END_SECONDS
    while is_held(SupervisorRecord.lock(settings)):
        if time.monotonic() > end:
            print(f"The services of {settings.home} do not end; see {settings.logs}.")
            return
        time.sleep(0.05)


def _remove_leftovers(parent: Path) -> None:
    """Remove what earlier demonstrations left that were killed before they could clean up."""
    for folder in parent.glob("*"):
        held = is_held(folder / "home" / "run" / "supervisor.lock")
        young = time.time() - folder.stat().st_mtime < 600
        if not (held or young or (folder / _KEPT).exists()):
            shutil.rmtree(folder, ignore_errors=True)


def sample_repository(folder: Path) -> Path:
    """Make the sample repository, one commit on branch main, and return its folder."""
    shutil.copytree(HERE / "repository", folder)
    return make_repository(folder, "A shop")
