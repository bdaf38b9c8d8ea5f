"""What every measurement stands on: a fresh home, the rehearsal server, the services."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import Client

from rehearsal.server import serve
from runtime.connect import connect
from runtime.services.startup import ensure_services
from runtime.settings import Settings, load

ROOT = Path(__file__).resolve().parent.parent
_DROPPED = ("TEMPORAL_", "ANTHROPIC_", "ORCHESTCODE_")


@dataclass(frozen=True)
class Bench:
    """
    Services at work for one measurement.

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
async def brought_up(place: Path, script: dict[str, Any]) -> AsyncIterator[Bench]:
    """Have rehearsal, server and worker ready; they end with the block."""
    journal = place / "rehearsal.jsonl"
    async with serve(script, journal_path=journal) as rehearsal:
        environ = {k: v for k, v in os.environ.items() if not k.startswith(_DROPPED)}
        environ |= {
            "ORCHESTCODE_HOME": str(place / "home"),
            "ANTHROPIC_API_KEY": "rehearsal",
            "ANTHROPIC_BASE_URL": rehearsal.base_url,
            "NO_PROXY": "127.0.0.1,localhost",
        }
        settings = load(environ)
        async with ensure_services(settings, announce=lambda _: None) as up:
            client = await connect(settings, address=up.address)
            yield Bench(place, settings, client, journal)


def counter_repository(path: Path) -> Path:
    """Make a small repository and return its folder."""
    path.mkdir()
    (path / "README.md").write_text("A counter.\n")
    for number in range(40):
        module = path / "counter" / f"part_{number}.py"
        module.parent.mkdir(exist_ok=True)
        module.write_text(f"VALUE = {number}\n" * 20)
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=Bench", "-c", "user.email=bench@example.org"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Begin"]):
        subprocess.run(["git", "-C", str(path), *who, *words], env=environ, check=True)
    return path


def bytes_below(path: Path) -> tuple[int, int]:
    """
    Return the bytes of all files below a folder, as written and as they take room on the disk.
    """
    stats = [file.stat() for file in path.rglob("*") if file.is_file()]
    return sum(stat.st_size for stat in stats), sum(stat.st_blocks * 512 for stat in stats)
