"""What every measurement needs: a fresh home, the rehearsal server, the services."""

import contextlib
import json
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import Client

from examples.demo.rehearsed import (
    ROOT,
    RehearsalProcess,
    make_repository,
    rehearsed_environment,
)
from runtime.connect import connect
from runtime.services.startup import ensure_services
from runtime.services.stop import stop_services
from runtime.settings import Settings, load


@dataclass(frozen=True)
class BenchDeployment:
    """Services at work for one measurement.

    Attributes:
        folder: gone afterwards.
        journal: of the rehearsal server.
    """

    folder: Path
    settings: Settings
    client: Client
    journal: Path


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Give a fresh folder beside this one, on the disk that a person would use."""
    parent = ROOT / "build"
    parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix="bench-", dir=parent, ignore_cleanup_errors=True
    ) as name:
        yield Path(name)


@contextlib.asynccontextmanager
async def deployed(place: Path, script: dict[str, Any]) -> AsyncIterator[BenchDeployment]:
    """Bring up rehearsal, server and worker for as long as the block lasts."""
    path = place / "script.json"
    path.write_text(json.dumps(script))
    rehearsal = RehearsalProcess(path, place)
    try:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("ORCHESTCODE_")}
        settings = load(
            rehearsed_environment(inherited, home=place / "home", address=rehearsal.address)
        )
        try:
            async with ensure_services(settings, announce=lambda _: None) as up:
                client = await connect(settings, address=up.address)
                yield BenchDeployment(place, settings, client, rehearsal.journal)
        finally:
            await stop_services(settings)
    finally:
        await rehearsal.stop()


def counter_repository(path: Path) -> Path:
    """Make a small repository and return its folder."""
    path.mkdir()
    (path / "README.md").write_text("A counter.\n")
    for number in range(40):
        module = path / "counter" / f"part_{number}.py"
        module.parent.mkdir(exist_ok=True)
        module.write_text(f"VALUE = {number}\n" * 20)
    return make_repository(path, "Begin")


def bytes_below(path: Path) -> tuple[int, int]:
    """Return the bytes of all files below a folder: their sizes, and what they use on disk."""
    stats = [file.stat() for file in path.rglob("*") if file.is_file()]
    return sum(stat.st_size for stat in stats), sum(stat.st_blocks * 512 for stat in stats)
