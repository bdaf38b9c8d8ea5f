"""Where the demonstration runs: a folder, a sample repository, the rehearsal server."""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from examples.demo.rehearsed import (
    ROOT,
    RehearsalProcess,
    make_repository,
    rehearsed_environment,
)
from runtime.locks import is_held
from runtime.records import running_supervisor, supervisor_lock
from runtime.settings import load

HERE = Path(__file__).resolve().parent
_KEPT = "kept"
_END_SECONDS = 20.0


class DemoDeployment:
    """A fresh folder with a home of its own, and the rehearsal server; both are gone afterwards.

    Attributes:
        folder: of this demonstration alone.
        keep: the folder is left behind.
        environ: the environment for everything that belongs to it.
        program: how starter.py is called to reach it from another terminal.
    """

    def __init__(self, parent: Path, environ: Mapping[str, str], *, keep: bool) -> None:
        self._parent = parent
        self.keep = keep
        self.folder = parent / secrets.token_hex(3)
        self._home = self.folder / "home"
        self.program = f"ORCHESTCODE_HOME={self._home} {_python()} starter.py"
        self.environ: dict[str, str] = {}
        self._given = environ
        self._rehearsal: RehearsalProcess | None = None

    def __enter__(self) -> Self:
        """Make the folder and start the rehearsal server."""
        _sweep(self._parent)
        self.folder.mkdir(parents=True)
        try:
            self._rehearsal = RehearsalProcess(HERE / "script.json", self.folder)
            self.environ = rehearsed_environment(
                self._given, home=self._home, address=self._rehearsal.address
            )
        except RuntimeError as error:
            self._leave()
            raise SystemExit(str(error)) from None
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every process of the demonstration and remove its folder."""
        self._leave()

    def _leave(self) -> None:
        if self.environ:
            _end_services(self.environ)
        if self._rehearsal is not None:
            asyncio.run(self._rehearsal.stop())
        if self.keep:
            (self.folder / _KEPT).touch()
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
            _remove_if_empty(self._parent)


def _python() -> str:
    """Return how a person in the repository's root calls this Python."""
    executable = Path(sys.executable)
    return str(executable.relative_to(ROOT)) if executable.is_relative_to(ROOT) else "python"


def _end_services(environ: Mapping[str, str]) -> None:
    """End the supervisor with its server and worker, and wait until they are gone."""
    settings = load(environ)
    if not settings.run.is_dir():
        return
    record = running_supervisor(settings)
    if record is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, signal.SIGTERM)
    end = time.monotonic() + _END_SECONDS
    while is_held(supervisor_lock(settings)):
        if time.monotonic() > end:
            print(f"The services of {settings.home} do not end; see {settings.logs}.")
            return
        time.sleep(0.05)


def _sweep(parent: Path) -> None:
    """Remove what earlier demonstrations left that were killed before they could clean up."""
    for folder in parent.glob("*"):
        held = is_held(folder / "home" / "run" / "supervisor.lock")
        young = time.time() - folder.stat().st_mtime < 600
        if not (held or young or (folder / _KEPT).exists()):
            shutil.rmtree(folder, ignore_errors=True)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def sample_repository(folder: Path) -> Path:
    """Make the sample repository, one commit on branch main, and return its folder."""
    shutil.copytree(HERE / "repository", folder)
    return make_repository(folder, "A shop")
