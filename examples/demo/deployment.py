"""Where the demonstration runs: a folder, a sample repository, the rehearsal server."""

import asyncio
import contextlib
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.program import called_as
from examples.demo.rehearsed import (
    ROOT,
    RehearsalProcess,
    make_repository,
    rehearsed_environment,
)
from runtime.errors import StartupError
from runtime.locks import is_held
from runtime.services.stop import stop_services
from runtime.settings import load

HERE = Path(__file__).resolve().parent


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
    parent: Path,
    environ: Mapping[str, str],
    *,
    keep: Path | None,
    script: Path = HERE / "script.json",
) -> Iterator[DemoDeployment]:
    """Deploy in a fresh folder of `parent`, or in `keep`, an empty or new one which stays.

    `script` holds the model's replies. The processes are gone afterwards.
    """
    _remove_leftovers(parent)
    folder = keep or parent / secrets.token_hex(3)
    home = folder / "home"
    folder.mkdir(parents=True, exist_ok=keep is not None)
    with contextlib.ExitStack() as stack:
        if keep is None:
            stack.callback(_remove, folder)
        try:
            rehearsal = RehearsalProcess(script, folder)
        except RuntimeError as error:
            raise SystemExit(str(error)) from None
        stack.callback(lambda: asyncio.run(rehearsal.stop()))
        environ = rehearsed_environment(environ, home=home, address=rehearsal.address)
        stack.callback(_end_services, environ)
        program = called_as(str(ROOT / "starter.py"), sys.executable, environ)
        yield DemoDeployment(folder, environ, program)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    # Other demonstrations may have folders there.
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def _end_services(environ: Mapping[str, str]) -> None:
    """End the supervisor with its server and worker, and wait until they are gone."""
    try:
        asyncio.run(stop_services(load(environ)))
    except StartupError as error:
        print(error)


def _remove_leftovers(parent: Path) -> None:
    """Remove what earlier demonstrations left that were killed before they could clean up."""
    for folder in parent.glob("*"):
        held = is_held(folder / "home" / "run" / "supervisor.lock")
        young = time.time() - folder.stat().st_mtime < 600
        if not (held or young):
            shutil.rmtree(folder, ignore_errors=True)


def sample_repository(folder: Path) -> Path:
    """Make the sample repository, one commit on branch main, and return its folder."""
    shutil.copytree(HERE / "repository", folder)
    return make_repository(folder, "A shop")
